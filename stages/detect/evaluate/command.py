"""`sightline evaluate detect`: how right a detector is on labelled pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.json_file import json_target


def detect(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="A data set in COCO's or the YOLO format, or its JSON or YAML file.",
            show_default=False,
        ),
    ],
    stage: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which detector: onnx, yolo, ...", show_default=False)
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Take the detector of this configuration.", show_default=False),
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --config: the stages of this stream.", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the detector; may be repeated."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which part of the data set.", show_default="val, or the only one"),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME", help="Only this class of the data set; may be repeated."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=CLASS", help="What the detector's label is called there; may be repeated."
        ),
    ] = None,
    iou: Annotated[
        float, typer.Option(min=0.05, max=0.99, metavar="X", help="Overlap from which a box is right.")
    ] = 0.5,
    confidence: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="X",
            help="Score from which a box counts for precision and recall.",
            show_default="the detector's own",
        ),
    ] = None,
    min_score: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, metavar="X", help="Smallest score that mAP looks at; needs low ones."),
    ] = 0.001,
    max_detections: Annotated[
        int, typer.Option(min=1, max=10000, metavar="N", help="Best boxes of a picture and class.")
    ] = 100,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write scores, rules, settings, versions and digests."),
    ] = None,
) -> None:
    """Score a detector on labelled pictures: mAP50-95, mAP50, precision and recall, by class.

    Matching and averaging are pycocotools'. Every picture stands for itself: what a detector saves in a
    stream by looking less often is off.

    Example: sightline evaluate detect coco --stage onnx --set model=yolox_s.onnx --split val2017
    """
    from pipeline.errors import ConfigError
    from stages.detect.evaluate import report
    from stages.detect.evaluate.detector import configured, named
    from stages.detect.evaluate.read import read_dataset
    from stages.detect.evaluate.run import evaluate
    from stages.detect.evaluate.scoring import require_pycocotools

    if (stage is None) == (config is None):
        raise ConfigError("name the detector: either --stage NAME with --set KEY=VALUE, or --config FILE")
    if stream is not None and config is None:
        raise ConfigError("--stream belongs to --config")
    require_pycocotools()
    choice = named(stage, settings or ()) if stage else configured(config or Path(), stream, settings or ())
    choice.options()
    names = _pairs(name or [])
    dataset = read_dataset(folder, split)
    if label:
        dataset = dataset.only(label)
    if json_file is not None and json_file.resolve() in {path.resolve() for path in dataset.files}:
        raise ConfigError(f"{json_file} is read; results would overwrite it")
    asked: dict[str, Any] = {
        "folder": str(folder),
        "stage": stage,
        "config": None if config is None else str(config),
        "stream": stream,
        "set": settings or [],
        "split": split,
        "classes": label or [],
        "names": names,
        "min_score": min_score,
    }
    with json_target(json_file) as write_json:
        with _progress(len(dataset.pictures)) as progress:
            found = evaluate(
                dataset,
                choice,
                iou=iou,
                confidence=confidence,
                min_score=min_score,
                max_detections=max_detections,
                names=names,
                progress=progress,
            )
        write_json(report.document(found, dataset, choice, asked))
    typer.echo(report.table(found), nl=False)
    for note in report.notes(found, dataset, choice):
        typer.echo(f"- {note}")


def _pairs(texts: list[str]) -> dict[str, str]:
    from pipeline.errors import ConfigError

    pairs = {}
    for text in texts:
        label, equals, name = text.partition("=")
        if not (label and equals and name):
            raise ConfigError(f"--name {text}: wanted LABEL=CLASS")
        pairs[label] = name
    return pairs


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None] | None]:
    """Show on a terminal's stderr how far it is; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)
