"""What a source needs of an open camera, whoever reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.picture import Picture
from streams.sources.media_file import Lost


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture.

    Attributes:
        picture: its pixels.
        arrived_s: monotonic time at which it was handed over, s.
        stamped_s: monotonic time at which the kernel had it, s; None when nobody says.
    """

    picture: Picture
    arrived_s: float
    stamped_s: float | None = None


@dataclass(frozen=True, slots=True)
class CameraFormat:
    """What a camera sends; fields as in `StreamInfo`."""

    codec: str = ""
    container: str = ""
    pixel_format: str = ""
    rate_hz: float | None = None


class Camera(Protocol):
    """An open camera; used by one thread, except `interrupt`."""

    format: CameraFormat

    def shots(self) -> Iterator[Shot | Lost | None]:
        """Yield pictures as they come, losses, and None now and then while nothing comes.

        Raises:
            SourceError: if the camera is gone.
        """

    def interrupt(self) -> None:
        """Make `shots` come back soon, from any thread."""

    def close(self) -> None:
        """Let go of the camera."""
