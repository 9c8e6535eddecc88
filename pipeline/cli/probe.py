"""`sightline probe`: what is in this file or stream?"""

from __future__ import annotations

import dataclasses
import json
import threading
from typing import Annotated

import typer

from pipeline.cli.options import Json
from pipeline.secret import SecretUrl

_SILENT_S = 2.0


def probe(
    url: Annotated[str, typer.Argument(metavar="URL", help="A file, a folder of images, or a source's URL.")],
    as_json: Json = False,
) -> None:
    """Tell codec, size, rate and duration of URL, or what is wrong with it.

    For cameras it says in words what stands between you and the picture: nothing listens there, the password
    is wrong, the path is unknown, there is no video, no key frame comes.

    Example: sightline probe video.mp4, or sightline probe rtsp://user:password@192.168.1.20/stream1
    """
    from pipeline.plugin import StreamInfo, load_plugin

    address = SecretUrl(url)
    source_class = load_plugin("source", _reader_of(url))
    source = source_class(address, source_class.Options(), "probe")
    patience = threading.Timer(_SILENT_S, _say_waiting, [address])
    patience.daemon = True
    patience.start()
    try:
        info: StreamInfo = source.open()
    finally:
        patience.cancel()
        source.close()
    facts = dataclasses.asdict(info)
    del facts["stream"]
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    rows = {
        "source": info.url,
        "container": info.container or "none",
        "codec": info.codec or "none",
        "pixel format": info.pixel_format or None,
        "size": f"{info.width} x {info.height} px"
        + (f" (turned by {info.rotation_deg} degrees)" if info.rotation_deg else ""),
        "rate": f"{info.rate_hz:.3f} frames/s (declared)" if info.rate_hz else None,
        "duration": f"{info.duration_s:.3f} s (declared)" if info.duration_s else None,
        "frames": f"{info.frames} (declared)" if info.frames else None,
        "audio": "yes (ignored)" if info.has_audio else "no",
        "live": "yes" if info.live else "no",
        "run": info.run,
    }
    for name, value in rows.items():
        typer.echo(f"{name + ':':<14}{'unknown' if value is None else value}")


def _say_waiting(address: SecretUrl) -> None:
    typer.echo(f"waiting for {address} ...", err=True)


def _reader_of(url: str) -> str:
    """Return the name of the source that reads `url`, or say what is wrong with it."""
    from pipeline.config.wording import unknown_source
    from pipeline.errors import ConfigError, SourceError
    from pipeline.plugin import plugin_names, scheme_of

    if not url.strip():
        raise ConfigError("the URL is empty; give a file, a folder of images, or a source's URL")
    try:
        scheme = scheme_of(url)
    except OSError as error:
        raise SourceError(f"{url}: cannot be looked at: {error.strerror}; check the path") from error
    known = plugin_names("source")
    if scheme not in known:
        raise ConfigError(unknown_source(scheme, known))
    return scheme
