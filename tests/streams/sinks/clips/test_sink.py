from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.packet import Packet
from streams.sinks.clips.options import ClipsOptions
from streams.sinks.sealed.files import open_to_read
from streams.sinks.sealed.keys import make_pair, read_secret
from tests.media import write_crossing_video
from tests.packets import hashes, hashes_in, leapt, packets_of, without_decode_times
from tests.streams.sinks.clips.driving import Box, Material, later_run, times_in


def at(packets: list[Packet], seconds: float) -> int:
    """The place of the packet that is shown at a time, of those in the order of decoding."""
    return min(range(len(packets)), key=lambda place: abs(packets[place].moment.pts_s - seconds))


def test_a_clip_has_what_was_before_and_after(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path)
    box.sink.open_packets(form)
    place = at(packets, 5.5)
    box.feed(packets[:place])
    event = box.event(packets[place])
    box.feed(packets[place:])
    (saved,) = box.heard.saved
    path = box.path()
    assert saved["events"] == [str(event.id)]
    assert (saved["from_s"], saved["missing_s"], saved["lost_pictures"], saved["sound"]) == (
        4.0,
        0.0,
        0,
        True,
    )
    assert saved["to_s"] == pytest.approx(6.5, abs=0.11)
    assert path.name == f"gate_20270115T080005.500Z_line.crossing_{event.id}.mp4"
    assert path.parent == tmp_path / "clips" / "gate" / "2027-01-15"
    start = next(number for number, packet in enumerate(packets) if packet.moment.pts_s >= 3.99)
    assert hashes_in(path) == hashes(packets[start : start + saved["pictures"]])
    times = times_in(path)
    assert len(times) == saved["pictures"]
    assert (times[0], times[-1]) == (0.0, pytest.approx(saved["to_s"] - 4.0, abs=0.06))
    _, _, _, evidence = box.heard.told[0]
    assert evidence["clip"]["path"] == saved["path"]
    assert json.loads((path.parent / f"{path.name}.json").read_text()) == saved
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, f"{path.name}.json"]


def test_a_camera_that_sets_its_clock_in_the_midst(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path)
    box.sink.open_packets(form)
    place = at(packets, 5.5)
    sent = leapt(form, packets, place, -3600.0)
    box.feed(sent[:place])
    box.event(sent[place])
    box.feed(sent[place:])
    (saved,) = box.heard.saved
    times = times_in(box.path())
    assert times[-1] == pytest.approx(saved["to_s"] - saved["from_s"], abs=0.01)
    assert times[:-1] == pytest.approx([number * 0.05 for number in range(saved["pictures"] - 1)], abs=0.002)


def test_it_is_saved_when_its_time_is_over(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path)
    box.sink.open_packets(form)
    box.feed(packets[:100])
    box.event(packets[99])
    box.feed(packets[100:115])
    assert not box.heard.told
    box.feed(packets[115:130])
    assert len(box.heard.saved) == 1


def test_packets_of_a_camera_have_no_decoding_times(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path)
    box.sink.open_packets(form)
    timeless = without_decode_times(packets)
    box.feed(timeless[:100])
    box.event(packets[99])
    box.feed(timeless[100:])
    assert len(times_in(box.path())) == box.heard.saved[0]["pictures"]


def test_overlapping_events_share_a_clip(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path)
    box.sink.open_packets(form)
    events = []
    for number, packet in enumerate(packets):
        box.feed([packet])
        if number in (60, 75, 90):
            events.append(box.event(packet, str(number)))
        if number == 180:
            events.append(box.event(packet, "180", kind="line.held"))
    first, second = box.heard.saved
    assert first["events"] == [str(event.id) for event in events[:3]]
    assert (first["from_s"], first["count"]) == (2.0, 3)
    assert first["to_s"] == pytest.approx(5.5, abs=0.11)
    assert (second["kinds"], second["from_s"]) == (["line.held"], 8.0)


def test_a_clip_is_no_longer_than_it_may_be(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path, most_s=3.0)
    box.sink.open_packets(form)
    for number, packet in enumerate(packets):
        box.feed([packet])
        if number in range(40, 160, 10):
            box.event(packet, str(number))
    saved = box.heard.saved
    assert 3 <= len(saved) <= 4
    assert sum(clip["count"] for clip in saved) == 12
    assert all(clip["to_s"] - clip["from_s"] <= 4.1 for clip in saved)  # and up to the key frame before


def test_events_that_are_known_late_have_their_pre_roll(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path)
    box.sink.open_packets(form)
    box.feed(packets[:200], seen=False)  # 10 s, and the analytics is at 2 s
    for packet in packets[:40]:
        box.sink.on_frame(box.frame(packet))
    box.event(packets[40])
    box.feed(packets[200:201], seen=False)
    assert not box.heard.saved  # another event could still make it longer
    for packet in packets[40:100]:
        box.sink.on_frame(box.frame(packet))
    box.feed(packets[201:], seen=False)
    assert box.heard.saved[0]["from_s"] == 1.0
    late = box.event(packets[41], "late")
    box.feed(packets[239:])
    assert box.heard.saved[1]["events"] == [str(late.id)]
    assert box.heard.saved[1]["path"] == box.heard.saved[0]["path"]
    assert box.heard.saved[1]["shared"]


def test_an_analytics_that_stands_still_holds_up_no_clip(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path, lag_s=1.0, pre_s=0.0, post_s=0.0)
    box.sink.open_packets(form)
    box.feed(packets[:10])
    box.event(packets[15])
    box.feed(packets[10:205], seen=False)
    assert not box.heard.saved
    box.feed(packets[205:], seen=False)
    assert len(box.heard.saved) == 1


def test_what_is_not_in_memory_any_more_is_missing(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path, lag_s=0.0)
    box.sink.open_packets(form)
    box.feed(packets[:200])
    box.event(packets[180])  # 8 to 10 s; the memory reaches back to 9.0
    box.event(packets[150], "2")
    box.feed(packets[200:])
    box.sink.close_packets("gate")
    box.sink.close_stream("gate")
    (saved,) = box.heard.saved
    assert saved["from_s"] == 9.0
    assert saved["missing_s"] == pytest.approx(2.5, abs=0.11)
    box.event(packets[20], "3")
    box.sink.close()
    (failed,) = box.heard.failed
    assert "not there any more" in failed["reason"]


def test_a_connection_that_ends_in_the_midst_ends_the_clip(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path, kinds=["line.*", "source.state"], where={}, post_s=3.0)
    box.sink.open_packets(form)
    box.feed(packets[:100])
    box.event(packets[99])
    box.sink.close_packets("gate")
    box.event(packets[99], "lost", kind="source.state")
    box.sink.on_idle("gate")
    assert not box.heard.saved
    box.clock.now_s += 2
    box.sink.on_idle("gate")
    (saved,) = box.heard.saved
    assert (saved["from_s"], saved["to_s"], saved["count"]) == (3.0, 4.95, 2)
    assert len(times_in(box.path())) == 40
    again, others = later_run(form, packets, 10.0)  # what comes back is no part of it
    box.sink.open_packets(again)
    box.feed(others[:60])
    box.event(others[5], "after")
    box.feed(others[60:])
    assert box.heard.saved[1]["from_s"] == 10.0
    assert 0 < box.heard.saved[1]["missing_s"] < 1


def test_what_a_next_connection_tells_of_the_one_before_is_in_a_clip(
    material: Material, tmp_path: Path
) -> None:
    form, packets = material
    again, others = later_run(form, packets, 20.0)
    box = Box(tmp_path)
    box.sink.open_packets(form)
    box.feed(packets)
    box.sink.close_packets("gate")
    box.sink.open_packets(again)
    box.feed(others[:1])
    crossed = replace(others[0], moment=packets[at(packets, packets[-1].moment.pts_s - 1.0)].moment)
    box.event(crossed)
    box.feed(others[1:60])
    assert box.heard.failed == []
    (saved,) = box.heard.saved
    assert saved["missing_s"] == 0.0
    assert saved["to_s"] < 20.0


def test_a_source_that_is_lost_ends_the_clip(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path, post_s=60.0)
    box.sink.open_packets(form)
    box.feed(packets[:100])
    box.event(packets[99])
    box.event(packets[99], "2", kind="source.state", data={"state": "lost"})
    box.feed(packets[100:110])  # what was on its way
    box.clock.now_s += 1
    box.sink.on_idle("gate")
    assert not box.heard.saved
    box.clock.now_s += 1
    box.sink.on_idle("gate")
    assert box.heard.saved[0]["pictures"] == 50


def test_a_silent_one_ends_it_when_its_time_has_passed(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path, post_s=8.0)
    box.sink.open_packets(form)
    box.feed(packets[:100])
    box.event(packets[99])
    for _ in range(9):
        box.sink.on_idle("gate")
        box.clock.now_s += 1
    assert not box.heard.saved
    box.clock.now_s += 1.1
    box.sink.on_idle("gate")
    assert len(box.heard.saved) == 1


def test_a_recording_that_ends_has_its_last_clip(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path)
    box.sink.open_packets(form)
    box.feed(packets)
    box.event(packets[-2])
    box.sink.close_packets("gate")
    box.sink.close_stream("gate")
    assert box.heard.saved[0]["to_s"] == pytest.approx(packets[-1].moment.pts_s, abs=0.06)


def test_another_stream_shows_what_happened(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path, film={"small": "gate"})
    box.sink.open_packets(form)
    for number, packet in enumerate(packets):
        box.sink.on_packet(packet)
        box.sink.on_frame(box.frame(packet, "small"))
        if number == 100:
            box.event(packet, stream="small")
    (told,) = box.heard.told
    assert told[0] == "small"
    assert (told[2]["stream"], told[2]["from_s"]) == ("gate", 4.0)


def test_only_what_is_wanted(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path, kinds=["*"], where={"label": ["car"], "direction": ["in", "out"]})
    box.sink.open_packets(form)
    box.feed(packets[:100])
    box.event(packets[99], label="car", data={"direction": "up"})
    box.event(packets[99], label="bus", data={"direction": "in"})
    box.event(packets[99], kind="clip.saved", label="car", data={"direction": "in"})
    box.feed(packets[100:150])
    assert not box.heard.told
    box.event(packets[149], label="car", data={"direction": "in"})
    box.feed(packets[150:])
    assert len(box.heard.saved) == 1


def test_codecs_that_mp4_does_not_hold_go_into_matroska(tmp_path: Path) -> None:
    form, packets = packets_of(write_crossing_video(tmp_path / "source.mkv", 40, codec="libvpx"), live=True)
    box = Box(tmp_path)
    box.sink.open_packets(form)
    box.feed(packets[:20])
    box.event(packets[19])
    box.feed(packets[20:])
    box.sink.close()
    assert box.path().suffix == ".mkv"
    assert len(times_in(box.path())) == box.heard.saved[0]["pictures"] == 40


def test_a_sealed_clip_is_for_its_owner(material: Material, tmp_path: Path) -> None:
    form, packets = material
    _, secret, public = make_pair(tmp_path, "owner")
    box = Box(tmp_path, seal_for=[public])
    box.sink.open_packets(form)
    box.feed(packets[:100])
    box.event(packets[99])
    box.feed(packets[100:])
    path = box.path()
    assert path.name.endswith(".mp4.age")
    assert packets[90].data[:64] not in path.read_bytes()
    plain = tmp_path / "plain.mp4"
    with open_to_read(path, read_secret(secret)) as file:
        plain.write_bytes(file.read())
    assert len(times_in(plain)) == box.heard.saved[0]["pictures"]
    assert box.heard.saved[0]["sealed"]


def test_names_that_would_leave_the_folder(material: Material, tmp_path: Path) -> None:
    form, packets = material
    box = Box(tmp_path, kinds=["*"])
    box.sink.open_packets(form)
    box.feed(packets[:100])
    box.event(packets[99], kind="../../etc/pass wd\0")
    box.feed(packets[100:])
    assert box.path().is_relative_to(tmp_path / "clips" / "gate")
    assert "_etc-pass-wd_" in box.path().name


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({}, "kinds"),
        ({"kinds": ["*"], "folder": "../clips"}, "within the output folder"),
        ({"kinds": ["*"], "folder": "/clips"}, "within the output folder"),
        ({"kinds": ["*"], "seal_for": ["owner"]}, "archive keys"),
        ({"kinds": ["*"], "pre_s": -1}, "pre_s"),
        ({"kinds": ["*", "clip.*"]}, "'clip.*' is what this sink tells itself, of which it makes no clips"),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        ClipsOptions(**options)
