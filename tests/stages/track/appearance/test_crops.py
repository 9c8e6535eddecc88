"""Reading training crops: folders of pictures and MOTChallenge sequences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import SourceError
from stages.track.appearance.crops import read_crops
from stages.track.appearance.cropset import chosen, share_of_each
from tests.shared_data import shared
from tests.stages.track.appearance.patterns import person, write_crops


def jpeg(path: Path, grey: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((40, 20, 3), grey, np.uint8))


@pytest.mark.parametrize(("stream", "prefix"), [("", ""), ("door", "door/")])
def test_a_folder_for_each_identity(stream: str, prefix: str, tmp_path: Path) -> None:
    crops = read_crops(write_crops(tmp_path, 3, 4, stream), 16, 32)
    assert crops.patches.shape == (12, 32, 16, 3)
    assert crops.names == tuple(f"{prefix}run-{k}" for k in range(3))
    assert crops.identity.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    wanted = cv2.resize(person(1, 2, 32, 64), (16, 32), interpolation=cv2.INTER_AREA)
    assert np.abs(crops.patches[6].astype(float) - wanted).mean() < 8  # JPEG


def test_pictures_come_in_order_of_their_numbers(tmp_path: Path) -> None:
    for who in "ab":
        for number, grey in ((9, 10), (10, 20), (100, 30)):
            jpeg(tmp_path / who / f"{number}.png", grey)
    crops = read_crops(tmp_path, 8, 16)
    assert crops.patches[:3, 0, 0, 0].tolist() == [10, 20, 30]


def test_bounds(tmp_path: Path) -> None:
    write_crops(tmp_path, 4, 10)
    assert len(read_crops(tmp_path, 16, 32, max_per_identity=3)) == 12
    assert len(read_crops(tmp_path, 16, 32, max_crops=21)) == 20
    assert len(read_crops(tmp_path, 16, 32, max_crops=2)) == 8  # two are the least that teach anything


@pytest.mark.parametrize(
    ("count", "most", "kept"), [(3, 5, [0, 1, 2]), (10, 3, [0, 4, 9]), (5, 2, [0, 4]), (0, 4, [])]
)
def test_chosen(count: int, most: int, kept: list[int]) -> None:
    assert chosen(count, most).tolist() == kept


@pytest.mark.parametrize(
    ("counts", "most", "each"), [([10, 10], 100, 7), ([10, 10], 8, 4), ([100, 2], 20, 7), ([5] * 9, 3, 2)]
)
def test_share_of_each(counts: list[int], most: int, each: int) -> None:
    assert share_of_each(counts, most, 7) == each


def _nothing(folder: Path) -> None:
    folder.mkdir()


def _stray(folder: Path) -> None:
    jpeg(folder / "1.jpg")


def _one_identity(folder: Path) -> None:
    jpeg(folder / "a/1.jpg")
    jpeg(folder / "a/2.jpg")


def _one_crop_each(folder: Path) -> None:
    jpeg(folder / "a/1.jpg")
    jpeg(folder / "b/1.jpg")


def _too_deep(folder: Path) -> None:
    jpeg(folder / "x/y/z/1.jpg")


def _damaged(folder: Path) -> None:
    for who in "ab":
        jpeg(folder / who / "1.jpg")
        jpeg(folder / who / "2.jpg")
    (folder / "b/2.jpg").write_bytes(b"no picture")


def _empty_picture(folder: Path) -> None:
    _damaged(folder)
    (folder / "b/2.jpg").write_bytes(b"")


def _file(folder: Path) -> None:
    folder.write_text("x")


def _missing(folder: Path) -> None:
    pass


def _mot_without_pictures(folder: Path) -> None:
    (folder / "gt").mkdir(parents=True)
    (folder / "gt/gt.txt").write_text("1,1,0,0,20,40,1,-1,-1,-1\n")


def _mot_malformed(folder: Path) -> None:
    _mot_without_pictures(folder)
    jpeg(folder / "img1/000001.jpg")
    (folder / "gt/gt.txt").write_text("1,1,0,0,20,forty,1,-1,-1,-1\n")


def _mot_empty(folder: Path) -> None:
    _mot_malformed(folder)
    (folder / "gt/gt.txt").write_text("")


BAD: list[tuple[Callable[[Path], None], str]] = [
    (_nothing, "no identities in it"),
    (_stray, r"no identities in it: .*; 1\.jpg lies in no folder of its own"),
    (_one_identity, "only 1 identity has at least 2 crops"),
    (_one_crop_each, "no identity has at least 2 crops"),
    (_too_deep, "no identities in it"),
    (_damaged, r"b/2\.jpg: cannot be decoded as a picture"),
    (_empty_picture, r"b/2\.jpg: cannot be decoded as a picture"),
    (_file, "is no folder"),
    (_missing, "does not exist"),
    (_mot_without_pictures, "no pictures to cut crops from"),
    (_mot_malformed, r"gt\.txt:1: 'forty' is not a number"),
    (_mot_empty, "no identity has at least 2 crops"),
]


@pytest.mark.parametrize(("make", "words"), BAD, ids=[make.__name__ for make, _ in BAD])
def test_what_cannot_be_trained_on(make: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    make(tmp_path / "crops")
    with pytest.raises(SourceError, match=words) as raised:
        read_crops(tmp_path / "crops", 16, 32)
    assert "\n" not in str(raised.value)


def write_sequence(folder: Path, rows: list[str], frames: int = 6) -> Path:
    """Frame k is grey k * 20, so that a crop shows which frame it is from."""
    for frame in range(1, frames + 1):
        (folder / "img1").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"img1/{frame:06d}.png"), np.full((100, 200, 3), frame * 20, np.uint8))
    (folder / "gt").mkdir()
    (folder / "gt/gt.txt").write_text("\n".join(rows) + "\n")
    return folder


def test_a_mot15_sequence(tmp_path: Path) -> None:
    rows = [f"{frame},7,10,10,20,40,1,-1,-1,-1" for frame in (5, 1, 3)]
    rows += [f"{frame},2,100,10,20,40,1,-1,-1,-1" for frame in (1, 2)]
    rows += [f"{frame},3,110,10,20,40,0,-1,-1,-1" for frame in (1, 2)]  # to be ignored
    rows += ["4,4,150,10,20,40,1,-1,-1,-1"]  # seen once
    rows += [f"5,{k},{150 + k},10,20,40,1,-1,-1,-1" for k in (5, 6)]  # hide each other
    crops = read_crops(write_sequence(tmp_path / "street", rows), 16, 32)
    assert crops.names == ("street/2", "street/7")
    assert crops.identity.tolist() == [0, 0, 1, 1, 1]
    assert crops.patches[:, 0, 0, 0].tolist() == [20, 40, 20, 60, 100]
    assert crops.left_out == 1


def test_a_mot17_sequence_by_class_and_visibility(tmp_path: Path) -> None:
    rows = [f"{frame},1,10,10,20,40,1,1,0.9" for frame in (1, 2)]
    rows += [f"{frame},2,12,10,20,40,1,1,0.5" for frame in (1, 2)]  # overlap is told by visibility
    rows += [f"{frame},3,100,10,20,40,1,3,1" for frame in (1, 2)]  # a car
    rows += [f"{frame},4,100,10,20,40,1,1,0.4" for frame in (1, 2)]
    rows += [f"{frame},5,100,10,3,4,1,1,1" for frame in (1, 2)]  # too small
    crops = read_crops(write_sequence(tmp_path / "street", rows), 16, 32)
    assert crops.names == ("street/1", "street/2")


def test_several_sequences_are_different_people(tmp_path: Path) -> None:
    rows = [f"{frame},1,10,10,20,40,1,-1,-1,-1" for frame in (1, 2)]
    for name in ("a", "b"):
        write_sequence(tmp_path / name, rows)
    assert read_crops(tmp_path, 16, 32).names == ("a/1", "b/1")


def test_a_box_outside_the_picture_is_told(tmp_path: Path) -> None:
    rows = [f"{frame},1,{600 * frame},10,20,40,1,-1,-1,-1" for frame in (1, 2)]
    with pytest.raises(SourceError, match=r"a box of frame 1 in gt\.txt lies outside the picture"):
        read_crops(write_sequence(tmp_path / "street", rows), 16, 32)


def test_a_sequence_with_a_video() -> None:
    crops = read_crops(shared("mot15/TUD-Campus"), 16, 32, max_per_identity=6)
    assert len(crops.names) == 7
    assert len(crops) == 42
