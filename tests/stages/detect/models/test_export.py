"""Real exports of random weights, in the child process that does them for users."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError
from stages.detect.models import export as module
from stages.detect.models.export import ExportSettings, export, exports
from tests.stages.detect.models.files import Call, torch_zip, trap

needs_ultralytics = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="needs the extra 'yolo'"
)

MAKE = """
import sys, numpy, torch
from ultralytics import YOLO
from ultralytics.nn.tasks import DetectionModel
torch.manual_seed(0)
model = YOLO("yolo11n.yaml")
model.model = DetectionModel("yolo11n.yaml", nc=3, verbose=False)
model.model.names = {0: "car", 1: "bus", 2: "dog"}
model.save(sys.argv[1])
x = numpy.random.default_rng(0).random((1, 3, 96, 160), dtype=numpy.float32)
with torch.no_grad():
    y = model.model.eval()(torch.from_numpy(x))[0]
numpy.savez(sys.argv[2], x=x, y=y.numpy())
"""


@pytest.fixture(scope="module")
def random(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """random.pt, YOLO11n of three classes, and random.npz with an input and torch's output for it."""
    folder = tmp_path_factory.mktemp("weights")
    subprocess.run(
        [sys.executable, "-c", MAKE, str(folder / "random.pt"), str(folder / "random.npz")],
        env={**os.environ, "YOLO_CONFIG_DIR": str(folder), "YOLO_AUTOINSTALL": "false"},
        check=True,
        capture_output=True,
    )
    return folder / "random.pt"


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Path]:
    """A folder of exports, in which nothing half done may be left."""
    yield tmp_path / "exports"
    assert not list((tmp_path / "exports").glob(".export-*"))


@needs_ultralytics
@pytest.mark.slow
def test_the_export_says_what_torch_says_and_is_made_once(random: Path, shelf: Path) -> None:
    import onnxruntime

    steps: list[str] = []
    settings = ExportSettings(width=160, height=96)
    path = export(random, settings, progress=steps.append, folder=shelf)
    assert (path.name, steps[-1]) == ("random.onnx", "exporting")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    known = np.load(random.with_suffix(".npz"))
    (found,) = session.run(None, {"images": known["x"]})
    assert found.shape == known["y"].shape == (1, 7, 315)
    np.testing.assert_allclose(found, known["y"], atol=2e-3)
    larger = np.zeros((2, 3, 320, 224), np.float32)  # all sides were left open
    assert session.run(None, {"images": larger})[0].shape[0] == 2
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["names"] == "{0: 'car', 1: 'bus', 2: 'dog'}"
    assert facts["license"].startswith("AGPL-3.0")
    steps.clear()
    assert export(random, settings, progress=steps.append, folder=shelf) == path
    assert steps == []
    assert exports(shelf) == [path.parent]
    other = export(
        random, ExportSettings(width=160, height=96, dynamic=False), progress=steps.append, folder=shelf
    )
    assert other != path
    assert onnxruntime.InferenceSession(str(other)).get_inputs()[0].shape == [1, 3, 96, 160]


MAKE_OTHERS = """
import sys, ultralytics
for name in sys.argv[2:]:
    ultralytics.YOLO(name + ".yaml").save(sys.argv[1] + "/" + name + ".pt")
"""


@needs_ultralytics
@pytest.mark.slow
def test_other_tasks_and_heads(tmp_path: Path, shelf: Path) -> None:
    import onnxruntime

    wanted = {"yolo26n": ("detect", 1), "yolo11n-seg": ("segment", 2), "yolov8n-pose": ("pose", 1)}
    subprocess.run(
        [sys.executable, "-c", MAKE_OTHERS, str(tmp_path), *wanted],
        env={**os.environ, "YOLO_CONFIG_DIR": str(tmp_path), "YOLO_AUTOINSTALL": "false"},
        check=True,
        capture_output=True,
    )
    for name, (task, outputs) in wanted.items():
        path = export(tmp_path / f"{name}.pt", ExportSettings(width=160, height=96), folder=shelf)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        assert session.get_modelmeta().custom_metadata_map["task"] == task
        found = session.run(None, {"images": np.zeros((1, 3, 96, 160), np.float32)})
        assert len(found) == outputs
        assert all(np.isfinite(each).all() for each in found)
    assert len(exports(shelf)) == 3


@needs_ultralytics
@pytest.mark.slow
def test_openvino_comes_with_its_weights(random: Path, shelf: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="needs openvino")
    path = export(random, ExportSettings(format="openvino", width=160, height=96), folder=shelf)
    assert path.suffix == ".xml"
    assert path.with_suffix(".bin").stat().st_size > 1_000_000
    known = np.load(random.with_suffix(".npz"))
    core = openvino.Core()
    model = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(model(known["x"])[0], known["y"], atol=2e-3)


@needs_ultralytics
@pytest.mark.slow
def test_what_the_look_at_names_lets_through_the_loader_refuses(tmp_path: Path, shelf: Path) -> None:
    weights = tmp_path / "odd.pt"
    weights.write_bytes(torch_zip({"model": Call(_unheard_of, "x")}))
    with pytest.raises(ModelError, match=r"'.*odd\.pt' cannot be exported to onnx") as raised:
        export(weights, progress=lambda _: None, folder=shelf)
    assert "\n" not in str(raised.value)
    assert not exports(shelf)


def _unheard_of(text: str) -> None:
    raise AssertionError(f"weights have run code: {text}")


@needs_ultralytics
def test_an_export_that_hangs_is_ended(tmp_path: Path, shelf: Path) -> None:
    weights = tmp_path / "slow.pt"
    weights.write_bytes(torch_zip())
    with pytest.raises(ModelError, match=r"no answer within 0\.2 s"):
        export(weights, timeout_s=0.2, progress=lambda _: None, folder=shelf)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if children.exists():
        of = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children.read_text().split()]
        assert not [line for line in of if b"export_child" in line]


@needs_ultralytics
def test_weights_are_looked_at_first(tmp_path: Path, shelf: Path) -> None:
    (tmp_path / "evil.pt").write_bytes(torch_zip(trap(tmp_path / "trap")))
    with pytest.raises(ModelError, match="would run code"):
        export(tmp_path / "evil.pt", folder=shelf)
    with pytest.raises(ModelError, match=r"is no \.pt file"):
        export(tmp_path / "net.onnx", folder=shelf)
    with pytest.raises(ModelError, match="no weights at"):
        export(tmp_path / "none.pt", folder=shelf)
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("wrong", [{"width": 100}, {"height": 0}, {"width": 8192}, {"batch": 0}])
def test_wrong_settings_are_named(wrong: dict[str, int]) -> None:
    with pytest.raises(ModelError, match=f"{next(iter(wrong))} must be"):
        ExportSettings(**wrong)  # type: ignore[arg-type]


def test_missing_packages_are_named_with_what_to_install(
    tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(package: str) -> str:
        raise module.PackageNotFoundError(package)

    monkeypatch.setattr(module, "version", version)
    (tmp_path / "a.pt").write_bytes(torch_zip())
    with pytest.raises(ModelError, match=r'needs ultralytics and torch and onnx: pip install "sightline\[yo'):
        export(tmp_path / "a.pt", folder=shelf)


def test_an_engine_needs_a_gpu(tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "version", lambda _: "1")
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    (tmp_path / "a.pt").write_bytes(torch_zip())
    with pytest.raises(ModelError, match="needs an NVIDIA GPU, and there is none here"):
        export(tmp_path / "a.pt", ExportSettings(format="engine"), folder=shelf)


def test_exports_that_nobody_uses_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_EXPORTS", 3)
    for number in range(5):
        place = tmp_path / f"net-{number}"
        place.mkdir()
        (place / "export.json").write_text("{}")
        os.utime(place, (number, number))
    module._prune(tmp_path, keep=tmp_path / "net-0")
    assert {path.name for path in exports(tmp_path)} == {"net-0", "net-3", "net-4"}
