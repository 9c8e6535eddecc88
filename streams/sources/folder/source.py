"""Source `folder`: images that keep coming into a folder: uploads by FTP, time lapse."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from pipeline.condition import Reason
from pipeline.errors import ConfigError, SourceError
from pipeline.frame import Frame, Gap
from pipeline.moment import Moment
from pipeline.plugin import NO_EVENTS, Options, Source, StreamInfo
from pipeline.secret import SecretUrl
from streams.sources.box_clock import BoxClock
from streams.sources.folder.listing import Entry, Listing
from streams.sources.folder.stamps import Stamp, Stamps
from streams.sources.folder.watch import FolderWatch, Ready
from streams.sources.image_file import Image, load_image, natural_order
from streams.sources.media_file import Lost
from streams.sources.timeline import Timeline

_OTHER_SIZES_IN_A_ROW = 3
_TIE_NS = 1_000_000
_LOOK_RATIO = 4.0  # a folder that takes long to look at is looked at less often


class FolderOptions(Options):
    """Options of the source `folder`.

    Attributes:
        existing: whether to "read" the images that are there at the start, or to "skip" them.
        order: of images that are new at the same time: by "time", or by "name" (img2 before img10).
        name_time: pattern of the time in the files' names, e.g. "%Y%m%d_%H%M%S"; by default, and for names
            without, the time at which the file was written counts.
        time_zone: of the times in names, e.g. "Europe/Berlin".
        poll_s: how often to look, seconds.
        settle_s: how long a file must stay as it is before it is read, seconds.
        patience_s: how long a file that is not complete, or no image, is waited for, seconds; those after it
            wait as well. Then it is told as a gap.
    """

    existing: Literal["skip", "read"] = "skip"
    order: Literal["time", "name"] = "time"
    name_time: str | None = None
    time_zone: str = "UTC"
    poll_s: float = Field(default=0.5, ge=0.01, le=3600)
    settle_s: float = Field(default=0.5, ge=0, le=3600)
    patience_s: float = Field(default=10.0, ge=0, le=86400)

    @field_validator("name_time")
    @classmethod
    def _with_a_date(cls, value: str | None) -> str | None:
        Stamps(value, UTC)
        return value

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            _zone(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"no time zone '{value}' is known here; e.g. Europe/Berlin, UTC") from None
        return value


class FolderSource(Source):
    """Reads images that appear later: `folder:///srv/ftp/cam1`, `folder://cam*/**/*.jpg`.

    Looks into the folder by polling, which also works on network drives. Each file is read once, when it is
    complete, and again when it is written anew. Pictures may come seconds or hours apart.

    Raises:
        ConfigError: if the URL names no folder.
    """

    Options = FolderOptions
    emits = NO_EVENTS
    live = True
    patient = True
    options: FolderOptions

    def __init__(
        self, url: SecretUrl | str, options: FolderOptions, stream: str, clock: BoxClock | None = None
    ) -> None:
        super().__init__(url, options, stream)
        pattern = self.address.reveal().removeprefix("folder://")
        if not pattern:
            raise ConfigError(
                f"{self.url}: which folder? folder:///srv/ftp/cam1, or a pattern like folder://in/*.jpg"
            )
        self._clock = clock or BoxClock()
        self._stamps = Stamps(options.name_time, _zone(options.time_zone))
        self._listing = Listing(pattern)
        self._watch = FolderWatch(
            self._listing,
            self._clock,
            self._order,
            settle_s=options.settle_s,
            patience_s=options.patience_s,
        )
        self._closed = threading.Event()
        self._run = uuid.uuid4().hex

    def open(self) -> StreamInfo:
        """Look at the folder and wait for the first good picture, which decides the size.

        Raises:
            SourceError: if the folder cannot be read.
        """
        self._watch.start(read_existing=self.options.existing == "read")
        self.progress.connected = True
        self._shots = self._found()
        self._lost: Lost | None = None
        for item in self._shots:
            if not isinstance(item, Lost):
                break
            self._lost = item.after(self._lost)
        else:
            raise SourceError(f"{self.url}: was closed while it was opened", Reason.CLOSED)
        self._first = item
        image = item[1]
        return StreamInfo(
            stream=self.stream,
            url=self.url,
            run=self._run,
            width=image.picture.width,
            height=image.picture.height,
            live=True,
            codec=image.codec,
            pixel_format=image.pixel_format,
            rotation_deg=image.turn_deg,
        )

    def read(self) -> Iterator[Frame | Gap]:
        """Yield each good image, and one `Gap` before the next for those that could not be used.

        Gaps' causes: "decode error" (not complete in time, damaged, of another size, or gone before it was
        read), "timestamp jump" (see `Timeline`).

        Raises:
            SourceError: if the folder is gone, or three images in a row have another size.
        """
        lost = self._lost
        item: tuple[Entry, Image, float] | Lost | None = self._first
        times = _Times()
        size = (self._first[1].picture.width, self._first[1].picture.height)
        others = 0
        sequence = 0
        while item is not None and not self._closed.is_set():
            if isinstance(item, Lost):
                lost = item.after(lost)
                item = next(self._shots, None)
                continue
            entry, image, arrived_s = item
            others = 0 if (image.picture.width, image.picture.height) == size else others + 1
            if others >= _OTHER_SIZES_IN_A_ROW:
                raise SourceError(f"{self.url}: the images have another size now", Reason.CHANGED)
            after_s = times.last_s
            if others:
                words = f"{image.picture.width} x {image.picture.height} pixels"
                lost = Lost("decode error", f"{entry.path.name}: another size, {words}").after(lost)
            else:
                moment, trouble = times.moment(self._stamps.of(entry.path, entry.written_ns))
                if trouble:
                    lost = Lost("timestamp jump", f"{entry.path.name}: {trouble}", int(moment is None)).after(
                        lost
                    )
                if moment is not None:
                    if lost is not None:
                        yield Gap(lost.cause, after_s, None, lost.detail)
                        lost = None
                    yield Frame(self.stream, self._run, sequence, moment, image.picture, arrived_s=arrived_s)
                    sequence += 1
            item = next(self._shots, None)

    def close(self) -> None:
        """End `open` and `read` at once; from any thread."""
        self._closed.set()

    def _order(self, entry: Entry) -> Any:
        by_name = natural_order(entry.path)
        if self.options.order == "name":
            return by_name
        return self._stamps.of(entry.path, entry.written_ns).time_ns, by_name

    def _found(self) -> Iterator[tuple[Entry, Image, float] | Lost]:
        """Yield images as they come, with the time at which they were read, and those that are lost."""
        while not self._closed.is_set():
            began_s = self._clock.monotonic_s()
            batch = self._watch.ready()
            took_s = self._clock.monotonic_s() - began_s
            for ready in batch:
                if self._closed.is_set():
                    return
                found = self._read(ready)
                if found is None:
                    break
                self.progress.trouble = None
                yield found
            if not batch or self._watch.waiting_for:
                self._tell_of_waiting()
                pause_s = max(self.options.poll_s, _LOOK_RATIO * took_s)
                self._clock.wait(self._closed, self._clock.monotonic_s() + pause_s)

    def _read(self, ready: Ready) -> tuple[Entry, Image, float] | Lost | None:
        """Return an image, or that it is lost; None if it is to be waited for."""
        entry = ready.entry
        problem = "changed while it was read"
        image = None
        with suppress(OSError):  # gone in the middle
            try:
                image = load_image(entry.path)
            except SourceError as error:
                problem = str(error).removeprefix(f"{entry.path}: ")
        now = next(self._listing.entry(entry.path), None)
        if now is not None and not ready.last_chance and (image is None or now.version != entry.version):
            self._watch.refuse(entry)
            return None
        self._watch.done(entry)
        if image is not None:
            return entry, image, self._clock.monotonic_s()
        if now is None:
            problem = "was gone before it was read"
        return Lost("decode error", f"{entry.path.name}: {problem}")

    def _tell_of_waiting(self) -> None:
        path = self._watch.waiting_for
        if path is not None:
            self.progress.trouble = (Reason.NO_DATA, f"waiting for {path.name} to be complete")


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)  # UTC is there without a time zone database, too


class _Times:
    """Puts images on the media clock by their stamps."""

    def __init__(self) -> None:
        self._timeline = Timeline(None, steady=False)
        self._first_ns: int | None = None
        self._last_ns = 0

    @property
    def last_s(self) -> float | None:
        """Media time of the latest image."""
        return self._timeline.last_s

    def moment(self, stamp: Stamp) -> tuple[Moment | None, str]:
        """Return the moment of an image, None when its stamp cannot be trusted, and what is wrong with it."""
        time_ns = stamp.time_ns
        if self._first_ns is None:
            self._first_ns = time_ns
        elif self._last_ns - stamp.unit_ns < time_ns <= self._last_ns:
            time_ns = (
                self._last_ns + _TIE_NS
            )  # within one unit of the clock: the order is known, the time is not
        place = self._timeline.place((time_ns - self._first_ns) / 1e9, None)
        if place.pts_s is None:
            return None, place.trouble
        self._last_ns = time_ns
        return Moment(place.pts_s, time_ns, stamp.clock, stamp.uncertainty_ns), place.trouble
