"""Recorders that are killed: at most the last fragment is lost, and the next start sets the index right."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import av
import pytest

from streams.sinks.record.archive import Archive, Keep
from streams.sinks.record.index import FILE, Index
from streams.sinks.record.reconcile import reconcile
from streams.sinks.record.segment import State, named
from tests.command import as_from_a_terminal
from tests.media import RATE_HZ
from tests.packets import hashes, hashes_in, packets_of
from tests.servers.footprint import until
from tests.servers.rtsp import RtspServer, looped, require_rtsp_server
from tests.shared_data import shared
from tests.streams.sinks.record import child
from tests.streams.sinks.record.feeding import START_NS, repeated, segments

KILLS = 12
ROOT = Path(__file__).parents[4]


def kill_once(out: Path, clip: Path, start_ns: int, least: int, more_s: float) -> int:
    """Kill a recorder a moment after so many packets; return how many it was fed."""
    words = [sys.executable, "-m", child.__name__, out, clip, str(start_ns)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        first = process.stdout.read(4 * least)
        time.sleep(more_s)
        process.send_signal(signal.SIGKILL)
        said = first + process.stdout.read()
    return int.from_bytes(said[-4 - len(said) % 4 :][:4], "little")


def lost_packets(root: Path, expected: list[str], start_ns: int, fed: int) -> int:
    """Return how many packets of the life that began then are missing, all of them the last ones."""
    files = sorted(root.glob("*/*/*.mp4"))
    own = [path for path in files if path.stat().st_size and (named(path) or ("", 0))[1] >= start_ns]
    stored = [one for path in own for one in hashes_in(path)]
    if stored != expected[: len(stored)]:
        stored.pop()  # a kill within a write: a demuxer also gives the picture that is torn
    assert stored == expected[: len(stored)]
    return fed - len(stored)


@pytest.mark.slow
def test_a_kill_costs_a_fragment_at_most(tmp_path: Path, clip: Path) -> None:
    _, packets = packets_of(clip)
    expected = hashes(repeated(packets, 100))
    rng = random.Random(5)
    lost = []
    for number in range(KILLS):
        start_ns = START_NS + number * 10**12
        fed = kill_once(tmp_path, clip, start_ns, rng.randrange(20, 280), rng.uniform(0.0, 0.01))
        lost.append(lost_packets(tmp_path / "recordings", expected, start_ns, fed))
    # One packet more: the first of the next fragment ends a fragment.
    assert max(lost) <= child.FRAGMENT_S * RATE_HZ + 1, lost
    archive = Archive(tmp_path / "recordings", Keep(36_500, 10**12, 0))
    reconcile(archive)
    assert not reconcile(archive)
    archive.let_go()
    found = segments(tmp_path / "recordings")
    assert all(segment.state is not State.OPEN for segment in found)
    assert sum(segment.state is State.CUT for segment in found) >= KILLS / 2
    for earlier, later in pairwise(found):
        assert later.run != earlier.run or abs(later.start_ns - earlier.end_ns) < 2e6


@pytest.mark.slow
def test_a_daemon_that_is_killed_while_it_records_a_camera(tmp_path: Path) -> None:
    require_rtsp_server()
    source = shared("video/traffic_a.mp4")
    config = tmp_path / "camera.yaml"
    with RtspServer({"/gate": looped(source, tmp_path)}) as server:
        for decode, end in (("key_frames", signal.SIGKILL), ("all", signal.SIGINT)):
            config.write_text(
                f"streams:\n  gate:\n    source: {{url: {server.url('/gate')}, decode: {decode}}}\n"
                "    keeper: {stall_s: 30}\n    stages: []\n"
                "sinks:\n  - record: {segment_s: 2, fragment_s: 0.5, free_gb: 0}\n"
            )
            run_until(config, tmp_path / "out", end)
            states = {segment.state for segment in segments(tmp_path / "out" / "recordings")}
            assert (State.OPEN in states) == (end == signal.SIGKILL)
    found = [one for one in segments(tmp_path / "out" / "recordings") if one.state is not State.DAMAGED]
    assert len({segment.run for segment in found}) == 2
    known = pictures_of(source)
    assert len(set(known)) == len(known)
    place = {one: number for number, one in enumerate(known)}
    for run in {segment.run for segment in found}:
        files = [tmp_path / "out" / "recordings" / segment.path for segment in found if segment.run == run]
        had = [place[one] for path in files for one in pictures_of(path)]
        assert len(had) > 60
        assert all(later == (earlier + 1) % len(known) for earlier, later in pairwise(had))


def run_until(config: Path, out: Path, number: signal.Signals) -> None:
    """Run sightline until it has finished two segments more and writes the next, then send it a signal."""

    def seen() -> Counter[State]:
        try:
            index = Index.reading(out / "recordings" / FILE)
        except Exception:
            return Counter()
        states = Counter(segment.state for segment in index.find())
        index.close()
        return states

    wanted = seen()[State.WHOLE] + 2
    words = ["-c", "from pipeline.cli.entry import main; main()", "run", config, "--out", out, "-q"]
    with subprocess.Popen([sys.executable, *words], preexec_fn=as_from_a_terminal, cwd=ROOT) as process:
        try:
            until(lambda: (now := seen())[State.WHOLE] >= wanted and now[State.OPEN] == 1, 40, seen)
        finally:
            process.send_signal(number)
            process.wait(20)


def pictures_of(path: Path) -> list[str]:
    """Return a hash for each picture: of its slices alone (H.264, 7.4.1.2), without parameter sets."""
    found = []
    with av.open(path) as container:
        track = container.streams.video[0]
        length = (bytes(track.codec_context.extradata or b"")[4] & 3) + 1
        for packet in container.demux(track):
            data, place, slices = bytes(packet), 0, b""
            while place < len(data):
                size = int.from_bytes(data[place : place + length], "big")
                unit = data[place + length : place + length + size]
                place += length + size
                slices += unit if unit[0] & 31 in (1, 5) else b""
            if slices:
                found.append(blake2b(slices, digest_size=8).hexdigest())
    return found
