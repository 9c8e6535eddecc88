"""Clips of events that were known too late for the packets in memory, out of what the sink `record` has."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.streams.sinks.clips.driving import Box, Material, times_in
from tests.streams.sinks.record.feeding import Feed, recording


def test_recordings_reach_back_further(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path, lag_s=0.0)
    with recording(tmp_path, segment_s=5, fragment_s=0.5) as record:
        feed = Feed(record, form)
        box.sink.open_packets(form)
        for number, packet in enumerate(packets):
            feed.put([packet])
            box.feed([packet])
            if number == 160:  # at 8 s it is known that something was at 4 s
                event = box.event(packets[80])
        assert not feed.failures
    (saved,) = box.heard.saved
    assert saved["events"] == [str(event.id)]
    assert (saved["from_s"], saved["missing_s"]) == (3.0, 0.0)
    assert saved["to_s"] == pytest.approx(5.0, abs=0.11)
    times = times_in(box.path())
    assert times[:40] == pytest.approx([number / 20 for number in range(40)], abs=1e-3)


def test_without_recordings_memory_has_to_do(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path, lag_s=0.0, pre_s=3.0)
    box.sink.open_packets(form)
    box.feed(packets[:160])
    box.event(packets[100])
    box.feed(packets[160:])
    (saved,) = box.heard.saved
    assert saved["from_s"] in (4.0, 5.0)
    assert saved["missing_s"] == pytest.approx(saved["from_s"] - packets[100].moment.pts_s + 3.0, abs=1e-3)
