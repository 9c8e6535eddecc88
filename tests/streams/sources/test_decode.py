"""Colours and orientation of decoded pictures, against pictures that are known."""

from __future__ import annotations

import gc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from pipeline.frame import Frame
from pipeline.picture import BgrPicture, U8Array, YuvPicture
from tests.streams.sources.media import file_source, read_file, write_video

COLOURS = np.array(
    [
        (0, 0, 255),
        (0, 255, 0),
        (255, 0, 0),
        (255, 255, 255),
        (0, 0, 0),
        (128, 128, 128),
        (30, 120, 220),
        (200, 60, 90),
    ],
    np.uint8,
)
BT709, UNSPECIFIED, BT601 = 1, 2, 6


def bars(width: int = 128, height: int = 96) -> U8Array:
    """Eight bars of colour side by side."""
    return np.broadcast_to(COLOURS.repeat(width // 8, axis=0), (height, width, 3))


def seen(bgr: U8Array) -> U8Array:
    """The colour in the middle of each bar."""
    height, width = bgr.shape[:2]
    return bgr[height // 2, width // 16 :: width // 8]


def write_tagged(
    path: Path, tag: int, matrix: Colorspace, color_range: ColorRange, *, height: int = 96
) -> Path:
    """Encode the bars with x264 by a matrix and range, and tag the stream with `tag`."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"qp": "1"})
        stream.width, stream.height, stream.pix_fmt = 128, height, "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_range = tag, color_range
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(bars(height=height)), format="bgr24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=matrix, dst_color_range=color_range)
        frame.colorspace, frame.pts, frame.time_base = tag, 0, Fraction(1, 25)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("color_range", [ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize(
    ("tag", "matrix", "height"),
    [
        (BT709, Colorspace.ITU709, 96),
        (BT601, Colorspace.ITU601, 96),
        (BT601, Colorspace.ITU601, 720),
        (UNSPECIFIED, Colorspace.ITU601, 96),
        (UNSPECIFIED, Colorspace.ITU709, 720),
    ],
)
def test_x264_colours(
    tmp_path: Path, tag: int, matrix: Colorspace, height: int, color_range: ColorRange
) -> None:
    reading = read_file(write_tagged(tmp_path / "a.mp4", tag, matrix, color_range, height=height))
    picture = reading.frames[0].picture
    assert isinstance(picture, YuvPicture)
    np.testing.assert_allclose(seen(picture.bgr()).astype(int), COLOURS.astype(int), atol=4)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "kind"),
    [
        ("a.mkv", "mjpeg", "yuvj420p", YuvPicture),
        ("a.mkv", "mjpeg", "yuvj422p", BgrPicture),
        ("a.mkv", "ffv1", "yuv420p", YuvPicture),
        ("a.mkv", "ffv1", "yuv422p", BgrPicture),
        ("a.mkv", "ffv1", "yuv444p", BgrPicture),
        ("a.mkv", "ffv1", "yuv420p10le", BgrPicture),
        ("a.mkv", "ffv1", "yuv422p10le", BgrPicture),
        ("a.mkv", "ffv1", "bgra", BgrPicture),
        ("a.mkv", "ffv1", "gbrp10le", BgrPicture),
        ("a.mov", "png", "rgb24", BgrPicture),
        ("a.avi", "rawvideo", "bgr24", BgrPicture),
        ("a.nut", "rawvideo", "nv12", YuvPicture),
    ],
)
def test_every_pixel_format_has_right_colours(
    tmp_path: Path, name: str, codec: str, pixel_format: str, kind: type
) -> None:
    reading = read_file(write_video(tmp_path / name, [bars()] * 2, codec=codec, pixel_format=pixel_format))
    assert len(reading.frames) == 2
    assert reading.info.pixel_format == pixel_format
    picture = reading.frames[1].picture
    assert isinstance(picture, kind)
    np.testing.assert_allclose(seen(picture.bgr()).astype(int), COLOURS.astype(int), atol=6)


def test_bt2020_goes_through_swscale(tmp_path: Path) -> None:
    path = write_tagged(tmp_path / "a.mp4", 9, Colorspace.BT2020, ColorRange.MPEG)
    picture = read_file(path).frames[0].picture
    assert isinstance(picture, BgrPicture)
    np.testing.assert_allclose(seen(picture.bgr()).astype(int), COLOURS.astype(int), atol=6)


@pytest.mark.parametrize("pixel_format", ["gray", "gray10le"])
def test_grey_is_full_range(tmp_path: Path, pixel_format: str) -> None:
    path = write_video(tmp_path / "a.mkv", [bars()], codec="ffv1", pixel_format=pixel_format)
    bgr = seen(read_file(path).frames[0].picture.bgr()).astype(int)
    grey = COLOURS.astype(float) @ (0.114, 0.587, 0.299)
    np.testing.assert_allclose(bgr, np.column_stack([grey, grey, grey]), atol=3)


def test_palettes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.gif", [bars()] * 3, codec="gif", pixel_format="rgb8")
    picture = read_file(path).frames[0].picture
    colours = seen(picture.bgr()).astype(int)
    np.testing.assert_allclose(colours[:5], COLOURS[:5].astype(int), atol=4)  # these are in the palette
    np.testing.assert_allclose(colours, COLOURS.astype(int), atol=64)


@pytest.mark.parametrize(("width", "height"), [(65, 47), (2, 2), (130, 33)])
def test_odd_sizes(tmp_path: Path, width: int, height: int) -> None:
    path = write_video(
        tmp_path / "a.mkv", [np.full((height, width, 3), 90, np.uint8)], codec="ffv1", pixel_format="yuv420p"
    )
    reading = read_file(path)
    bgr = reading.frames[0].picture.bgr()
    assert (reading.info.width, reading.info.height) == (width, height)
    assert bgr.shape == (height, width, 3)
    np.testing.assert_allclose(bgr.astype(int), 90, atol=2)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p"])
@pytest.mark.parametrize("counter_clockwise_deg", [0, 90, 180, 270])
@pytest.mark.parametrize("mirror", [False, True])
def test_pictures_are_turned_upright(
    tmp_path: Path, counter_clockwise_deg: int, mirror: bool, pixel_format: str
) -> None:
    stored = np.zeros((64, 96, 3), np.uint8)
    stored[:32, :48], stored[:32, 48:], stored[32:, :48] = (0, 0, 250), (0, 250, 0), (250, 0, 0)
    path = write_video(
        tmp_path / "a.mp4",
        [stored] * 2,
        pixel_format=pixel_format,
        rotate_ccw_deg=counter_clockwise_deg,
        mirror=mirror,
    )
    reading = read_file(path)
    turned = np.rot90(stored, counter_clockwise_deg // 90)
    wanted = np.fliplr(turned) if mirror else turned
    bgr = reading.frames[0].picture.bgr()
    assert bgr.shape == wanted.shape == (reading.info.height, reading.info.width, 3)
    middles = [(y, x) for y in (0.25, 0.75) for x in (0.25, 0.75)]
    for y, x in middles:
        place = (int(y * bgr.shape[0]), int(x * bgr.shape[1]))
        np.testing.assert_allclose(bgr[place].astype(int), wanted[place].astype(int), atol=12)
    assert reading.info.rotation_deg == (counter_clockwise_deg if mirror else -counter_clockwise_deg) % 360


def test_planes_are_views_of_the_decoders_buffer_and_stay_valid(tmp_path: Path) -> None:
    pictures = [np.full((96, 128, 3), 20 + index, np.uint8) for index in range(130)]
    source = file_source(write_video(tmp_path / "a.mp4", pictures, options={"qp": "1"}))
    source.open()
    items = source.read()
    kept = [next(items) for _ in range(10)][5]
    assert isinstance(kept, Frame)
    luma = kept.picture.luma()
    before = luma.copy()
    assert not luma.flags.owndata
    assert sum(1 for _ in items) == 120
    source.close()
    del items, source
    gc.collect()
    np.testing.assert_array_equal(luma, before)
    with pytest.raises(ValueError, match="read-only"):
        luma[0, 0] = 1


def test_planes_that_are_asked_for_late_are_those_of_their_own_picture(tmp_path: Path) -> None:
    shades = range(40, 200, 2)
    source = file_source(
        write_video(tmp_path / "a.mp4", [np.full((96, 128, 3), shade, np.uint8) for shade in shades])
    )
    source.open()
    frames = [item for item in source.read() if isinstance(item, Frame)]
    source.close()
    del source
    gc.collect()
    means = [float(frame.picture.bgr().mean()) for frame in frames]
    np.testing.assert_allclose(means, list(shades), atol=3)
    assert all(not plane.flags.writeable for plane in _planes_of(frames[3]))


def test_planes_of_a_turned_picture_are_read_only(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [np.zeros((64, 96, 3), np.uint8)], rotate_ccw_deg=90)
    planes = _planes_of(read_file(path).frames[0])
    assert [plane.shape for plane in planes] == [(96, 64), (48, 32), (48, 32)]
    assert all(not plane.flags.writeable for plane in planes)


def _planes_of(frame: Frame) -> list[U8Array]:
    planes = frame.picture.planes()
    assert planes is not None
    return [planes.y, planes.u, planes.v]
