"""Which runtime is taken: by name, by measurement, from memory; and what is said when it is not there."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ModelError
from stages.detect.runtime import cache, choice, facts, ort, ov, plans
from stages.detect.runtime import options as options_module
from stages.detect.runtime.base import Inputs, MissingRuntimeError, Outputs
from stages.detect.runtime.choice import open_runtime
from stages.detect.runtime.opening import Network
from stages.detect.runtime.options import RuntimeOptions, usable_cores
from stages.detect.runtime.plans import Plan
from tests.stages.detect.runtime import networks


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return networks.network(networks.convolution(tmp_path / "a.onnx"), (1, 3, 8, 8))


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says what this box has, whatever it really has."""

    def has(*, cuda: bool = False, openvino: tuple[str, ...] = (), bf16: bool = False) -> None:
        monkeypatch.setattr(ort, "has", lambda name: cuda)
        monkeypatch.setattr(ov, "is_installed", lambda: bool(openvino))
        monkeypatch.setattr(ov, "devices", lambda: list(openvino))
        monkeypatch.setattr(ov, "reduced_precisions", lambda device: ["bf16"] if bf16 else [])

    return has


class Timed:
    """A runtime that takes a stated time by a clock of its own."""

    max_batch = parallel = 1

    def __init__(self, plan: Plan, lab: Lab) -> None:
        self.name, self.device, self.precision = plan.name, plan.device, plan.precision
        self._plan, self._lab = plan, lab
        self.closed = False

    def run(self, inputs: Inputs) -> Outputs:
        self._lab.now_s += self._lab.times_s[str(self._plan)]
        return list(inputs)

    def close(self) -> None:
        self.closed = True


class Lab:
    """Opens runtimes that take a stated time, or fail, and keeps what was opened."""

    def __init__(self, **times_s: float) -> None:
        self.times_s = {name.replace("_", " "): spent for name, spent in times_s.items()}
        self.now_s = 0.0
        self.opened: list[Timed] = []

    def open_one(self, network: Network, plan: Plan, options: RuntimeOptions) -> Timed:
        for name, spent in list(self.times_s.items()):
            if name.split()[0] == plan.name and (len(name.split()) == 1 or name.split()[1] == plan.precision):
                self.times_s[str(plan)] = spent
        if str(plan) not in self.times_s:
            raise ModelError(f"{plan} is broken")
        self.opened.append(Timed(plan, self))
        return self.opened[-1]

    def choose(self, network: Network, **options: object) -> str:
        self.opened.clear()
        made = RuntimeOptions(**options)  # type: ignore[arg-type]
        runtime = open_runtime(network, made, open_one=self.open_one, clock=lambda: self.now_s)
        assert [one for one in self.opened if not one.closed] == [runtime]
        return f"{runtime.name} {runtime.device} {runtime.precision}"


TABLE = [
    ({}, {}, ["onnxruntime on cpu, f32"]),
    ({"openvino": ("cpu",)}, {}, ["onnxruntime on cpu, f32", "openvino on cpu, f32"]),
    ({"openvino": ("cpu",), "bf16": True}, {}, ["onnxruntime on cpu, f32", "openvino on cpu, f32"]),
    (
        {"openvino": ("cpu",), "bf16": True},
        {"precision": "auto"},
        ["onnxruntime on cpu, f32", "openvino on cpu, f32", "openvino on cpu, bf16"],
    ),
    ({"openvino": ("cpu",), "bf16": True}, {"precision": "bf16"}, ["openvino on cpu, bf16"]),
    ({"openvino": ("cpu", "gpu:0")}, {"device": "gpu"}, ["openvino on gpu:0, f32"]),
    ({"openvino": ("cpu", "gpu:0")}, {"device": "cpu", "runtime": "openvino"}, ["openvino on cpu, f32"]),
    ({"cuda": True}, {}, ["onnxruntime on cpu, f32", "cuda on cuda:0, f32"]),
    ({"cuda": True}, {"device": "cuda:1"}, ["cuda on cuda:1, f32"]),
    ({"cuda": True}, {"device": "cuda", "runtime": "onnxruntime"}, ["cuda on cuda:0, f32"]),
    ({"cuda": True}, {"runtime": "tensorrt", "precision": "f16"}, ["tensorrt on cuda:0, f16"]),
    ({"cuda": True, "openvino": ("cpu",)}, {"runtime": "onnxruntime"}, ["onnxruntime on cpu, f32"]),
]


@pytest.mark.parametrize(("here", "options", "wanted"), TABLE)
def test_the_ways_that_are_left(
    box: Callable[..., None],
    network: Network,
    here: dict[str, object],
    options: dict[str, object],
    wanted: list[str],
) -> None:
    box(**here)
    found = plans.plans(network.graph, RuntimeOptions(**options))  # type: ignore[arg-type]
    assert [str(plan) for plan in found] == wanted
    assert all(plan.full == plan.precision.startswith("f32") for plan in found)


REFUSED = [
    ({}, {"runtime": "openvino"}, r"OpenVINO is not installed: pip install .sightline\[openvino\]"),
    ({}, {"runtime": "cuda"}, r"no cuda here.*sightline\[gpu\]"),
    ({}, {"device": "cuda:0"}, r"no cuda here"),
    ({}, {"runtime": "tensorrt"}, r"no tensorrt here"),
    ({}, {"device": "gpu:0"}, r"OpenVINO is not installed"),
    ({"openvino": ("cpu",)}, {"device": "gpu:1"}, r"finds no 'gpu:1' here \(it finds: cpu\)"),
    ({"cuda": True}, {"runtime": "cuda", "device": "cpu"}, r"cuda does not run on device: cpu"),
    ({"openvino": ("cpu",)}, {"runtime": "openvino", "device": "cuda"}, r"openvino does not run on device"),
    ({}, {"precision": "bf16"}, r"bf16 cannot be had here \(tried onnxruntime on cpu\)"),
    ({"openvino": ("cpu",)}, {"precision": "f16"}, r"f16 cannot be had here"),
    ({}, {"precision": "int8"}, r"needs a network that is quantised already"),
]


@pytest.mark.parametrize(("here", "options", "words"), REFUSED)
def test_what_is_named_and_not_there_is_an_error_with_a_way_out(
    box: Callable[..., None],
    network: Network,
    here: dict[str, object],
    options: dict[str, object],
    words: str,
) -> None:
    box(**here)
    with pytest.raises(MissingRuntimeError, match=words) as raised:
        plans.plans(network.graph, RuntimeOptions(**options))  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_a_file_is_run_in_what_it_is_made_for(tmp_path: Path, box: Callable[..., None]) -> None:
    box(openvino=("cpu",), bf16=True)
    half = networks.network(networks.convolution(tmp_path / "h.onnx", half=True), (1, 3, 8, 8)).graph
    eight = networks.network(networks.quantised(tmp_path / "q.onnx"), (1, 4)).graph
    for graph, own in ((half, "f16"), (eight, "int8")):
        for precision in ("full", "auto", own):
            found = plans.plans(graph, RuntimeOptions(precision=precision))  # type: ignore[arg-type]
            assert [plan.precision for plan in found] == [own, own]
    with pytest.raises(MissingRuntimeError, match="OpenVINO model"):
        plans.plans(half, RuntimeOptions(runtime="cuda"), ".xml")
    found = plans.plans(half, RuntimeOptions(), ".xml")
    assert [plan.name for plan in found] == ["openvino"]


@pytest.mark.parametrize(
    ("openvino_s", "wanted"), [(0.010, "openvino"), (0.019, "onnxruntime"), (0.030, "onnxruntime")]
)
def test_the_fastest_wins_if_it_is_clearly_faster(
    box: Callable[..., None], network: Network, openvino_s: float, wanted: str
) -> None:
    box(openvino=("cpu",))
    lab = Lab(onnxruntime=0.020, openvino=openvino_s)
    assert lab.choose(network).split()[0] == wanted


def test_a_measurement_is_made_once_and_holds_for_what_it_was_made_for(
    box: Callable[..., None],
    network: Network,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    box(openvino=("cpu",))
    lab = Lab(onnxruntime=0.020, openvino=0.010)
    with caplog.at_level(logging.INFO):
        assert lab.choose(network) == "openvino cpu f32"
    assert "onnxruntime on cpu, f32 20.0 ms; openvino on cpu, f32 10.0 ms" in caplog.text
    assert len(lab.opened) == 2
    assert lab.choose(network) == "openvino cpu f32"
    assert len(lab.opened) == 1
    [entry] = json.loads((folder / "runtimes.json").read_text()).values()
    assert (entry["chosen"], entry["model"], entry["input"]) == ("openvino on cpu, f32", "a.onnx", "1x3x8x8")
    lab.choose(network, threads=2)
    assert len(lab.opened) == 2
    monkeypatch.setattr(choice, "version", lambda name: "99")
    lab.choose(network)
    assert len(lab.opened) == 2


def test_what_lost_the_measurement_is_not_even_looked_for(
    box: Callable[..., None], network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    box(openvino=("cpu",))
    lab = Lab(onnxruntime=0.010, openvino=0.020)
    lab.choose(network)

    def imported(*_: object) -> list[str]:
        raise AssertionError("OpenVINO takes 66 MiB and 0.4 s to import")

    monkeypatch.setattr(ov, "devices", imported)
    assert lab.choose(network) == "onnxruntime cpu f32"


WRONG_PLAN = {"name": "torch", "device": "cpu", "precision": "f32", "full": True}


@pytest.mark.parametrize("plan", [None, 3, {}, WRONG_PLAN])
def test_a_plan_that_is_none_is_measured_again(
    box: Callable[..., None], network: Network, folder: Path, plan: object
) -> None:
    box(openvino=("cpu",))
    lab = Lab(onnxruntime=0.020, openvino=0.010)
    lab.choose(network)
    kept = {key: {**entry, "plan": plan} for key, entry in cache.remembered().items()}
    (folder / "runtimes.json").write_text(json.dumps(kept))
    assert lab.choose(network) == "openvino cpu f32"
    assert len(lab.opened) == 2


def test_what_worked_before_and_fails_now_is_left_out_aloud(
    box: Callable[..., None], network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    box(cuda=True)
    Lab(onnxruntime=0.020, cuda=0.001).choose(network)
    without = Lab(onnxruntime=0.020)
    assert without.choose(network) == "onnxruntime cpu f32"
    assert "cuda on cuda:0, f32 worked before and does not now" in caplog.text
    assert "cuda on cuda:0, f32 is left out: cuda on cuda:0, f32 is broken" in caplog.text
    # The GPU may be back at the next start.
    assert Lab(onnxruntime=0.020, cuda=0.001).choose(network) == "cuda cuda:0 f32"


def test_when_nothing_works_the_reason_is_told(box: Callable[..., None], network: Network) -> None:
    box(openvino=("cpu",))
    with pytest.raises(ModelError, match="onnxruntime on cpu, f32 is broken"):
        Lab().choose(network)


@pytest.mark.parametrize(("precision", "wanted"), [("full", "f32"), ("auto", "bf16"), ("bf16", "bf16")])
def test_accuracy_is_traded_only_when_asked_and_auto_says_so(
    box: Callable[..., None],
    network: Network,
    caplog: pytest.LogCaptureFixture,
    precision: str,
    wanted: str,
) -> None:
    box(openvino=("cpu",), bf16=True)
    lab = Lab(onnxruntime=0.020, openvino_f32=0.020, openvino_bf16=0.010)
    assert lab.choose(network, precision=precision).split()[2] == wanted
    assert ("is calculated in bf16, not as the file has it" in caplog.text) == (precision == "auto")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}', "\x00" * 100])
def test_a_damaged_memory_is_no_memory(
    box: Callable[..., None], network: Network, folder: Path, content: str
) -> None:
    folder.mkdir()
    (folder / "runtimes.json").write_text(content)
    box(openvino=("cpu",))
    assert cache.remembered() == {}
    assert Lab(onnxruntime=0.020, openvino=0.010).choose(network) == "openvino cpu f32"
    assert len(cache.remembered()) == 1


def test_a_folder_that_cannot_be_written_costs_only_the_memory(
    box: Callable[..., None], network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "file"))
    box(openvino=("cpu",))
    lab = Lab(onnxruntime=0.020, openvino=0.010)
    assert lab.choose(network) == lab.choose(network) == "openvino cpu f32"
    assert len(lab.opened) == 2


def test_the_memory_is_bounded(folder: Path) -> None:
    for number in range(300):
        cache.remember(str(number), {"chosen": "x"})
    kept = list(cache.remembered())
    assert kept == [str(number) for number in range(44, 300)]
    assert sorted(path.name for path in folder.iterdir()) == ["runtimes.json", "runtimes.lock"]


def test_a_real_measurement_of_what_is_really_here(network: Network) -> None:
    runtime = open_runtime(network, RuntimeOptions())
    assert runtime.device == "cpu"
    assert runtime.precision == "f32"
    shape = runtime.run([choice.sample(network)[0]])[0].shape
    assert shape == (1, 4, 8, 8)
    runtime.close()


def test_doctor_shows_what_is_here_and_what_was_measured(box: Callable[..., None], network: Network) -> None:
    box(openvino=("cpu", "gpu:0"), bf16=True)
    Lab(onnxruntime=0.020, openvino=0.010).choose(network, device="cpu")
    rows = facts.describe()
    assert "on the cpu in f32" in rows["onnxruntime"]
    assert "sightline[gpu]" in rows["cuda"]
    assert rows["openvino"].endswith("on the cpu in f32, bf16 and the gpu:0 in f32, bf16")
    assert rows["a.onnx 1x3x8x8"] == (
        "openvino on cpu, f32 (measured: onnxruntime on cpu, f32 20.0 ms; openvino on cpu, f32 10.0 ms)"
    )
    box()
    assert "sightline[openvino]" in facts.describe()["openvino"]


def test_options_are_checked() -> None:
    for wrong in (
        {"device": "gpu0"},
        {"runtime": "torch"},
        {"threads": 0},
        {"timeout_s": 0.0},
        {"max_batch": 0},
    ):
        with pytest.raises(ValueError, match="validation error"):
            RuntimeOptions(**wrong)  # type: ignore[arg-type]
    assert RuntimeOptions(parallel=3).callers == 3
    assert RuntimeOptions(threads=64).callers == 1


@pytest.mark.parametrize(
    ("content", "most"),
    [("150000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", 999), ("", 999), ("1 0\n", 999)],
)
def test_a_containers_share_of_time_counts_as_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, most: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(32)), raising=False)
    (tmp_path / "cpu.max").write_text(content)
    assert usable_cores(tmp_path / "cpu.max") == min(most, 32)
    assert usable_cores(tmp_path / "none") == 32
    monkeypatch.setattr(options_module, "usable_cores", lambda: 32)
    assert (RuntimeOptions().callers, RuntimeOptions(threads=8).callers) == (16, 4)
