"""`sightline models`: which models there are, which are here, under which licence; to fetch and to remove."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stages.detect.models.catalogue import Known
    from stages.detect.models.store import Record, Store

app = typer.Typer(help="Models: list, fetch, show, export and remove them.", no_args_is_help=True)

Names = Annotated[
    list[str], typer.Argument(metavar="MODEL...", help="A known name, or a URL.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]


@app.callback()
def models() -> None:
    """Models: list, fetch, show, export and remove them."""


@app.command("list")
def list_models(
    word: Annotated[
        str, typer.Argument(metavar="[WORD]", help="Only those whose name holds it.", show_default=False)
    ] = "",
    as_json: Json = False,
) -> None:
    """List the models that are on this box, and those that can be named.

    Example: sightline models list yolo11
    """
    from stages.detect.models.catalogue import catalogue
    from stages.detect.models.export import exports
    from stages.detect.models.store import Store

    store = Store()
    here = [pair for pair in store.models() if word.lower() in pair[0].name.lower()]
    made = [path for path in exports() if word.lower() in path.name.lower()]
    known = [model for model in catalogue() if word.lower() in model.name.lower()]
    if as_json:
        typer.echo(json.dumps(_listed(here, made, known), indent=2))
        return
    typer.echo(f"on this box, in {store.folder}")
    for path, record in here:
        facts = [
            _megabytes(path),
            _licence(path, record),
            record.source if record else "put there by hand, not used yet",
        ]
        typer.echo(f"  {path.name:<24} {facts[0]:>9}  {facts[1]:<12} {facts[2]}")
    if not here:
        typer.echo("  none")
    for folder in made:
        typer.echo(f"  {folder.name:<34} export of {_sizes(folder)}")
    typer.echo("known by name")
    for about, models_ in _families(known).items():
        first = models_[0]
        typer.echo(f"  {about} (stage {first.stage}, {first.licence})")
        typer.echo(f"    {' '.join(model.name for model in models_)}")
    if not known:
        typer.echo("  none")


@app.command()
def fetch(names: Names) -> None:
    """Download models now, so that nothing has to be fetched when a stream starts.

    A URL may end in #sha256=DIGEST, which is then checked.

    Example: sightline models fetch yolox_s.onnx yolo11n.pt
    """
    from stages.detect.models.resolve import resolve

    for name in names:
        model = resolve(name)
        typer.echo(f"{model.path}")
        typer.echo(f"  {_megabytes(model.path)}, SHA-256 {model.sha256}")
        typer.echo(f"  licence {model.licence}, from {model.source}")


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A known name, a URL, or the path of a file.", show_default=False
        ),
    ],
    as_json: Json = False,
) -> None:
    """Show what is known of a model: where it is, its licence, its digest. Nothing is downloaded.

    Example: sightline models show yolo11n.pt
    """
    facts = _facts(name)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    for key, value in facts.items():
        typer.echo(f"{key + ':':<12}{'-' if value is None else value}")


@app.command()
def export(
    name: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A .pt file of ultralytics, or its name.", show_default=False),
    ],
    to: Annotated[str, typer.Option(metavar="FORMAT", help="onnx, openvino, or engine (TensorRT).")] = "onnx",
    size: Annotated[
        str, typer.Option(metavar="WIDTHxHEIGHT", help="Of the input, px; multiples of 32.")
    ] = "640x640",
    batch: Annotated[int, typer.Option(min=1, max=256, help="Pictures at once, at most.")] = 1,
    fixed: Annotated[
        bool, typer.Option("--fixed", help="For this size and batch only; else all are left open.")
    ] = False,
    half: Annotated[bool, typer.Option("--half", help="16 bit floats.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda:0, where it is made.")] = "cpu",
) -> None:
    """Export weights of ultralytics to a format that runs without torch, and print the path.

    Example: sightline models export yolo11n.pt --size 640x384
    """
    from pipeline.errors import ConfigError
    from stages.detect.models.export import ExportSettings
    from stages.detect.models.export import export as make
    from stages.detect.models.resolve import resolve

    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigError(f"--size {size}: wanted WIDTHxHEIGHT, e.g. 640x384")
    if to not in {"onnx", "openvino", "engine"}:
        raise ConfigError(f"--to {to}: wanted onnx, openvino or engine")
    settings = ExportSettings(
        format=to,  # type: ignore[arg-type] # checked above
        width=int(width),
        height=int(height),
        batch=batch,
        dynamic=not fixed,
        half=half,
        device="cuda:0" if to == "engine" and device == "cpu" else device,
    )
    model = resolve(name)
    typer.echo(str(make(model.path, settings, progress=lambda step: typer.echo(f"{step} ...", err=True))))


@app.command()
def remove(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL...]", help="Names as listed, paths, or URLs.", show_default=False),
    ] = None,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Also forget the digest: another file may come under this name."),
    ] = False,
    exports: Annotated[bool, typer.Option("--exports", help="Remove all exports.")] = False,
) -> None:
    """Remove downloaded models; files elsewhere are never touched.

    Example: sightline models remove yolo11n.pt
    """
    import shutil

    from pipeline.errors import ConfigError
    from stages.detect.models.export import exports as exported
    from stages.detect.models.store import Store

    if not names and not exports:
        raise ConfigError("name a model (`sightline models list`), or give --exports")
    store = Store()
    for place in [_place(store, name, forget=forget) for name in names or ()]:
        was_here = place.exists()
        place.unlink(missing_ok=True)
        for rest in (".part", ".part.json", ".lock"):
            place.with_name(place.name + rest).unlink(missing_ok=True)
        if forget:
            store.forget(place)
        if place.parent != store.folder and not any(place.parent.iterdir()):
            place.parent.rmdir()
        typer.echo(f"{'removed' if was_here else 'forgotten'}: {place}")
    for folder in exported() if exports else ():
        shutil.rmtree(folder)
        folder.with_name(folder.name + ".lock").unlink(missing_ok=True)
        typer.echo(f"removed: {folder}")


def _place(store: Store, name: str, *, forget: bool) -> Path:
    """Return where the model of this name, URL or path lies in the store."""
    from pipeline.errors import ConfigError
    from stages.detect.models.resolve import place_of

    if "://" in name:
        candidates = [place_of(name, store)]
    elif Path(name).is_absolute():
        path = Path(os.path.normpath(name))
        candidates = [path] if path.is_relative_to(os.path.normpath(store.folder)) else []
    elif Path(name).name != name:
        candidates = []
    else:
        records = {path.with_suffix("") for path in store.folder.rglob(f"{name}.json")}
        candidates = sorted({store.place(name), *store.folder.glob(f"*/{name}"), *records})
    found = [path for path in candidates if path.is_file() or (forget and store.record(path))]
    if not found:
        raise ConfigError(f"'{name}' is not among the downloaded models in {store.folder}")
    if len(found) > 1:
        raise ConfigError(f"there are several '{name}'; give one of: {', '.join(map(str, found))}")
    return found[0]


def _facts(name: str) -> dict[str, Any]:
    from stages.detect.models.catalogue import known
    from stages.detect.models.kinds import check_weights
    from stages.detect.models.licence import notice
    from stages.detect.models.resolve import place_of
    from stages.detect.models.store import Store, sha256_of

    store = Store()
    path = Path(name).expanduser()
    is_url = "://" in name
    model = known(path.name)
    if is_url or not path.exists():
        path = place_of(name, store)
    record = store.record(path) if path.is_relative_to(store.folder) else None
    here = path.exists()
    if not here and model is None and record is None and not is_url:
        check_weights(Path(name))  # says what there is instead
    return {
        "name": path.name,
        "file": str(path) if here else None,
        "put it at": None if here else str(path),
        "format": str(check_weights(path)) if here else None,
        "size": _megabytes(path) if here else None,
        "sha256": sha256_of(path) if here else None,
        "first had": f"{record.sha256}, {record.since}" if record else None,
        "published": (model.sha256 or None) if model else None,
        "source": record.source if record else model.url if model else None,
        "licence": _licence(path, record),
        "about": model.about if model else None,
        "stage": model.stage if model else None,
        "note": notice(path.name, _licence(path, record)),
    }


def _licence(path: Path, record: Record | None) -> str:
    from stages.detect.models.catalogue import known
    from stages.detect.models.licence import UNKNOWN, licence_within

    model = known(path.name)
    if record or model:
        return record.licence if record else model.licence if model else UNKNOWN
    return licence_within(path) if path.is_file() else UNKNOWN


def _listed(here: list[tuple[Path, Record | None]], made: list[Path], known: list[Known]) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "here": [
            {"path": str(path), "bytes": path.stat().st_size, "record": asdict(record) if record else None}
            for path, record in here
        ],
        "exports": [str(path) for path in made],
        "known": [asdict(model) for model in known],
    }


def _families(models_: list[Known]) -> dict[str, list[Known]]:
    families: dict[str, list[Known]] = {}
    for model in models_:
        families.setdefault(model.about, []).append(model)
    return families


def _sizes(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "export.json"]
    total = sum(path.stat().st_size for path in files)
    return f"{total / 1e6:.1f} MB"


def _megabytes(path: Path) -> str:
    from stages.detect.models.progress import megabytes

    return megabytes(path.stat().st_size)
