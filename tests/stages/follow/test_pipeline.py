"""Behind `follow`, lines count and boxes are drawn as behind any tracker: the red car of real footage."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipeline.config import load_config
from pipeline.config.builtin import shipped_configs
from tests.command import Sightline
from tests.media import write_crossing_video
from tests.shared_data import shared

CROSSED_S = 205 / 12.5  # counted by eye; a box that lacks a red bonnet is late by half a second
CAMSHIFT = "{car: {start: [322, 276, 490, 432], start_s: 15.68}}"
COLOUR = "{car: {colour: red}}"


def crossings(folder: Path) -> list[tuple[str, str, float]]:
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [(event["data"]["direction"], event["label"], event["pts_s"]) for event in events]


def words(method: str, targets: str) -> list[str]:
    wanted = {"stages.follow.method": method, "stages.follow.targets": targets, "sinks": "[events]"}
    return [word for key, value in wanted.items() for word in ("--set", f"{key}={value}")]


@pytest.mark.parametrize(
    ("method", "targets"), [("camshift", CAMSHIFT), ("meanshift", CAMSHIFT), ("colour", COLOUR)]
)
def test_the_red_car_crosses_once(method: str, targets: str, tmp_path: Path, sightline: Sightline) -> None:
    """It goes up past the middle beside a silver car that comes down; two more cars follow."""
    clip = shared("video/car-detection.mp4")
    ran = sightline("run", "follow", "--source", clip, "--out", tmp_path, "--quiet", *words(method, targets))
    assert ran.code == 0, ran.err
    ((direction, label, time_s),) = crossings(tmp_path)
    assert (direction, label) == ("up", "car")
    assert time_s == pytest.approx(CROSSED_S, abs=1.0)


def test_a_clip_of_one_s_own_is_the_same_every_time(tmp_path: Path, sightline: Sightline) -> None:
    clip = write_crossing_video(tmp_path / "clip.mp4")
    found = []
    for k in range(2):
        out = tmp_path / str(k)
        ran = sightline(
            "run",
            "follow",
            "--source",
            clip,
            "--out",
            out,
            "--quiet",
            *words("colour", "{box: {colour: yellow}}"),
        )
        assert ran.code == 0, ran.err
        found.append((out / "events.jsonl").read_bytes())
    assert found[0] == found[1]
    assert [crossing[:2] for crossing in crossings(tmp_path / "0")] == [("down", "box")]


def test_the_annotated_video_is_written(tmp_path: Path, sightline: Sightline) -> None:
    clip = write_crossing_video(tmp_path / "clip.mp4", frames=12)
    choice = ("--set", "stages.follow.targets.ball.colour=yellow")
    assert (
        sightline("run", "follow", "--source", clip, "--out", tmp_path / "out", "--quiet", *choice).code == 0
    )
    assert (tmp_path / "out" / "yard.mp4").stat().st_size > 1000


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ("{car: {colour: ornage}}", "did you mean 'orange'"),
        ("{car: {colour: '#ff'}}", "is no hex colour"),
        ("{car: {start: [1, 2, 30, 40]}}", "needs a colour or hsv"),
    ],
)
def test_a_wrong_target_is_told_in_one_line(
    targets: str, said: str, tmp_path: Path, sightline: Sightline
) -> None:
    clip = write_crossing_video(tmp_path / "clip.mp4", frames=2)
    ran = sightline("run", "follow", "--source", clip, "--out", tmp_path / "out", *words("colour", targets))
    assert ran.code == 2
    assert said in ran.err


def test_a_start_outside_the_picture_ends_with_2(tmp_path: Path, sightline: Sightline) -> None:
    clip = write_crossing_video(tmp_path / "clip.mp4", frames=2)
    targets = "{car: {start: [300, 200, 400, 300]}}"
    ran = sightline("run", "follow", "--source", clip, "--out", tmp_path / "out", *words("camshift", targets))
    assert ran.code == 2
    assert "lies outside the picture of 320 x 240 px" in ran.errors[0]


def test_the_shipped_configuration_and_all_that_it_switches_off(tmp_path: Path) -> None:
    (stream,) = load_config("follow", env={}).streams
    assert [stage.name for stage in stream.stages] == ["follow", "count", "draw"]
    text = shipped_configs()["follow"].read_text(encoding="utf-8")
    switched_on, count = re.subn(r"^( *)#(?=[\w-])", r"\1", text, flags=re.MULTILINE)
    assert count >= 8
    path = tmp_path / "all.yaml"
    path.write_text(switched_on, encoding="utf-8")
    (stream,) = load_config(path, env={}).streams
    assert set(stream.stages[0].options.targets) == {"ball", "vest"}
