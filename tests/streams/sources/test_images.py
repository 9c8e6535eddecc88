"""Folders and patterns of still images."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import SourceError
from pipeline.frame import Frame, Gap
from pipeline.moment import Clock
from pipeline.registry import load_plugin
from streams.sources.images import ImagesSource
from tests.streams.sources.media import flat, images_source, read_images


def write(folder: Path, *names: str, width: int = 64, height: int = 48) -> None:
    """Write images that show their position in the list."""
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), flat(index, width, height))


def test_natural_order_and_declared_time(tmp_path: Path) -> None:
    write(tmp_path, "img1.png", "img2.png", "img10.png", "img10b.png", "img100.png")
    reading = read_images(tmp_path, rate_hz=10)
    assert reading.numbers == [0, 1, 2, 3, 4]
    assert reading.pts_s == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert [frame.sequence for frame in reading.frames] == [0, 1, 2, 3, 4]
    info = reading.info
    assert (info.width, info.height, info.frames, info.rate_hz, info.duration_s) == (64, 48, 5, 10.0, 0.5)
    assert (info.codec, info.container, info.pixel_format) == ("png", "", "rgb24")
    assert (reading.gaps, info.live, info.has_audio) == ([], False, False)


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "png", "bmp", "webp", "tif", "tiff"])
def test_kinds(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, f"a1.{suffix}", f"a2.{suffix}")
    reading = read_images(tmp_path)
    assert reading.numbers == [0, 1]
    assert reading.pts_s == [0.0, 0.04]


def test_colours(tmp_path: Path) -> None:
    bgr = np.full((48, 64, 3), (200, 60, 90), np.uint8)
    for name in ("a.png", "b.jpg", "c.bmp", "d.webp", "e.tif"):
        cv2.imwrite(str(tmp_path / name), bgr)
    for frame in read_images(tmp_path).frames:
        np.testing.assert_allclose(frame.picture.bgr().astype(int), bgr.astype(int), atol=4)


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("{}", [0, 1, 2, 3]),
        ("images://{}", [0, 1, 2, 3]),
        ("images://{}/left*", [0, 1]),
        ("images://{}/*.png", [0, 1, 2]),
        ("images://{}/right2.jpg", [3]),
    ],
)
def test_urls(tmp_path: Path, pattern: str, numbers: list[int]) -> None:
    write(tmp_path, "left1.png", "left2.png", "right1.png", "right2.jpg")
    (tmp_path / "left.txt").write_text("not an image")
    assert read_images(pattern.format(tmp_path)).numbers == numbers


@pytest.mark.parametrize(
    "harm", [b"", b"half", b"text"], ids=["empty", "cut in the middle", "a text file of that name"]
)
@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp"])
def test_a_bad_image_leaves_its_place_empty(
    tmp_path: Path, suffix: str, harm: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for index in range(6):
        cv2.imwrite(str(tmp_path / f"{index}.{suffix}"), rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    for index in (2, 3):
        path = tmp_path / f"{index}.{suffix}"
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] if harm == b"half" else harm)
    reading = read_images(tmp_path, rate_hz=10)
    assert reading.pts_s == pytest.approx([0.0, 0.1, 0.4, 0.5])
    gap = reading.items[2]
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.after_s, gap.seconds) == ("decode error", 0.1, 0.2)
    assert str(tmp_path / f"2.{suffix}") in gap.detail
    assert gap.detail.endswith("(2 pictures)")
    assert reading.gaps == [gap]
    assert capfd.readouterr().err == ""


def test_bad_images_at_both_ends(tmp_path: Path) -> None:
    write(tmp_path, "0.png", "1.png", "2.png")
    for name in ("0.png", "2.png"):
        (tmp_path / name).write_bytes(b"")
    first, frame, last = read_images(tmp_path).items
    assert isinstance(first, Gap)
    assert isinstance(frame, Frame)
    assert isinstance(last, Gap)
    assert (first.after_s, first.seconds) == (None, 0.04)
    assert frame.moment.pts_s == 0.04
    assert (last.after_s, last.seconds) == (0.04, 0.04)


def test_another_size_is_a_gap(tmp_path: Path) -> None:
    write(tmp_path, "0.png", "2.png")
    write(tmp_path, "1.png", width=32, height=24)
    reading = read_images(tmp_path)
    assert reading.pts_s == [0.0, 0.08]
    (gap,) = reading.gaps
    assert "1.png: is 32 x 24 pixels, the first image is 64 x 48" in gap.detail


def test_exif_turns_pictures_upright(tmp_path: Path) -> None:
    stored = np.zeros((40, 60, 3), np.uint8)
    stored[:20] = 250
    ok, jpeg = cv2.imencode(".jpg", stored)
    assert ok
    # Exif (CIPA DC-008): a big-endian TIFF with one entry, 0x0112 orientation = 6: turn 90 degrees clockwise.
    entry = bytes.fromhex("0112 0003 00000001 0006 0000")
    exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01" + entry + bytes(4)
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    content = jpeg.tobytes()
    (tmp_path / "a.jpg").write_bytes(content[:2] + segment + content[2:])
    reading = read_images(tmp_path)
    assert (reading.info.width, reading.info.height, reading.info.rotation_deg) == (40, 60, 90)
    bgr = reading.frames[0].picture.bgr().astype(int)
    np.testing.assert_allclose(bgr[:, 25:], 250, atol=8)
    np.testing.assert_allclose(bgr[:, :15], 0, atol=8)


def test_wall_clock(tmp_path: Path) -> None:
    write(tmp_path, "0.png", "1.png")
    start = datetime(2026, 3, 1, 8, tzinfo=UTC)
    moment = read_images(tmp_path, start_time=start).frames[1].moment
    assert (moment.iso(), moment.clock, moment.uncertainty_ns) == ("2026-03-01T08:00:00.040Z", Clock.FILE, 0)
    unknown = read_images(tmp_path).frames[1].moment
    assert (unknown.iso(), unknown.uncertainty_ns) == ("1970-01-01T00:00:00.040Z", None)


def test_the_run_is_names_and_content(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write(tmp_path / folder, "0.png", "1.png")
    write(tmp_path / "c", "0.png", "2.png")
    write(tmp_path / "d", "1.png", "0.png")
    runs = [read_images(tmp_path / folder).info.run for folder in "abcd"]
    assert runs[0] == runs[1]
    assert len(set(runs)) == 3


def test_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    for url in (tmp_path, tmp_path / "missing", f"{tmp_path}/*.png"):
        with pytest.raises(SourceError, match=f"{tmp_path}.*: no images there; .*jpg, jpeg, png"):
            images_source(url).open()
    write(tmp_path, "0.png", "1.png")
    for name in ("0.png", "1.png"):
        (tmp_path / name).write_bytes(b"no image at all")
    with pytest.raises(SourceError, match=r"none of the 2 images can be read; the first is .*0\.png"):
        images_source(tmp_path).open()


def test_close_ends_reading(tmp_path: Path) -> None:
    write(tmp_path, "0.png", "1.png", "2.png")
    source = images_source(tmp_path)
    source.open()
    items = source.read()
    next(items)
    source.close()
    source.close()
    assert list(items) == []
    with pytest.raises(SourceError, match="closed while it was opened"):
        source.open()


@pytest.mark.parametrize("rate_hz", [0, -1, float("nan"), float("inf")])
def test_impossible_rates(rate_hz: float) -> None:
    with pytest.raises(ValidationError):
        ImagesSource.Options.model_validate({"rate_hz": rate_hz})


def test_the_plugin_is_found_by_name() -> None:
    assert load_plugin("source", "images") is ImagesSource
