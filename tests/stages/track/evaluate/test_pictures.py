from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import SourceError
from stages.track.evaluate.pictures import Pictures
from tests.media import HEIGHT, WIDTH, write_crossing_video


def write_images(folder: Path, numbers: list[int], digits: int = 6, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"{number:0{digits}d}{suffix}"), np.full((8, 12, 3), number, np.uint8))
    return folder


@pytest.mark.parametrize(("digits", "suffix"), [(6, ".png"), (8, ".bmp"), (1, ".PNG")])
def test_images_come_in_the_order_of_their_numbers(digits: int, suffix: str, tmp_path: Path) -> None:
    write_images(tmp_path / "img1", [11, 2, 1, 3, 4, 5, 6, 7, 8, 9, 10], digits, suffix)
    pictures = Pictures.find(tmp_path)
    assert pictures is not None
    assert pictures.kind == "images"
    assert [int(bgr[0, 0, 0]) for bgr in pictures.read(11)] == list(range(1, 12))


def test_the_folder_that_seqinfo_names(tmp_path: Path) -> None:
    write_images(tmp_path / "frames", [1])
    assert Pictures.find(tmp_path) is None
    assert Pictures.find(tmp_path, "frames") == Pictures(tmp_path / "frames")


def test_a_video_is_read_picture_by_picture(tmp_path: Path) -> None:
    write_crossing_video(tmp_path / "any.mp4", frames=40)
    pictures = Pictures.find(tmp_path)
    assert pictures is not None
    assert pictures.kind == "video"
    shapes = [bgr.shape for bgr in pictures.read(30)]
    assert shapes == [(HEIGHT, WIDTH, 3)] * 30
    with pytest.raises(SourceError, match=r"any.mp4: 40 pictures, but seqinfo.ini says 41"):
        list(pictures.read(41))


def test_of_several_videos_the_one_named_like_the_folder(tmp_path: Path) -> None:
    for name in ("other.mp4", "result.avi"):
        (tmp_path / name).touch()
    with pytest.raises(SourceError, match="2 videos"):
        Pictures.find(tmp_path)
    own = tmp_path / f"{tmp_path.name}.mp4"
    own.touch()
    assert Pictures.find(tmp_path) == Pictures(own)


def test_pictures_that_are_missing_or_damaged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    images = write_images(tmp_path / "a/img1", [1, 3])
    with pytest.raises(SourceError, match=r"no picture of frame 2"):
        list(Pictures(images).read(3))
    for content in (b"", b"no picture"):
        (images / "000002.png").write_bytes(content)
        with pytest.raises(SourceError, match=r"000002.png: cannot be decoded"):
            list(Pictures(images).read(3))
    (tmp_path / "b.mp4").write_bytes(b"no video")
    with pytest.raises(SourceError, match=r"b.mp4: cannot be decoded"):
        list(Pictures(tmp_path / "b.mp4").read(3))
    assert capfd.readouterr().err == ""
