"""Source `images`: a folder or a pattern of still images as one stream."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

from pydantic import AwareDatetime, Field

from pipeline.errors import SourceError
from pipeline.frame import Frame, Gap
from pipeline.picture import Picture
from pipeline.plugin import NO_EVENTS, Options, Source, StreamInfo
from pipeline.secret import SecretUrl
from streams.sources.fingerprint import fingerprint
from streams.sources.image_file import SUFFIXES, Image, load_image, natural_order
from streams.sources.media_file import Lost
from streams.sources.wall_clock import WallClock


class ImagesOptions(Options):
    """Options of the source `images`.

    Attributes:
        rate_hz: images per second of media time. Images carry no times: this is what you say of the set.
        start_time: wall-clock time of the first image, with its zone; by default 1970-01-01.
    """

    rate_hz: float = Field(default=25.0, gt=0, allow_inf_nan=False)
    start_time: AwareDatetime | None = None


class ImagesSource(Source):
    """Reads images in natural order (img2 before img10), image k at k / `rate_hz` seconds.

    An image that is damaged, or of another size than the first good one, leaves its place in time empty and
    is told as a `Gap`.
    """

    Options = ImagesOptions
    emits = NO_EVENTS
    options: ImagesOptions

    def __init__(self, url: SecretUrl | str, options: ImagesOptions, stream: str) -> None:
        super().__init__(url, options, stream)
        self._pattern = self.address.reveal().removeprefix("images://")
        self._closed = False
        self._paths: list[Path] = []

    def open(self) -> StreamInfo:
        """List the images and decode up to the first good one, which decides the pictures' size."""
        self._paths = _found(self._pattern)
        try:
            self._run = fingerprint(self._paths, names=True, samples=2, sample_bytes=4096)
        except OSError as error:
            raise SourceError(
                f"{error.filename}: cannot be read ({error.strerror}); check its mode"
            ) from None
        image = self._first_good()
        self._size = (image.picture.width, image.picture.height)
        return StreamInfo(
            stream=self.stream,
            url=self.url,
            run=self._run,
            width=image.picture.width,
            height=image.picture.height,
            codec=image.codec,
            pixel_format=image.pixel_format,
            rate_hz=self.options.rate_hz,
            duration_s=len(self._paths) / self.options.rate_hz,
            frames=len(self._paths),
            rotation_deg=image.turn_deg,
        )

    def read(self) -> Iterator[Frame | Gap]:
        """Yield every good image, and one `Gap` ("decode error") before the next for each run of bad ones."""
        clock = WallClock.starting(self.options.start_time)
        lost: Lost | None = None
        after_s: float | None = None
        sequence = 0
        for place, path in enumerate(self._paths):
            if self._closed:
                return
            try:
                picture = self._picture(path)
            except SourceError as error:
                lost = Lost("decode error", str(error)).after(lost)
                continue
            if lost is not None:
                yield self._gap(lost, after_s)
                lost = None
            after_s = place / self.options.rate_hz
            yield Frame(self.stream, self._run, sequence, clock.moment(after_s), picture)
            sequence += 1
        if lost is not None:
            yield self._gap(lost, after_s)

    def close(self) -> None:
        """End `read` at its next image; from any thread, in every state."""
        self._closed = True

    def _first_good(self) -> Image:
        problem = ""
        for path in self._paths:
            if self._closed:
                raise SourceError(f"{self._pattern}: was closed while it was opened")
            try:
                return load_image(path)
            except SourceError as error:
                problem = problem or str(error)
        raise SourceError(f"none of the {len(self._paths)} images can be read; the first is {problem}")

    def _picture(self, path: Path) -> Picture:
        picture = load_image(path).picture
        if (picture.width, picture.height) != self._size:
            raise SourceError(
                f"{path}: is {picture.width} x {picture.height} pixels, the first image is "
                f"{self._size[0]} x {self._size[1]}"
            )
        return picture

    def _gap(self, lost: Lost, after_s: float | None) -> Gap:
        return Gap(lost.cause, after_s, lost.pictures / self.options.rate_hz, lost.detail)


def _found(pattern: str) -> list[Path]:
    folder = Path(pattern)
    found = folder.iterdir() if folder.is_dir() else map(Path, glob.glob(pattern))  # noqa: PTH207 - may be absolute
    paths = [path for path in found if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not paths:
        kinds = ", ".join(suffix.removeprefix(".") for suffix in SUFFIXES)
        raise SourceError(f"{pattern}: no images there; give a folder or a pattern with files of {kinds}")
    return sorted(paths, key=natural_order)
