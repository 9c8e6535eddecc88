"""Files are deterministic: same file, same configuration, same bytes; alone or beside others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import Sightline
from tests.media import write_crossing_video
from tests.shared_data import shared

STREET = "synthetic://street?seed=3&duration_s=8"
GATE = "stages.count.lines.gate"
SLANTED = ("--set", f"{GATE}.start=[0.2, 0.9]", "--set", f"{GATE}.end=[0.8, 0.2]")
"""A line that what drives across the picture crosses as well as what drives down it."""


def events(folder: Path) -> bytes:
    return (folder / "events.jsonl").read_bytes()


def by_stream(folder: Path) -> dict[str, list[bytes]]:
    streams: dict[str, list[bytes]] = {}
    for line in events(folder).splitlines():
        streams.setdefault(json.loads(line)["stream"], []).append(line)
    return streams


def run(sightline: Sightline, folder: Path, *sources: object) -> dict[str, object]:
    words = [word for source in sources for word in ("--source", source)]
    ran = sightline("run", "traffic", *words, *SLANTED, "--out", folder, "--quiet")
    assert ran.code == 0, ran.err
    streams: dict[str, dict[str, dict[str, object]]] = json.loads((folder / "report.json").read_text())[
        "streams"
    ]
    for report in streams.values():
        frames = report["frames"]
        assert frames["captured"] == frames["finished"]
        assert frames["dropped"] == {}
    return {name: report["counts"] for name, report in streams.items()}


@pytest.mark.slow
@pytest.mark.parametrize("source", ["video/car-detection.mp4", STREET])
def test_three_runs_give_the_same_bytes(source: str, tmp_path: Path, sightline: Sightline) -> None:
    url = source if "://" in source else shared(source)
    counts = [run(sightline, tmp_path / f"{i}", f"road={url}") for i in range(3)]
    first = events(tmp_path / "0")
    assert first
    assert events(tmp_path / "1") == first
    assert events(tmp_path / "2") == first
    assert counts[0] == counts[1] == counts[2]


@pytest.mark.slow
def test_two_files_together_are_the_two_alone(tmp_path: Path, sightline: Sightline) -> None:
    """R25: streams share a process and nothing else."""
    clip = write_crossing_video(tmp_path / "clip.mp4")
    together = run(sightline, tmp_path / "both", f"street={STREET}", f"clip={clip}")
    alone = run(sightline, tmp_path / "a", f"street={STREET}") | run(
        sightline, tmp_path / "b", f"clip={clip}"
    )
    assert together == alone
    both = by_stream(tmp_path / "both")
    assert both == by_stream(tmp_path / "a") | by_stream(tmp_path / "b")
    assert set(both) == {"street", "clip"}


def test_the_name_of_a_file_does_not_change_its_events(tmp_path: Path, sightline: Sightline) -> None:
    clip = write_crossing_video(tmp_path / "clip.mp4")
    copy = tmp_path / "copy of it.mp4"
    copy.write_bytes(clip.read_bytes())
    run(sightline, tmp_path / "a", f"road={clip}")
    run(sightline, tmp_path / "b", f"road={copy}")
    assert events(tmp_path / "a") == events(tmp_path / "b") != b""
