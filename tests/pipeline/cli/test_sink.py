"""`sightline sink`: a sink as a process of its own."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from pipeline.bus import Bus
from pipeline.curve import CurveOptions, make_keys
from pipeline.journal import Journal
from pipeline.outputs import claimed
from pipeline.reliable import ReliableServer
from tests.command import Sightline, as_from_a_terminal
from tests.media import write_crossing_video
from tests.packets import packets_of
from tests.pipeline.messages import FREE, make_event, make_frame, noise, wait_until
from tests.servers.daemons import free_port

PATIENCE_S = 30.0
KINDS = ("--set", "kinds=[line.crossing]")
PRIVATE = "privacy={labels: [person]}"


def start(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from pipeline.cli.entry import main; main()", "sink", *map(str, words)]
    return subprocess.Popen(command, text=True, stderr=subprocess.PIPE, preexec_fn=as_from_a_terminal)


def ended(process: subprocess.Popen[str], number: int = signal.SIGINT) -> str:
    process.send_signal(number)
    said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 0, said
    assert "Traceback" not in said
    return said


def lines(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()
    ]


def test_events_are_delivered_until_it_is_told_to_end(sightline: Sightline, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3", keep_s=1e6, keep_bytes=10**8)
    journal.append([make_event(1), make_event(2)])
    server = ReliableServer(journal, FREE)

    def end_it() -> None:
        wait_until(lambda: len(lines(tmp_path / "out")) == 2, PATIENCE_S)
        os.kill(os.getpid(), signal.SIGINT)

    ending = threading.Thread(target=end_it)
    ending.start()
    words = ("jsonl", "-c", server.endpoint, "--out", tmp_path / "out", "--set", "path=x.jsonl")
    outcome = sightline("sink", *words, "--set", "from_start=true")
    ending.join()
    wait_until(lambda: journal.consumers()["sink/jsonl"].waiting == 0)
    server.close()
    journal.close()
    assert outcome.code == 0
    assert outcome.err.splitlines() == [
        f"jsonl: connected to {server.endpoint}",
        "jsonl: 2 events delivered, 0 refused",
    ]


def test_while_its_sink_takes_nothing_it_ends_at_once_and_leaves_the_events_to_the_box(
    sightline: Sightline, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path / "journal.sqlite3", keep_s=1e6, keep_bytes=10**8)
    journal.append([make_event(1)])
    server = ReliableServer(journal, FREE)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").touch()  # where its folder should be
    told_s: list[float] = []

    def end_it() -> None:
        wait_until(lambda: "sink 'jsonl' takes no events" in caplog.text, PATIENCE_S)
        told_s.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    ending = threading.Thread(target=end_it)
    ending.start()
    words = ("jsonl", "-c", server.endpoint, "--out", tmp_path / "out", "--set", "path=x/y.jsonl")
    outcome = sightline("sink", *words, "--set", "from_start=true")
    ending.join()
    assert time.monotonic() - told_s[0] < 9
    assert outcome.code == 0
    assert "jsonl: 0 events delivered, 0 refused" in outcome.err
    assert journal.consumers()["sink/jsonl"].waiting == 1
    server.close()
    journal.close()


@pytest.mark.slow
def test_events_are_taken_from_where_it_stopped_also_encrypted(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", "box")
    curve = CurveOptions(key=tmp_path / "keys" / "box.key_secret")
    journal = Journal(tmp_path / "journal.sqlite3", keep_s=1e6, keep_bytes=10**8)
    server = ReliableServer(journal, FREE, curve)
    words = ("jsonl", "--connect", server.endpoint, "--out", tmp_path / "out", "--set", "path=x.jsonl")
    words += (
        "--set",
        "kinds=[line.*]",
        "--set",
        "from_start=true",
        "--server-key",
        tmp_path / "keys" / "box.key",
    )
    try:
        journal.append([make_event(1), make_event(2)])
        first = start(*words)
        wait_until(lambda: len(lines(tmp_path / "out")) == 2, PATIENCE_S)
        said = ended(first)
        assert f"jsonl: connected to {server.endpoint}" in said
        assert "jsonl: 2 events delivered, 0 refused" in said
        journal.append([make_event(3)])
        second = start(*words, "--quiet")
        wait_until(lambda: len(lines(tmp_path / "out")) == 3, PATIENCE_S)
        assert ended(second, signal.SIGTERM) == ""
        assert list(journal.consumers()) == ["sink/jsonl"]
    finally:
        server.close()
        journal.close()
    assert [line["track_id"] for line in lines(tmp_path / "out")] == [1, 2, 3]


@pytest.mark.slow
def test_a_sink_of_pictures_takes_frames(tmp_path: Path) -> None:
    with Bus(None, FREE) as bus:
        video = start("video", "-c", bus.endpoints["frames"], "--out", tmp_path, "--set", "streams=[gate]")
        wait_until(lambda: bus.wants_frames("gate"), PATIENCE_S)
        assert not bus.wants_frames("yard")
        for number in range(20):
            bus.publish_frame(make_frame(number, bgr=noise(width=64, height=48)))
            wait_until(lambda: bus.wants_frames("gate"))
        wait_until(lambda: (tmp_path / "gate.mp4").exists(), PATIENCE_S)
        said = ended(video)
    with av.open(str(tmp_path / "gate.mp4")) as container:
        pictures = sum(1 for _ in container.decode(video=0))
    assert f"{pictures} frames delivered" in said
    assert pictures > 0


@pytest.mark.slow
def test_a_box_that_does_not_answer_is_told_and_waited_for(tmp_path: Path) -> None:
    process = start("jsonl", "--connect", "tcp://127.0.0.1:9", "--out", tmp_path)
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said.startswith("warning: jsonl: no answer from tcp://127.0.0.1:9 yet; is sightline running,")
    assert "0 events delivered" in ended(process)


@pytest.mark.slow
def test_a_box_with_another_key_is_told(tmp_path: Path) -> None:
    for name in ("box", "other"):
        make_keys(tmp_path / "keys", name)
    journal = Journal(tmp_path / "journal.sqlite3", keep_s=1e6, keep_bytes=10**8)
    curve = CurveOptions(key=tmp_path / "keys" / "box.key_secret")
    server = ReliableServer(journal, FREE, curve)
    key = tmp_path / "keys" / "other.key"
    process = start("jsonl", "--connect", server.endpoint, "--out", tmp_path / "x", "--server-key", key)
    assert process.stderr is not None
    assert "does not let us in: look at --server-key" in process.stderr.readline()
    ended(process)
    server.close()
    journal.close()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["jsonnl", "-c", "tcp://127.0.0.1:9"], 2, "unknown sink 'jsonnl'; did you mean 'jsonl'?"),
        (["events", "-c", "tcp://127.0.0.1:9"], 2, "'events' has no process of its own: its file"),
        (["counts", "-c", "tcp://127.0.0.1:9"], 2, "'counts' has no process of its own: how much of an"),
        (["video"], 2, "'video', set like this, takes frames: add --connect ADDRESS (the box's bus.frames)"),
        (["clips", "-c", "tcp://127.0.0.1:9", *KINDS], 2, "events and packets: add --packets ADDRESS (the"),
        (["clips", *KINDS], 2, "add --connect ADDRESS (the box's bus.reliable) --packets ADDRESS (the box"),
        (["live", "--packets", "tcp://127.0.0.1:9"], 2, "add --connect ADDRESS (the box's bus.frames)"),
        (["jsonl", "-c", "tcp://127.0.0.1:9", "--packets", "x"], 2, "takes no packets: leave out --packets"),
        (["video", "-c", "tcp://127.0.0.1:9", "--frames", "x"], 2, "--connect and --frames both say where"),
        (["record", "-c", "tcp://127.0.0.1:9", "--set", PRIVATE], 2, "in which nothing can be hidden"),
        (["jsonl", "-c", "tcp://127.0.0.1:9", "--consumer", "a b"], 2, "--consumer 'a b' is no name"),
        (["jsonl", "-c", "127.0.0.1:9"], 2, "'127.0.0.1:9' is no address; write tcp://HOST:PORT"),
        (["video", "-c", "tcp://*:9"], 2, "cannot connect to 'tcp://*:9'"),
        (["jsonl", "-c", "tcp://127.0.0.1:9", "--set", "file_mb=x"], 2, "file_mb: expected a number"),
        (["jsonl", "-c", "tcp://127.0.0.1:9", "--entry", "0"], 2, "--entry is of no use without"),
        (["jsonl", "-c", "tcp://127.0.0.1:9", "--key", "x"], 2, "--key is of no use without"),
        (["jsonl", "-c", "tcp://127.0.0.1:9", "--config", "none.yaml"], 2, "no such file"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(
    sightline: Sightline, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    outcome = sightline("sink", *words, "--out", tmp_path / "out")
    assert outcome.code == code
    (error,) = outcome.errors
    assert said in error


def test_two_do_not_write_into_one_folder(sightline: Sightline, tmp_path: Path) -> None:
    with claimed(tmp_path):
        outcome = sightline("sink", "jsonl", "-c", "tcp://127.0.0.1:9", "--out", tmp_path)
    assert outcome.code == 1
    assert "another run is writing there" in outcome.errors[0]


def test_a_name_of_the_boxs_own_is_refused(sightline: Sightline, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3", keep_s=1e6, keep_bytes=10**8)
    server = ReliableServer(journal, FREE, reserved=["jsonl"])
    words = ("jsonl", "-c", server.endpoint, "--out", tmp_path / "out", "--set", "consumer=jsonl")
    outcome = sightline("sink", *words)
    server.close()
    journal.close()
    assert outcome.code == 1
    assert outcome.errors == [
        "the box refused 'jsonl': a sink of the box itself has this name; choose another"
    ]


def test_help_shows_an_example(sightline: Sightline) -> None:
    outcome = sightline("sink", "--help")
    assert outcome.code == 0
    said = " ".join(outcome.out.split())
    assert "sightline sink jsonl --connect" in said
    assert "--packets tcp://box:5580 --set kinds=[zone.left]" in said


@pytest.mark.slow
def test_pages_can_be_served_by_another_machine(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    port = free_port()
    form, packets = packets_of(write_crossing_video(tmp_path / "x.mp4", frames=60), live=True)
    with Bus(None, FREE, FREE) as bus:
        addresses = ("-c", bus.endpoints["frames"], "--packets", bus.endpoints["packets"])
        live = start("live", *addresses, "--out", tmp_path / "out", "--set", f"port={port}")
        wait_until(lambda: bus.wants_frames("gate") and bus.wants_packets("gate"), PATIENCE_S)
        stop = threading.Event()

        def show() -> None:
            for number in itertools.cycle(range(60)):
                if stop.wait(0.02):
                    return
                bus.publish_frame(make_frame(number, bgr=noise(width=64, height=48)))
                bus.publish_packet(form, packets[number])

        showing = threading.Thread(target=show)
        showing.start()
        try:
            page = f"http://127.0.0.1:{port}/gate"
            picture = asked(f"{page}/annotated/picture.jpg")
            assert cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR).shape == (48, 64, 3)
            assert b"#EXTM3U" in asked(f"{page}/original/video.m3u8")
        finally:
            stop.set()
            showing.join()
            said = ended(live)
    assert "frames delivered" in said
    assert "packets came" in said


def asked(url: str) -> bytes:
    """Return what is served there, once it is."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
                return bytes(answer.read())
        except OSError:  # not yet
            assert time.monotonic() < deadline_s, url
            time.sleep(0.05)
