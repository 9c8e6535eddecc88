"""The shipped `people` runs from end to end with real ultralytics; random weights, so nothing is fetched."""

import importlib.util
import json
from pathlib import Path

import pytest

from stages.detect.yolo.weights import import_ultralytics
from tests.command import Sightline
from tests.media import write_crossing_video


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None, reason="needs the extra 'yolo'")
def test_people_runs_with_weights_of_ultralytics(tmp_path: Path, sightline: Sightline) -> None:
    clip = write_crossing_video(tmp_path / "clip.mp4", frames=12)
    missing = sightline("run", "people", "--source", clip, "--set", "stages.yolo.model=no/such.pt")
    assert missing.code == 2
    assert "no/such.pt" in missing.errors[0]
    ultralytics = import_ultralytics()
    import torch

    torch.manual_seed(0)
    weights = tmp_path / "random.pt"
    ultralytics.YOLO("yolo11n.yaml").save(str(weights))
    words = (
        "--set",
        f"stages.yolo.model={weights}",
        "--set",
        "stages.yolo.image_size=160",
        "--set",
        "stages.yolo.runtime=torch",
    )
    ran = sightline(
        "run",
        "people",
        "--source",
        clip,
        "--out",
        tmp_path / "out",
        "--set",
        'stages.yolo.labels=["0"]',
        *words,
    )
    assert ran.code == 0, ran.err
    stream = json.loads((tmp_path / "out/report.json").read_text())["streams"]["door"]
    assert stream["frames"] == {"captured": 12, "finished": 12, "dropped": {}}
    assert stream["counts"] == {"door": {"in": {}, "out": {}}}
    assert {"yolo", "track", "count", "draw", "video"} <= stream["ms_per_frame"].keys()
