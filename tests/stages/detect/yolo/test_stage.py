"""Runs ultralytics with random weights, so nothing is fetched; its own `predict` is the oracle."""

import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError, FrameLost, ModelError
from pipeline.objects import Detections
from pipeline.picture import BgrPicture
from pipeline.plugin import StageContext
from stages.detect.yolo import stage as yolo_stage
from stages.detect.yolo.stage import YoloDetector, YoloOptions
from stages.detect.yolo.weights import import_ultralytics
from tests.stages.detect.footage import frame
from tests.stages.detect.yolo.networks import SIZE, picture, predicted, save_random

needs_ultralytics = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="needs the extra 'yolo'"
)
NAMES = ("car", "bus", "dog")
# Random weights are sure of nothing: any real threshold would compare nothing with nothing.
# On the CPU, as the oracles are; a GPU adds in another order (tests/stages/detect/test_gpu.py).
EAGER: dict[str, Any] = {"confidence": 0.0001, "image_size": 320, "max_detections": 20, "device": "cpu"}


def detector(path: Path, **options: Any) -> YoloDetector:
    return YoloDetector(YoloOptions(model=str(path), **(EAGER | options)), StageContext("test"))


def detected(path: Path, shown: BgrPicture | None = None, **options: Any) -> Detections:
    stage = detector(path, **options)
    try:
        (found,) = stage.detect([shown or picture()])
    finally:
        stage.close()
    assert isinstance(found, Detections)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def weights(folder: Path) -> Path:
    """Random YOLO11n weights of three classes."""
    return save_random("yolo11n.yaml", folder / "random11n.pt")


def near(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    assert found.shape == wanted.shape
    assert found == pytest.approx(wanted, abs=tolerance)


@needs_ultralytics
@pytest.mark.slow
@pytest.mark.parametrize(
    "yaml",
    [
        "yolov3-tinyu",
        "yolov5nu",
        "yolov8n",
        "yolov9t",
        "yolov10n",
        "yolo11n",
        "yolo12n",
        "yolo26n",
        "rtdetr-l",
    ],
)
def test_detections_are_those_of_ultralytics(folder: Path, yaml: str) -> None:
    path = save_random(f"{yaml}.yaml", folder / f"random-{yaml}.pt")
    boxes = predicted(path, picture(), 0.0001, 300).boxes
    xyxy = np.clip(boxes.xyxy, 0, SIZE * 2)
    # Random networks also see boxes in the grey beside the picture, and inside out.
    rows = np.flatnonzero((xyxy[:, 2:] > xyxy[:, :2]).all(axis=1))[:20]
    found = detected(path, runtime="torch")
    assert len(found) > 5
    near(found.xyxy, xyxy[rows], 1e-3)
    near(found.score, boxes.conf[rows], 1e-6)
    assert found.label.tolist() == [NAMES[int(number)] for number in boxes.cls[rows]]


@needs_ultralytics
@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_export_finds_what_torch_finds(weights: Path, runtime: str) -> None:
    if importlib.util.find_spec(runtime) is None:
        pytest.skip(f"needs {runtime}")
    stage = detector(weights, runtime=runtime)
    frames = [frame(picture(), 0.0)]
    stage.process_batch(frames)
    assert stage._client is not None
    assert stage._client.name == runtime
    found, wanted = frames[0].detections, detected(weights, runtime="torch")
    assert found is not None
    near(found.xyxy, wanted.xyxy, 0.05)
    near(found.score, wanted.score, 1e-4)
    assert found.label.tolist() == wanted.label.tolist()
    torch_stage = detector(weights, runtime="torch")
    assert frames[0].model_hash == torch_stage.model_hash, "results carry the hash of the weights"
    stage.close()
    torch_stage.close()


@needs_ultralytics
@pytest.mark.slow
def test_poses_are_those_of_ultralytics(folder: Path) -> None:
    path = save_random("yolo11n-pose.yaml", folder / "pose.pt", names=("person",))
    result = predicted(path, picture(), 0.0001, 20)
    found = detected(path, runtime="torch")
    assert found.keypoints is not None
    assert len(found) > 5
    near(np.clip(found.keypoints, 0, [*SIZE, 1]), result.keypoints.data, 1e-2)  # it cuts them at the edges


@needs_ultralytics
@pytest.mark.slow
def test_turned_boxes_are_those_of_ultralytics(folder: Path) -> None:
    """Without suppression: ultralytics lets suppressed boxes suppress others (Fast NMS), we do not."""
    path = save_random("yolo11n-obb.yaml", folder / "obb.pt")
    result = predicted(path, picture(), 0.0001, 20, iou=1.0).obb
    found = detected(path, runtime="torch", nms_iou=1.0)
    assert found.corners is not None
    assert len(found) > 5
    for ours, theirs in zip(found.corners, result.xyxyxyxy, strict=True):
        ours, theirs = (np.array(sorted(corners.tolist())) for corners in (ours, theirs))
        near(ours, theirs, 0.1)


@needs_ultralytics
@pytest.mark.slow
def test_masks_become_outlines(folder: Path) -> None:
    path = save_random("yolo11n-seg.yaml", folder / "seg.pt")
    result = predicted(path, picture(), 0.0001, 20)
    found = detected(path, runtime="torch")
    assert found.outline is not None
    boxes = found.xyxy
    drawn = [row for row, outline in enumerate(found.outline) if len(outline)]
    assert drawn, "random masks are not all empty"
    for row in drawn:
        outline = found.outline[row]
        assert (outline >= boxes[row, :2] - 2).all()
        assert (outline <= boxes[row, 2:] + 2).all()
    assert len(result.boxes) <= len(found)


@needs_ultralytics
@pytest.mark.slow
@pytest.mark.parametrize("change", [{"channels_last": False}, {"precision": "bf16"}])
def test_ways_of_computing_find_nearly_the_same(weights: Path, change: dict[str, Any]) -> None:
    plain, other = (detected(weights, runtime="torch", **options) for options in ({}, change))
    assert other.score[:3] == pytest.approx(plain.score[:3], rel=0.25)


@needs_ultralytics
@pytest.mark.slow
def test_input_made_on_the_device_shows_nearly_the_same(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = detected(weights, runtime="torch")
    monkeypatch.setattr(YoloDetector, "made_on_device", {"cpu"})
    stage = detector(weights, runtime="torch", parallel=2)
    for other in stage.detect([picture(), picture()]):
        assert isinstance(other, Detections)
        assert other.score[:3] == pytest.approx(plain.score[:3], rel=0.25)
    stage.close()


@pytest.fixture(scope="module")
def torchscript(weights: Path) -> Path:
    """What ultralytics' exporter makes of them: loaded as a TensorRT engine is, but on any box."""
    from ultralytics import YOLO

    return Path(YOLO(str(weights)).export(format="torchscript", imgsz=320, verbose=False))


@needs_ultralytics
@pytest.mark.slow
def test_an_export_for_torch_finds_what_the_weights_find(weights: Path, torchscript: Path) -> None:
    shown = picture(size=(320, 320))
    plain = detected(weights, shown, runtime="torch")
    stage = detector(torchscript, image_size=None)
    found, again = stage.detect([shown, shown])
    stage.close()
    assert isinstance(found, Detections)
    assert isinstance(again, Detections)
    assert len(found) > 5
    near(found.score[:3], plain.score[:3], 1e-3)
    near(found.xyxy[:3], plain.xyxy[:3], 0.05)
    near(again.xyxy, found.xyxy, 1e-3)
    with pytest.raises(ModelError, match=r"openvino does not run 'random11n\.torchscript', torch does"):
        detector(torchscript, runtime="openvino")


@needs_ultralytics
@pytest.mark.slow
def test_an_engine_needs_its_gpu(tmp_path: Path) -> None:
    path = tmp_path / "yolo11n.engine"
    path.write_bytes(bytes(range(256)) * 8)
    with pytest.raises(ModelError, match="is a TensorRT engine and needs an NVIDIA GPU, not 'cpu'"):
        detector(path, device="cpu")


@needs_ultralytics
@pytest.mark.slow
def test_several_pictures_give_what_one_by_one_gives(weights: Path) -> None:
    stage = detector(weights, runtime="torch", parallel=2)
    pictures = [picture(seed) for seed in range(5)]
    together = stage.detect(pictures)
    for one, shown in zip(together, pictures, strict=True):
        (other,) = stage.detect([shown])
        assert isinstance(one, Detections)
        assert isinstance(other, Detections)
        assert len(one) > 5
        assert one.xyxy == pytest.approx(other.xyxy, abs=1e-3)
    stage.close()


@needs_ultralytics
@pytest.mark.slow
def test_streams_share_one_network(weights: Path) -> None:
    context = StageContext("one")
    other = StageContext("two", shared=context.shared)
    stages = [
        YoloDetector(YoloOptions(model=str(weights), runtime="torch", **EAGER), c) for c in (context, other)
    ]
    found = [stage.detect([picture()])[0] for stage in stages]
    assert stages[0]._weights is not None
    assert stages[1]._weights is not None
    assert stages[0]._weights.value is stages[1]._weights.value
    assert stages[0]._client._lease.value is stages[1]._client._lease.value  # type: ignore[union-attr]
    assert found[0].xyxy.tolist() == found[1].xyxy.tolist()  # type: ignore[union-attr]
    stages[0].close()
    assert len(stages[1].detect([picture()])[0]) == len(found[0])  # type: ignore[arg-type]
    module = stages[1]._weights.value
    stages[1].close()
    assert module.module is None, "the last one frees it"


@needs_ultralytics
@pytest.mark.slow
def test_numbers_that_are_none_lose_the_frame(weights: Path) -> None:
    import torch

    stage = detector(weights, runtime="torch")
    assert stage._weights is not None
    with torch.no_grad():
        next(stage._weights.value.module.parameters()).fill_(float("nan"))
    (lost,) = stage.detect([picture()])
    assert isinstance(lost, FrameLost)
    assert lost.cause == "bad network output"
    stage.close()


@needs_ultralytics
@pytest.mark.slow
def test_auto_falls_back_to_torch_when_the_export_fails(
    weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(path: Path) -> Path:
        raise ModelError(f"'{path}' cannot be exported to onnx: no")

    monkeypatch.setattr(yolo_stage, "export", fails)
    with caplog.at_level(logging.WARNING):
        stage = detector(weights, device="cpu")
        stage.detect([picture()])
    assert stage._client is not None
    assert stage._client.name == "torch"
    assert "cannot be exported to onnx: no; it runs on torch, which is slower" in caplog.text
    stage.close()
    with pytest.raises(ModelError, match="cannot be exported"):
        detector(weights, runtime="onnxruntime")


@needs_ultralytics
@pytest.mark.slow
def test_labels_choose_classes_of_the_model(weights: Path) -> None:
    kind = str(detected(weights, runtime="torch").label[0])
    assert set(detected(weights, runtime="torch", labels=(kind,)).label.tolist()) == {kind}
    with pytest.raises(ConfigError, match="no class 'lorry'; it has: car, bus, dog"):
        detector(weights, runtime="torch", labels=("lorry",))


@needs_ultralytics
@pytest.mark.slow
def test_threads_are_as_asked_for(weights: Path) -> None:
    import torch

    before = torch.get_num_threads()
    try:
        for threads in (2, 1):
            detected(weights, runtime="torch", threads=threads)
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
    for runtime in ("torch", "auto"):
        with pytest.raises(ModelError, match=r"evil\.pt.* would run code"):
            detector(tmp_path / "evil.pt", runtime=runtime)
    assert not trap.exists()


@needs_ultralytics
@pytest.mark.slow
@pytest.mark.parametrize("name", ["broken.pt", "broken.onnx"])
@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not a zip", b"\x80\x04not a pickle"])
def test_what_are_no_weights_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError) as raised:
        detector(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@needs_ultralytics
@pytest.mark.slow
def test_weights_that_run_nowhere_are_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import torch

    def fails(path: Path) -> Path:
        raise ModelError(f"'{path}' cannot be exported to onnx: no")

    monkeypatch.setattr(yolo_stage, "export", fails)
    path = folder / "list.pt"
    torch.save([1, 2], path)
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(ModelError, match=r"do not run .* use a model"),
    ):
        detector(path, device="cpu")
    told = [record for record in caplog.records if record.name == yolo_stage.__name__]
    assert not told, "what runs nowhere is no slower way to run"


@needs_ultralytics
@pytest.mark.slow
def test_weights_without_boxes_are_refused(folder: Path) -> None:
    path = folder / "classes.pt"
    import_ultralytics().YOLO("yolo11n-cls.yaml").save(str(path))
    with pytest.raises(ModelError, match=r"find no boxes \(their task is classify\)"):
        detector(path, runtime="torch")


@needs_ultralytics
@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"runtime": "torch", "device": "cuda:99"}, "device 'cuda:99'"),
        ({"runtime": "torch", "device": "npu"}, "device 'npu'"),
        ({"runtime": "onnxruntime", "device": "mps"}, "set 'runtime: torch'"),
        ({"runtime": "torch", "precision": "int8"}, "torch has no int8"),
        ({"runtime": "torch", "precision": "f16", "device": "cpu"}, "torch has no f16"),
    ],
)
def test_what_is_not_to_be_had_is_named(weights: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        detector(weights, **change).detect([picture()])


@pytest.mark.parametrize(
    ("name", "runtime", "says"),
    [
        ("missing.pt", "auto", "no weights at"),
        ("folder/yolo11n.pt", "auto", "no weights at"),
        ("notes.txt", "auto", "is no .pt, .onnx, .xml or .engine file"),
    ],
)
def test_weights_that_are_nowhere_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, runtime: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ModelError, match=says):
        detector(Path(name), runtime=runtime)


@needs_ultralytics
@pytest.mark.slow
def test_ultralytics_is_quiet_and_writes_nothing_into_the_home(tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    script = """
from stages.detect.yolo.weights import import_ultralytics
import_ultralytics()
from ultralytics.utils.events import events
assert not events.enabled
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("YOLO_", "PYTEST_", "XDG_"))}
    environment |= {"HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[4])}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=work, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path for folder in (home, work) for path in folder.rglob("*")] == []


def test_importing_the_stage_does_not_import_torch() -> None:
    code = "import sys, stages.detect.yolo.stage; print({'torch', 'ultralytics'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_without_ultralytics_the_install_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r'pip install "sightline\[yolo\]"'):
        import_ultralytics()


@pytest.mark.parametrize(
    "wrong",
    [
        {"confidence": 0},
        {"iou": 1.1},
        {"labels": []},
        {"image_size": 8},
        {"max_batch": 0},
        {"half": True},
        {"runtime": "abacus"},
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        YoloOptions(model="yolo11n.pt", **wrong)
