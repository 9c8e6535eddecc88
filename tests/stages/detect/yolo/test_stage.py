"""Runs ultralytics with random weights, so nothing is fetched; its own `predict` is the oracle."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError, ModelError
from pipeline.picture import BgrPicture
from stages.detect.yolo import YoloDetector, YoloOptions
from tests.stages.detect.footage import CONTEXT, frame

needs_ultralytics = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="needs the extra 'yolo'"
)
# Random weights are sure of nothing: any real threshold would compare nothing with nothing.
EAGER: dict[str, Any] = {"confidence": 0.0001, "image_size": 320, "max_detections": 20}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random YOLO11n weights of three classes, saved as .pt and .onnx."""
    path = tmp_path_factory.mktemp("weights") / "random.pt"
    with pytest.raises(ModelError):  # sets ultralytics up as the stage does
        YoloDetector(YoloOptions(model="none.pt"), CONTEXT)
    import torch
    from ultralytics import YOLO
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    model = YOLO("yolo11n.yaml")
    model.model = DetectionModel("yolo11n.yaml", nc=3, verbose=False)
    model.model.names = {0: "car", 1: "bus", 2: "dog"}
    model.save(str(path))
    YOLO(str(path)).export(format="onnx", imgsz=320, simplify=False, opset=17, device="cpu", verbose=False)
    return path


def _pictures() -> list[BgrPicture]:
    rng = np.random.default_rng(1)
    return [BgrPicture(rng.integers(0, 255, (180, 320, 3), dtype=np.uint8)) for _ in range(3)]


@needs_ultralytics
@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pt", ".onnx"])
def test_detections_are_those_of_ultralytics(weights: Path, suffix: str) -> None:
    from ultralytics import YOLO

    path = weights.with_suffix(suffix)
    detector = YoloDetector(YoloOptions(model=str(path), **EAGER), CONTEXT)
    frames = [frame(picture, 0.0) for picture in _pictures()]
    detector.process_batch(frames[:1])
    found = frames[0].detections
    assert found is not None
    boxes = (
        YOLO(str(path), task="detect")
        .predict(
            frames[0].picture.bgr(),
            conf=0.0001,
            imgsz=320,
            iou=0.45,
            agnostic_nms=True,
            max_det=20,
            device="cpu",
            verbose=False,
        )[0]
        .boxes
    )
    assert len(found) > 5
    assert found.xyxy == pytest.approx(boxes.xyxy.numpy(), abs=1e-3)
    assert found.score == pytest.approx(boxes.conf.numpy(), abs=1e-6)
    assert found.label.tolist() == [["car", "bus", "dog"][int(number)] for number in boxes.cls]
    assert len(frames[0].model_hash or "") == 16


@needs_ultralytics
@pytest.mark.slow
def test_a_batch_gives_what_one_by_one_gives(weights: Path) -> None:
    detector = YoloDetector(YoloOptions(model=str(weights), batch=3, **EAGER), CONTEXT)
    assert detector.batch == 3
    pictures = _pictures()
    together = detector.detect(pictures)
    alone = [detector.detect([picture])[0] for picture in pictures]
    for one, other in zip(together, alone, strict=True):
        assert len(one) > 5
        assert one.xyxy == pytest.approx(other.xyxy, abs=0.05)
        assert one.score == pytest.approx(other.score, rel=1e-3)
        assert one.label.tolist() == other.label.tolist()


@needs_ultralytics
@pytest.mark.slow
def test_labels_choose_classes_of_the_model(weights: Path) -> None:
    everything = YoloDetector(YoloOptions(model=str(weights), **EAGER), CONTEXT).detect(_pictures()[:1])[0]
    kind = everything.label[0]
    chosen = YoloDetector(YoloOptions(model=str(weights), labels=(kind,), **EAGER), CONTEXT)
    assert set(chosen.detect(_pictures()[:1])[0].label.tolist()) == {kind}
    with pytest.raises(ConfigError, match="no class 'lorry'; it has: car, bus, dog"):
        YoloDetector(YoloOptions(model=str(weights), labels=("lorry",), **EAGER), CONTEXT)


@needs_ultralytics
@pytest.mark.slow
def test_threads_are_as_asked_for(weights: Path) -> None:
    import torch

    before = torch.get_num_threads()
    try:
        for threads in (2, 1):
            YoloDetector(YoloOptions(model=str(weights), threads=threads, **EAGER), CONTEXT)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


class _Touch:
    """What a malicious file holds: unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


@needs_ultralytics
@pytest.mark.slow
def test_weights_cannot_run_code(tmp_path: Path) -> None:
    import torch

    trap = tmp_path / "trap"
    torch.save({"model": _Touch(trap)}, tmp_path / "evil.pt")
    with pytest.raises(ModelError, match=r"evil\.pt"):
        YoloDetector(YoloOptions(model=str(tmp_path / "evil.pt")), CONTEXT)
    assert not trap.exists()


@needs_ultralytics
@pytest.mark.slow
@pytest.mark.parametrize("name", ["broken.pt", "broken.onnx"])
@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not a zip", b"\x80\x04not a pickle"])
def test_what_are_no_weights_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError) as raised:
        YoloDetector(YoloOptions(model=str(path)), CONTEXT)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@needs_ultralytics
@pytest.mark.slow
def test_a_device_that_is_not_there_is_named(weights: Path) -> None:
    with pytest.raises(ModelError, match="'cuda:99'"):
        YoloDetector(YoloOptions(model=str(weights), device="cuda:99"), CONTEXT)


@needs_ultralytics
@pytest.mark.slow
def test_offline_a_name_is_one_line_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"cannot download 'yolo11n\.pt' into") as raised:
        YoloDetector(YoloOptions(model="yolo11n.pt"), CONTEXT)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@needs_ultralytics
@pytest.mark.slow
@pytest.mark.parametrize("model", ["missing.pt", "folder/yolo11n.pt", "https://example.com/yolo11n.pt"])
def test_weights_that_are_nowhere_are_named(model: str) -> None:
    with pytest.raises(ModelError, match="no weights at"):
        YoloDetector(YoloOptions(model=model), CONTEXT)


@needs_ultralytics
@pytest.mark.slow
def test_ultralytics_is_quiet_and_writes_nothing_into_the_home(tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    script = """
from pipeline.plugin import StageContext
from stages.detect.yolo import YoloDetector, YoloOptions
try:
    YoloDetector(YoloOptions(model="missing.pt"), StageContext("test"))
except Exception as error:
    assert "no weights" in str(error)
from ultralytics.utils.events import events
assert not events.enabled
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("YOLO_", "PYTEST_", "XDG_"))}
    environment |= {"HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=work, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path for folder in (home, work) for path in folder.rglob("*")] == []


def test_importing_the_stage_does_not_import_torch() -> None:
    code = "import sys, stages.detect.yolo; print({'torch', 'ultralytics'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_without_ultralytics_the_install_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r'pip install "sightline\[yolo\]"'):
        YoloDetector(YoloOptions(model="yolo11n.pt"), CONTEXT)


@pytest.mark.parametrize(
    "wrong",
    [{"confidence": 0}, {"iou": 1.1}, {"labels": []}, {"image_size": 100}, {"batch": 0}, {"half": "maybe"}],
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        YoloOptions(model="yolo11n.pt", **wrong)
