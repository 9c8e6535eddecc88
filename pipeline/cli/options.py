"""Command-line options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.curve import Credentials

ConfigPath = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG",
        help="A YAML file, or the name of a shipped one: demo, traffic, people, camera.",
        show_default=False,
    ),
]
Sources = Annotated[
    list[str],
    typer.Option(
        "--source",
        metavar="[NAME=]URL",
        help="Read this instead of the configured source; repeat for several streams. "
        "A file with '=' in its name: ./x=1.mp4.",
        show_default=False,
        default_factory=list,
    ),
]
Sets = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override one setting, e.g. stages.motion.width=480; repeat for several.",
        show_default=False,
        default_factory=list,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder for results; made when missing.", show_default=False),
]
Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Where the report goes; DIR/report.json when left out."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary; errors only.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]
ServerKey = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The box's public key, if its bus is encrypted.")
]
OwnKey = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Our own secret key, if the box admits known programs only."),
]


def credentials_of(server_key: Path | None, key: Path | None) -> Credentials | None:
    """Return what to show an encrypted bus, None where it is not.

    Raises:
        ConfigError: if one is no key, or there is only ours.
    """
    from pipeline.curve import Credentials
    from pipeline.errors import ConfigError

    if server_key is None:
        if key is not None:
            raise ConfigError("--key is of no use without the box's public key: add --server-key")
        return None
    return Credentials.read(server_key, key)
