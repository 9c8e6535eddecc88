"""What Linux says of its cameras: names, formats, and a way to end a read that waits in the kernel.

Numbers and layouts are those of <linux/videodev2.h>, which are part of the kernel's stable interface.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

_SYSFS = Path("/sys/class/video4linux")
_CAPTURE = 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE
_STREAM_OFF = 0x40045613
_ENUM_FORMATS = 0xC0405602
_ENUM_SIZES = 0xC02C564A
_DISCRETE = 1
_MOST = 32


def named_cameras(sysfs: Path = _SYSFS) -> list[tuple[int, str]]:
    """Return number and name of each camera, by number; a camera's further nodes (metadata) are left out."""
    found = []
    for node in sysfs.glob("video*"):
        with contextlib.suppress(OSError, ValueError):
            if (node / "index").read_text(encoding="ascii").strip() == "0":
                name = (node / "name").read_text(encoding="utf-8", errors="replace").strip()
                found.append((int(node.name.removeprefix("video")), name))
    return sorted(found)


def formats_of(path: str) -> list[str]:
    """Return what a camera offers, e.g. "MJPG 1280x720 640x480"; nothing where that cannot be asked."""
    try:
        device = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return []
    try:
        return [_with_sizes(device, code) for code in _codes(device)]
    finally:
        os.close(device)


def descriptors_of(path: str) -> list[int]:
    """Return this process's open descriptors of a device."""
    wanted = Path(path).resolve()
    found = []
    with contextlib.suppress(OSError):
        for entry in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                if entry.readlink() == wanted:
                    found.append(int(entry.name))
    return sorted(found)


def stop_streaming(path: str) -> None:
    """Make a read of this process that waits for a picture of the device fail at once."""
    for descriptor in descriptors_of(path):
        with contextlib.suppress(OSError):  # not the one that streams, or no camera at all
            fcntl.ioctl(descriptor, _STREAM_OFF, struct.pack("i", _CAPTURE))


def _codes(device: int) -> Iterator[bytes]:
    for index in range(_MOST):
        request = bytearray(struct.pack("III32sII12x", index, _CAPTURE, 0, b"", 0, 0))
        try:
            fcntl.ioctl(device, _ENUM_FORMATS, request)
        except OSError:
            return
        yield bytes(request[44:48])


def _with_sizes(device: int, code: bytes) -> str:
    sizes = []
    for index in range(_MOST):
        request = bytearray(struct.pack("I4s36x", index, code))
        try:
            fcntl.ioctl(device, _ENUM_SIZES, request)
        except OSError:
            break
        kind, width, height = struct.unpack_from("III", request, 8)
        if kind != _DISCRETE:
            break
        sizes.append(f"{width}x{height}")
    return " ".join([code.decode("ascii", "replace").strip(), *sizes])
