"""Bad input: one clear line that names the thing and says what to do, never a traceback, nothing lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.command import Sightline
from tests.media import write_crossing_video

GOOD = """
streams: {gate: {source: SOURCE}}
stages: [motion, track, {count: {lines: {middle: {start: [0, 0.5], end: [1, 0.5], anchor: center}}}}]
sinks: [events]
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crossing_video(tmp_path_factory.mktemp("clip") / "good.mp4")


def missing(folder: Path, clip: Path) -> Path:
    return folder / "nowhere.mp4"


def empty(folder: Path, clip: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder: Path, clip: Path) -> Path:
    (folder / "text.mp4").write_text("To be, or not to be.\n" * 500)
    return folder / "text.mp4"


def noise(folder: Path, clip: Path) -> Path:
    (folder / "noise.mp4").write_bytes(np.random.default_rng(1).bytes(50_000))
    return folder / "noise.mp4"


def empty_folder(folder: Path, clip: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def truncated_header(folder: Path, clip: Path) -> Path:
    (folder / "head.mp4").write_bytes(clip.read_bytes()[:2000])
    return folder / "head.mp4"


def damaged_image_folder(folder: Path, clip: Path) -> Path:
    (folder / "images").mkdir()
    (folder / "images" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    return folder / "images"


def unknown_codec(folder: Path, clip: Path) -> Path:
    """A real container whose video track claims a codec that nobody knows."""
    path = folder / "odd.mp4"
    path.write_bytes(clip.read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    return path


@pytest.mark.parametrize(
    "make",
    [missing, empty, text, noise, empty_folder, truncated_header, damaged_image_folder, unknown_codec],
)
def test_a_source_that_is_none_is_named(
    make: Callable[[Path, Path], Path], clip: Path, tmp_path: Path, sightline: Sightline
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(GOOD)
    bad = make(tmp_path, clip)
    ran = sightline("run", config, "--source", bad, "--out", tmp_path / "out")
    assert ran.code == 1
    assert len(ran.errors) == 1
    assert str(bad) in ran.errors[0]
    assert "stream 'gate'" in ran.errors[0]
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["status"] == "failed"
    assert report["streams"]["gate"]["frames"]["captured"] == 0
    probed = sightline("probe", bad)
    assert probed.code == 1
    assert len(probed.errors) == 1
    assert str(bad) in probed.errors[0]


def test_one_bad_stream_leaves_the_others_alone(clip: Path, tmp_path: Path, sightline: Sightline) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(GOOD)
    sources = ("--source", f"bad={tmp_path}/nowhere.mp4", "--source", f"good={clip}")
    ran = sightline("run", config, *sources, "--out", tmp_path / "out")
    assert ran.code == 1
    streams = json.loads((tmp_path / "out/report.json").read_text())["streams"]
    assert streams["bad"]["state"] == "failed"
    assert streams["good"]["state"] == "ended"
    assert streams["good"]["counts"]["middle"]["to_right"] == {"moving": 1}


def mpegts(folder: Path) -> Path:
    return write_crossing_video(folder / "good.ts")


def test_what_was_counted_before_a_cut_is_kept_and_the_cut_is_an_event(
    tmp_path: Path, sightline: Sightline
) -> None:
    """A recorder that lost power: the index stands in front, the end of the data is missing."""
    whole = write_crossing_video(tmp_path / "whole.mkv", frames=160)
    data = whole.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(data[: int(len(data) * 0.7)])
    config = tmp_path / "c.yaml"
    config.write_text(GOOD)
    ran = sightline("run", config, "--source", cut, "--out", tmp_path / "out")
    assert ran.code == 1
    assert len(ran.errors) == 1
    assert str(cut) in ran.errors[0]
    report = json.loads((tmp_path / "out/report.json").read_text())["streams"]["gate"]
    assert report["frames"]["finished"] == report["frames"]["captured"] > 80
    assert report["gaps"]["latest"][-1]["cause"] == "truncated"
    events = [json.loads(line) for line in (tmp_path / "out/events.jsonl").read_text().splitlines()]
    assert events[-1]["kind"] == "stream.gap"


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits_are_a_gap_or_a_blemish_but_never_the_end_of_the_run(
    seed: int, tmp_path: Path, sightline: Sightline
) -> None:
    data = bytearray(mpegts(tmp_path).read_bytes())
    rng = np.random.default_rng(seed)
    for position in rng.integers(len(data) // 4, len(data) // 2, 60):
        data[position] ^= 1 << int(rng.integers(8))
    flipped = tmp_path / "flipped.ts"
    flipped.write_bytes(data)
    config = tmp_path / "c.yaml"
    config.write_text(GOOD)
    ran = sightline("run", config, "--source", flipped, "--out", tmp_path / "out")
    report = json.loads((tmp_path / "out/report.json").read_text())["streams"]["gate"]
    assert ran.code in (0, 1)
    assert len(ran.errors) == ran.code
    frames = report["frames"]
    assert frames["captured"] == frames["finished"] > 20
    assert frames["captured"] == 80 or report["gaps"]["count"] > 0


WEIGHTLESS = "stages: [{onnx: {model: WEIGHTS}}]"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("stages: [mothion]", ["unknown", "mothion", "motion"]),
        ("stages: [{motion: {widht: 320}}]", ["widht", "width"]),
        ("streams: {a: {source: x.mp4}, a: {source: y.mp4}}", ["a", "twice"]),
        ("sinks: [evnts]", ["evnts", "events"]),
        ("streams:\n\tgate: {source: x}", ["tab"]),
        ("streams: {gate: {source: 'nosuch://x'}}", ["nosuch", "synthetic"]),
        ("stages: [{count: {lines: {l: {start: [0.5, 0.5], end: [0.5, 0.5]}}}}]", ["start", "end"]),
        ("stages: [{count: {lines: {l: {start: [0, 0.5], end: [1, 1.5]}}}}]", ["1.5"]),
        ("", ["empty"]),
    ],
)
def test_a_wrong_configuration_is_exit_code_2(
    config: str, says: list[str], tmp_path: Path, sightline: Sightline
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        config if not config or "streams" in config else f"{config}\nstreams: {{gate: {{source: x.mp4}}}}\n"
    )
    for command in (("run", path, "--out", tmp_path / "out"), ("check", path)):
        ran = sightline(*command)
        assert ran.code == 2
        assert ran.errors
        assert all(str(path) in line for line in ran.errors)
        assert any(all(word in line for word in says) for line in ran.errors), ran.errors
    assert not (tmp_path / "out").exists()


def test_a_line_outside_the_picture_is_refused_before_anything_is_counted(
    clip: Path, tmp_path: Path, sightline: Sightline
) -> None:
    config = tmp_path / "c.yaml"
    line = "{start: [0, 100], end: [900, 100], units: px}"
    stages = f"[motion, track, {{count: {{lines: {{far: {line}}}}}}}]"
    config.write_text(f"streams: {{gate: {{source: {clip}}}}}\nstages: {stages}\n")
    ran = sightline("run", config, "--out", tmp_path / "out")
    assert ran.code == 2
    assert len(ran.errors) == 1
    for word in ("far", "900", "320", "240"):
        assert word in ran.errors[0]


@pytest.mark.parametrize("stage", ["onnx", "yolo"])
@pytest.mark.parametrize("content", [None, b"", b"no weights at all" * 100])
def test_weights_that_are_no_weights_are_named(
    stage: str, content: bytes | None, clip: Path, tmp_path: Path, sightline: Sightline
) -> None:
    weights = tmp_path / "bad.onnx"
    if content is not None:
        weights.write_bytes(content)
    config = tmp_path / "c.yaml"
    config.write_text(f"streams: {{gate: {{source: {clip}}}}}\nstages: [{{{stage}: {{model: {weights}}}}}]\n")
    ran = sightline("run", config, "--out", tmp_path / "out")
    assert ran.code == 2
    assert len(ran.errors) == 1
    assert str(weights) in ran.errors[0]


def test_a_picture_of_no_size_is_named(tmp_path: Path, sightline: Sightline) -> None:
    """A PNG whose header says 0 x 0: valid up to there, so that only the size can be the complaint."""
    ok, encoded = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))
    assert ok
    data = bytearray(encoded.tobytes())
    data[16:24] = bytes(8)
    (tmp_path / "zero.png").write_bytes(data)
    ran = sightline("probe", tmp_path / "zero.png")
    assert ran.code == 1
    assert len(ran.errors) == 1
    assert "zero.png" in ran.errors[0]


def test_an_output_folder_that_cannot_be_made(clip: Path, tmp_path: Path, sightline: Sightline) -> None:
    (tmp_path / "file").touch()
    config = tmp_path / "c.yaml"
    config.write_text(GOOD)
    ran = sightline("run", config, "--source", clip, "--out", tmp_path / "file" / "out")
    assert ran.code == 1
    assert len(ran.errors) == 1
    assert "--out" in ran.errors[0]
