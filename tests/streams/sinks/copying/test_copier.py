from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import pytest

from pipeline.errors import SinkError
from streams.sinks.copying.copier import Copier
from tests.media import write_crossing_video
from tests.packets import hashes, hashes_in, packets_of, without_decode_times


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of H.264 with B frames."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_crossing_video(path, frames=40)


@pytest.mark.parametrize(("container", "suffix"), [("mp4", "mp4"), ("matroska", "mkv"), ("flv", "flv")])
def test_copies_every_byte(clip: Path, tmp_path: Path, container: str, suffix: str) -> None:
    form, packets = packets_of(clip)
    target = tmp_path / f"copy.{suffix}"
    with Copier(target, form, container=container) as copier:
        for packet in packets:
            copier.write(packet)
    assert hashes_in(target) == hashes(packets)
    assert steps(target) == pytest.approx(steps(clip), abs=0.0015)
    if container == "mp4":  # the others cannot hold a decoding time before 0, and shift all times
        assert shown(target) == pytest.approx(shown(clip), abs=0.0001)


def test_times_begin_at_the_first_picture_or_where_asked(clip: Path, tmp_path: Path) -> None:
    form, packets = packets_of(clip)
    later = [replace(p, pts=p.pts + 10**9, dts=(p.dts or 0) + 10**9) for p in packets]
    second = round(1 / form.time_base)
    for origin, begins_s in ((None, 0.0), (later[0].pts - second, 1.0)):
        with Copier(tmp_path / "copy.mp4", form, container="mp4", origin=origin) as copier:
            for packet in later:
                copier.write(packet)
        assert shown(tmp_path / "copy.mp4")[0] == pytest.approx(begins_s)


def test_without_decoding_times_every_picture_comes_at_its_time(clip: Path, tmp_path: Path) -> None:
    form, packets = packets_of(clip)
    with Copier(tmp_path / "copy.mp4", replace(form, reorder=2), container="mp4") as copier:
        for packet in without_decode_times(packets):
            copier.write(packet)
    assert hashes_in(tmp_path / "copy.mp4") == hashes(packets)
    assert steps(tmp_path / "copy.mp4") == pytest.approx(steps(clip), abs=1e-4)


def test_a_turn_is_kept(clip: Path, tmp_path: Path) -> None:
    form, packets = packets_of(clip)
    with Copier(tmp_path / "copy.mp4", replace(form, rotation_deg=90), container="mp4") as copier:
        for packet in packets:
            copier.write(packet)
    with av.open(tmp_path / "copy.mp4") as copy:
        assert next(copy.decode(video=0)).rotation == -90


def test_a_codec_that_cannot_be_copied_is_named(clip: Path, tmp_path: Path) -> None:
    form, _ = packets_of(clip)
    with pytest.raises(SinkError, match="'gate': video of the codec cinepak cannot be copied; those"):
        Copier(tmp_path / "copy.mp4", replace(form, codec="cinepak"), container="mp4")


def shown(path: Path) -> list[float]:
    with av.open(path) as container:
        return [frame.time or 0.0 for frame in container.decode(video=0)]


def steps(path: Path) -> list[float]:
    times = shown(path)
    return [later - earlier for earlier, later in pairwise(times)]
