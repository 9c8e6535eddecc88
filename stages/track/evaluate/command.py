"""`sightline evaluate mot`: how right the tracking methods are on MOTChallenge folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.json_file import json_target
from stages.track.evaluate.choices import Appearance, Benchmark

app = typer.Typer(help="Measure how right results are, against a known truth.", no_args_is_help=True)


@app.callback()
def evaluate() -> None:
    """Measure how right results are, against a known truth."""


@app.command()
def mot(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...", help="MOTChallenge sequences, or one of them.", show_default=False
        ),
    ],
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            metavar="NAME",
            help="Which tracker; repeat to compare several.",
            show_default="sightline",
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Score these result files (SEQUENCE.txt), run no tracker."),
    ] = None,
    detections: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Other detections: SEQUENCE/det/det.txt or SEQUENCE.txt."),
    ] = None,
    min_score: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="X", help="Leave out detections with a lower score.")
    ] = 0.0,
    appearance: Annotated[
        str | None,
        typer.Option(
            metavar="none|builtin|PATH.onnx",
            help="What describes the boxes by their pixels.",
            show_default="as the stage track: builtin for sightline and deepsort where there are pictures",
        ),
    ] = None,
    camera_motion: Annotated[
        bool,
        typer.Option("--camera-motion", help="Follow a moving camera, for methods that know how."),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the methods; may be repeated."),
    ] = None,
    sequence: Annotated[
        list[str] | None,
        typer.Option("--sequence", "-s", metavar="NAME", help="Only this one; may be repeated."),
    ] = None,
    benchmark: Annotated[
        Benchmark | None,
        typer.Option(help="Whose rules to score by.", show_default="by the columns and the name"),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write the tracks to FOLDER/METHOD/SEQUENCE.txt."),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write scores, settings, versions and digests."),
    ] = None,
) -> None:
    """Score trackers, or the results of any tracker, on MOTChallenge sequences (MOT15, 16, 17, 20).

    Each method gets the sequence's detections at their true times. The table has HOTA, DetA, AssA, MOTA,
    IDF1, identity switches, misses and milliseconds, by sequence and of all together.

    Example: sightline evaluate mot MOT17/train --method sightline --method deepsort --json scores.json
    """
    from pipeline.errors import ConfigError
    from stages.track.evaluate import report
    from stages.track.evaluate.motchallenge import read_sequences
    from stages.track.evaluate.results import read_results, write_results
    from stages.track.evaluate.run import (
        evaluate_sequences,
        named_methods,
        require_pictures,
        score_rows,
    )
    from stages.track.evaluate.scoring import require_trackeval
    from stages.track.evaluate.settings import read_settings

    if check is not None and (
        method or results or detections or appearance or camera_motion or settings or min_score
    ):
        raise ConfigError(
            "--check runs no tracker: leave out --method, --results, --detections, --appearance, "
            "--camera-motion, --set, --min-score"
        )
    names = list(dict.fromkeys(method or ["sightline"]))
    methods = named_methods(names, read_settings(settings or (), names))
    looks = _appearance(appearance)
    network = looks if isinstance(looks, Path) else None
    require_trackeval()
    sequences = read_sequences(
        folders,
        names=sequence or (),
        detections=detections,
        benchmark=benchmark,
        with_detections=check is None,
    )
    require_pictures(sequences, looks, camera_motion)
    asked: dict[str, Any] = {
        "methods": names if check is None else [],
        "set": settings or [],
        "check": None if check is None else str(check),
        "appearance": str(appearance or "auto"),
        "camera_motion": camera_motion,
        "min_score": min_score,
        "benchmark": str(benchmark or "auto"),
    }
    pairs = [] if results is None else [(name, each.name) for name in methods for each in sequences]
    targets = {pair: Path(results or "", pair[0], f"{pair[1]}.txt") for pair in pairs}
    read = [path for each in sequences for path in each.files.values()]
    read += [] if check is None else [check / f"{each.name}.txt" for each in sequences]
    read += [] if network is None else [network]
    _refuse_to_overwrite(read, [json_file, *targets.values()])
    frames = sum(each.frames for each in sequences)
    with json_target(json_file) as write_json:
        if check is None:
            _make_folder(results)
            with _progress(2 * frames * len(methods)) as progress:
                found = evaluate_sequences(
                    sequences,
                    methods,
                    appearance=looks,
                    camera_motion=camera_motion,
                    min_score=min_score,
                    progress=progress,
                )
        else:
            rows = {each.name: read_results(check, each) for each in sequences}
            label = check.resolve().name
            with _progress(frames) as progress:
                found = {label: score_rows(sequences, rows, progress=progress, method=label)}
        for (name, of), path in targets.items():
            write_results(path, found[name].runs[of].rows)
        write_json(report.document(found, sequences, asked, check, network))
    typer.echo(report.table(found, sequences), nl=False)
    for note in report.notes(sequences, found, min_score):
        typer.echo(f"- {note}")


def _appearance(text: str | None) -> Appearance | None:
    from pipeline.errors import ConfigError

    if text is None:
        return None
    if text == "none":
        return "none"
    if text == "builtin":
        return "builtin"
    path = Path(text)
    if not path.is_file():
        raise ConfigError(f"--appearance {text}: neither none, builtin nor the path of an .onnx file")
    return path


def _refuse_to_overwrite(inputs: Iterable[Path], outputs: Iterable[Path | None]) -> None:
    from pipeline.errors import ConfigError

    read = {path.resolve() for path in inputs}
    for path in outputs:
        if path is not None and path.resolve() in read:
            raise ConfigError(f"{path} is read; results would overwrite it")


def _make_folder(path: Path | None) -> None:
    from pipeline.errors import SinkError

    if path is not None:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{path}: cannot be made: {error.strerror or error}") from error


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str, int], None] | None]:
    """Show on a terminal's stderr how far it is; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda what, frames: bar.update(task, description=what, advance=frames)
