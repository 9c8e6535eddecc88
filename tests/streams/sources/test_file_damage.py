"""Files as they come from the field: cut, flipped, mislabelled, glued together, or no videos at all."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.errors import SourceError
from pipeline.frame import Gap
from tests.shared_data import shared
from tests.streams.sources.media import (
    RATE,
    Reading,
    busy,
    cut,
    file_source,
    flat,
    flip,
    read_file,
    write_sound,
    write_video,
)

N = 50
CODECS = {".mp4": "libx264", ".mkv": "libx264", ".ts": "libx264", ".avi": "mpeg4", ".flv": "flv1"}
CODECS |= {".webm": "libvpx-vp9", ".mov": "mjpeg", ".wmv": "wmv2"}
INDEX_FIRST = {"movflags": "faststart"}


@pytest.fixture(autouse=True)
def _nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr().err == ""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two seconds of every kind."""
    folder = tmp_path_factory.mktemp("clips")
    return {
        suffix: write_video(
            folder / f"a{suffix}",
            [busy(index) for index in range(N)],
            codec=codec,
            pixel_format="yuvj420p" if codec == "mjpeg" else "yuv420p",
            container_options=INDEX_FIRST if suffix in (".mp4", ".mov") else {},
        )
        for suffix, codec in CODECS.items()
    }


def check_order(reading: Reading) -> None:
    assert all(late > early for early, late in pairwise(reading.pts_s))
    assert [frame.sequence for frame in reading.frames] == list(range(len(reading.frames)))
    for item, following in pairwise(reading.items):
        assert not (isinstance(item, Gap) and isinstance(following, Gap) and following.cause != "truncated")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".flv", ".webm"])
def test_a_cut_file_keeps_what_it_has_and_says_what_is_missing(
    clips: dict[str, Path], tmp_path: Path, suffix: str
) -> None:
    path = cut(clips[suffix], tmp_path / f"cut{suffix}", clips[suffix].stat().st_size * 6 // 10)
    reading = read_file(path)
    check_order(reading)
    assert 15 <= len(reading.frames) <= 35
    gap = reading.items[-1]
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.after_s) == ("truncated", reading.pts_s[-1])
    assert gap.seconds is not None
    assert reading.pts_s[-1] + 1 / RATE + gap.seconds == pytest.approx(N / RATE, abs=0.05)
    assert reading.error.startswith(f"{path}: ends at ")
    assert "of 2.0 s declared" in reading.error
    assert "copy the file again" in reading.error
    assert "\n" not in reading.error


@pytest.mark.parametrize("tag", [b"DURATION", b"XURATION"], ids=["track length known", "file length only"])
def test_a_cut_matroska_with_sound(tmp_path: Path, tag: bytes) -> None:
    whole = write_video(tmp_path / "a.mkv", [busy(index) for index in range(N)], audio_s=4.0)
    whole.write_bytes(whole.read_bytes().replace(b"DURATION", tag))
    assert read_file(whole).error == ""
    reading = read_file(cut(whole, tmp_path / "cut.mkv", whole.stat().st_size // 3))
    assert reading.items[-1] == reading.gaps[-1]
    assert reading.gaps[-1].cause == "truncated"
    assert "cut short" in reading.error


def test_a_transport_stream_cut_inside_a_packet(clips: dict[str, Path], tmp_path: Path) -> None:
    size = clips[".ts"].stat().st_size * 6 // 10 // 188 * 188
    for more in (1, 100, 187):
        reading = read_file(cut(clips[".ts"], tmp_path / "cut.ts", size + more))
        assert reading.gaps[-1].cause == "truncated"
        assert reading.gaps[-1].seconds is None
        assert "ends inside a packet" in reading.error
        assert 20 <= len(reading.frames) < N
    assert read_file(cut(clips[".ts"], tmp_path / "cut.ts", size)).error == ""


def test_a_transport_stream_may_begin_anywhere(clips: dict[str, Path], tmp_path: Path) -> None:
    path = write_video(tmp_path / "late.ts", [busy(index) for index in range(N)], gop=30)
    content = path.read_bytes()
    path.write_bytes(content[len(content) // 4 // 188 * 188 :])
    reading = read_file(path)
    first = reading.items[0]
    assert isinstance(first, Gap)
    assert (first.cause, first.after_s) == ("decode error", None)
    assert first.seconds == reading.pts_s[0] > 0
    assert reading.error == ""
    check_order(reading)


def test_recordings_glued_together(clips: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "glued.ts"
    path.write_bytes(clips[".ts"].read_bytes() * 2)
    reading = read_file(path)
    check_order(reading)
    (gap,) = reading.gaps
    assert (gap.cause, gap.seconds) == ("timestamp jump", None)
    assert "goes back" in gap.detail
    assert len(reading.frames) >= 2 * N - 4
    steps = [late - early for early, late in pairwise(reading.pts_s)]
    assert steps == pytest.approx([1 / RATE] * len(steps))


@pytest.mark.parametrize("seed", [117, 139, 155])
def test_damage_that_makes_tracks_appear(clips: dict[str, Path], tmp_path: Path, seed: int) -> None:
    """Tables flipped so that FFmpeg finds another track on its way; PyAV's own iterator trips over it."""
    reading = read_file(flip(clips[".ts"], tmp_path / "flipped.ts", seed, 200))
    check_order(reading)
    assert reading.frames


def test_a_change_of_size_stops_with_both_sizes(tmp_path: Path) -> None:
    small = write_video(tmp_path / "a.ts", [flat(index, 64, 48) for index in range(N)])
    large = write_video(tmp_path / "b.ts", [flat(index, 128, 96) for index in range(N)])
    path = tmp_path / "both.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    reading = read_file(path)
    assert len(reading.frames) >= N - 2
    assert "from 64 x 48 to 128 x 96 pixels at 2.0 s" in reading.error


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
def test_flipped_bits_are_survived_and_told(clips: dict[str, Path], tmp_path: Path, suffix: str) -> None:
    reading = read_file(flip(clips[suffix], tmp_path / f"flipped{suffix}", 3, 6, first=0.3))
    check_order(reading)
    assert reading.error == ""
    assert reading.gaps
    assert {gap.cause for gap in reading.gaps} == {"decode error"}
    assert len(reading.frames) >= N // 2
    for gap in reading.gaps:
        assert gap.seconds is not None
        assert gap.seconds >= 0
        assert "picture" in gap.detail
    missing_s = sum(gap.seconds or 0.0 for gap in reading.gaps)
    assert len(reading.frames) / RATE + missing_s == pytest.approx(N / RATE, abs=0.05)


def test_damage_is_the_same_in_every_run(clips: dict[str, Path], tmp_path: Path) -> None:
    path = flip(clips[".mp4"], tmp_path / "flipped.mp4", 5, 10, first=0.3)
    first, second = read_file(path), read_file(path)
    assert first.gaps == second.gaps != []
    for left, right in zip(first.frames, second.frames, strict=True):
        assert left.moment == right.moment
        assert (left.picture.bgr() == right.picture.bgr()).all()


def test_a_run_of_lost_pictures_is_one_gap(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mov", [busy(index) for index in range(20)], codec="png", pixel_format="rgb24"
    )
    content = path.read_bytes()
    marks = [at for at in range(len(content)) if content.startswith(b"\x89PNG", at)]
    assert len(marks) == 20
    broken = bytearray(content)
    for index in (5, 6, 7, 12, 18, 19):
        broken[marks[index] : marks[index] + 4] = b"\0\0\0\0"
    path.write_bytes(broken)
    reading = read_file(path)
    assert [(gap.after_s, gap.seconds) for gap in reading.gaps] == [(0.16, 0.12), (0.44, 0.04), (0.68, 0.08)]
    assert reading.gaps[0].detail.endswith("(3 pictures)")
    assert len(reading.frames) == 14
    assert reading.items[5] == reading.gaps[0]
    assert reading.items[-1] == reading.gaps[-1]


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("seed", range(4))
def test_random_damage_ends_in_order(clips: dict[str, Path], tmp_path: Path, suffix: str, seed: int) -> None:
    """Flips and cuts anywhere, the headers included: a normal end or a SourceError, never anything else."""
    rng = random.Random(f"{suffix} {seed}")
    whole = clips[suffix]
    damaged = [
        cut(whole, tmp_path / f"cut{suffix}", rng.randrange(1, whole.stat().st_size)),
        flip(whole, tmp_path / f"few{suffix}", seed, 3),
        flip(whole, tmp_path / f"many{suffix}", seed, 60),
        flip(whole, tmp_path / f"late{suffix}", seed, 60, first=0.1),
    ]
    for path in damaged:
        try:
            reading = read_file(path)
        except SourceError:
            continue
        check_order(reading)


def test_a_real_clip_cut_and_flipped(tmp_path: Path) -> None:
    reading = read_file(flip(shared("video/traffic_a.mp4"), tmp_path / "a.mp4", 1, 8, first=0.3))
    check_order(reading)
    assert reading.gaps
    assert 200 < len(reading.frames) < 250
    missing_s = sum(gap.seconds or 0.0 for gap in reading.gaps)
    assert len(reading.frames) / 30 + missing_s == pytest.approx(250 / 30, abs=0.1)


def test_metadata_in_any_encoding(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", [flat(0)], metadata={"title": "Caf\u00e9 a"})
    path.write_bytes(path.read_bytes().replace("Caf\u00e9".encode(), b"Caf\xff\xff"))
    assert len(read_file(path).frames) == 1


def make(path: Path, clips: dict[str, Path]) -> Path:
    """Make the file of the case that `path` is named after."""
    match path.name:
        case "empty.mp4":
            path.touch()
        case "text.mp4":
            path.write_text("These are not the frames you are looking for.\n" * 50)
        case "notes.txt":
            path.write_text("hello world\n" * 500)
        case "noise.avi":
            path.write_bytes(random.Random(0).randbytes(50_000))
        case "folder.mp4":
            path.mkdir()
        case "pipe.mp4":
            os.mkfifo(path)
        case "sound.m4a":
            write_sound(path, 0.5)
        case "cover.mp4":
            write_sound(path, 0.5, cover=flat(7))
        case "no_moov.mp4":
            pictures = [busy(index) for index in range(10)]
            cut(write_video(path.with_name("whole.mp4"), pictures), path, 10_000)
        case "no_data.mp4":
            content = clips[".mp4"].read_bytes()
            path.write_bytes(content[: content.index(b"mdat") + 8])
        case "fourcc.mp4":
            path.write_bytes(clips[".mp4"].read_bytes().replace(b"avc1", b"zzzz"))
        case "fourcc.avi":
            path.write_bytes(clips[".avi"].read_bytes().replace(b"FMP4", b"ZZZZ"))
        case "bare.h264":
            write_video(path, [flat(index) for index in range(5)], container="h264")
        case "bare.mjpeg":
            write_video(path, [flat(0)] * 5, codec="mjpeg", pixel_format="yuvj420p", container="mjpeg")
        case "zero.avi":
            write_video(path, [flat(0, 64, 48)] * 3, codec="rawvideo", pixel_format="bgr24")
            content = bytearray(path.read_bytes())
            header = content.index(b"strf") + 8
            content[header + 4 : header + 12] = bytes(8)  # BITMAPINFOHEADER's width and height
            path.write_bytes(content)
        case "all_bad.avi":
            content = bytearray(clips[".avi"].read_bytes())
            movi = content.index(b"movi")
            for at in range(movi + 4, len(content) - 8):
                if content[at : at + 4] == b"00dc":
                    size = int.from_bytes(content[at + 4 : at + 8], "little")
                    content[at + 8 : at + 8 + size] = bytes(size)
            path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.mp4", "no such file"),
        ("empty.mp4", r"is empty \(0 bytes\)"),
        ("text.mp4", "is no video that FFmpeg can read"),
        ("notes.txt", "is a text, not a video"),
        ("noise.avi", "is no video that FFmpeg can read"),
        ("folder.mp4", "is a folder, not a video; .*images://"),
        ("pipe.mp4", "is not a regular file"),
        ("sound.m4a", r"holds no video \(only audio\)"),
        ("cover.mp4", r"holds no video \(only audio, cover picture\)"),
        ("no_moov.mp4", "index .*'moov'.* is missing"),
        ("no_data.mp4", "not one picture can be decoded"),
        ("fourcc.mp4", "FFmpeg has no decoder"),
        ("fourcc.avi", "FFmpeg has no decoder"),
        ("bare.h264", "a bare h264 stream holds no times; .*ffmpeg -r"),
        ("bare.mjpeg", "a bare mjpeg stream holds no times"),
        ("zero.avi", r"pictures have no size \(0 x 0\)"),
        ("all_bad.avi", "not one picture can be decoded"),
    ],
)
def test_what_cannot_be_opened_says_why(
    clips: dict[str, Path], tmp_path: Path, name: str, message: str
) -> None:
    path = make(tmp_path / name, clips)
    with pytest.raises(SourceError, match=message) as caught:
        file_source(path).open()
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert "Traceback" not in text


def test_no_permission(clips: dict[str, Path]) -> None:
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users altogether
    user = os.geteuid()
    try:
        folder.chmod(0o755)
        path = Path(shutil.copy(clips[".mp4"], folder / "a.mp4"))
        path.chmod(0)
        if user == 0:
            os.seteuid(65534)  # root may read everything
        with pytest.raises(SourceError, match="no permission to read it"):
            file_source(path).open()
    finally:
        os.seteuid(user)
        shutil.rmtree(folder)
