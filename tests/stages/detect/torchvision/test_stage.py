"""Networks of torchvision with random weights; the bare network on the same pixels is the oracle."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError, FrameLost, ModelError
from pipeline.objects import Detections
from pipeline.picture import BgrPicture
from pipeline.plugin import StageContext
from stages.detect.outlines import outline_of
from stages.detect.torchvision.network import Network
from stages.detect.torchvision.stage import TorchvisionDetector, TorchvisionOptions
from tests.stages.detect.footage import CONTEXT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("torchvision") is None, reason="needs the extra 'torchvision'"
    ),
]
SMALL = "ssdlite320_mobilenet_v3_large"
NAMES = ("car", "bus", "dog")
# Random weights are sure of nothing.
EAGER: dict[str, Any] = {
    "confidence": 0.001,
    "nms_iou": 1.0,
    "classes": NAMES,
    "max_detections": 10,
    "device": "cpu",  # as the oracles are
}
SIZE = (160, 120)


def built(network: str, classes: int = 4) -> Any:
    import torch
    from torchvision.models import get_model

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = get_model(network, weights=None, weights_backbone=None, num_classes=classes)
    for name, values in model.state_dict().items():  # an untrained normalisation makes all pictures alike
        if name.endswith(("running_mean", "running_var")):
            values.copy_(torch.rand_like(values) * 0.2 + 0.9 * name.endswith("var"))
        if name.endswith("cls_logits.weight"):  # nor are its classes told apart
            values.mul_(30)
    return model.eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    path = tmp_path_factory.mktemp("weights") / "ssdlite.pth"
    torch.save(built(SMALL).state_dict(), path)
    return path


def picture(seed: int = 1, size: tuple[int, int] = SIZE) -> BgrPicture:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (size[1] // 10, size[0] // 10, 3), dtype=np.uint8)
    return BgrPicture(np.asarray(cv2.resize(small, size), np.uint8))


def bare(model: Any, shown: BgrPicture, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """What the network itself finds in the picture stretched to `size`, in px of the picture."""
    import torch

    rgb = shown.fit(*size)[..., ::-1].copy()
    head = getattr(model, "roi_heads", model)
    head.score_thresh, head.nms_thresh, head.detections_per_img = 0.001, 1.0, 10
    model.transform.min_size, model.transform.max_size = (min(size),), max(size)
    with torch.inference_mode():
        (output,) = model([torch.from_numpy(rgb).permute(2, 0, 1) / 255])
    # RetinaNet and FCOS have an output for the background, too, which a random one takes for an object.
    rows = (output["labels"] > 0).numpy()
    return {name: values.numpy()[rows] for name, values in output.items()}


def same(found: Detections, wanted: dict[str, np.ndarray], scale: float) -> None:
    assert len(found) > 3
    order = np.argsort(-wanted["scores"], kind="stable")
    boxes = np.clip(wanted["boxes"] * scale, 0, np.array(SIZE * 2))
    assert found.score == pytest.approx(wanted["scores"][order], abs=1e-4)
    assert found.xyxy == pytest.approx(boxes[order], abs=0.05)


@pytest.mark.parametrize(
    ("network", "side"),
    [
        (SMALL, None),
        ("ssd300_vgg16", None),
        ("fasterrcnn_mobilenet_v3_large_320_fpn", 192),
        ("retinanet_resnet50_fpn", 192),
        ("fcos_resnet50_fpn", 192),
    ],
)
def test_detections_are_those_of_the_network(tmp_path: Path, network: str, side: int | None) -> None:
    import torch

    model = built(network)
    torch.save({"model": model.state_dict()}, tmp_path / "weights.pth")
    stage = TorchvisionDetector(
        TorchvisionOptions(model=str(tmp_path / "weights.pth"), network=network, image_size=side, **EAGER),
        CONTEXT,
    )
    (found,) = stage.detect([picture()])
    size = (192, 144) if side else tuple(model.transform.fixed_size)
    wanted = bare(model, picture(), size)
    scale = np.array([SIZE[0] / size[0], SIZE[1] / size[1]] * 2, np.float32)
    same(found, wanted, scale)
    assert set(found.label.tolist()) <= set(NAMES)
    assert found.keypoints is None
    assert found.outline is None


def test_masks_become_outlines(tmp_path: Path) -> None:
    import torch

    model = built("maskrcnn_resnet50_fpn")
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    options = TorchvisionOptions(
        model=str(tmp_path / "weights.pth"), network="maskrcnn_resnet50_fpn", image_size=320, **EAGER
    )
    (found,) = TorchvisionDetector(options, CONTEXT).detect([picture()])
    wanted = bare(model, picture(), (320, 240))
    same(found, wanted, 0.5)
    assert found.outline is not None
    masks = wanted["masks"][np.argsort(-wanted["scores"], kind="stable"), 0] >= 0.5
    assert masks.any()
    for outline, mask in zip(found.outline, masks, strict=True):
        assert outline.dtype == np.float32
        assert (outline + 0.5) * 2 - 0.5 == pytest.approx(outline_of(mask.astype(np.uint8)), abs=1e-3)


def test_poses_become_keypoints(tmp_path: Path) -> None:
    import torch

    network = "keypointrcnn_resnet50_fpn"
    model = built(network, classes=2)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    options = TorchvisionOptions(
        model=str(tmp_path / "weights.pth"), network=network, image_size=320, **(EAGER | {"classes": None})
    )
    (found,) = TorchvisionDetector(options, CONTEXT).detect([picture()])
    wanted = bare(model, picture(), (320, 240))
    same(found, wanted, 0.5)
    order = np.argsort(-wanted["scores"], kind="stable")
    assert set(found.label.tolist()) == {"person"}
    assert found.keypoints is not None
    assert found.keypoints.shape == (len(found), 17, 3)
    assert found.keypoints[..., :2] == pytest.approx(wanted["keypoints"][order][..., :2] * 0.5, abs=0.05)
    assert found.keypoints[..., 2] == pytest.approx(
        1 / (1 + np.exp(-wanted["keypoints_scores"][order])), abs=1e-4
    )


def test_a_batch_gives_what_one_by_one_gives_also_for_pictures_of_other_sizes(weights: Path) -> None:
    stage = TorchvisionDetector(TorchvisionOptions(model=str(weights), batch=3, **EAGER), CONTEXT)
    assert stage.batch == 3
    pictures = [picture(1), picture(2), picture(3, (200, 100))]
    for one, shown in zip(stage.detect(pictures), pictures, strict=True):
        (other,) = stage.detect([shown])
        assert len(one) > 3
        assert one.xyxy == pytest.approx(other.xyxy, abs=0.05)
        assert one.label.tolist() == other.label.tolist()


def test_streams_share_the_weights_and_nothing_else(weights: Path) -> None:
    first, second = (
        TorchvisionDetector(TorchvisionOptions(model=str(weights), **(EAGER | options)), CONTEXT)
        for options in ({}, {"max_detections": 4})
    )
    alone = TorchvisionDetector(TorchvisionOptions(model=str(weights), **EAGER), StageContext("alone"))
    assert first._lease.value is second._lease.value
    assert first._lease.value is not alone._lease.value
    counts = [len(stage.detect([picture()])[0]) for stage in (first, second, first)]
    assert counts == [10, 4, 10]
    first.close()
    assert len(second.detect([picture()])[0]) == 4
    second.close()


@pytest.mark.parametrize("network", [SMALL, "fasterrcnn_mobilenet_v3_large_320_fpn"])
def test_numbers_that_are_not_finite_lose_the_frame_and_no_other(
    tmp_path: Path, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    torch.save(built(network).state_dict(), tmp_path / "weights.pth")
    options = TorchvisionOptions(model=str(tmp_path / "weights.pth"), network=network, batch=2, **EAGER)
    stage = TorchvisionDetector(options, CONTEXT)
    tensor = Network._tensor

    def poisoned(self: Network, bgr: np.ndarray) -> Any:
        values = tensor(self, bgr)
        return values * float("nan") if bgr[0, 0, 0] == 7 else values

    monkeypatch.setattr(Network, "_tensor", poisoned)
    bad = BgrPicture(np.full((*SIZE[::-1], 3), 7, np.uint8))
    found = stage._run([picture(), bad])
    assert found[0] is not None
    assert len(found[0].xyxy) > 3
    assert found[1] is None
    lost, good = stage.detect([bad, picture()])
    assert isinstance(lost, FrameLost)
    assert lost.cause == "bad network output"
    assert isinstance(good, Detections)


@pytest.mark.parametrize("change", [{"channels_last": False}, {"half": True}], ids=["rows", "half"])
def test_ways_of_computing_find_nearly_the_same(weights: Path, change: dict[str, Any]) -> None:
    plain, other = (
        TorchvisionDetector(TorchvisionOptions(model=str(weights), **(EAGER | options)), CONTEXT).detect(
            [picture()]
        )[0]
        for options in ({}, change)
    )
    assert other.score[:3] == pytest.approx(plain.score[:3], rel=0.05)


def test_labels_choose_classes(weights: Path) -> None:
    def detect(**options: Any) -> Detections:
        return TorchvisionDetector(
            TorchvisionOptions(model=str(weights), **(EAGER | options)), CONTEXT
        ).detect([picture()])[0]

    kind = str(detect().label[0])
    assert set(detect(labels=(kind,)).label.tolist()) == {kind}
    for unknown in ("lorry", "background"):
        with pytest.raises(ConfigError, match=f"no class '{unknown}'; it has: car, bus, dog"):
            detect(labels=(unknown,))


class _Touch:
    """What a malicious file holds: unpickling it would create a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_weights_cannot_run_code(tmp_path: Path) -> None:
    import torch

    torch.save({"model": _Touch(tmp_path / "trap")}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match=r"evil\.pth' would run code when it is loaded"):
        TorchvisionDetector(TorchvisionOptions(model=str(tmp_path / "evil.pth"), **EAGER), CONTEXT)
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"<html></html>", b"PK\x03\x04 no zip", b"\x80\x04no pickle"]
)
def test_what_are_no_weights_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError) as raised:
        TorchvisionDetector(TorchvisionOptions(model=str(path), **EAGER), CONTEXT)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_truncated_weights_are_refused(tmp_path: Path, weights: Path) -> None:
    path = tmp_path / "half.pth"
    path.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    with pytest.raises(ModelError, match="is cut off or damaged"):
        TorchvisionDetector(TorchvisionOptions(model=str(path), **EAGER), CONTEXT)


def test_what_is_no_state_dict_or_not_finite_is_refused(tmp_path: Path, weights: Path) -> None:
    import torch

    path = tmp_path / "other.pth"
    for content in ({"a": 1}, [1, 2], {}):
        torch.save(content, path)
        with pytest.raises(ModelError, match="holds no state dict"):
            TorchvisionDetector(TorchvisionOptions(model=str(path), **EAGER), CONTEXT)
    torch.save(torch.nn.Linear(2, 2), path)
    said = r"reads safely \(it has torch\.nn\.modules\.linear\.Linear in it, and only tensors are read\); use"
    with pytest.raises(ModelError, match=said):
        TorchvisionDetector(TorchvisionOptions(model=str(path), **EAGER), CONTEXT)
    state = torch.load(weights, weights_only=True)
    next(iter(state.values())).view(-1)[0] = float("nan")
    torch.save(state, path)
    with pytest.raises(ModelError, match="are not finite"):
        TorchvisionDetector(TorchvisionOptions(model=str(path), **EAGER), CONTEXT)


@pytest.mark.parametrize(
    "change", [{"classes": ("car",)}, {"classes": None}, {"network": "fasterrcnn_mobilenet_v3_large_fpn"}]
)
def test_weights_of_another_network_are_named(weights: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="are not those of") as raised:
        TorchvisionDetector(TorchvisionOptions(model=str(weights), **(EAGER | change)), CONTEXT)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"network": "yolov9"}, "torchvision has no 'yolov9'; it has: fasterrcnn_mobilenet"),
        ({"network": "resnet50"}, "torchvision has no 'resnet50'"),
        ({"device": "cuda:99"}, "device 'cuda:99': torch"),
        ({"device": "abacus"}, "device 'abacus': torch"),
        ({"image_size": 640}, "image_size: .* has the fixed input"),
        ({"model": "missing.pth"}, "no weights at 'missing.pth'"),
    ],
)
def test_what_is_not_there_is_named(weights: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        TorchvisionDetector(TorchvisionOptions(**({"model": str(weights)} | EAGER | change)), CONTEXT)


def test_published_weights_are_known_by_their_hash() -> None:
    """They run with another eps than weights that somebody trained now."""
    import torch
    from torchvision.models import get_model_weights

    from stages.detect.torchvision.network import _digest, _without_eps

    url = get_model_weights("fasterrcnn_resnet50_fpn").COCO_V1.url  # type: ignore[attr-defined]
    assert _digest(url) == "258fb6c6"
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
    _without_eps(model)
    assert model[0].eps == 0


def test_importing_the_stage_does_not_import_torch() -> None:
    code = "import sys, stages.detect.torchvision.stage; print({'torch', 'torchvision'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_without_torch_the_install_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r'pip install "sightline\[torchvision\]"'):
        TorchvisionDetector(TorchvisionOptions(model="a.pth"), CONTEXT)


@pytest.mark.parametrize(
    "wrong", [{"confidence": 0}, {"batch": 0}, {"half": "maybe"}, {"labels": []}, {"iou": 1}]
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TorchvisionOptions(model="a.pth", **wrong)
