"""Reads what runs have written of objects near lines."""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, SourceError
from stages.count.lines.stories import SUFFIX


def read_stories(
    run: Path, *, line: str | None = None, track: int | None = None, stream: str | None = None
) -> list[dict[str, Any]]:
    """Return what a run's folder tells, by stream in the order in which it was decided.

    Args:
        run: the folder.
        line: only at this line.
        track: only of this object.
        stream: only of this stream.

    Raises:
        ConfigError: if there is no such folder, line or stream, or the run was not told to explain.
        SourceError: if a file is damaged.
    """
    if not run.is_dir():
        raise ConfigError(f"{run}: there is no such folder; give the folder of a run's results (--out)")
    paths = sorted(run.glob(f"*{SUFFIX}"), key=lambda path: (".earlier." not in path.name, path.name))
    if not paths:
        raise ConfigError(
            f"{run}: this run wrote no explanations; run it again with --set stages.count.explain=true"
        )
    stories = [story for path in paths for story in _read(path)]
    for what, asked in (("line", line), ("stream", stream)):
        known = sorted({story[what] for story in stories})
        if asked is not None and stories and asked not in known:
            near = get_close_matches(asked, known, 1, 0.5)
            meant = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}"
            raise ConfigError(f"{run}: nothing came near a {what} '{asked}'; {meant}")
    if track is not None and stories and all(story["track_id"] != track for story in stories):
        raise ConfigError(f"{run}: no object {track} came near a line")
    return sorted(
        (
            story
            for story in stories
            if line in (None, story["line"])
            and track in (None, story["track_id"])
            and stream in (None, story["stream"])
        ),
        key=lambda story: story["stream"],
    )


def _read(path: Path) -> list[dict[str, Any]]:
    stories = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            story = json.loads(text)
            story["stream"], story["line"], story["track_id"], story["why"], story["counted"], story["pts_s"]
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(f"{path}, line {number}: this is no explanation of a run") from error
        stories.append(story)
    return stories
