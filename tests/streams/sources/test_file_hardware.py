"""Files by hardware, with a card that is none: the same pictures, times and gaps as by software."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.frame import Gap
from pipeline.picture import YuvPicture
from streams.sources import hardware
from tests.streams.sources.card import Fails, damaged_at, insert, lost_at, never
from tests.streams.sources.media import Reading, busy, flip, read_file, write_video

PICTURES = 40
LAST = PICTURES + 1
"""The packet that flushes, told by its number."""

B_FRAMES = {"bf": "3", "b": "1M", "x264-params": "scenecut=0:open-gop=0"}
KINDS: dict[str, dict[str, Any]] = {
    "closed.mp4": {"gop": 9, "options": B_FRAMES},
    "open.ts": {"gop": 9, "options": B_FRAMES | {"x264-params": "scenecut=0:open-gop=1:b-pyramid=normal"}},
    "long.mkv": {"gop": 100, "options": B_FRAMES},
    "intra.mp4": {"gop": 1},
    "motion.mov": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "dts.avi": {"codec": "mpeg4", "gop": 9, "options": {"bf": "2", "b": "1M"}},
    "b264.avi": {"gop": 9, "options": B_FRAMES},
    "part2.mkv": {"codec": "mpeg4", "gop": 9, "options": {"bf": "2", "b": "1M"}},
    "vp9.webm": {
        "codec": "libvpx-vp9",
        "gop": 9,
        "options": {"b": "1M", "deadline": "realtime", "cpu-used": "8"},
    },
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    pictures = [busy(index) for index in range(PICTURES)]
    return {name: write_video(folder / name, pictures, **how) for name, how in KINDS.items()}


@pytest.fixture(scope="module")
def software(clips: dict[str, Path]) -> dict[str, Reading]:
    return {name: read_file(path) for name, path in clips.items()}


def same(found: Reading, wanted: Reading) -> None:
    assert (found.error, found.gaps) == (wanted.error, wanted.gaps)
    assert [type(item) for item in found.items] == [type(item) for item in wanted.items]
    for ours, theirs in zip(found.frames, wanted.frames, strict=True):
        assert (ours.moment, ours.sequence, ours.ticks) == (theirs.moment, theirs.sequence, theirs.ticks)
        assert np.array_equal(ours.picture.bgr(), theirs.picture.bgr())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == hardware.__name__]


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_gives_what_software_gives(
    clips: dict[str, Path],
    software: dict[str, Reading],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    cards = insert(monkeypatch)
    found = read_file(clips[kind], hwaccel="cuda")
    assert [card.packets for card in cards] == [LAST]
    same(found, software[kind])
    assert found.info == software[kind].info
    assert all(isinstance(frame.picture, YuvPicture) for frame in found.frames)
    assert not warnings(caplog)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [1, 2, 5, 10, 11, 12, 20, 38, LAST])
def test_a_card_that_fails_at_any_packet_costs_nothing(
    clips: dict[str, Path],
    software: dict[str, Reading],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    at: int,
) -> None:
    insert(monkeypatch, lost_at(at))
    same(read_file(clips[kind], hwaccel="auto"), software[kind])
    (line,) = warnings(caplog)
    assert line == f"{clips[kind]}: decoding in software, as hardware cannot be used (cuda: device lost)"


@pytest.mark.parametrize("at", [1, 6, 20, 39, LAST])
@pytest.mark.parametrize("kind", ["open.ts", "long.mkv"])
def test_frame_threads_go_on_where_a_card_failed(
    clips: dict[str, Path], software: dict[str, Reading], monkeypatch: pytest.MonkeyPatch, kind: str, at: int
) -> None:
    cards = insert(monkeypatch, lost_at(at))
    same(read_file(clips[kind], hwaccel="cuda", threads="frame"), software[kind])
    assert cards[0].context.thread_count == 1


@pytest.mark.parametrize("silent_from", [1, 2, 15])
def test_a_card_that_falls_silent_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, silent_from: int
) -> None:
    path = write_video(tmp_path / "a.mp4", [busy(index) for index in range(100)], gop=5)
    software = read_file(path)
    insert(monkeypatch, silent_from=silent_from)
    same(read_file(path, hwaccel="cuda"), software)
    assert [line.rpartition("(")[2] for line in warnings(caplog)] == ["cuda: it gives no pictures)"]


def test_a_short_file_that_a_card_says_nothing_of(
    clips: dict[str, Path], software: dict[str, Reading], monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(monkeypatch, silent_from=1)
    same(read_file(clips["closed.mp4"], hwaccel="cuda"), software["closed.mp4"])


@pytest.mark.parametrize("fails", [damaged_at(1), damaged_at(3), lambda _packet: RuntimeError("no")])
def test_what_a_card_refuses_at_once_software_decodes(
    clips: dict[str, Path],
    software: dict[str, Reading],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fails: Fails,
) -> None:
    insert(monkeypatch, fails)
    same(read_file(clips["long.mkv"], hwaccel="cuda"), software["long.mkv"])
    assert len(warnings(caplog)) == 1


def test_damage_later_is_a_gap_and_the_card_goes_on(
    clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cards = insert(monkeypatch, damaged_at(20))
    reading = read_file(clips["motion.mov"], hwaccel="cuda")
    assert [card.packets for card in cards] == [LAST]
    assert len(reading.frames) == PICTURES - 1
    (gap,) = reading.gaps
    assert (gap.cause, gap.seconds) == ("decode error", pytest.approx(0.04))
    assert gap.detail == "damaged: invalid data (1 picture)"
    assert not warnings(caplog)


@pytest.mark.parametrize("seed", range(3))
def test_damage_in_the_file_and_a_card_that_fails(
    clips: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    path = flip(clips["closed.mp4"], tmp_path / "flipped.mp4", seed, 6, first=0.3)
    software = read_file(path)
    insert(monkeypatch, lost_at(30))
    found = read_file(path, hwaccel="cuda")
    times = [frame.moment.pts_s for frame in found.frames]
    assert times == sorted(set(times))
    assert set(times) == {frame.moment.pts_s for frame in software.frames}
    assert found.error == software.error


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("at", [None, 1, 12])
def test_pictures_are_upright(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: bool, at: int | None
) -> None:
    pictures = [busy(index) for index in range(30)]
    path = write_video(tmp_path / "a.mp4", pictures, rotate_ccw_deg=90, mirror=mirror)
    software = read_file(path)
    assert (software.info.width, software.info.height) == (96, 160)
    insert(monkeypatch, never if at is None else lost_at(at))
    found = read_file(path, hwaccel="cuda")
    assert found.info == software.info
    same(found, software)


def test_a_transport_stream_that_begins_inside_a_group_keeps_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "late.ts", [busy(index) for index in range(90)], gop=80)
    content = path.read_bytes()
    path.write_bytes(content[len(content) // 8 // 188 * 188 :])
    software = read_file(path)
    insert(monkeypatch)
    same(read_file(path, hwaccel="cuda"), software)
    assert isinstance(software.items[0], Gap)
    assert not warnings(caplog)


@pytest.mark.parametrize("device", ["auto", "cuda", "vaapi", "qsv", "videotoolbox", "d3d11va"])
def test_without_a_device_software_decodes_and_says_so(
    clips: dict[str, Path], software: dict[str, Reading], caplog: pytest.LogCaptureFixture, device: str
) -> None:
    with caplog.at_level(logging.WARNING):
        found = read_file(clips["closed.mp4"], hwaccel=device, threads="frame")
    if warnings(caplog):
        same(found, software["closed.mp4"])
        (line,) = warnings(caplog)
        assert "decoding in software" in line
    else:
        assert len(found.frames) == PICTURES  # this box has one after all
