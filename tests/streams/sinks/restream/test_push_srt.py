"""The sink `push` by SRT through the system's ffmpeg, against receivers that are ffmpeg too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import av
import pytest

from pipeline.errors import SinkError
from pipeline.moment import Clock, Moment
from pipeline.plugin import SinkContext
from streams.sinks.encoder import Encoder, Encoding
from streams.sinks.restream.connection import Connection, need_protocol
from streams.sinks.restream.options import PushOptions
from streams.sinks.restream.sink import PushSink
from streams.sinks.restream.srt_process import reason_of
from streams.sinks.restream.target import target_of
from tests.servers.daemons import free_port
from tests.servers.srt import receiver
from tests.streams.sinks.restream.scene import Stage, picture, wait_for

PASSPHRASE = "pa55pa55pa55"
_DELIMITER_BYTES = 6


def pyav_has_srt() -> bool:
    try:
        av.open("srt://127.0.0.1:1", "r", timeout=0.001).close()
    except av.ProtocolNotFoundError:
        return False
    except av.FFmpegError:
        pass
    return True


needs_no_child = pytest.mark.skipif(pyav_has_srt(), reason="PyAV speaks SRT itself here")


def children(parent: int) -> list[int]:
    """Return the processes that a process has begun."""
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(number) for task in tasks for number in task.read_text().split()]


def senders(parent: int = os.getpid()) -> list[int]:
    """Return those of them that are to send by SRT, and not to receive."""
    return [pid for pid in children(parent) if b"-fpre" in command_line(pid)]


def sender(parent: int = os.getpid()) -> int:
    """Return the one that sends, once there is one: it may be missed for a moment, or replaced."""
    found: list[int] = []

    def is_one() -> bool:
        found[:] = senders(parent)
        return len(found) == 1

    wait_for(is_one)
    return found[0]


def has_socket(pid: int) -> bool:
    """Whether it has begun to call."""
    with suppress(OSError):  # one was closed meanwhile
        return any("socket:" in str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir())
    return False


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@needs_no_child
@pytest.mark.parametrize(
    ("script", "complaint"),
    [("", "there is none on the path"), ("#!/bin/sh\necho 'Output:\n  udp'", "ffmpeg has no SRT")],
)
def test_without_an_ffmpeg_that_has_srt_it_says_what_to_install(
    script: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script:
        (tmp_path / "ffmpeg").write_text(script)
        (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    given = PushOptions.model_validate({"url": f"srt://media:8890?passphrase={PASSPHRASE}"})
    with pytest.raises(SinkError, match="apt-get install ffmpeg") as caught:
        PushSink(given, SinkContext(tmp_path))
    message = str(caught.value)
    assert message.startswith("srt://media:8890: SRT needs the program ffmpeg")
    assert complaint in message
    assert "pa55" not in message


@pytest.mark.parametrize(
    ("line", "was_sending", "why", "is_refused"),
    [
        (
            "05:22/SRT:RcvQ:w1!W:SRT.cn: REJECT reported from HS: Incorrect passphrase - not",
            False,
            "passph",
            True,
        ),
        (
            "SRT.cn: REJECT reported: Password required or unexpected - not processing",
            False,
            "both ends",
            True,
        ),
        (
            "SRT.cn: processAsyncConnectRequest: REJECT reported from HS processing: Peer",
            False,
            "the stream",
            True,
        ),
        ("[srt @ 0x55] Connection to srt://h:9 failed: Input/output error", False, "nobody answers", False),
        ("[srt @ 0x55] Failed to resolve hostname h: Name or service not known", False, "resolved", False),
        ("[srt @ 0x55] failed to set option SRTO_MSS on socket: Bad parameters", False, "an option", False),
        ("srt://h:9: pa55", True, "the connection is broken", False),
        ("pa55", False, "ffmpeg ended", False),
    ],
)
def test_what_ffmpeg_says_becomes_one_reason(
    line: str, was_sending: bool, why: str, is_refused: bool
) -> None:
    told, refused = reason_of(["something else", line], was_sending)
    assert why in told
    assert refused is is_refused
    assert "pa55" not in told


@needs_no_child
def test_packets_arrive_as_they_were_and_no_command_line_has_the_secrets(tmp_path: Path) -> None:
    port, got = free_port(), tmp_path / "got.ts"
    url = f"srt://127.0.0.1:{port}?passphrase={PASSPHRASE}&streamid=#!::r=pa55&latency=60000"
    target = target_of(url, "gate")
    encoder = Encoder("gate", "run", 64, 48, Encoding(preset="ultrafast"))
    packets = []
    with receiver(port, str(got), PASSPHRASE) as other:
        with closing(Connection(target, encoder.form, srt=need_protocol(target))) as connection:
            for number in range(20):
                moment = Moment(number / 25, 0, Clock.ARRIVAL)
                packets.append(encoder.encode(picture(number, (64, 48), noise=True), moment))
                connection.write(packets[-1])
            wait_for(lambda: [has_socket(pid) for pid in senders()] == [True])  # it is ffmpeg by now
            child = sender()
            assert f"srt://127.0.0.1:{port}".encode() in command_line(child)
            assert b"pa55" not in command_line(child)
            assert b"pa55" not in Path(f"/proc/{child}/environ").read_bytes()
        assert senders() == []
        other.wait(10)
    with av.open(got) as container:
        arrived = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    # MPEG-TS wants an access unit delimiter before each picture.
    assert [data[_DELIMITER_BYTES:] for data in arrived] == [packet.data for packet in packets]


@pytest.mark.slow
@needs_no_child
def test_a_receiver_that_is_absent_killed_or_comes_back(tmp_path: Path) -> None:
    port, out = free_port(), free_port()
    to = f"udp://127.0.0.1:{out}?pkt_size=1316"
    with Stage(tmp_path, f"srt://127.0.0.1:{port}?streamid=pa55", keyframe_s=0.4, video="annotated") as stage:
        player = stage.player(f"udp://127.0.0.1:{out}?timeout=1000000", "mpegts")
        stage.camera.start()
        wait_for(lambda: stage.states() == ["failed"])
        assert stage.told[0]["detail"] == f"srt://127.0.0.1:{port}: nobody answers there"
        for _ in range(2):
            told, count = len(stage.told), len(player.seen)
            with receiver(port, to):
                wait_for(lambda told=told: stage.states()[told:][-1:] == ["working"], player)
                wait_for(lambda count=count: len(player.seen) > count + 20, player)
                told = len(stage.told)
            # SRT gives up a peer after 5 s of silence, and later where its round trips took long.
            wait_for(lambda told=told: len(stage.told) > told, player, seconds=60)
            assert stage.states()[-1] == "failed"
        stage.assert_held_up_nobody()
    assert senders() == []
    assert "pa55" not in str(stage.told)


@pytest.mark.slow
@needs_no_child
def test_packets_go_out_with_a_stand_in_while_the_camera_is_gone(tmp_path: Path) -> None:
    port, out = free_port(), free_port()
    with (
        receiver(port, f"udp://127.0.0.1:{out}?pkt_size=1316", PASSPHRASE),
        Stage(tmp_path, f"srt://127.0.0.1:{port}?passphrase={PASSPHRASE}", timeout_s=5) as stage,
    ):
        player = stage.player(f"udp://127.0.0.1:{out}?timeout=1000000", "mpegts")
        stage.camera.start()
        wait_for(lambda: len(player.seen) > 20, player)
        stage.camera.stop()
        wait_for(lambda: player.has(lambda seen: seen.stamp is None), player)
        count = len(player.seen)
        stage.camera.start()
        wait_for(lambda: player.has(lambda seen: seen.stamp is not None, count), player)
        assert stage.told == []


@pytest.mark.slow
@needs_no_child
@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("?passphrase=wrong-pa55-word", "it refuses the passphrase; correct url"),
        ("", "a passphrase is needed at both ends or at none; correct url"),
    ],
)
def test_a_wrong_passphrase_is_told_and_not_tried_at_once(
    query: str, complaint: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    with (
        receiver(port, str(tmp_path / "got.ts"), PASSPHRASE),
        Stage(tmp_path, f"srt://127.0.0.1:{port}{query}", timeout_s=10) as stage,
    ):
        stage.camera.start()
        wait_for(lambda: len(stage.told) > 0)
        assert stage.told[0]["detail"] == f"srt://127.0.0.1:{port}: {complaint}"
        assert stage.pusher()._retry_s - time.monotonic() > 20
        assert "pa55" not in caplog.text


@pytest.mark.slow
@needs_no_child
def test_an_ffmpeg_that_hangs_is_ended_and_another_takes_its_place(tmp_path: Path) -> None:
    port, out = free_port(), free_port()
    to = f"udp://127.0.0.1:{out}?pkt_size=1316"
    with Stage(tmp_path, f"srt://127.0.0.1:{port}") as stage:
        player = stage.player(f"udp://127.0.0.1:{out}?timeout=1000000", "mpegts")
        with receiver(port, to):
            stage.camera.noise = True
            stage.camera.start()
            wait_for(lambda: len(player.seen) > 20, player)
            child = sender()
            os.kill(child, signal.SIGSTOP)
            wait_for(lambda: stage.states() == ["failed"])
            assert "it took nothing for 1 s" in str(stage.told[0]["detail"])
            assert child not in children(os.getpid())
        with receiver(port, to):
            wait_for(lambda: stage.states()[-1] == "working")
        stage.assert_held_up_nobody()


_SCRIPT = """
    import sys
    from pathlib import Path
    from tests.streams.sinks.restream.scene import Stage
    with Stage(Path(sys.argv[1]), sys.argv[2]) as stage:
        stage.camera.start()
        sys.stdin.read()
"""


@pytest.mark.slow
@needs_no_child
@pytest.mark.parametrize("is_there", [True, False])
def test_none_is_left_when_sightline_is_killed(is_there: bool, tmp_path: Path) -> None:
    port = free_port()
    # One that waits for an answer does not read its input.
    url = f"srt://127.0.0.1:{port}?connect_timeout=60000"
    command = [sys.executable, "-c", textwrap.dedent(_SCRIPT), str(tmp_path), url]
    with ExitStack() as around:
        if is_there:
            around.enter_context(receiver(port, str(tmp_path / "got.ts")))
        process = around.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE))
        wait_for((tmp_path / "got.ts").exists if is_there else lambda: has_socket(sender(process.pid)))
        child = sender(process.pid)
        process.kill()
        wait_for(lambda: not command_line(child))
