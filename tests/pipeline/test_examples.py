"""The examples of docs/protocol.md in other languages: those very files are compiled and run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipeline.bus import Bus
from tests.pipeline.messages import FREE, make_event, make_frame, make_tracks, wait_until

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs/examples"


@pytest.mark.parametrize("name", ["events.c", "frames.js"])
def test_the_manual_shows_the_file_that_is_run(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    assert f"\n{text}```" in (ROOT / "docs/protocol.md").read_text()


def missing(why: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def printed(command: Sequence[str | Path], publish: Callable[[], object], wants: Callable[[], bool]) -> str:
    """Run a program until it has printed a line."""
    with subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, text=True, env={**os.environ}
    ) as program:
        try:
            wait_until(lambda: wants() or program.poll() is not None)
            assert program.poll() is None
            publish()
            assert program.stdout is not None
            return program.stdout.readline()
        finally:
            program.kill()


def test_events_in_c(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        missing("no C compiler: apt-get install gcc")
    program = tmp_path / "events"
    built = subprocess.run(
        [
            str(compiler),
            "-Wall",
            "-Wextra",
            "-Werror",
            EXAMPLES / "events.c",
            "-lzmq",
            "-lmsgpackc",
            "-o",
            program,
        ],
        capture_output=True,
        text=True,
    )
    if "No such file" in built.stderr or "cannot find -l" in built.stderr:
        missing("apt-get install libzmq3-dev libmsgpack-dev")
    assert built.returncode == 0, built.stderr
    with Bus(FREE, None) as bus:
        line = printed(
            [program, bus.endpoints["events"], "event/gate"],
            lambda: bus.publish_event(make_event()),
            lambda: bus.statistics()["events_subscriptions"] == 1,
        )
    assert line == '"line.crossing" {"line"=>"main", "direction"=>"in"}\n'


def test_frames_in_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Node.js and its packages are: the folder of them is named by NODE_PATH."""
    node = shutil.which("node")
    found = node and subprocess.run(
        [node, "-e", "require('zeromq'); require('@msgpack/msgpack')"], capture_output=True
    )
    if node is None or found is None or found.returncode != 0:
        pytest.skip("npm install zeromq @msgpack/msgpack, and NODE_PATH set to their folder")
    monkeypatch.chdir(tmp_path)
    with Bus(None, FREE) as bus:
        line = printed(
            [node, EXAMPLES / "frames.js", bus.endpoints["frames"], "gate"],
            lambda: bus.publish_frame(make_frame(4, tracks=make_tracks(2))),
            lambda: bus.wants_frames("gate"),
        )
        wait_until(lambda: (tmp_path / "gate.jpg").exists())
    assert line == "2026-03-01T08:00:00.160Z 4 [ 7, 8 ]\n"
