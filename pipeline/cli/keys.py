"""`sightline keys`: a key pair for an encrypted bus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def keys(
    name: Annotated[
        str, typer.Argument(help="Whose keys: the box's or a program's name.", show_default=False)
    ],
    folder: Annotated[Path, typer.Option("--folder", "-f", help="Where to write them.")] = Path("keys"),
) -> None:
    """Make a key pair (CurveZMQ): NAME.key may be given away, NAME.key_secret may not.

    The box needs its own secret key and, if not every program may connect, a folder with the programs' public
    keys. A program needs the box's public key and its own secret key.

    Example: sightline keys box && sightline keys shop --folder clients
    """
    from pipeline.curve import make_keys

    if not name.replace("-", "").replace("_", "").isalnum():
        raise typer.BadParameter("letters, digits, '-' and '_' only", param_hint="NAME")
    public, secret = make_keys(folder, name)
    typer.echo(f"{public}: to be given away\n{secret}: to be kept secret")
