"""`sightline tune`: which settings of the tracker suit one's own recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.json_file import json_target

if TYPE_CHECKING:
    from stages.track.appearance.embedder import Embedder
    from stages.track.tune.detect import Detected
    from stages.track.tune.knobs import Method
    from stages.track.tune.sweep import Judged, Sweep
    from stages.track.tune.trial_judge import TrialJudge

_SHORT_S = 10.0
_HINTS = {
    "motion": "it sees only what moves before a fixed camera; for small or distant objects try "
    "--detector-set min_area=0.0003, for people --detector hog",
    "hog": "it sees only upright people of some size; try --detector motion, or onnx with weights",
    "onnx": "try --detector-set confidence=0.1, or motion, which needs no weights",
    "yolo": "try --detector-set confidence=0.1, or motion, which needs no weights",
}


def tune(
    clip: Annotated[
        str,
        typer.Argument(
            metavar="CLIP", help="A video, a folder of images, or synthetic://street.", show_default=False
        ),
    ],
    detector: Annotated[
        str, typer.Option(metavar="NAME", help="The detector that will be used: motion, hog, onnx, yolo.")
    ] = "motion",
    detector_set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="One of its settings, e.g. model=yolox.onnx; may be repeated."
        ),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", "-m", metavar="NAME", help="Which tracker.")
    ] = "sightline",
    appearance: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="builtin, none, or a re-identification network's .onnx file.",
            show_default="as the method has it",
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.05, max=60.0, metavar="X", help="Look at so much of the clip.")
    ] = 2.0,
    hidden_s: Annotated[
        float,
        typer.Option(
            min=0.5, max=60.0, metavar="X", help="An object hidden for so long should keep its id (seconds)."
        ),
    ] = 4.0,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Judge by this truth (MOTChallenge gt.txt) instead of trials."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures for machines.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another one: other draws of the trials.")] = 0,
) -> None:
    """Try the tracker's settings on a recording of your camera and say which to use; no truth is needed.

    The detector runs once. Objects whose identity is beyond doubt are then hidden for a while and their
    detections dropped at random, again and again, to see which settings keep their ids. A setting is
    recommended only if chance does not explain that it is better. A minute or two with typical traffic is
    best; a clip of 10 s takes about a minute.

    Example: sightline tune shop.mp4 --detector onnx --detector-set model=yolox_nano.onnx --hidden-s 8
    """
    from stages.track.tune import report
    from stages.track.tune.detect import detect, detector_named
    from stages.track.tune.knobs import method_named, usual_appearance, without_idle
    from stages.track.tune.trials import lengths_up_to

    _one_thread()
    lengths_s = lengths_up_to(hidden_s)
    settings = _settings(detector_set or [])
    method_named(method, limit=None, longest_s=hidden_s)  # before a minute of detecting
    embedder = _embedder(appearance or usual_appearance(method))
    if truth is not None:
        from stages.track.evaluate.scoring import require_trackeval

        require_trackeval()
        _must_exist(truth)
    _refuse_to_overwrite(json_file, [clip, *([str(truth)] if truth else [])])
    with json_target(json_file) as write:
        stage = detector_named(detector, settings)
        with _bar() as bar:
            seen = detect(
                clip,
                stage,
                minutes,
                embedder,
                lambda at, of: bar(
                    None if of is None else min(at / max(of, 1e-9), 1.0), f"detecting, {at:.0f} s"
                ),
            )
        _something(seen, clip, detector)
        limit = embedder.limit if embedder is not None and seen.described else None
        chosen = without_idle(method_named(method, limit=limit, longest_s=hidden_s), seen.recording)
        judge = None if truth is not None else _trial_judge(seen, lengths_s, seed)
        typer.echo(_facts(seen, clip, detector, judge), nl=False)
        found = _sweep(seen, chosen, judge, truth)
        document = {
            "format": 1,
            "clip": clip,
            "seconds": round(seen.recording.seconds, 3),
            "pictures": seen.recording.frames,
            "boxes": len(seen.recording),
            "detector": {"name": detector, "settings": settings},
            "method": method,
            "appearance": appearance or usual_appearance(method),
            "seed": seed,
            "judged_by": "trials" if truth is None else str(truth),
            **_scope(judge),
            **(report.to_json(found, lengths_s) if found is not None else {"recommended": {}}),
        }
        write(document)
    if found is None:
        typer.echo("keep the defaults: too little to judge by\n\nstages:")
        typer.echo(report.fragment(method, {}, appearance), nl=False)
        return
    typer.echo("\n" + report.table(found, lengths_s), nl=False)
    for line in report.legend(found):
        typer.echo(f"- {line}")
    typer.echo("\n" + "\n".join(report.verdict(found, chosen)) + "\n\nstages:")
    typer.echo(report.fragment(method, found.recommended, appearance), nl=False)


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)  # as `sightline run` does


def _settings(pairs: list[str]) -> dict[str, str]:
    from pipeline.errors import ConfigError

    settings = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"--detector-set {pair}: write KEY=VALUE, e.g. confidence=0.4")
        settings[key.strip()] = value
    return settings


def _embedder(appearance: str) -> Embedder | None:
    from stages.track.appearance.embedder import embedder_of

    if appearance == "none":
        return None
    return embedder_of("builtin" if appearance == "builtin" else Path(appearance))


def _must_exist(truth: Path) -> None:
    from pipeline.errors import SourceError

    if not truth.is_file():
        raise SourceError(f"{truth}: {'not a file' if truth.exists() else 'no such file'}")


def _something(seen: Detected, clip: str, detector: str) -> None:
    from pipeline.errors import SourceError

    if not len(seen.recording):
        hint = _HINTS.get(detector, "try its other settings (--detector-set), or another detector")
        raise SourceError(f"{clip}: '{detector}' finds nothing in {seen.recording.seconds:.1f} s; {hint}")


def _trial_judge(seen: Detected, lengths_s: tuple[float, ...], seed: int) -> TrialJudge:
    from stages.track.tune.trial_judge import TrialJudge

    return TrialJudge(seen.recording, lengths_s, seed)


def _facts(seen: Detected, clip: str, detector: str, judge: TrialJudge | None) -> str:
    recording = seen.recording
    lines = [
        f"{clip}: {recording.seconds:.1f} s, {recording.frames} pictures of "
        f"{recording.width} x {recording.height}, {len(recording)} boxes by '{detector}', "
        f"{recording.nbytes / 1e6:.1f} MB of tables"
    ]
    if judge is not None:
        lasts_s = judge.references.last_s - judge.references.first_s
        longest = f", seen for up to {lasts_s.max():.1f} s" if len(lasts_s) else ""
        lines.append(
            f"judged by {len(lasts_s)} objects whose identity is beyond doubt{longest}, hidden "
            f"{judge.absences} times in {len(judge.trials.hidden)} rounds"
        )
    lines += [f"- {note}" for note in seen.notes]
    if recording.seconds < _SHORT_S:
        lines.append(f"- {recording.seconds:.1f} s are short: a minute or two of the camera say much more")
    if judge is not None:
        lines += [f"- {note}" for note in judge.notes()]
    return "".join(f"{line}\n" for line in lines)


def _scope(judge: TrialJudge | None) -> dict[str, Any]:
    if judge is None:
        return {}
    rounds = len(judge.trials.hidden)
    return {"objects": len(judge.references), "absences": judge.absences, "rounds": rounds}


def _sweep(seen: Detected, method: Method, judge: TrialJudge | None, truth: Path | None) -> Sweep | None:
    from stages.track.tune.sweep import Changes, sweep
    from stages.track.tune.truth import judge_by_truth, read_truth

    total = 4 + sum(len(knob.values) - 1 for knob in method.knobs)
    done = 0
    with _bar() as bar:

        def progress(what: str) -> None:
            nonlocal done
            bar(done / total, what)
            done += 1

        if truth is not None:
            known = read_truth(truth, seen.recording, whole=seen.whole)

            def by_truth(changes: Changes) -> Judged:
                return judge_by_truth(seen.recording, known, method.make(changes))

            return sweep(method.knobs, by_truth, progress=progress)
        if judge is None or not judge.enough:
            return None
        trial = judge
        return sweep(
            method.knobs,
            lambda changes: trial.judge(method, changes),
            lambda changes: trial.again(method, changes),
            progress,
        )


def _refuse_to_overwrite(path: Path | None, inputs: list[str]) -> None:
    from pipeline.errors import ConfigError

    if path and any(Path(each).exists() and Path(each).resolve() == path.resolve() for each in inputs):
        raise ConfigError(f"--json {path} is read; the figures would overwrite it")


@contextmanager
def _bar() -> Iterator[Callable[[float | None, str], None]]:
    """Show on stderr how far it is: a bar on a terminal, elsewhere a line for each quarter."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        told = 0

        def tell(done: float | None, what: str) -> None:
            nonlocal told
            if done is not None and int(done * 4) > told:
                told = int(done * 4)
                typer.echo(f"{done:4.0%} {what}", err=True)

        yield tell
        return
    columns = (BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("", total=1.0)
        yield lambda done, what: shown.update(task, completed=done or 0.0, description=what)
