"""The stage `crops`: what is saved, what is passed over, and what bounds it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError, SinkError
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Tracks
from pipeline.picture import BgrPicture, Picture
from pipeline.plugin import StageContext, StreamInfo
from pipeline.registry import load_plugin
from stages.track.appearance.collect import CropsOptions, CropsStage
from stages.track.appearance.crops import read_crops

Box = tuple[float, float, float, float]
A: Box = (100, 60, 160, 200)
B: Box = (300, 60, 360, 200)
GREY = cv2.resize(np.random.default_rng(0).integers(0, 256, (15, 25, 3), np.uint8), (500, 300))


class UntouchedPicture(Picture):
    """A picture that nobody may look at."""

    nbytes = 0

    def luma(self) -> Any:
        raise AssertionError("luma")

    def _convert(self, width: int, height: int) -> Any:
        raise AssertionError("bgr")


def stage(folder: Path, **options: Any) -> CropsStage:
    made = CropsStage(CropsOptions(folder=folder, **options), StageContext("door"))
    made.open(StreamInfo("door", "file.mp4", "r1", 500, 300))
    return made


def frame(sequence: int, tracks: dict[int, Box], *, run: str = "r1", **fields: Any) -> Frame:
    pts_s = sequence / 10
    n = len(tracks)
    table = Tracks(
        np.array(list(tracks), np.int64),
        np.array(list(tracks.values()), np.float32).reshape(-1, 4),
        np.ones(n, np.float32),
        np.full(n, fields.get("label", "person")),
        np.full(n, fields.get("detection", 0)),
        np.zeros(n, np.float32),
    )
    moment = Moment(pts_s, round(pts_s * 1e9), Clock.FILE)
    return Frame("door", run, sequence, moment, fields.get("picture", BgrPicture(GREY)), tracks=table)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))


def test_it_is_registered() -> None:
    assert load_plugin("stage", "crops") is CropsStage


def test_crops_of_each_track_every_so_often(tmp_path: Path) -> None:
    crops = stage(tmp_path, every_s=0.5)
    for k in range(11):
        crops.process(frame(k, {1: A, 2: B} if k >= 3 else {1: A}))
    assert files(tmp_path) == [
        *(f"door/r1-1/{k:08d}.jpg" for k in (0, 5, 10)),
        *(f"door/r1-2/{k:08d}.jpg" for k in (3, 8)),
    ]
    saved = cv2.imread(str(tmp_path / "door/r1-1/00000000.jpg"))
    assert saved.shape == (140, 60, 3)
    assert np.abs(saved.astype(float) - GREY[60:200, 100:160]).mean() < 6


def test_training_reads_what_was_collected(tmp_path: Path) -> None:
    crops = stage(tmp_path, every_s=0)
    for k in range(4):
        crops.process(frame(k, {1: A, 2: B}))
    assert read_crops(tmp_path, 64, 128).names == ("door/r1-1", "door/r1-2")


@pytest.mark.parametrize(
    ("what", "tracks", "fields", "options"),
    [
        ("touches the left border", {1: (0, 60, 60, 200)}, {}, {}),
        ("touches the bottom border", {1: (100, 160, 160, 300)}, {}, {}),
        ("partly outside", {1: (470, 60, 530, 200)}, {}, {}),
        ("covered", {1: A, 2: (120, 60, 180, 200)}, {}, {}),
        ("small", {1: (100, 60, 120, 100)}, {}, {}),
        ("predicted", {1: A}, {"detection": -1}, {}),
        ("another class", {1: A}, {"label": "dog"}, {"labels": {"person", "car"}}),
        ("nobody", {}, {}, {}),
    ],
)
def test_what_is_passed_over_costs_no_look_at_the_picture(
    what: str, tracks: dict[int, Box], fields: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    crops = stage(tmp_path, **options)
    crops.process(frame(0, tracks, picture=UntouchedPicture(500, 300), **fields))
    assert not files(tmp_path), what


def test_max_overlap_is_a_choice(tmp_path: Path) -> None:
    stage(tmp_path, max_overlap=0.7).process(frame(0, {1: A, 2: (120, 60, 180, 200)}))
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize(
    ("options", "saved", "bound"),
    [
        ({"max_per_track": 3}, 6, None),
        ({"max_tracks": 2, "max_per_track": 1000}, None, "max_tracks"),
        ({"max_mb": 0.02}, None, "max_mb"),
    ],
)
def test_bounds(
    options: dict[str, Any],
    saved: int | None,
    bound: str | None,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    crops = stage(tmp_path, every_s=0, **options)
    for k in range(20):
        crops.process(frame(k, {1: A, 2: B} if bound is None else {k // 5 + 1: A}))
    crops.finish()
    kept = files(tmp_path)
    assert kept
    if saved is not None:
        assert len(kept) == saved
    if "max_tracks" in options:
        assert {Path(name).parent.name for name in kept} == {"r1-1", "r1-2"}
    if "max_mb" in options:
        assert sum((tmp_path / name).stat().st_size for name in kept) <= 20_000
    told = [record.getMessage() for record in caplog.records]
    assert [line for line in told if bound and bound in line] == told
    assert len(told) == (bound is not None)


def test_what_the_folder_holds_counts(tmp_path: Path) -> None:
    before = stage(tmp_path, every_s=0)
    for k in range(3):
        before.process(frame(k, {1: A, 2: B}))
    held = sum((tmp_path / name).stat().st_size for name in files(tmp_path))
    for k, options in enumerate(({"max_mb": held / 1e6}, {"max_tracks": 2})):
        again = stage(tmp_path, **options)
        again.process(frame(0, {1: A}, run=f"later{k}"))
    assert len(files(tmp_path)) == 6


def test_a_recording_is_collected_once(tmp_path: Path) -> None:
    stage(tmp_path).process(frame(0, {1: A}))
    with pytest.raises(SinkError, match="has crops of this recording already; remove its folders r1-"):
        stage(tmp_path).process(frame(0, {1: B}))


def test_a_new_run_of_a_stream_has_folders_of_its_own(tmp_path: Path) -> None:
    crops = stage(tmp_path)
    crops.process(frame(0, {1: A}))
    crops.process(frame(0, {1: B}, run="r2"))
    assert files(tmp_path) == ["door/r1-1/00000000.jpg", "door/r2-1/00000000.jpg"]


def test_a_run_is_no_path(tmp_path: Path) -> None:
    stage(tmp_path / "crops").process(frame(0, {1: A}, run="../../x"))
    assert files(tmp_path) == ["crops/door/______x-1/00000000.jpg"]


def test_tracks_are_needed(tmp_path: Path) -> None:
    now = frame(0, {})
    now.tracks = None
    with pytest.raises(ConfigError, match="stage 'crops' needs tracks"):
        stage(tmp_path).process(now)


def test_nothing_saved_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    crops = stage(tmp_path)
    crops.process(frame(0, {1: (0, 0, 20, 20)}))
    crops.finish()
    assert "stream 'door': no crops were saved" in caplog.text


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "crops").write_text("x")
    with pytest.raises(SinkError, match=r"cannot write crops to .*; free space there or set another folder"):
        stage(tmp_path / "crops")


def test_a_full_disk_is_told_and_leaves_no_half_crop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crops = stage(tmp_path)

    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SinkError, match="No space left on device; free space there"):
        crops.process(frame(0, {1: A}))
    assert not files(tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"every_s": -1},
        {"every_s": float("inf")},
        {"max_per_track": 1},
        {"max_tracks": 0},
        {"max_mb": 0},
        {"max_overlap": 1.5},
        {"labels": []},
        {"quality": 0},
        {"every": 1},
    ],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CropsOptions(folder=Path("crops"), **options)
