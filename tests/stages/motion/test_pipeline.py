"""The shipped configurations of this room run from end to end, on drawn recordings."""

import json
from pathlib import Path

import av
import numpy as np

from tests.command import Sightline
from tests.stages.motion.places import HEIGHT, WIDTH, Scene, there, walks


def _write(path: Path, scene: Scene, seconds: float) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5, options={"crf": "18", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for seen in scene.frames(seconds):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(seen.picture.bgr()), format="bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def _events(folder: Path, kind: str) -> list[dict]:
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["kind"].startswith(kind)]


def test_left(tmp_path: Path, sightline: Sightline) -> None:
    clip = _write(tmp_path / "clip.mp4", Scene([there((140, 100, 162, 118), 8.0, 22.0)]), 28.0)
    quick = ("--set", "stages.background.after_s=6", "--set", "stages.background.learn_s=4")
    ran = sightline("run", "left", "--source", clip, "--out", tmp_path / "out", *quick)
    assert ran.code == 0, ran.err
    events = _events(tmp_path / "out", "object.")
    assert [(event["kind"], event["data"]["state"]) for event in events] == [
        ("object.left", "begin"),
        ("object.left", "end"),
    ]
    assert abs(events[0]["pts_s"] - 8.0) < 0.8
    assert list((tmp_path / "out").glob("*.mp4"))


def test_crowd(tmp_path: Path, sightline: Sightline) -> None:
    people = [walks(top, start_s) for top, start_s in ((10, -1.0), (70, 0.0), (120, -0.5))]
    clip = _write(tmp_path / "clip.mp4", Scene(people), 4.0)
    ran = sightline(
        "run", "crowd", "--source", clip, "--out", tmp_path / "out", "--set", "stages.flow.report_s=2"
    )
    assert ran.code == 0, ran.err
    events = _events(tmp_path / "out", "zone.motion")
    assert [(event["data"]["zone"], event["pts_s"]) for event in events[:2]] == [
        ("left", 2.0),
        ("right", 2.0),
    ]
    moving = max(events[:2], key=lambda event: event["data"]["moving_share"])
    assert moving["data"]["moving_share"] > 0.01
    assert moving["data"]["towards"]["right"] > 0.6


def test_a_zone_that_is_none_is_told_in_one_line(tmp_path: Path, sightline: Sightline) -> None:
    checked = sightline("check", "crowd", "--set", "stages.flow.zones.left.polygon=[[0,0],[1,1],[1,0],[0,1]]")
    assert checked.code == 2
    assert "cross each other" in checked.err
