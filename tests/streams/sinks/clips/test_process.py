"""Clips in a process of their own: no frames come, events at any time, and again after a crash."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.event import Event
from pipeline.packet import Packet
from tests.packets import hashes, hashes_in
from tests.streams.sinks.clips.driving import Box, Material

PLACE = 10  # of the packet at which it happens: about 0.5 s


def ask(folder: Path, packets: list[Packet]) -> tuple[Box, Event]:
    """Ask for a clip before any packet has come."""
    box = Box(folder, pre_s=0.4)
    return box, box.event(packets[PLACE])


def run(box: Box, material: Material, upto: int | None = None) -> None:
    form, packets = material
    box.sink.on_idle("gate")
    box.sink.open_packets(form)
    box.feed(packets[:upto], seen=False)


def test_an_event_that_comes_before_its_packets_has_its_clip_without_frames(
    material: Material, tmp_path: Path
) -> None:
    _, packets = material
    box, event = ask(tmp_path, packets)
    run(box, material, 200)
    assert not box.heard.told
    assert box.sink.held() == {event.id}
    box.feed(packets[200:], seen=False)  # ten seconds on no event of its time is waited for any more
    (saved,) = box.heard.saved
    assert (saved["events"], saved["missing_s"], saved["lost_pictures"]) == ([str(event.id)], 0.0, 0)
    assert hashes_in(box.path()) == hashes(packets[: saved["pictures"]])
    assert saved["to_s"] >= packets[PLACE].moment.pts_s + 1
    assert not box.sink.held()


def test_what_was_finished_before_a_crash_is_not_made_again(material: Material, tmp_path: Path) -> None:
    form, packets = material
    first, event = ask(tmp_path, packets)
    run(first, material)
    had = first.path().read_bytes()
    again = Box(tmp_path)
    again.sink.on_event(event)
    again.sink.open_packets(form)
    again.feed(packets[20:], seen=False)  # a part of its time is there once more
    (saved,) = again.heard.saved
    assert saved["shared"]
    assert again.path() == first.path()
    assert first.path().read_bytes() == had
    assert not again.sink.held()


def test_a_recording_that_is_processed_again_has_its_clips_anew(material: Material, tmp_path: Path) -> None:
    form, packets = material
    recording = (replace(form, live=False), packets)
    first, event = ask(tmp_path, packets)
    run(first, recording)
    again = Box(tmp_path, post_s=2.0)
    again.sink.on_event(event)
    run(again, recording)
    again.sink.close()
    assert "shared" not in again.heard.saved[0]
    assert again.heard.saved[0]["to_s"] > first.heard.saved[0]["to_s"] + 0.9


def test_one_that_a_crash_interrupted_is_told_as_such_and_stays(material: Material, tmp_path: Path) -> None:
    form, packets = material
    first, event = ask(tmp_path / "first", packets)
    run(first, material, 60)
    shutil.copytree(tmp_path / "first", tmp_path / "again")
    first.sink.close()
    again = Box(tmp_path / "again")
    (part,) = again.folder.glob("clips/*/*/*.part")
    again.sink.on_event(event)
    again.sink.open_packets(form)
    again.feed(packets[40:], seen=False)
    interrupted, shared = again.heard.saved
    assert interrupted["interrupted"]
    assert shared["shared"]
    assert {interrupted["path"], shared["path"]} == {
        f"{part.relative_to(again.folder)}".removesuffix(".part")
    }
    assert not again.heard.failed


def test_one_of_which_nothing_was_written_is_told_to_have_failed(material: Material, tmp_path: Path) -> None:
    form, packets = material
    _, event = ask(tmp_path, packets)  # killed before a packet came
    again = Box(tmp_path)
    again.sink.on_event(event)
    again.sink.open_packets(form)
    again.feed(packets[180:], seen=False)
    (failed,) = again.heard.failed
    assert failed["events"] == [str(event.id)]
    assert failed["reason"] == "the packets of its time are not there any more"
    assert not again.sink.held()


def test_what_happened_while_it_was_away_takes_no_place_of_what_happens_now(
    material: Material, tmp_path: Path
) -> None:
    form, packets = material
    box = Box(tmp_path, pre_s=0.4)
    box.sink.open_packets(form)
    box.feed(packets[:PLACE], seen=False)
    now = packets[PLACE]
    for number in range(200):  # their media times are before, within and after what is in memory
        moment = replace(
            now.moment, pts_s=number * 100.0, time_ns=now.moment.time_ns - 10**13 + number * 10**11 // 2
        )
        box.event(replace(now, run="earlier", moment=moment), f"{number}")
    event = box.event(now)
    box.feed(packets[PLACE:], seen=False)
    assert [saved["events"] for saved in box.heard.saved] == [[str(event.id)]]
    assert sum(failed["count"] for failed in box.heard.failed) == 200
    assert {failed["reason"] for failed in box.heard.failed} == {
        "the packets of its time are not there any more"
    }


def test_the_media_time_of_before_a_restart_of_the_box_is_none_of_now(
    material: Material, tmp_path: Path
) -> None:
    form, packets = material
    box = Box(tmp_path)
    box.sink.open_packets(form)
    box.feed(packets[:160], seen=False)
    then = packets[100].moment
    box.event(replace(packets[100], run="earlier", moment=replace(then, time_ns=then.time_ns - 8 * 10**9)))
    box.feed(packets[160:], seen=False)
    box.clock.now_s += 16.0
    box.sink.on_idle("gate")
    assert not box.heard.saved
    assert [failed["reason"] for failed in box.heard.failed] == [
        "the packets of its time are not there any more"
    ]


@pytest.mark.parametrize(("waited_s", "failures"), [(14.0, 0), (16.0, 1)])
def test_a_stream_without_packets_is_not_waited_for_for_ever(
    material: Material, tmp_path: Path, waited_s: float, failures: int
) -> None:
    box, event = ask(tmp_path, material[1])
    box.sink.on_idle("gate")
    assert box.sink.held() == {event.id}
    box.clock.now_s += waited_s
    box.sink.on_idle("gate")
    assert len(box.heard.failed) == failures
    assert len(box.sink.held()) == 1 - failures
