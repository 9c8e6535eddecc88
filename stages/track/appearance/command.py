"""`sightline train-embedding`: an appearance network of one's own, from crops of known objects."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stages.track.appearance.recipe import LossName, Recipe

if TYPE_CHECKING:
    from stages.track.appearance.cropset import CropSet
    from stages.track.appearance.training import Progress, Trained

_FEW_OBJECTS = 10


def train_embedding(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="FOLDER/ID/*.jpg, FOLDER/STREAM/ID/*.jpg, or MOTChallenge sequences with their pictures.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The ONNX file; its figures go beside it, as .json.")
    ] = Path("embedding.onnx"),
    loss: Annotated[LossName, typer.Option(help="What training makes small.")] = LossName.TRIPLET,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Passes over the crops.", show_default="60, or until --minutes are over"),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="X", help="End after so long.", show_default="no limit")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another one: other held-out objects and weights.")] = 0,
    device: Annotated[
        str, typer.Option(help="auto (a GPU if there is one), cpu, cuda, cuda:1, mps.")
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, max=256, help="CPU threads.", show_default="one for each core")
    ] = None,
    held_out: Annotated[
        float,
        typer.Option(min=0.0, max=0.9, metavar="X", help="Share of the objects kept apart for the figures."),
    ] = Recipe.held_out,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
) -> None:
    """Train a network that tells objects apart by their looks, for `track: {appearance: FILE}`.

    Collect crops with the stage `crops` behind `track`, look through them (one folder must be one object; put
    folders of the same object together), and train. Some objects are held out: the figures printed at the
    end are of objects the network has never seen, beside those of the built-in embedding. Ctrl-C ends the
    training and keeps the best network so far. Hundreds of objects make a useful network, dozens do not.

    Example: sightline train-embedding crops --out people.onnx --minutes 30
    """
    from pipeline.errors import ConfigError
    from stages.track.appearance.crops import read_crops
    from stages.track.appearance.network import HEIGHT, WIDTH
    from stages.track.appearance.training import train

    try:
        recipe = Recipe(
            loss=loss,
            epochs=Recipe.epochs if epochs is None and minutes is None else epochs,
            minutes=minutes,
            seed=seed,
            held_out=held_out,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    torch = _torch()
    chosen = _device(torch, device)
    with _targets(out, force=force) as write:
        if threads is not None:
            torch.set_num_threads(threads)
        with _bar(lines=False) as bar:
            crops = read_crops(folder, WIDTH, HEIGHT, progress=lambda done, of: bar(done / of, "reading"))
        _announce(crops)
        with _bar(lines=True) as bar, _stopping() as stop:
            trained = train(
                crops, recipe, device=chosen, stop=stop, report=lambda now: bar(now.done, _line(now))
            )
        write(trained, _document(trained, crops, recipe, folder, str(chosen)))
    _summarise(trained, out)


def _torch() -> Any:
    """Return torch, or say how to get it; onnx is needed at the end and missed now."""
    from importlib.util import find_spec

    from pipeline.errors import ModelError

    missing = [name for name in ("torch", "onnx") if find_spec(name) is None]
    if missing:
        raise ModelError(f'training needs {" and ".join(missing)}: pip install "sightline[train]"')
    try:
        import torch
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f'torch cannot be imported ({reason}): pip install "sightline[train]"') from error
    return torch


def _device(torch: Any, name: str) -> Any:
    from pipeline.errors import ConfigError

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).strip().splitlines() or ["it cannot be used"])[0]
        raise ConfigError(f"--device {name}: {reason}; use auto or cpu") from error
    return device


@contextmanager
def _targets(out: Path, *, force: bool) -> Iterator[Callable[[Trained, dict[str, Any]], None]]:
    """Make sure before an hour of work that both files can be written; leave no half of one."""
    import json

    from pipeline.errors import ConfigError, SinkError

    figures = out.with_suffix(".json")
    if out.suffix.lower() != ".onnx":
        raise ConfigError(f"--out {out} must end in .onnx")
    for path in (out, figures):
        if path.is_dir():
            raise ConfigError(f"{path} is a folder; give --out another name")
        if path.exists() and not force:
            raise ConfigError(f"{path} exists already; give --out another name, or --force to replace it")
    parts = {path: path.with_name(path.name + ".part") for path in (out, figures)}

    def write(trained: Trained, document: dict[str, Any]) -> None:
        from stages.track.appearance.export import export_onnx

        with _writing(out, SinkError):
            export_onnx(trained.network, parts[out], limit=trained.limit)
            parts[figures].write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
            for path, part in parts.items():
                part.replace(path)

    with _writing(out, SinkError):
        out.parent.mkdir(parents=True, exist_ok=True)
        parts[out].touch()
    try:
        yield write
    finally:
        for part in parts.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path, kind: type[Exception]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise kind(
            f"{path}: cannot be written: {reason}; free space there or choose another --out"
        ) from error


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Have the first Ctrl-C end the training after its batch; the second one ends the command."""
    asked = False

    def ask(_number: int, _frame: object) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _bar(*, lines: bool) -> Iterator[Callable[[float, str], None]]:
    """Show on stderr how far it is: a bar on a terminal, elsewhere a line for each tenth, or nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        told = 0

        def tell(done: float, what: str) -> None:
            nonlocal told
            if lines and int(done * 10) > told:
                told = int(done * 10)
                typer.echo(f"{done:4.0%} {what}", err=True)

        yield tell
        return
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda done, what: bar.update(task, completed=done, description=what)


def _line(now: Progress) -> str:
    text = f"epoch {now.epoch}, loss {now.loss:.3f}"
    if now.latest is not None and now.best is not None:
        text += f", held out: rank-1 {now.latest.rank1:.1%}, mAP {now.latest.mean_ap:.1%}"
        text += f" (best {now.best.mean_ap:.1%})"
    return text


def _announce(crops: CropSet) -> None:
    text = f"{len(crops)} crops of {len(crops.names)} objects"
    if crops.left_out:
        text += f"; {crops.left_out} with fewer than 2 usable crops left out"
    typer.echo(text, err=True)


def _document(trained: Trained, crops: CropSet, recipe: Recipe, folder: Path, device: str) -> dict[str, Any]:
    """Return what is worth knowing of a training, for the file beside the network."""
    from dataclasses import asdict
    from importlib.metadata import version

    from stages.track.appearance.network import LENGTH, parameter_count

    figures = {
        "untrained": trained.before,
        "trained": trained.after,
        "builtin": trained.builtin,
    }
    return {
        "format": 1,
        "folder": str(folder),
        "crops": len(crops),
        "identities": {
            "trained": trained.trained,
            "held_out": trained.held_out,
            "left_out": crops.left_out,
        },
        "recipe": asdict(recipe),
        "device": device,
        "epochs": trained.epochs,
        "seconds": round(trained.seconds, 1),
        "stopped": trained.stopped,
        "loss": round(trained.loss, 4) if trained.epochs else None,
        "held_out": {name: None if one is None else one.to_dict() for name, one in figures.items()},
        "limit": None if trained.limit is None else round(trained.limit, 4),
        "length": LENGTH,
        "parameters": parameter_count(trained.network),
        "versions": {name: version(name) for name in ("sightline", "torch", "onnx", "numpy")},
    }


def _summarise(trained: Trained, out: Path) -> None:
    if trained.stopped:
        typer.echo(f"stopped in epoch {trained.epochs}; the best network so far is kept", err=True)
    rows = {"untrained": trained.before, "built-in": trained.builtin, "trained": trained.after}
    if trained.after is None:
        why = "no object was held out" if trained.held_out == 0 else "training ended before a look at them"
        typer.echo(f"no figures: {why}")
    else:
        typer.echo(f"{trained.held_out} objects never seen, {trained.after.queries} queries:")
        typer.echo(f"{'':<10}{'rank-1':>8}{'mAP':>8}{'AUC':>8}{'EER':>8}{'limit':>8}")
        for name, one in rows.items():
            if one is not None:
                shares = (one.rank1, one.mean_ap, one.auc, one.eer)
                typer.echo(f"{name:<10}" + "".join(f"{x:>8.1%}" for x in shares) + f"{one.limit:>8.3f}")
        if trained.held_out < _FEW_OBJECTS:
            typer.echo(
                f"- {trained.held_out} objects say little; collect more than these for figures to go by"
            )
        if trained.builtin is not None and trained.builtin.auc > trained.after.auc:
            typer.echo("- the built-in embedding did better on them; more objects and more time would help")
    typer.echo(f"wrote {out} and {out.with_suffix('.json').name}; use it with track: {{appearance: {out}}}")
