"""`sightline calibrate`: find the ground plane of a camera, on a page or by options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import ConfigError, SinkError
from pipeline.json_file import json_target

if TYPE_CHECKING:
    from stages.count.ground.birdseye import U8Array
    from stages.count.ground.calibrate.draft import Draft

_LOOK_S = 0.2


def calibrate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A file, a folder of images, or a source's URL.", show_default=False
        ),
    ],
    point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PX,PY=MX,MY",
            help="A place in the picture and on the ground (m); four or more, without the page.",
        ),
    ] = None,
    rectangle: Annotated[
        str | None,
        typer.Option(
            metavar="CORNERS=SIDES",
            help='A rectangle on the ground, going around, and its sides in m: "x,y x,y x,y x,y=3.5,12".',
        ),
    ] = None,
    units: Annotated[
        str, typer.Option(metavar="UNITS", help="Of places in the picture: px or fraction.")
    ] = "px",
    lens: Annotated[
        str | None,
        typer.Option(metavar="KEY=VALUE,...", help="Distortion, e.g. k1=-0.21,k2=0.05,focal=0.8."),
    ] = None,
    fit: Annotated[
        str,
        typer.Option(metavar="HOW", help="least_squares, or ransac: leave out points that contradict most."),
    ] = "least_squares",
    error_px: Annotated[float, typer.Option(metavar="X", help="How exactly they are marked.")] = 2.0,
    error_m: Annotated[float, typer.Option(metavar="X", help="How exactly they are known.")] = 0.05,
    at: Annotated[float, typer.Option(min=0.0, metavar="S", help="Take the picture after S seconds.")] = 0.0,
    patience_s: Annotated[
        float, typer.Option(min=1.0, metavar="S", help="Wait so long for a picture.")
    ] = 30.0,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the YAML there, too.", show_default=False)
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the picture with a grid of metres, and FILE-above beside it, seen from above.",
            show_default=False,
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures for machines.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0 takes a free one.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the page's address.")] = False,
) -> None:
    """Find where the ground lies in a camera's picture, for speeds in km/h and areas in metres.

    Without points it opens a page on this machine: click places whose metres you know, or a rectangle with
    known sides, and see at once how well they fit and how the ground looks from above. With points it does
    the same in the terminal. The result is YAML for the stage `count`.

    Example: sightline calibrate street.mp4

    Example: sightline calibrate street.mp4 --rectangle "312,420 655,410 940,690 80,700=3.5,12"
    """
    from stages.count.ground.calibrate.draft import draft, figures

    first = _settings(point, rectangle, units, lens, fit, error_px, error_m)
    _refuse_to_overwrite(source, save, picture, json_file)
    with json_target(json_file) as write:
        image, name = _taken(source, at, patience_s)
        height, width = image.shape[:2]
        if point or rectangle:
            made = draft(first, width, height)
            if save is not None:
                _write(save, made)
        else:
            made = _from_page(image, name, first, save, port, no_browser)
        told = figures(made)
        write({"source": name, "width": width, "height": height, **told})
    typer.echo(_table(told), nl=False)
    if picture is not None:
        _paint(picture, image, made)
    typer.echo("\n" + told["yaml"], nl=False)


def _settings(
    points: list[str] | None,
    rectangle: str | None,
    units: str,
    lens: str | None,
    fit: str,
    error_px: float,
    error_m: float,
) -> dict[str, Any]:
    settings: dict[str, Any] = {"units": units, "fit": fit, "error_px": error_px, "error_m": error_m}
    if lens:
        settings["lens"] = dict(_key_and_value(part) for part in lens.split(","))
    if points:
        settings["points"] = [_point(text) for text in points]
    if rectangle:
        corners, _, sides = rectangle.partition("=")
        settings["rectangle"] = {
            "corners": [_numbers("--rectangle", rectangle, corner) for corner in corners.split()],
            "sides_m": _numbers("--rectangle", rectangle, sides),
        }
    return settings


def _point(text: str) -> dict[str, Any]:
    place, _, metres = text.partition("=")
    return {"at": _numbers("--point", text, place), "metres": _numbers("--point", text, metres)}


def _numbers(option: str, whole: str, text: str) -> list[float]:
    parts = text.split(",")
    try:
        if len(parts) == 2:
            return [float(part) for part in parts]
    except ValueError:
        pass
    forms = {"--point": '"px,py=mx,my", e.g. "312,420=0,12.5"'}
    form = forms.get(option, '"x,y x,y x,y x,y=side,side", e.g. "312,420 655,410 940,690 80,700=3.5,12"')
    raise ConfigError(f"{option} '{whole}': '{text}' is no pair of numbers; write {form}")


def _key_and_value(text: str) -> tuple[str, float]:
    key, separator, value = text.partition("=")
    try:
        if separator:
            return key.strip(), float(value)
    except ValueError:
        pass
    raise ConfigError(f"--lens: '{text}' is not KEY=NUMBER; write e.g. k1=-0.21,k2=0.05")


def _taken(source: str, at_s: float, patience_s: float) -> tuple[U8Array, str]:
    from rich.console import Console

    from stages.count.ground.calibrate.picture import take_picture

    console = Console(stderr=True)
    if not console.is_terminal:
        return take_picture(source, at_s, patience_s)
    with console.status("waiting for a picture"):
        return take_picture(source, at_s, patience_s)


def _from_page(
    image: U8Array, name: str, first: dict[str, Any], save: Path | None, port: int, no_browser: bool
) -> Draft:
    """Serve the page until the person is done; return what it showed last.

    Raises:
        ConfigError: if it never showed a calibration that is right.
    """
    import webbrowser

    from stages.count.ground.calibrate.server import CalibrationServer

    keep = None if save is None else lambda made: _write(save, made)
    lens = first.get("lens")
    if lens and "focal" in lens and first["units"] == "px":  # the page has fractions
        first = {**first, "lens": {**lens, "focal": lens["focal"] / image.shape[1]}}
    page = CalibrationServer(image, name, first, keep, port)
    try:
        typer.echo(f"open {page.url}\nDone on the page, or Ctrl-C here, ends it", err=True)
        if not no_browser:
            webbrowser.open(page.url)
        try:
            while not page.done.wait(_LOOK_S):
                pass
        except KeyboardInterrupt:
            typer.echo("", err=True)
    finally:
        page.close()
    if page.latest is None:
        raise ConfigError("no ground plane was marked on the page; nothing is written")
    return page.latest


def _write(path: Path, made: Draft) -> str:
    from stages.count.ground.calibrate.draft import fragment

    try:
        path.write_text(fragment(made.options), encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror or error}") from error
    return f"saved to {path}"


def _refuse_to_overwrite(
    source: str, save: Path | None, picture: Path | None, json_file: Path | None
) -> None:
    from stages.count.ground.calibrate.draft import HEADER

    for option, path in (("--save", save), ("--picture", picture), ("--json", json_file)):
        if path is not None and path.exists() and Path(source).exists() and path.samefile(source):
            raise ConfigError(f"{option} {path} is the source; the result would overwrite it")
    if picture is not None and picture.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise ConfigError(f"--picture {picture}: write to a .jpg or .png file")
    if save is not None and save.is_file():
        try:
            ours = save.read_text(encoding="utf-8", errors="replace").startswith(HEADER)
        except OSError as error:
            raise SinkError(f"{save}: cannot be read: {error.strerror or error}") from error
        if not ours:
            raise ConfigError(
                f"--save {save} exists and is no calibration; give a new file, "
                "and copy it into your configuration"
            )


def _table(told: dict[str, Any]) -> str:
    lines = ["point  misses by px       m   known to m (95 %)"]
    for row in told["points"]:
        m, error = (("-" if row[key] is None else f"{row[key]:.3f}") for key in ("m", "error_m"))
        left_out = "" if row["used"] else "   left out: contradicts the others"
        lines.append(f"{row['number']:>5}  {row['px']:>12.2f}  {m:>6}  {error:>18}{left_out}")
    scale = told["scale_error_percent"]
    lines.append(f"points are marked to {told['error_px']:g} px, as far as they tell")
    lines.append(
        f"speeds in their middle are known to {'-' if scale is None else f'{scale:.1f}'} % at best (95 %)"
    )
    if len(told["points"]) == 4:
        lines.append("four points fit any plane: a fifth and sixth show whether they are right")
    if told["mirrored"]:
        lines.append("the metres are those of a mirror: seen from above, y must lie to the left of x")
    return "".join(f"{line}\n" for line in lines)


def _paint(path: Path, image: U8Array, made: Draft) -> None:
    import cv2

    from stages.count.ground.birdseye import birds_eye, with_grid

    above = path.with_name(f"{path.stem}-above{path.suffix}")
    for target, picture in (
        (path, with_grid(image, made.plane)),
        (above, birds_eye(image, made.plane).picture),
    ):
        encoded, data = cv2.imencode(target.suffix, picture)
        try:
            if not encoded:
                raise OSError(f"no encoder for {target.suffix}")
            target.write_bytes(data.tobytes())
        except OSError as error:
            raise SinkError(f"{target}: cannot be written: {error.strerror or error}") from error
