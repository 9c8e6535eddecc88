"""ONNX Runtime and OpenVINO give the same answers, to many callers at once; what fails is one line."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError
from stages.detect.runtime import ort, ov
from stages.detect.runtime.base import MissingRuntimeError, OutOfMemoryError, Runtime, RuntimeName
from stages.detect.runtime.files import read_graph
from stages.detect.runtime.opening import Network, is_divisible, open_plan, sample
from stages.detect.runtime.options import RuntimeOptions
from stages.detect.runtime.plans import Plan
from tests.shared_data import shared
from tests.stages.detect.runtime import networks

NAMES: tuple[RuntimeName, ...] = ("onnxruntime", "openvino")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))


def opened(network: Network, name: RuntimeName, precision: str = "f32", **options: object) -> Runtime:
    if name == "openvino":
        pytest.importorskip("openvino")
    plan = Plan(name, "cpu", precision, full=True)  # type: ignore[arg-type]
    return open_plan(network, plan, RuntimeOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_a_convolution_is_what_it_is_by_hand(tmp_path: Path, name: RuntimeName) -> None:
    network = networks.network(networks.convolution(tmp_path / "a.onnx", "batch", "side"), (1, 3, 6, 6))
    runtime = opened(network, name)
    [x] = sample(network)
    [found] = runtime.run([x])
    weights = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    padded = np.pad(x[0], ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    wanted = np.maximum(np.einsum("cyxij,ocij->oyx", windows, weights), 0)[None]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert (runtime.name, runtime.device, runtime.precision, runtime.max_batch) == (name, "cpu", "f32", 1)
    runtime.close()
    runtime.close()


@pytest.mark.parametrize("name", ["yolox_nano", "FastestDet", "nanodet_m_320", "yunet_n_dynamic"])
def test_real_networks_agree_to_the_last_digits(name: str) -> None:
    path = shared(f"weights/{name}.onnx")
    graph = read_graph(path)
    shape = tuple(side or (1 if axis == 0 else 320) for axis, side in enumerate(graph.inputs[0].shape))
    network = networks.network(path, shape)
    inputs = [array * 255 for array in sample(network)]
    both = [opened(network, which).run(inputs) for which in NAMES]
    for ours, theirs in zip(*both, strict=True):
        scale = max(float(np.abs(ours).max()), 1.0)
        assert float(np.abs(ours - theirs).max()) < 2e-4 * scale


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("callers", [1, 2, 3])
def test_many_callers_get_their_own_answers(tmp_path: Path, name: RuntimeName, callers: int) -> None:
    network = networks.network(networks.convolution(tmp_path / "a.onnx", 1, 16), (1, 3, 16, 16))
    runtime = opened(network, name, parallel=callers)
    assert runtime.parallel == callers
    pictures = np.random.default_rng(1).random((40, 1, 3, 16, 16), np.float32)
    alone = [runtime.run([picture])[0] for picture in pictures]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda picture: runtime.run([picture])[0], pictures))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_results_are_not_overwritten_by_the_next_call(tmp_path: Path, name: RuntimeName) -> None:
    network = networks.network(networks.convolution(tmp_path / "a.onnx"), (1, 3, 8, 8))
    runtime = opened(network, name, parallel=1)
    [first] = runtime.run([np.ones((1, 3, 8, 8), np.float32)])
    kept = first.copy()
    runtime.run([np.zeros((1, 3, 8, 8), np.float32)])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_with_a_fixed_batch_takes_fewer_pictures(tmp_path: Path, name: RuntimeName) -> None:
    network = networks.network(networks.convolution(tmp_path / "a.onnx", 4), (1, 3, 8, 8))
    runtime = opened(network, name)
    assert runtime.max_batch == 4
    pictures = np.random.default_rng(1).random((4, 3, 8, 8), np.float32)
    whole = runtime.run([pictures])[0]
    np.testing.assert_array_equal(runtime.run([pictures[:3]])[0], whole[:3])


@pytest.mark.parametrize("name", NAMES)
def test_several_inputs_of_other_types(tmp_path: Path, name: RuntimeName) -> None:
    network = networks.network(networks.two_inputs(tmp_path / "a.onnx"), (1, 2), (1, 2))
    runtime = opened(network, name)
    [found] = runtime.run([np.array([[1, 255]], np.uint8), np.array([[640, 480]])])
    np.testing.assert_array_equal(found, [[641, 735]])


@pytest.mark.parametrize("name", NAMES)
def test_a_quantised_file_stays_quantised(tmp_path: Path, name: RuntimeName) -> None:
    network = networks.network(networks.quantised(tmp_path / "a.onnx"), (1, 4))
    [found] = opened(network, name, "int8").run([np.array([[0.1, 0.3, 0.6, 0.9]], np.float32)])
    np.testing.assert_allclose(found, [[0.0, 0.5, 0.5, 1.0]])


def test_bf16_is_nearly_the_same_and_only_where_it_is_asked_for() -> None:
    path = shared("weights/FastestDet.onnx")
    pytest.importorskip("openvino")
    if "bf16" not in ov.reduced_precisions("cpu"):
        pytest.skip("this processor has no bf16")
    network = networks.network(path, (1, 3, 352, 352))
    inputs = sample(network)
    full, reduced = (opened(network, "openvino", precision).run(inputs)[0] for precision in ("f32", "bf16"))
    apart = float(np.abs(full - reduced).mean() / np.abs(full).mean())
    assert 1e-4 < apart < 0.05


def test_inputs_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    network = networks.network(networks.convolution(tmp_path / "a.onnx"), (1, 3, 8, 8))
    for name in NAMES:
        runtime = opened(network, name)
        with pytest.raises(ModelError, match=r"'a.onnx' failed on") as raised:
            runtime.run([np.zeros((1, 3, 9, 9), np.float32)])
        assert "\n" not in str(raised.value)
        assert not isinstance(raised.value, OutOfMemoryError)


@pytest.mark.parametrize(("make", "wanted"), [("divided", True), ("counted", False), ("per_box", False)])
def test_whether_a_batch_can_be_divided_is_found_out(tmp_path: Path, make: str, wanted: bool) -> None:
    network = networks.network(getattr(networks, make)(tmp_path / "a.onnx"), (1, 2))
    assert is_divisible(opened(network, "onnxruntime"), network) is wanted


def test_a_fixed_batch_that_cannot_be_divided_is_refused(tmp_path: Path) -> None:
    network = networks.network(networks.per_box(tmp_path / "a.onnx", 4), (1, 2))
    with pytest.raises(ModelError, match="is fixed to 4 pictures at once"):
        opened(network, "onnxruntime")


def test_a_size_that_the_file_does_not_take_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    path = networks.convolution(tmp_path / "a.onnx")
    with pytest.raises(ModelError, match=r"takes \[1, 3, 8, 8\] at its input 'images', not \[1, 3, 9, 8\]"):
        networks.network(path, (1, 3, 9, 8))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_with_a_good_head_and_a_bad_body_is_one_line(tmp_path: Path, name: RuntimeName) -> None:
    path = networks.convolution(tmp_path / "a.onnx")
    network = networks.network(path, (1, 3, 8, 8))
    path.write_bytes(path.read_bytes().replace(b"Conv", b"Cxyz"))
    with pytest.raises(ModelError, match=r"a\.onnx") as raised:
        opened(network, name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.slow
def test_an_openvino_model_runs_in_full(tmp_path: Path, half: bool) -> None:
    openvino = pytest.importorskip("openvino")
    source = networks.network(networks.convolution(tmp_path / "a.onnx"), (1, 3, 8, 8))
    openvino.save_model(
        openvino.convert_model(tmp_path / "a.onnx"), tmp_path / "b.xml", compress_to_fp16=half
    )
    network = networks.network(tmp_path / "b.xml", (1, 3, 8, 8))
    inputs = sample(source)
    np.testing.assert_allclose(
        opened(network, "openvino").run(inputs)[0],
        opened(source, "onnxruntime").run(inputs)[0],
        atol=0.02 if half else 1e-5,
    )


# GPU: there is none here, so what can be tested is what would be asked of it, and how it is refused.


@pytest.mark.parametrize("name", ["cuda", "tensorrt"])
def test_a_gpu_that_is_not_there_is_refused_with_what_to_install(name: ort.GpuName) -> None:
    if ort.has(name):
        pytest.skip("this ONNX Runtime has it")
    with pytest.raises(MissingRuntimeError, match=rf"no {name} here.*sightline\[gpu\]"):
        ort.require(name)


@pytest.mark.parametrize("name", ["cuda", "tensorrt"])
def test_the_cpu_in_the_gpus_place_is_no_success(tmp_path: Path, name: RuntimeName) -> None:
    """ONNX Runtime falls back to the CPU with a warning on stderr; a named GPU must not."""
    if ort.has(name):  # type: ignore[arg-type]
        pytest.skip("this ONNX Runtime has it")
    network = networks.network(networks.convolution(tmp_path / "a.onnx"), (1, 3, 8, 8))
    with (
        pytest.warns(UserWarning, match="not in available provider"),
        pytest.raises(MissingRuntimeError, match=r"cannot use 'cuda:0'"),
    ):
        open_plan(network, Plan(name, "cuda:0", "f32", full=True), RuntimeOptions())


def test_what_is_asked_of_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "")  # so that it is as it was afterwards
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE")
    graph = read_graph(networks.convolution(tmp_path / "a.onnx", "batch", "side"))
    shapes = ((1, 3, 384, 640),)
    [(provider, options)] = ort.gpu_providers("cuda", 1, "f32", graph, shapes, 8, tmp_path)
    assert provider == "CUDAExecutionProvider"
    assert (options["device_id"], options["use_tf32"]) == ("1", "0")
    assert "NVIDIA_TF32_OVERRIDE" not in os.environ
    providers = ort.gpu_providers("tensorrt", 0, "f16", graph, shapes, 8, tmp_path / "engines")
    assert [name for name, _ in providers] == ["TensorrtExecutionProvider", "CUDAExecutionProvider"]
    options = providers[0][1]
    assert (options["trt_fp16_enable"], options["trt_bf16_enable"], options["trt_int8_enable"]) == (
        "1",
        "0",
        "0",
    )
    assert options["trt_profile_min_shapes"] == "images:1x3x384x640"
    assert options["trt_profile_opt_shapes"] == options["trt_profile_max_shapes"] == "images:8x3x384x640"
    assert options["trt_engine_cache_path"] == str(tmp_path / "engines")
    assert (tmp_path / "engines").is_dir()
    ort.gpu_providers("tensorrt", 0, "f32", graph, shapes, 8, tmp_path)
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    fixed = read_graph(networks.convolution(tmp_path / "b.onnx"))
    options = ort.gpu_providers("tensorrt", 0, "f32", fixed, shapes, 1, tmp_path)[0][1]
    assert not [key for key in options if "profile" in key]


@pytest.mark.parametrize(
    "text",
    [
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : CUDA failure 2: out of memory ; GPU=0",
        "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 1048576",
        "cudaErrorMemoryAllocation: too many resources",
    ],
)
def test_no_room_is_told_apart_from_other_failures(text: str) -> None:
    error = ort.failure(RuntimeError(text), Path("a.onnx"), "cuda on cuda:0")
    assert isinstance(error, OutOfMemoryError)
