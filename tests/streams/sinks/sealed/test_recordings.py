"""Sealed recordings: this box cannot read them, `sightline cut` does where the secret key is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streams.sinks.record.segment import State
from streams.sinks.sealed.keys import make_pair
from tests.command import Sightline
from tests.media import write_crossing_video
from tests.packets import packets_of
from tests.streams.sinks.clips.driving import times_in
from tests.streams.sinks.record.feeding import record, recording, segments


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_sealed_recordings_are_cut_with_the_key(sightline: Sightline, tmp_path: Path, container: str) -> None:
    form, packets = packets_of(write_crossing_video(tmp_path / "source.mp4", 240))
    _, secret, public = make_pair(tmp_path, "owner")
    with recording(tmp_path, segment_s=5, seal_for=[public], container=container) as sink:
        record(sink, form, packets)
    found = segments(tmp_path / "recordings")
    assert [segment.state for segment in found] == [State.WHOLE] * 3
    assert all(segment.path.endswith(f".{container}.age") for segment in found)
    sent = b"".join(packet.data for packet in packets)
    for segment in found:
        assert sent[5000:5064] not in (tmp_path / "recordings" / segment.path).read_bytes()
    words = ["-s", "gate", "--from", "2027-01-15T08:00:03.5", "--to", "+4", "-o", tmp_path / "out.mp4"]
    without = sightline("cut", tmp_path, *words)
    assert (without.code, len(without.errors)) == (1, 1)
    assert "give its owner's secret key with --key" in without.err
    done = sightline("cut", tmp_path, *words, "--key", secret)
    assert (done.code, done.err) == (0, "")
    assert len(times_in(tmp_path / "out.mp4")) in (80, 81)
    checked = sightline("recordings", "check", tmp_path)
    assert checked.out == (
        "3 files, 3 of them as they should be; of 3, which are sealed, only the size was looked at\n"
    )


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.packets import packets_of
from tests.streams.sinks.record.feeding import Feed, recording
form, packets = packets_of(Path(sys.argv[1]))
with recording(Path(sys.argv[2]), segment_s=60, fragment_s=0.5, seal_for=[sys.argv[3]]) as sink:
    Feed(sink, form).put(packets[:int(sys.argv[4])])
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_loses_less_than_a_chunk_and_a_fragment(
    sightline: Sightline, tmp_path: Path
) -> None:
    source = write_crossing_video(tmp_path / "source.mp4", 240)
    _, packets = packets_of(source)
    _, secret, public = make_pair(tmp_path, "owner")
    killed = subprocess.run([sys.executable, "-c", KILLED, source, tmp_path, public, "200"], env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    words = ["-s", "gate", "--from", "2027-01-15T08:00:00", "--to", "+60", "-o", tmp_path / "out.mp4"]
    done = sightline("cut", tmp_path, *words, "--key", secret)
    assert (done.code, done.err) == (0, "")
    seconds = times_in(tmp_path / "out.mp4")[-1]
    chunk_s = 65536 / (sum(len(packet.data) for packet in packets[:200]) / 10)
    assert seconds > 10 - chunk_s - 0.5 - 0.2
