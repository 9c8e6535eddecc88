"""Which cameras there are, and which of them a URL means."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from pipeline.condition import Reason
from pipeline.errors import SourceError

FORMATS = {"Linux": "video4linux2,v4l2", "Darwin": "avfoundation", "Windows": "dshow"}
"""FFmpeg's name of the system's cameras, by `platform.system()`."""


@dataclass(frozen=True, slots=True)
class Device:
    """A camera.

    Attributes:
        number: its place in the system's order, from 0; None when a path does not tell.
        name: for people.
        address: what FFmpeg opens.
    """

    number: int | None
    name: str
    address: str

    def __str__(self) -> str:
        """Say which it is: "0 (Integrated Camera)"."""
        return (
            self.name if self.number is None or self.name == self.address else f"{self.number} ({self.name})"
        )


def all_devices() -> list[Device]:
    """Return the cameras of this box, in the system's order; none where they cannot be listed."""
    if platform.system() == "Linux":
        from streams.sources.webcam.v4l2 import named_cameras

        return [Device(number, name, f"/dev/video{number}") for number, name in named_cameras()]
    name = FORMATS.get(platform.system())
    if name is None or name not in av.formats_available:
        return []
    found = [entry for entry in av.enumerate_input_devices(name) if "video" in entry.media_types]
    return [
        Device(
            number, entry.description, f"{number}:none" if name == "avfoundation" else f"video={entry.name}"
        )
        for number, entry in enumerate(found)
    ]


def chosen(url: str, wanted: str, devices: Sequence[Device]) -> Device:
    """Return the camera that is meant.

    Args:
        url: for messages.
        wanted: a number, a path, or a part of a name.
        devices: those that are there.

    Raises:
        SourceError: if there is none, or a name means several; those that are there are listed.
    """
    there = f"there are {', '.join(map(str, devices))}" if devices else "none is plugged in"
    if wanted.startswith("/"):
        if not Path(wanted).exists():
            raise SourceError(f"{url}: no such device; {there}", Reason.NO_DEVICE)
        return Device(_number_of(wanted), wanted, wanted)
    if wanted.isdecimal():
        number = int(wanted)
        for device in devices:
            if device.number == number:
                return device
        node = Path(f"/dev/video{number}")
        if node.exists():  # a node that sysfs does not list as a camera may still be one
            return Device(number, str(node), str(node))
        if not devices and platform.system() != "Linux":  # cannot be listed: OpenCV goes by numbers
            return Device(number, f"camera {number}", str(number))
        raise SourceError(f"{url}: no camera {number}; {there}", Reason.NO_DEVICE)
    named = [device for device in devices if wanted.casefold() in device.name.casefold()]
    if len(named) == 1:
        return named[0]
    if named:
        which = ", ".join(map(str, named))
        raise SourceError(f"{url}: several cameras have that name: {which}; give a number", Reason.NO_DEVICE)
    raise SourceError(f"{url}: no camera has '{wanted}' in its name; {there}", Reason.NO_DEVICE)


def _number_of(path: str) -> int | None:
    """Return the number of a Linux device by any of its names (/dev/v4l/by-id/...)."""
    match = re.fullmatch(r"/dev/video(\d+)", str(Path(path).resolve()))
    return None if match is None else int(match[1])
