"""An RTSP camera on loopback to stall, kill and reboot: Debian's gst-rtsp-server as a child process."""

from __future__ import annotations

import functools
import json
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import av
import pytest
from av.bitstream import BitStreamFilterContext

Codec = Literal["h264", "h265", "mjpeg", "vp8"]
Mount = Mapping[str, Any]
"""What a path of the server shows; made by the functions of this module."""

_PYTHON = "/usr/bin/python3"
_SCRIPT = Path(__file__).with_name("gst_rtsp.py")
_PROBE = (
    "import gi\nfor name in ('Gst', 'GstRtsp', 'GstRtspServer'): gi.require_version(name, '1.0')\n"
    "from gi.repository import Gst, GstRtsp, GstRtspServer\nGst.init(None)\n"
    "missing = [n for n in ('x264enc', 'jpegenc', 'rtph264pay') if not Gst.ElementFactory.find(n)]\n"
    "assert not missing, missing"
)
_START_SECONDS = 60.0


def pattern(
    width: int = 320,
    height: int = 240,
    rate: int = 25,
    *,
    key_every: int = 25,
    codec: Codec = "h264",
    key_frames: bool = True,
    picture: str = "ball",
    kbit_s: int = 1000,
) -> Mount:
    """Show a moving test picture.

    Args:
        width: px, a multiple of 8 for "mjpeg".
        height: px, likewise.
        rate: pictures per second.
        key_every: pictures from one key frame to the next.
        codec: of the video.
        key_frames: False drops every key frame on its way to the clients, for ever.
        picture: videotestsrc's name of the pattern.
        kbit_s: bit rate.
    """
    return {
        "kind": "pattern", "width": width, "height": height, "rate": rate, "key_every": key_every,
        "codec": codec, "key_frames": key_frames, "pattern": picture, "kbit_s": kbit_s,
    }  # fmt: skip


def barcode(
    width: int = 1280, height: int = 720, rate: int = 30, *, key_every: int = 30, kbit_s: int = 3000
) -> Mount:
    """Show pictures that carry the time at which they were made; see `tests.servers.barcode`."""
    if width % 64 or height % 2:
        raise ValueError(
            f"a barcode needs a width that is a multiple of 64 and an even height, got {width} x {height}"
        )
    return {
        "kind": "barcode", "width": width, "height": height, "rate": rate, "key_every": key_every,
        "codec": "h264", "kbit_s": kbit_s,
    }  # fmt: skip


def clip(path: Path, codec: Codec = "h264") -> Mount:
    """Show an MP4 file from its beginning to each client, once, at its own pace."""
    return {"kind": "clip", "path": str(path), "codec": codec}


def looped(path: Path, folder: Path, codec: Codec = "h264") -> Mount:
    """Show a video file without B frames over and over, at its own rate; `folder` is for a copy."""
    copy = folder / f"{path.stem}.{codec}"
    name = {"h264": "h264_mp4toannexb", "h265": "hevc_mp4toannexb"}[codec]
    with av.open(str(path)) as container, copy.open("wb") as file:
        video = container.streams.video[0]
        to_byte_stream = BitStreamFilterContext(name, video)
        for packet in container.demux(video):
            for part in to_byte_stream.filter(packet if packet.size else None):
                file.write(part.size.to_bytes(4, "big") + bytes(part))
        rate = float(video.average_rate or 25)
    return {"kind": "loop", "path": str(copy), "codec": codec, "rate": rate}


def record(port: int, codec: Codec = "h264") -> Mount:
    """Take what is published (ANNOUNCE, RECORD) and pass it on, as MPEG-TS, to a TCP port of loopback."""
    return {"kind": "record", "port": port, "codec": codec}


def audio() -> Mount:
    """Send sound only."""
    return {"kind": "audio"}


@functools.cache
def _why_not() -> str | None:
    try:
        done = subprocess.run(
            [_PYTHON, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def require_rtsp_server() -> None:
    """Skip the test, or in CI fail it, when the system has no GStreamer RTSP server."""
    reason = _why_not()
    if reason is None:
        return
    told = f"needs gst-rtsp-server for {_PYTHON} (.ci/run lists the Debian packages): {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{told}; CI must not skip what needs it")
    pytest.skip(told)


class RtspServer:
    """Serves mounts on a free port of loopback; use it as a context manager.

    Attributes:
        mounts: what each path shows, e.g. `{"/cam": pattern()}`.
        user: asked for by Digest authentication, with `password`; None lets everybody in. Changes count from
            the next `restart` on.
        password: of that user.
        port: where it listens, 0 before it was started.
    """

    def __init__(self, mounts: Mapping[str, Mount], *, user: str | None = None, password: str = "") -> None:
        require_rtsp_server()
        self.mounts = dict(mounts)
        self.port = 0
        self.bind_s = 2.0  # how long it tries to get its port
        self.user, self.password = user, password
        self._child: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 -- lives as long as the server
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def url(self, mount: str, user: str | None = None) -> str:
        """Return the URL of a mount; `user` is "name:password"."""
        return f"rtsp://{f'{user}@' if user else ''}127.0.0.1:{self.port}{mount}"

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, for a proxy."""
        return ("127.0.0.1", self.port)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._running().pid

    def stall(self) -> None:
        """Stop the whole server as if it hung: connections stay open, nothing comes."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `stall`; does nothing when it was not stalled, or is not running."""
        if self._child is not None:
            self._child.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power cut would, except that the kernel still closes its sockets."""
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            child.kill()  # also ends a stopped process
            child.wait(10)
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()

    def restart(self, mounts: Mapping[str, Mount] | None = None) -> None:
        """Kill it if it lives, and start it again on the same port, with other mounts if given."""
        self.kill()
        if mounts is not None:
            self.mounts = dict(mounts)
        self._start()

    def close(self) -> None:
        """End it, whatever state it is in; safe more than once."""
        self.kill()
        self._log.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise RuntimeError("the RTSP server is not running")
        return self._child

    def _start(self) -> None:
        setting = {
            "port": self.port, "mounts": self.mounts, "user": self.user, "password": self.password,
            "bind_s": self.bind_s,
        }  # fmt: skip
        child = self._child = subprocess.Popen(
            [_PYTHON, str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
            # A group of its own: the keyboard's Ctrl-C is for the tests, which then end it in good order.
            process_group=0,
            env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
        )
        assert child.stdin is not None
        child.stdin.write(json.dumps(setting).encode() + b"\n")
        self.port = json.loads(self._first_line(child))["port"]

    def _first_line(self, child: subprocess.Popen[bytes]) -> bytes:
        assert child.stdout is not None
        deadline_s = time.monotonic() + _START_SECONDS
        line = b""
        while not line.endswith(b"\n"):
            left_s = deadline_s - time.monotonic()
            ready = left_s > 0 and select.select([child.stdout], [], [], left_s)[0]
            part = os.read(child.stdout.fileno(), 4096) if ready else b""
            if not part:
                self._log.seek(0)
                said = self._log.read().decode(errors="replace").strip()
                raise RuntimeError(f"the RTSP server did not start within {_START_SECONDS:.0f} s: {said}")
            line += part
        return line
