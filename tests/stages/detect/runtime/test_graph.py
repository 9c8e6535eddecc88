"""The head of a file as `onnx` and ONNX Runtime read it, and in one line what is wrong with a damaged one."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ModelError
from stages.detect.runtime import protobuf
from stages.detect.runtime.files import read_graph
from tests.shared_data import shared
from tests.stages.detect.runtime import networks

WEIGHTS = (
    "FastestDet",
    "nanodet_m_320",
    "osnet_x0_25_msmt17",
    "version-RFB-320",
    "yolox_nano",
    "yunet_n_dynamic",
)


@pytest.mark.parametrize("name", WEIGHTS)
def test_real_files_read_as_onnx_and_onnx_runtime_read_them(name: str) -> None:
    path = shared(f"weights/{name}.onnx")
    graph = read_graph(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for ours, theirs in (
        (graph.inputs, session.get_inputs()),
        (graph.outputs, session.get_outputs()),
    ):
        assert [info.name for info in ours] == [info.name for info in theirs]
        assert {info.dtype for info in ours} == {"float32"}
    for info, other in zip(graph.inputs, session.get_inputs(), strict=True):
        assert list(info.shape) == [side if isinstance(side, int) else None for side in other.shape]
    model = onnx.load(str(path))
    assert graph.operators == Counter(node.op_type for node in model.graph.node)
    assert graph.producer == model.producer_name
    assert graph.weights_dtype == "float32"
    assert not graph.is_quantised


def test_symbols_metadata_and_weights_that_are_listed_as_inputs(tmp_path: Path) -> None:
    path = networks.convolution(tmp_path / "a.onnx", "batch", "side")
    graph = read_graph(path)
    assert graph.inputs[0].shape == (None, 3, None, None)
    assert graph.inputs[0].symbols == ("batch", "", "side", "side")
    assert graph.metadata == {"names": "{0: 'car'}", "stride": "32"}
    assert graph.fixed_batch is None
    model = onnx.load(str(path))
    old = model.graph.input.add()  # as exporters of IR version 3 wrote it
    old.CopyFrom(onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [4, 3, 3, 3]))
    onnx.save(model, str(path))
    assert [info.name for info in read_graph(path).inputs] == ["images"]


def test_types_of_inputs_and_weights(tmp_path: Path) -> None:
    graph = read_graph(networks.two_inputs(tmp_path / "a.onnx"))
    assert [info.dtype for info in graph.inputs] == ["uint8", "int64"]
    half = read_graph(networks.convolution(tmp_path / "b.onnx", half=True))
    assert (half.inputs[0].dtype, half.weights_dtype) == ("float16", "float16")
    assert read_graph(networks.quantised(tmp_path / "c.onnx")).is_quantised


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty file"),
        (b"<html><body>404</body></html>", "no usable ONNX file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "no usable ONNX file"),
        (b"PK\x03\x04" + bytes(100), "no usable ONNX file"),
        (b"\x80\x02}q\x00.", "no usable ONNX file"),
        (bytes(1000), "no usable ONNX file"),
        (b"\x08\x09", "holds no graph"),
    ],
)
def test_what_is_no_onnx_file_is_said_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=words) as raised:
        read_graph(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_and_another_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no weights at"):
        read_graph(tmp_path / "a.onnx")
    with pytest.raises(ModelError, match=r"neither \.onnx nor \.xml"):
        read_graph(tmp_path / "a.pt")


def test_a_file_that_was_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = networks.convolution(tmp_path / "a.onnx").read_bytes()
    graph_ends = len(whole) - 60  # what follows is metadata and versions, without which it is still a graph
    path = tmp_path / "b.onnx"
    for length in range(1, graph_ends, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError):
            read_graph(path)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_fields_or_a_value_error(data: bytes) -> None:
    try:
        found = list(protobuf.fields(memoryview(data)))
    except ValueError:
        return
    assert sum(len(value) for _, value in found if isinstance(value, memoryview)) <= len(data)


@settings(max_examples=200, deadline=None)
@given(places=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8))
@pytest.mark.slow
def test_flipped_bytes_give_a_graph_or_a_model_error(
    tmp_path_factory: pytest.TempPathFactory, places: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    path = networks.convolution(folder / "a.onnx", "n")
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    for place, value in places:
        data[place % len(data)] = value
    path.write_bytes(data.tobytes())
    with suppress(ModelError):
        read_graph(path)


@pytest.mark.parametrize("side", [8, "side"])
@pytest.mark.slow
def test_an_openvino_model_says_the_same(tmp_path: Path, side: int | str) -> None:
    openvino = pytest.importorskip("openvino")
    source = read_graph(networks.convolution(tmp_path / "a.onnx", 1, side))
    openvino.save_model(
        openvino.convert_model(tmp_path / "a.onnx"), tmp_path / "b.xml", compress_to_fp16=False
    )
    graph = read_graph(tmp_path / "b.xml")
    pairs = zip(graph.inputs + graph.outputs, source.inputs + source.outputs, strict=True)
    for ours, theirs in pairs:
        assert (ours.name, ours.shape, ours.dtype) == (theirs.name, theirs.shape, theirs.dtype)
    assert graph.operators["Conv"] == 1
    assert (graph.producer, graph.weights_dtype) == ("openvino", "float32")


@pytest.mark.parametrize("content", ["", "<html></html>", "<net><layers/></net>", "<net"])
def test_a_damaged_openvino_model_is_said_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(content)
    with pytest.raises(ModelError, match="has no weights"):
        read_graph(path)
    path.with_suffix(".bin").touch()
    with pytest.raises(ModelError, match="no OpenVINO model"):
        read_graph(path)
