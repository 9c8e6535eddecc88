"""SRT by the system's `ffmpeg` as a child process, where the FFmpeg in PyAV has none."""

from __future__ import annotations

import array
import os
import select
import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

from pipeline.errors import SinkError

_LINGER_S = 1
"""That the last pictures still arrive; all of it is waited for."""
_LINES = 30
_LINE_BYTES = 1000
_KILL_S = 2.0
_ASK_S = 10.0
NEEDS_FFMPEG = (
    "SRT needs the program ffmpeg, built with libsrt (the FFmpeg in this PyAV has none): "
    "apt-get install ffmpeg (Debian and Ubuntu build it so), or push by RTSP or RTMP"
)


def srt_command() -> tuple[str, ...]:
    """Return how an `ffmpeg` that speaks SRT is started.

    Raises:
        SinkError: if there is none, with what to do.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise SinkError(f"{NEEDS_FFMPEG}; there is none on the path")
    if "srt" not in _asked(ffmpeg, "-hide_banner", "-protocols").partition("Output:")[2].split():
        raise SinkError(f"{NEEDS_FFMPEG}; {ffmpeg} has no SRT")
    # Its input ends with us too, but who waits for an answer does not read it.
    setpriv = shutil.which("setpriv")
    bound = (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()
    return (*bound, ffmpeg) if bound and _asked(*bound, "echo", "yes") else (ffmpeg,)


class SrtProcess:
    """Takes MPEG-TS through a pipe and sends it by SRT. Used by one thread, except `close`.

    The options go through a second pipe, as a preset file: command lines are seen by every user of a box.

    Attributes:
        pipe: file descriptor that takes MPEG-TS; it stays open until `end`.
        sent: bytes that SRT has taken, as known every half second.
        is_refused: whether the receiver said no.

    Args:
        command: of `ffmpeg`, see `srt_command`.
        address: `srt://host:port`.
        options: of the protocol, see `srt_options`.
        timeout_s: for connecting.

    Raises:
        SinkError: if it cannot be started.
    """

    def __init__(
        self, command: Sequence[str], address: str, options: Mapping[str, str], *, timeout_s: float
    ) -> None:
        self.sent = 0
        self.is_refused = False
        self._failure = ""
        self._is_left = False
        self._lines: deque[str] = deque(maxlen=_LINES)
        given = {"connect_timeout": str(round(timeout_s * 1000)), "linger": str(_LINGER_S), **options}
        if "streamid" in given:  # an option of the program has that name
            given["srt_streamid"] = given.pop("streamid")
        preset = "".join(f"{name}={value}\n" for name, value in given.items())
        inside, self.pipe = os.pipe()
        told, telling = os.pipe()
        os.write(telling, preset.encode())  # a page at most, and a pipe takes more
        os.close(telling)
        try:
            # What FFmpeg's demuxer looks at before it begins is late for as long.
            words = f"""-hide_banner -nostdin -v warning -progress pipe:2
                -probesize 32768 -analyzeduration 1 -f mpegts -i pipe:0
                -map 0 -c copy -copyts -muxdelay 0 -muxpreload 0 -flush_packets 1
                -f mpegts -fpre /dev/fd/{told}""".split()
            self._process = subprocess.Popen(  # noqa: S603 - found by us, and no shell
                [*command, *words, address],
                stdin=inside,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(told,),
                start_new_session=True,  # Ctrl-C is for us, who end it in good order
                env={
                    name: value for name, value in os.environ.items() if name in ("PATH", "LD_LIBRARY_PATH")
                },
            )
        except OSError as error:
            os.close(self.pipe)
            raise SinkError(f"{command[-1]} cannot be started: {error.strerror}") from error
        finally:
            os.close(inside)
            os.close(told)
        self._reader = threading.Thread(target=self._read, name="srt-words", daemon=True)
        self._reader.start()

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self._process.poll() is not None

    @property
    def failure(self) -> str:
        """Why it ended, one line without anything of the query; "" while it goes on and after `close`."""
        if self._is_left or not self.has_ended:
            return ""
        self._reader.join(_KILL_S)
        if not self._failure:
            self._failure, self.is_refused = reason_of(list(self._lines), self.sent > 0)
        return self._failure

    def is_clear(self, timeout_s: float) -> bool:
        """Wait until it takes more, or has ended; return whether that came to be."""
        room = select.poll()
        room.register(self.pipe, select.POLLOUT)
        return bool(room.poll(timeout_s * 1000))

    def settle(self, quiet_s: float, timeout_s: float) -> None:
        """Wait until it has taken everything; end it if it does not."""
        ends_s = time.monotonic() + timeout_s
        is_empty = False
        while not self.has_ended:
            was_empty, is_empty = is_empty, _bytes_in(self.pipe) == 0
            if was_empty and is_empty:
                return
            if time.monotonic() > ends_s:
                self.close()
                return
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(quiet_s)

    def end(self, timeout_s: float) -> None:
        """Let it send what it has, and go; once, when nothing writes into the pipe any more."""
        self._is_left = self._is_left or not self.has_ended
        os.close(self.pipe)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.close()
        self._reader.join(_KILL_S)

    def close(self) -> None:
        """End it at once; from any thread, more than once."""
        self._is_left = self._is_left or not self.has_ended
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILL_S)

    def _read(self) -> None:
        stream = self._process.stderr
        if stream is None:
            return
        with stream:
            while raw := stream.readline(_LINE_BYTES):
                line = raw.decode(errors="replace").strip()
                name, _, value = line.partition("=")
                if name == "total_size" and value.isdigit():
                    self.sent = int(value)
                elif not name.replace("_", "").isalnum():  # nor is it a line of progress
                    self._lines.append(line)


def reason_of(lines: Sequence[str], was_sending: bool) -> tuple[str, bool]:
    """Return why `ffmpeg` ended, for a person, and whether the receiver said no.

    Args:
        lines: the last that it said; they may hold what must not be shown.
        was_sending: whether it had sent anything.
    """
    said = "\n".join(lines)
    if "Incorrect passphrase" in said or "BADSECRET" in said:
        return "it refuses the passphrase; correct url", True
    if "Password required or unexpected" in said or "UNSECURE" in said:
        return "a passphrase is needed at both ends or at none; correct url", True
    if "REJECT" in said or "rejected" in said:
        return "it refuses the stream; see its log, and streamid in url", True
    if "resolve hostname" in said:
        return "its name cannot be resolved; check url and the network", False
    if "failed to set option" in said:
        return "SRT does not take an option of url; see ffmpeg -h protocol=srt", False
    if "Connection to" in said and not was_sending:
        return "nobody answers there", False
    if was_sending:
        return "it is gone: the connection is broken", False
    return "ffmpeg ended before it sent anything", False


def _bytes_in(pipe: int) -> int:
    import fcntl  # not on Windows
    import termios

    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def _asked(*command: str) -> str:
    """Return what a program answers, "" if it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")
