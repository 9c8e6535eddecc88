"""`sightline probe`: what is in this file or stream?"""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import Json
from pipeline.secret import SecretUrl

if TYPE_CHECKING:
    from pipeline.backoff import KeeperOptions
    from pipeline.plugin import Source, StreamInfo

_LOOK_S, _SILENT_S = 0.05, 2.0


def probe(
    url: Annotated[str, typer.Argument(metavar="URL", help="A file, a folder of images, or a source's URL.")],
    as_json: Json = False,
) -> None:
    """Tell codec, size, rate and duration of URL, or what is wrong with it.

    For cameras it says in words what stands between you and the picture: nothing listens there, the password
    is wrong, the path is unknown, there is no video, no key frame comes.

    Example: sightline probe video.mp4, or sightline probe rtsp://user:password@192.168.1.20/stream1
    """
    from pipeline.registry import load_plugin

    address = SecretUrl(url)
    source_class = load_plugin("source", _reader_of(url))
    source = source_class(address, source_class.Options(), "probe")
    info = opened(source)
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


def opened(source: Source, options: KeeperOptions | None = None) -> StreamInfo:
    """Open a source and close it again, with a keeper's patience; Ctrl-C ends it at any moment.

    Raises:
        SourceError: why there is no picture.
    """
    from pipeline.backoff import KeeperOptions
    from pipeline.condition import SourceState
    from pipeline.errors import SourceError
    from pipeline.watch import Watch

    begun_s = time.monotonic()
    patience = options or KeeperOptions()
    watch = Watch(patience, source.progress, begun_s, patient=source.patient or not source.live)
    outcome: Future[StreamInfo] = Future()
    threading.Thread(target=_open, args=(source, outcome), name="probe", daemon=True).start()
    is_told = False
    try:
        while not wait([outcome], timeout=_LOOK_S).done:
            verdict = watch.judge(time.monotonic())
            if verdict.give_up is not None:
                reason, detail = verdict.give_up
                raise SourceError(f"{source.url}: {detail}", reason)
            if not is_told and time.monotonic() - begun_s > _SILENT_S:
                is_told = True
                what = "its first picture" if verdict.state is SourceState.WAITING else "an answer"
                typer.echo(f"waiting for {what} from {source.url} ...", err=True)
        return outcome.result()
    finally:
        source.close()


def _open(source: Source, outcome: Future[StreamInfo]) -> None:
    try:
        outcome.set_result(source.open())
    except BaseException as error:
        outcome.set_exception(error)


def _reader_of(url: str) -> str:
    """Return the name of the source that reads `url`, or say what is wrong with it."""
    from pipeline.config.wording import unknown_source
    from pipeline.errors import ConfigError, SourceError
    from pipeline.registry import plugin_names, scheme_of

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
