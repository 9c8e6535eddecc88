"""`sightline hub` as users start it: killed, started again, ended."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.bus import Bus
from pipeline.listen import Listener
from pipeline.place import Place
from tests.command import Sightline
from tests.pipeline.messages import make_event, make_frame, wait_until
from tests.servers.daemons import free_port

ROOT = Path(__file__).parents[1]


@pytest.fixture
def ports() -> list[str]:
    return [f"tcp://127.0.0.1:{free_port()}" for _ in range(4)]


@contextmanager
def hub(*words: str) -> Iterator[subprocess.Popen[str]]:
    code = "import sys; from pipeline.cli.entry import main; sys.argv[0] = 'sightline'; main()"
    command = [sys.executable, "-c", code, "hub", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def said_by(process: subprocess.Popen[str]) -> str:
    """Wait for its next line."""
    assert process.stderr is not None
    return process.stderr.readline()


@pytest.mark.slow
def test_a_hub_that_is_killed_and_started_again_goes_on(ports: list[str]) -> None:
    words = ["--events", ports[0], ports[1], "--frames", ports[2], ports[3], "--every", "0.2"]
    with (
        Bus(Place(ports[0], connects=True), Place(ports[2], connects=True)) as box,
        Listener([ports[1], ports[3]], ["event/", "frame/gate"]) as program,
    ):
        got: set[str] = set()

        def arrives() -> bool:
            box.publish_event(make_event())
            box.publish_frame(make_frame())
            received = program.receive(timeout_s=0.02)
            if received is not None:
                got.add(received.message.topic)
            return len(got) == 2

        def forget() -> None:
            """What the hub before has passed on."""
            while program.receive(timeout_s=0.05) is not None:
                pass
            got.clear()

        # The program connects two sockets, for events and for frames, to both addresses.
        for _ in range(3):
            with hub(*words) as process:
                first = said_by(process)
                forget()
                wait_until(arrives, 30)
                process.kill()
                process.wait()
            wait_until(lambda: not box.wants_frames("gate"))
        with hub(*words) as process:
            first = said_by(process)
            forget()
            wait_until(arrives, 30)
            while "events: 1 boxes, 2 programs, 2 topics wanted" not in said_by(process):
                pass
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=20)
        assert process.returncode == 0
        assert first == f"events: boxes connect to {ports[0]}, programs to {ports[1]}\n"
        assert "warning" not in said


def test_what_cannot_be_is_one_line(sightline: Sightline, tmp_path: Path, ports: list[str]) -> None:
    for words, line in [
        (["--boxes", str(tmp_path)], "--boxes is of no use without the hub's own key: add --key"),
        (["--key", "no.key_secret"], "no.key_secret: the key cannot be read: no such file"),
        (["--events", "here", ports[0]], "'here' is no address; write tcp://HOST:PORT"),
        (["--events", ports[0], ports[0]], "Address already in use; stop the program"),
    ]:
        said = sightline("hub", *words)
        assert said.code in (1, 2)
        assert len(said.errors) == 1
        assert line in said.errors[0]
        assert "unexpected" not in said.errors[0]


@pytest.mark.slow
def test_a_hub_whose_log_nobody_reads_any_more_goes_on(ports: list[str]) -> None:
    with hub("--events", ports[0], ports[1], "--every", "0.05") as process:
        assert said_by(process).startswith("events: boxes connect to")
        assert process.stderr is not None
        process.stderr.close()
        with Bus(Place(ports[0], connects=True), None) as box, Listener([ports[1]]) as program:

            def arrives() -> bool:
                box.publish_event(make_event())
                return program.receive(timeout_s=0.02) is not None

            for _ in range(10):  # the numbers of its line change each time
                wait_until(arrives)
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.1)
