"""Re-identification networks in the ONNX format, of other people's making."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ModelError
from stages.track.appearance.crops import read_crops
from stages.track.appearance.patches import Scaling
from stages.track.appearance.reid import METADATA_KEY, ReidModel
from stages.track.appearance.separation import ends, separation
from tests.shared_data import shared

OSNET = "weights/osnet_x0_25_msmt17.onnx"
SIDES = (4, 8)  # width, height


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (60, 80, 3), np.uint8)


def boxes(count: int) -> np.ndarray:
    low = np.random.default_rng(count).uniform(-5, 40, (count, 2))
    return np.concatenate([low, low + np.array([14, 18])], axis=1).astype(np.float32)


def model_file(
    path: Path,
    *,
    batch: int | str = "n",
    sides: tuple[Any, Any] = SIDES,
    channels: int = 3,
    tail: str = "flat",
    kind: str = "FLOAT",
    metadata: str | None = None,
) -> Path:
    """Write a network whose embedding is its input, pixel by pixel."""
    onnx = pytest.importorskip("onnx", reason='needs the extra "train"')
    helper, types = onnx.helper, onnx.TensorProto
    width, height = sides
    nodes = [helper.make_node("Flatten", ["x"], ["flat"], axis=1)]
    constants = []
    if tail == "4d":
        nodes.append(helper.make_node("Unsqueeze", ["flat", "axes"], ["out"]))
        constants = [onnx.numpy_helper.from_array(np.array([2, 3]), "axes")]
    elif tail == "picture":
        nodes = [helper.make_node("Identity", ["x"], ["out"])]
    elif tail == "nan":
        nodes += [helper.make_node("Sub", ["flat", "flat"], ["zero"])]
        nodes += [helper.make_node("Div", ["zero", "zero"], ["out"])]
    else:
        nodes.append(helper.make_node("Identity", ["flat"], ["out"]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", getattr(types, kind), [batch, channels, height, width])],
        [helper.make_tensor_value_info("out", getattr(types, kind), None)],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if metadata is not None:
        helper.set_model_props(made, {METADATA_KEY: metadata})
    path.write_bytes(made.SerializeToString())
    return path


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
@pytest.mark.parametrize("batch", ["n", 1, 4])
def test_every_kind_of_batch_gives_the_same(batch: int | str, count: int, tmp_path: Path) -> None:
    model = ReidModel(model_file(tmp_path / "m.onnx", batch=batch), max_batch=4)
    rows = model.embed(picture(), boxes(count))
    assert rows.shape == (count, model.length) == (count, 96)
    assert rows.dtype == np.float32
    alone = [model.embed(picture(), box[None])[0] for box in boxes(count)]
    for row, other in zip(rows, alone, strict=True):
        np.testing.assert_allclose(row, other, atol=1e-6)
        assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("batch", ["n", 1, 2])
def test_boxes_without_a_pixel_are_0(batch: int | str, tmp_path: Path) -> None:
    model = ReidModel(model_file(tmp_path / "m.onnx", batch=batch))
    places = np.array(
        [(-30, 0, -10, 9), (5, 5, 30, 50), (9, 9, 9, 20), (100, 5, 120, 9), (70, 50, 200, 200)], np.float32
    )
    length = np.linalg.norm(model.embed(picture(), places), axis=1)
    assert length == pytest.approx([0, 1, 0, 0, 1], abs=1e-5)


def test_a_tail_of_ones_is_taken_off(tmp_path: Path) -> None:
    model = ReidModel(model_file(tmp_path / "m.onnx", tail="4d"))
    assert model.embed(picture(), boxes(2)).shape == (2, 96)


FACTS = {
    "mean": [0.1, 0.2, 0.3],
    "std": [0.5, 0.5, 0.25],
    "channels": "bgr",
    "limit": 0.125,
}


@pytest.mark.parametrize(
    ("what", "metadata", "options", "scaling", "limit"),
    [
        ("nothing said: ImageNet, red first", None, {}, Scaling(), None),
        ("a file of our own", FACTS, {}, Scaling((0.1, 0.2, 0.3), (0.5, 0.5, 0.25), False), 0.125),
        ("options win", FACTS, {"rgb": True}, Scaling((0.1, 0.2, 0.3), (0.5, 0.5, 0.25), True), 0.125),
        (
            "options of another",
            None,
            {"mean": (0, 0, 0), "std": (1, 1, 1)},
            Scaling((0,) * 3, (1,) * 3),
            None,
        ),
    ],
)
def test_how_pixels_are_scaled(
    what: str, metadata: Any, options: dict[str, Any], scaling: Scaling, limit: float | None, tmp_path: Path
) -> None:
    text = None if metadata is None else json.dumps(metadata)
    model = ReidModel(model_file(tmp_path / "m.onnx", metadata=text), **options)
    width, height = SIDES
    patch = np.random.default_rng(4).integers(0, 256, (1, height, width, 3), np.uint8)
    wanted = np.empty((1, 3, height, width), np.float32)
    scaling.planes(patch, wanted)
    flat = wanted.ravel() / np.linalg.norm(wanted)
    np.testing.assert_allclose(model.embed_patches(patch)[0], flat, atol=1e-5, err_msg=what)
    assert model.limit == limit


@pytest.mark.parametrize(
    ("sides", "asked", "size"),
    [(("w", "h"), None, (128, 256)), (("w", "h"), (6, 12), (6, 12)), ((4, 8), None, (4, 8))],
)
def test_size(sides: Any, asked: Any, size: tuple[int, int], tmp_path: Path) -> None:
    assert ReidModel(model_file(tmp_path / "m.onnx", sides=sides), size=asked).size == size


@pytest.mark.parametrize(
    ("what", "options", "words"),
    [
        ("one channel", {"channels": 1}, "is no re-identification network: its 1 input"),
        ("whole numbers", {"kind": "INT32"}, "is no re-identification network: its 1 input"),
        ("a picture comes out", {"tail": "picture"}, r"its output is float32 \[1, 3, 8, 4\]"),
        ("metadata cut short", {"metadata": "{"}, "metadata .* are damaged"),
        ("metadata without mean", {"metadata": '{"limit": 0.1}'}, "metadata .* are damaged"),
        ("a limit of 5", {"metadata": json.dumps({**FACTS, "limit": 5})}, "metadata .* are damaged"),
        ("a number for metadata", {"metadata": "3"}, "metadata .* are damaged"),
    ],
)
def test_wrong_files_are_told(what: str, options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=words) as raised:
        ReidModel(model_file(tmp_path / "m.onnx", **options))
    assert str(tmp_path / "m.onnx") in str(raised.value), what
    assert "\n" not in str(raised.value), what


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no model at"), (b"", "is an empty file"), (b"no network", "is no usable ONNX file")],
)
def test_no_onnx_file(content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=words):
        ReidModel(path)


def test_what_is_not_finite_is_told(tmp_path: Path) -> None:
    model = ReidModel(model_file(tmp_path / "m.onnx", tail="nan"))
    with pytest.raises(ModelError, match="not finite"):
        model.embed(picture(), boxes(1))


def test_another_size_than_the_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="looks at 4 x 8 px and not at 64 x 128"):
        ReidModel(model_file(tmp_path / "m.onnx"), size=(64, 128))


@pytest.mark.parametrize("name", ["FastestDet.onnx", "version-RFB-320.onnx", "yolox_nano.onnx"])
def test_detectors_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match="is no re-identification network"):
        ReidModel(shared(f"weights/{name}"))


def test_osnet_knows_the_people_of_a_street() -> None:
    """Seven people of TUD-Campus, the end of each path against its beginning."""
    folder, model = shared("mot15/TUD-Campus"), ReidModel(shared(OSNET))
    assert (model.size, model.length, model.limit) == ((128, 256), 512, None)
    crops = read_crops(folder, *model.size, max_per_identity=9)
    found = separation(model.embed_patches(crops.patches), crops.identity, *ends(crops.identity))
    assert found is not None
    assert found.rank1 >= 0.95
    assert found.auc >= 0.95
    assert found.eer <= 0.1


def test_osnet_sees_a_box_like_a_crop() -> None:
    model = ReidModel(shared(OSNET))
    bgr = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
    box = np.array([[30, 20, 30 + 128, 20 + 256]], np.float32)
    np.testing.assert_allclose(
        model.embed(bgr, box), model.embed_patches(bgr[None, 20:276, 30:158]), atol=1e-5
    )
