"""`sightline probe`: what is in this file or stream?"""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from pipeline.cli.options import Json


def probe(
    url: Annotated[str, typer.Argument(metavar="URL", help="A file, a folder of images, or a source's URL.")],
    as_json: Json = False,
) -> None:
    """Tell codec, size, rate and duration of URL, or what is wrong with it.

    Example: sightline probe video.mp4
    """
    from pipeline.plugin import StreamInfo, load_plugin

    source_class = load_plugin("source", _reader_of(url))
    source = source_class(url, source_class.Options(), "probe")
    try:
        info: StreamInfo = source.open()
    finally:
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
