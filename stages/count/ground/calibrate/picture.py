"""Takes one picture of a source."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, wait
from typing import Any

from pydantic import ValidationError

from pipeline.errors import ConfigError, SightlineError, SourceError
from pipeline.frame import Frame
from pipeline.plugin import Source
from pipeline.registry import load_plugin, scheme_of
from pipeline.secret import SecretUrl
from stages.count.ground.birdseye import U8Array

_LOOK_S = 0.1


def take_picture(url: str, at_s: float, patience_s: float) -> tuple[U8Array, str]:
    """Return a picture of a source, (H, W, 3) uint8 BGR, and where it is from, fit to be shown.

    Args:
        url: a file, a folder of images, or a source's URL.
        at_s: seconds of media time after the first picture.
        patience_s: give up after so many seconds; Ctrl-C ends it at any moment.

    Raises:
        ConfigError: if no source reads the URL.
        SourceError: why there is no picture.
    """
    source = _source(url)
    outcome: Future[U8Array] = Future()
    threading.Thread(target=_read, args=(source, at_s, outcome), name="calibrate", daemon=True).start()
    begun_s = time.monotonic()
    try:
        while not wait([outcome], timeout=_LOOK_S).done:
            if time.monotonic() - begun_s >= patience_s:
                raise SourceError(
                    f"{source.url}: no picture within {patience_s:g} s; "
                    "`sightline probe` tells what is wrong, --patience-s waits longer"
                )
        return outcome.result(), source.url
    finally:
        source.close()


def _read(source: Source, at_s: float, outcome: Future[U8Array]) -> None:
    try:
        source.open()
        first_s: float | None = None
        for item in source.read():
            if not isinstance(item, Frame):
                continue
            pts_s = item.moment.pts_s
            first_s = pts_s if first_s is None else first_s
            if pts_s - first_s >= at_s:
                outcome.set_result(item.picture.bgr().copy())
                return
        last = "holds no picture" if first_s is None else f"ends before {at_s:g} s; give a smaller --at"
        outcome.set_exception(SourceError(f"{source.url}: {last}"))
    except SightlineError as error:
        outcome.set_exception(error)
    except BaseException as error:  # whatever a plug-in raises, the waiting thread must hear of it
        text = " ".join(f"{type(error).__name__}: {error}".split())
        outcome.set_exception(SourceError(f"{source.url}: the source failed: {text}"))


def _source(url: str) -> Source:
    if not url.strip():
        raise ConfigError("the source is empty; give a file, a folder of images, or a source's URL")
    try:
        scheme = scheme_of(url)
    except OSError as error:
        raise SourceError(f"{url}: cannot be looked at: {error.strerror}; check the path") from error
    plugin: Any = load_plugin("source", scheme)
    try:
        made: Source = plugin(SecretUrl(url), plugin.Options(), "calibrate")
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise ConfigError(f"{url}: the source '{scheme}' needs settings: {message}") from error
    return made
