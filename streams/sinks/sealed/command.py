"""`sightline archive`: keys of sealed recordings, and opening them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Keys for sealed recordings and clips, and opening them where the secret key is.",
    no_args_is_help=True,
)

_LONG_BYTES = 500_000_000


@app.command()
def keys(
    name: Annotated[str, typer.Argument(help="Whose keys.", show_default=False)],
    folder: Annotated[Path, typer.Option("--folder", "-f", help="Where to write them.")] = Path("keys"),
) -> None:
    """Make a key pair (age, X25519): NAME.age_public for the box, NAME.age_secret for who may look.

    Run it elsewhere than on the box: without the secret key nobody can read what the box has sealed, and
    there is no way around it when it is lost. `age` and `rage` read and write the same files.

    Example: sightline archive keys owner, then in the configuration: seal_for: [owner.age_public]
    """
    from streams.sinks.sealed.keys import make_pair

    if not name.replace("-", "").replace("_", "").isalnum():
        raise typer.BadParameter("letters, digits, '-' and '_' only", param_hint="NAME")
    public_path, secret_path, public = make_pair(folder, name)
    typer.echo(f"{public_path}: for the box ({public})\n{secret_path}: to be kept secret, away from the box")


@app.command(name="open")
def open_file(
    file: Annotated[Path, typer.Argument(help="A sealed file.", show_default=False)],
    key: Annotated[Path, typer.Option("--key", "-k", help="The secret key.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="What to write.", show_default="beside it, without .age"),
    ] = None,
) -> None:
    """Write the content of a sealed file in clear.

    Of one whose writer was killed, all that was sealed before. `sightline cut` opens what it needs itself.

    Example: sightline archive open clip.mp4.age --key owner.age_secret
    """
    from pipeline.errors import ConfigError
    from streams.sinks.sealed.files import SUFFIX, is_sealed
    from streams.sinks.sealed.keys import read_secret

    if not is_sealed(file):
        raise ConfigError(f"{file} is not sealed: its name has no {SUFFIX}")
    target = output or file.with_name(file.name.replace(SUFFIX, ""))
    if target.exists():
        raise ConfigError(f"{target} is there already; name another file with -o, or delete it first")
    size, is_whole = _unsealed(file, target, read_secret(key))
    note = "" if is_whole else "; its end is missing: whoever wrote it was stopped"
    typer.echo(f"{target}: {size / 1e6:.1f} MB{note}")


def _unsealed(file: Path, target: Path, secret_keys: tuple[bytes, ...]) -> tuple[int, bool]:
    import os

    from rich.console import Console
    from rich.progress import wrap_file

    from pipeline.errors import SourceError
    from streams.sinks.sealed.files import open_to_read
    from streams.sinks.sealed.payload import CHUNK_BYTES
    from streams.sinks.textfile import writing

    console = Console(stderr=True)
    part = target.with_name(target.name + ".part")
    with open_to_read(file, secret_keys) as source:
        total = source.seek(0, os.SEEK_END)
        source.seek(0)
        is_whole = bool(source.raw.is_whole)  # type: ignore[attr-defined]
        show = console.is_terminal and total > _LONG_BYTES
        shown = wrap_file(source, total, description="opening", console=console, disable=not show)
        try:
            with writing(part), part.open("xb") as plain, shown as reader:
                while chunk := reader.read(16 * CHUNK_BYTES):
                    plain.write(chunk)
        except ValueError as error:
            part.unlink(missing_ok=True)
            raise SourceError(f"{file} cannot be opened: {error}") from error
    with writing(target):
        part.replace(target)
    return total, is_whole
