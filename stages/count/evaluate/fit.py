"""Whether a truth and a run are of one clip: figures of two different ones would look like any others."""

from __future__ import annotations

from pipeline.errors import ConfigError, SourceError
from stages.count.evaluate.near import nearest
from stages.count.evaluate.run_folder import Run
from stages.count.evaluate.truth import Truth

_SLACK_S, _SLACK_SHARE = 0.5, 0.01
"""By how much two lengths of one clip may differ: players and containers round."""


def require_fit(truth: Truth, run: Run, tolerance_s: float) -> list[str]:
    """Check that truth and run belong together; return what a person should know, a line each.

    Raises:
        ConfigError: if the truth has a line or direction that the run does not.
        SourceError: if the clips differ in stream, content, size or length, or the run did not end well.
    """
    if run.status in ("failed", "running"):
        raise SourceError(
            f"{run.folder}: this run is {run.status}, so not everything was counted; run it again"
        )
    _same_names(truth, run)
    _same_clip(truth, run)
    notes = []
    if not truth.is_utc:
        notes += _same_length(truth, run, tolerance_s)
    dropped = run.report["frames"]["dropped"]
    lost = sum(sum(causes.values()) for causes in dropped.values())
    if lost:
        notes.append(f"the run lost {lost} of {run.report['frames']['captured']} pictures")
    if run.report["gaps"]["count"]:
        notes.append(f"the clip had {run.report['gaps']['count']} gaps")
    if run.suspended:
        notes.append(f"lines were suspended {run.suspended} times (camera.health): nothing was counted then")
    unjudged = [line for line in run.lines if line not in truth.watched]
    if unjudged:
        notes.append(f"not in the truth, not judged: {', '.join(unjudged)}")
    return notes


def _same_names(truth: Truth, run: Run) -> None:
    if truth.clip.stream is not None and truth.clip.stream != run.stream:
        raise ConfigError(
            f"{truth.origin} is the truth of stream '{truth.clip.stream}', not of '{run.stream}': choose the "
            "stream with --stream, or take 'stream' out of the truth"
        )
    used = {line: set(directions or ()) for line, directions in truth.watched.items()}
    for event in truth.events:
        used.setdefault(event.line, set()).add(event.direction)
    for line, directions in used.items():
        if line not in run.lines:
            raise ConfigError(
                f"{truth.origin}: no line '{line}' in the run{nearest(line, run.lines)}; "
                f"it has: {', '.join(run.lines)}"
            )
        for direction in sorted(directions):
            if direction not in run.lines[line]:
                known = run.lines[line]
                raise ConfigError(
                    f"{truth.origin}: line '{line}' has no direction '{direction}'"
                    f"{nearest(direction, known)}; it has: {', '.join(known)}"
                )


def _same_clip(truth: Truth, run: Run) -> None:
    clip, report = truth.clip, run.report
    other = f"{truth.origin} is the truth of another clip"
    for what, wanted, found in (
        ("width", clip.width, report["width"]),
        ("height", clip.height, report["height"]),
    ):
        if wanted is not None and found is not None and wanted != found:
            raise SourceError(f"{other}: it has a {what} of {wanted} px, {report['source']} has {found} px")
    runs = run.runs | {report["run"]} if report.get("run") else run.runs
    if clip.run is not None and runs and clip.run not in runs:
        raise SourceError(f"{other}: its digest is {clip.run}, that of {report['source']} is {min(runs)}")


def _same_length(truth: Truth, run: Run, tolerance_s: float) -> list[str]:
    media_s = run.media_seconds
    slack_s = _SLACK_S + _SLACK_SHARE * media_s
    wanted_s = truth.clip.duration_s
    source = run.report["source"]
    if wanted_s is not None and abs(wanted_s - media_s) > slack_s:
        stopped = "; the run was stopped before the end" if run.status == "stopped" else ""
        raise SourceError(
            f"{truth.origin} is the truth of another clip: it is {wanted_s:.2f} s long, "
            f"{media_s:.2f} s were seen of {source}{stopped}"
        )
    late = [event.time_s for event in truth.events if event.time_s > media_s + slack_s + tolerance_s]
    if late:
        raise SourceError(
            f"{truth.origin} is the truth of another clip: it has a crossing at {late[0]:.2f} s, "
            f"{source} was seen for {media_s:.2f} s"
        )
    if wanted_s is None and truth.clip.run is None:
        return [
            "the truth names neither length nor digest of its clip: whether it is this one is taken on trust"
        ]
    return []
