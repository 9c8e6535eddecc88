"""Maps as files: one set for each interval, bounded in number, going on after a restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from pipeline.picture import BgrPicture
from pipeline.plugin import StageContext, StreamInfo
from pipeline.privacy.options import PrivacyOptions
from stages.count.maps.part import Maps, MapsOptions
from stages.count.options import CountOptions
from stages.count.seen import Seen
from stages.count.stage import CountStage
from tests.stages.count.seen import HEIGHT, WIDTH, frame_at, seen_at

FILE = StreamInfo("cam", "file.mp4", "run", WIDTH, HEIGHT)
LIVE = replace(FILE, live=True)


def made(folder: Path | None, info: StreamInfo = FILE, **options: Any) -> Maps:
    part = Maps(
        MapsOptions(**{"every_min": 1, "cells": 64, **options}), 1.0, StageContext("cam", folder=folder)
    )
    part.open(info)
    return part


def drive(part: Maps, from_s: float, to_s: float, *, label: str = "car", step_s: float = 0.5) -> Seen:
    """An object that goes to the right at 10 px/s along y = 105, from x = 0 at 0 s."""
    seen = seen_at(0.0)
    for n in range(round((to_s - from_s) / step_s) + 1):
        time_s = from_s + n * step_s
        seen = seen_at(time_s, (1, 10 * time_s % WIDTH, 105, label))
        part.update(seen)
    return Seen.of_nobody(seen.frame)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "maps/cam").iterdir())


def load(folder: Path, stem: str) -> dict[str, npt.NDArray[Any]]:
    with np.load(folder / f"maps/cam/{stem}.npz", allow_pickle=False) as file:
        return dict(file)


def test_each_interval_has_arrays_and_two_pictures(tmp_path: Path) -> None:
    part = made(tmp_path)
    part.finish(drive(part, 0, 63))
    assert names(tmp_path) == [
        f"1970-01-01T000{minute}00Z{kind}" for minute in (0, 1) for kind in (".flow.png", ".heat.png", ".npz")
    ]
    first = load(tmp_path, "1970-01-01T000000Z")
    assert first["dwell_s"].shape == (36, 64)
    assert first["dwell_s"].sum() == pytest.approx(59.5)
    assert first["dwell_s"][10, :59] == pytest.approx([1.0] * 59, abs=0.13)
    assert first["visitors"][10, :59].tolist() == [1] * 59
    assert first["velocity_px_s"][10, 5] == pytest.approx([10, 0], rel=1e-4)
    assert (int(first["start_ns"]), int(first["seconds"])) == (0, 60)
    assert load(tmp_path, "1970-01-01T000100Z")["dwell_s"].sum() == pytest.approx(3.5)
    assert part.statistics() == {"written": 2}


def test_the_pictures_show_where_and_which_way(tmp_path: Path) -> None:
    part = made(tmp_path)
    part.finish(drive(part, 0, 59))
    heat = cv2.imread(str(tmp_path / "maps/cam/1970-01-01T000000Z.heat.png"))
    flow = cv2.imread(str(tmp_path / "maps/cam/1970-01-01T000000Z.flow.png"))
    assert heat is not None
    assert flow is not None
    assert heat.shape[1] == WIDTH
    assert heat.shape[0] > HEIGHT
    assert heat[105, 300].max() > 100, "warm where it drove"
    assert heat[300, 300].max() == 0, "black where nobody was"
    assert flow.shape == (HEIGHT, WIDTH, 3)
    assert flow[80:120, :580].max() > 200
    assert flow[200:330].max() == 0


def test_an_empty_interval_has_no_files(tmp_path: Path) -> None:
    part = made(tmp_path)
    for n in range(100):
        part.update(seen_at(n * 3.0))
    part.finish(seen_at(300.0))
    assert not (tmp_path / "maps").exists()


def test_only_so_many_are_kept(tmp_path: Path) -> None:
    part = made(tmp_path, keep=3, cells=8)
    (tmp_path / "maps/cam").mkdir(parents=True)
    (tmp_path / "maps/cam/mine.png").touch()
    part.finish(drive(part, 0, 590, step_s=10))
    stems = {name.partition(".")[0] for name in names(tmp_path)}
    assert stems == {"mine", *(f"1970-01-01T000{minute}00Z" for minute in (7, 8, 9))}


def test_a_live_stream_goes_on_a_recording_begins_anew(tmp_path: Path) -> None:
    for info, dwell_s in ((LIVE, 18.0), (FILE, 9.0)):
        folder = tmp_path / info.url / str(info.live)
        first = made(folder, info)
        first.finish(drive(first, 0, 9))
        second = made(folder, info)
        second.finish(drive(second, 20, 29))
        assert load(folder, "1970-01-01T000000Z")["dwell_s"].sum() == pytest.approx(dwell_s)


def test_a_kill_loses_the_last_minutes_of_a_camera_not_the_interval(tmp_path: Path) -> None:
    drive(made(tmp_path, LIVE, every_min=60), 0, 650, step_s=1)  # and no end
    assert load(tmp_path, "1970-01-01T000000Z")["dwell_s"].sum() == pytest.approx(599), (
        "noted before the frame at 600 s"
    )
    after = made(tmp_path, LIVE, every_min=60)
    after.finish(drive(after, 700, 710, step_s=1))
    assert load(tmp_path, "1970-01-01T000000Z")["dwell_s"].sum() == pytest.approx(609)


def test_a_recording_removes_what_an_earlier_run_left(tmp_path: Path) -> None:
    first = made(tmp_path)
    first.finish(drive(first, 0, 130))
    second = made(tmp_path)
    second.finish(drive(second, 0, 10))
    assert {name.partition(".")[0] for name in names(tmp_path)} == {"1970-01-01T000000Z"}


def test_pictures_of_another_size_get_maps_of_their_own(tmp_path: Path) -> None:
    part = made(tmp_path, LIVE)
    part.finish(drive(part, 0, 9))
    part.open(replace(LIVE, width=2 * WIDTH, height=2 * HEIGHT))
    part.finish(drive(part, 10, 19))
    part.open(LIVE)
    part.finish(drive(part, 20, 29))
    assert load(tmp_path, "1970-01-01T000000Z")["dwell_s"].sum() == pytest.approx(18)
    assert load(tmp_path, "1970-01-01T000000Z-2")["dwell_s"].sum() == pytest.approx(9)
    assert int(load(tmp_path, "1970-01-01T000000Z-2")["width_px"]) == 2 * WIDTH


def test_a_damaged_file_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "maps/cam").mkdir(parents=True)
    (tmp_path / "maps/cam/1970-01-01T000000Z.npz").write_bytes(b"PK no")
    part = made(tmp_path, LIVE)
    part.finish(drive(part, 0, 9))
    stems = {name.partition(".")[0] for name in names(tmp_path)}
    assert "1970-01-01T000000Z-2" in stems, "it may be somebody's, and is left alone"


def test_a_moved_camera_adds_nothing(tmp_path: Path) -> None:
    part = made(tmp_path)
    for n in range(20):
        frame = frame_at(n * 0.5)
        frame.suspended = "moved" if 5 <= n < 15 else None
        part.update(seen_at(frame, (1, 100, 105)))
    part.finish(seen_at(10.0))
    assert load(tmp_path, "1970-01-01T000000Z")["dwell_s"].sum() == pytest.approx(4.0)


def test_only_the_classes_that_are_wanted(tmp_path: Path) -> None:
    part = made(tmp_path, labels={"bus"})
    for n in range(20):
        part.update(seen_at(n * 0.5, (1, 100, 105, "car"), (2, 200, 205, "bus")))
    part.finish(seen_at(10.0))
    visitors = load(tmp_path, "1970-01-01T000000Z")["visitors"]
    assert (visitors[10, 10], visitors[20, 20]) == (0, 1)


def test_objects_that_have_ended_are_forgotten(tmp_path: Path) -> None:
    part = made(tmp_path)
    for n in range(600):
        seen = seen_at(n * 0.1, (n, 100, 100))
        seen.ended = [n - 5]
        part.update(seen)
        assert len(part._grid) <= 6


def test_a_disk_that_takes_nothing_is_a_warning_and_no_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "maps").write_text("a file where the folder should be")
    part = made(tmp_path)
    part.finish(drive(part, 0, 10))
    assert "maps cannot be written" in caplog.text


def test_without_a_folder_nothing_is_written() -> None:
    part = made(None)
    part.finish(drive(part, 0, 100))
    assert part.statistics() == {}


def test_it_is_a_part_of_the_stage(tmp_path: Path) -> None:
    options = CountOptions.model_validate({"maps": {"every_min": 15, "keep": 10}})
    stage = CountStage(options, StageContext("cam", folder=tmp_path))
    assert "maps" in stage._parts
    with pytest.raises(ValidationError):
        CountOptions.model_validate({"maps": {"every_min": 7}})


@pytest.mark.parametrize(("privacy", "shows"), [(None, True), (PrivacyOptions(labels=("person",)), False)])
def test_with_privacy_nobody_is_on_a_map(privacy: PrivacyOptions | None, shows: bool, tmp_path: Path) -> None:
    context = StageContext("cam", folder=tmp_path, privacy=privacy)
    part = Maps(MapsOptions(every_min=1), 1.0, context)
    part.open(FILE)
    white = BgrPicture(np.full((HEIGHT, WIDTH, 3), 255, np.uint8))
    for n in range(10):
        frame = replace(frame_at(n * 0.5), picture=white)
        part.update(seen_at(frame, (1, 10 * n, 105)))
    part.finish(Seen.of_nobody(frame))
    heat = cv2.imread(str(tmp_path / "maps/cam/1970-01-01T000000Z.heat.png"))
    assert heat is not None
    assert heat[300, 300].any() == shows
