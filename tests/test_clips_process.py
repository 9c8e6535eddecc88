"""`sightline sink clips` beside `sightline run`: whatever is killed, an event has its clip or a reason."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.command import as_from_a_terminal
from tests.servers.daemons import free_port
from tests.servers.footprint import until
from tests.servers.rtsp import RtspServer, looped, require_rtsp_server
from tests.shared_data import shared
from tests.streams.sinks.record.test_killed import pictures_of

ROOT = Path(__file__).parents[1]
PATIENCE_S = 60.0
CONFIG = """
streams: {{gate: {{source: '{source}'}}}}
stages:
  - motion: {{width: 320, min_area: 0.003}}
  - track: {{appearance: none}}
  - count: {{lines: {{gate: {{start: [0, 0.5], end: [1, 0.5]}}}}}}
sinks: []
bus: {{reliable: '{reliable}', packets: '{packets}'}}
"""
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Command:
    """A command of sightline, to be killed and started again; what it says is added to a file."""

    def __init__(self, log: Path, *words: object) -> None:
        self.log = log
        self._words = list(map(str, words))
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        code = "from pipeline.cli.entry import main; main()"
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(
                [sys.executable, "-c", code, *self._words],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                preexec_fn=as_from_a_terminal,
            )

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.send_signal(number)
            running.wait(PATIENCE_S)

    @property
    def said(self) -> list[str]:
        return self.log.read_text().splitlines()


@contextmanager
def at_work(*commands: Command) -> Iterator[None]:
    try:
        for command in commands:
            command.start()
        yield
    finally:
        for command in commands:
            command.end()


def notes(out: Path) -> list[dict[str, Any]]:
    """What is known of finished clips, by their time."""
    paths = [path.with_suffix("") for path in sorted(out.glob("clips/*/*/*.json"))]
    return [json.loads(Path(f"{path}.json").read_text()) | {"path": path} for path in paths if path.exists()]


def crossings(out: Path, consumer: str) -> dict[str, int]:
    """The crossings that the box knows its consumer to have, with their numbers."""
    with closing(sqlite3.connect(f"file:{out / 'journal.sqlite3'}?mode=ro", uri=True)) as database:
        (upto,) = database.execute("SELECT acknowledged FROM consumers WHERE name = ?", [consumer]).fetchone()
        rows = database.execute(
            "SELECT seq, body FROM events WHERE kind = 'line.crossing' AND seq <= ?", [upto]
        )
        return {msgpack.unpackb(body)["id"]: seq for seq, body in rows.fetchall()}


@pytest.mark.slow
def test_each_crossing_has_its_clip_although_box_and_sink_are_killed(tmp_path: Path) -> None:
    require_rtsp_server()
    source = shared("video/traffic_a.mp4")
    reliable, packets = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    box_out, out = tmp_path / "box", tmp_path / "sink"
    with RtspServer({"/gate": looped(source, tmp_path)}) as server:
        config = tmp_path / "box.yaml"
        config.write_text(CONFIG.format(source=server.url("/gate"), reliable=reliable, packets=packets))
        box = Command(tmp_path / "box.log", "run", config, "--out", box_out, "--quiet")
        options = {"kinds": "[line.crossing]", "pre_s": 1, "post_s": 1, "most_s": 4, "free_gb": 0}
        sets = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
        sink = Command(
            tmp_path / "sink.log", "sink", "clips", "-c", reliable, "--packets", packets, "--out", out, *sets
        )
        with at_work(sink, box):

            def part() -> bool:
                return any(path.stat().st_size > 10_000 for path in out.glob("clips/*/*/*.part"))

            until(lambda: notes(out), PATIENCE_S, lambda: sink.said + box.said)
            until(part, PATIENCE_S, lambda: sink.said)
            sink.end()
            sink.start()
            until(
                lambda: any("interrupted True" in line for line in sink.said), PATIENCE_S, lambda: sink.said
            )
            had = len(notes(out))
            until(lambda: len(notes(out)) > had and part(), PATIENCE_S, lambda: sink.said)
            box.end()
            box.start()
            again = datetime.now(UTC).isoformat()
            until(lambda: notes(out)[-1]["event_time"] > again, PATIENCE_S, lambda: sink.said + box.said)
            sink.end(signal.SIGINT)
            box.end(signal.SIGINT)
    found, said = notes(out), sink.said
    known = pictures_of(source)
    place = {one: number for number, one in enumerate(known)}
    for note in found:
        places = [place[one] for one in pictures_of(note["path"])]
        assert len(places) > 1
        assert all(later == (earlier + 1) % len(known) for earlier, later in pairwise(places)), note
    shown = {one for note in found for one in note["events"]}
    failed = {one for line in said if "clip.failed" in line for one in ID.findall(line)}
    asked = crossings(box_out, "sink/clips")
    first = min(asked[one] for one in shown | failed if one in asked)
    silent = {one for one, number in asked.items() if number >= first} - shown - failed
    assert not silent, f"{len(silent)} of {len(asked)} have no clip, and nobody was told: {said}"
    assert len(shown) > len(failed)
