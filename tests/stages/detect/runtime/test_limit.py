"""What never comes back when a network is opened is given up, in one line, and the process can end."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stages.detect.runtime.limit import within
from tests.stages.detect.runtime import networks

PATIENCE_S = 20.0


def test_results_and_errors_come_through() -> None:
    assert within(PATIENCE_S, lambda: 3, lambda _: None) == 3
    with pytest.raises(ZeroDivisionError):
        within(PATIENCE_S, lambda: 1 // 0, lambda _: None)


def test_what_comes_too_late_is_freed() -> None:
    gate, freed = threading.Event(), threading.Event()

    def slow() -> str:
        assert gate.wait(PATIENCE_S)
        return "network"

    def free(late: str) -> None:
        assert late == "network"
        freed.set()

    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        within(0.05, slow, free)
    assert not freed.is_set()
    gate.set()
    assert freed.wait(PATIENCE_S)


_SCRIPT = """
import sys
from pathlib import Path
from pipeline.errors import ModelError
from stages.detect.runtime import opening
from stages.detect.runtime.options import RuntimeOptions
from stages.detect.runtime.plans import Plan
from tests.stages.detect.runtime import networks

opening._TRIAL_S = 1.0
network = networks.network(Path(sys.argv[1]), (1, 2))
try:
    opening.open_plan(network, Plan("onnxruntime", "cpu", "f32", full=True), RuntimeOptions(timeout_s=1))
except ModelError as error:
    print(error, flush=True)
from pipeline.cli.entry import leave
leave(7)
"""


@pytest.mark.slow
def test_a_network_that_hangs_at_its_first_run_is_one_line_and_the_process_ends(tmp_path: Path) -> None:
    path = networks.looped(tmp_path / "loop.onnx")
    ended = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout == (
        "'loop.onnx' gave no answer for 1 s when it was opened (onnxruntime on cpu, f32); set another "
        "'runtime' or 'device', a longer 'timeout_s', or export it again\n"
    )
    assert (ended.returncode, ended.stderr) == (7, "")
