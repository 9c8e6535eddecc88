"""NV12, which hardware decoders give, is the same picture as planar 4:2:0 of the same content."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange
from hypothesis import given
from hypothesis import strategies as st

from pipeline.picture import BgrPicture, Picture, Planes, U8Array, YuvPicture
from streams.sources.decode import PictureMaker
from streams.sources.upright import Upright

BT709, UNSPECIFIED, BT601, BT2020 = 1, 2, 6, 9
TURNS = [Upright(bool(bits & 1), bool(bits & 2), bool(bits & 4)) for bits in range(8)]


def filled(width: int, height: int, pixel_format: str, *planes: U8Array) -> VideoFrame:
    """A frame of planes, (H, bytes per row); what pads its rows is noise."""
    frame = VideoFrame(width, height, pixel_format)
    for plane, pixels in zip(frame.planes, planes, strict=True):
        fill(plane, pixels)
    return frame


def fill(plane: VideoPlane, pixels: U8Array) -> None:
    rows = np.random.default_rng(1).integers(0, 256, (plane.height, plane.line_size), np.uint8)
    rows[:, : pixels.shape[1]] = pixels
    plane.update(rows.tobytes())


def twins(width: int, height: int, seed: int) -> tuple[VideoFrame, VideoFrame]:
    """The same noise as NV12 and as planar 4:2:0."""
    rng = np.random.default_rng(seed)
    half = ((height + 1) // 2, (width + 1) // 2)
    y = rng.integers(0, 256, (height, width), np.uint8)
    u, v = rng.integers(0, 256, (2, *half), np.uint8)
    uv = np.dstack([u, v]).reshape(half[0], -1)
    return filled(width, height, "nv12", y, uv), filled(width, height, "yuv420p", y, u, v)


def planes_of(picture: Picture) -> Planes:
    assert isinstance(picture, YuvPicture)
    planes = picture.planes()
    assert planes is not None
    return planes


@given(
    width=st.integers(1, 150),
    height=st.integers(1, 70),
    seed=st.integers(0, 9),
    turn=st.sampled_from(TURNS),
    matrix=st.sampled_from([BT709, UNSPECIFIED, BT601]),
    color_range=st.sampled_from([ColorRange.UNSPECIFIED, ColorRange.MPEG, ColorRange.JPEG]),
)
def test_it_is_the_planar_picture_to_the_bit(
    width: int, height: int, seed: int, turn: Upright, matrix: int, color_range: ColorRange
) -> None:
    semiplanar, planar = twins(width, height, seed)
    for frame in (semiplanar, planar):
        frame.colorspace, frame.color_range = matrix, color_range
    pictures = PictureMaker(turn)
    found, wanted = pictures.make(semiplanar), pictures.make(planar)
    assert (found.width, found.height) == turn.size(width, height)
    ours, theirs = planes_of(found), planes_of(wanted)
    np.testing.assert_array_equal(ours.y, theirs.y)
    np.testing.assert_array_equal(ours.u, theirs.u)
    np.testing.assert_array_equal(ours.v, theirs.v)
    np.testing.assert_array_equal(ours.to_bgr, theirs.to_bgr)
    np.testing.assert_array_equal(found.bgr(), wanted.bgr())
    assert found.nbytes == wanted.nbytes
    assert not any(plane.flags.writeable for plane in (ours.y, ours.u, ours.v))


def test_its_luma_is_the_decoders_own_and_its_chroma_is_whole() -> None:
    frame, _ = twins(64, 48, 0)
    planes = planes_of(PictureMaker(Upright()).make(frame))
    fill(frame.planes[0], np.full((48, 64), 7, np.uint8))
    fill(frame.planes[1], np.full((24, 64), 7, np.uint8))
    assert (planes.y == 7).all()  # a view
    assert not (planes.u == 7).any(axis=1).all()
    assert planes.u.flags.c_contiguous
    assert planes.v.flags.c_contiguous


def test_a_part_of_it_is_a_part_of_the_planar_one() -> None:
    semiplanar, planar = twins(65, 47, 3)
    pictures = PictureMaker(Upright())
    found, wanted = (pictures.make(frame).part(10, 8, 65, 47) for frame in (semiplanar, planar))
    np.testing.assert_array_equal(found.bgr(), wanted.bgr())
    np.testing.assert_array_equal(found.fit(32, 24), wanted.fit(32, 24))


@pytest.mark.parametrize(("pixel_format", "matrix"), [("nv12", BT2020), ("p010le", BT601), ("nv16", BT601)])
def test_other_matrices_and_formats_still_go_through_swscale(pixel_format: str, matrix: int) -> None:
    grey = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 128, np.uint8), format="bgr24")
    frame = grey.reformat(format=pixel_format)
    frame.colorspace = matrix
    picture = PictureMaker(Upright()).make(frame)
    assert type(picture) is BgrPicture
    np.testing.assert_allclose(picture.bgr().astype(int), 128, atol=2)
