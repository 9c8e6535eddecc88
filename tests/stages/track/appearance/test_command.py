"""`sightline train-embedding` as a shell sees it."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages.track.appearance.reid import ReidModel
from tests.command import Sightline
from tests.stages.track.appearance.patterns import write_crops

torch = pytest.importorskip("torch", reason='needs the extra "train"')

COMMAND = "train-embedding"


def small(folder: Path) -> Path:
    return write_crops(folder / "crops", 5, 3)


def test_help_teaches(sightline: Sightline) -> None:
    said = sightline(COMMAND, "--help")
    assert said.code == 0
    for word in (
        "FOLDER",
        "--out",
        "--loss",
        "--epochs",
        "--minutes",
        "--seed",
        "--device",
        "Example:",
        "Ctrl-C",
    ):
        assert word in said.out, word


@pytest.mark.slow
def test_a_network_and_its_figures(tmp_path: Path, sightline: Sightline) -> None:
    out = tmp_path / "made" / "people.onnx"
    ran = sightline(COMMAND, small(tmp_path), "--out", out, "--epochs", 1, "--threads", 1, "--device", "cpu")
    assert ran.code == 0, ran.err
    assert "2 objects never seen, 2 queries" in ran.out
    assert "15 crops of 5 objects" in ran.err
    assert "2 objects say little" in ran.out
    figures = json.loads(out.with_suffix(".json").read_text())
    assert figures["identities"] == {"trained": 3, "held_out": 2, "left_out": 0}
    assert figures["parameters"] == 2_800_864
    assert figures["recipe"]["loss"] == "triplet"
    assert set(figures["held_out"]) == {"untrained", "trained", "builtin"}
    model = ReidModel(out)
    assert (model.size, model.length) == ((64, 128), 128)
    assert model.limit == pytest.approx(figures["limit"], abs=1e-4)
    rows = model.embed(np.zeros((200, 100, 3), np.uint8), np.array([[5, 5, 60, 150]], np.float32))
    assert np.linalg.norm(rows) == pytest.approx(1, abs=1e-5)
    assert sorted(path.name for path in out.parent.iterdir()) == ["people.json", "people.onnx"]


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_so_far(
    tmp_path: Path, sightline: Sightline, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stages.track.appearance import training

    batches = training.balanced_batches

    def interrupted(*arguments: object) -> object:
        for number, rows in enumerate(batches(*arguments)):  # type: ignore[arg-type]
            if number == 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield rows

    monkeypatch.setattr(training, "balanced_batches", interrupted)
    before = signal.getsignal(signal.SIGINT)
    out = tmp_path / "people.onnx"
    ran = sightline(COMMAND, small(tmp_path), "--out", out, "--epochs", 20, "--threads", 1, "--device", "cpu")
    assert ran.code == 0, ran.err
    assert "stopped in epoch" in ran.err
    assert json.loads(out.with_suffix(".json").read_text())["stopped"] is True
    assert ReidModel(out).length == 128
    assert signal.getsignal(signal.SIGINT) is before


def _nothing(folder: Path) -> None:
    folder.mkdir()


def _one_identity(folder: Path) -> None:
    write_crops(folder, 1, 4)


def _one_crop_each(folder: Path) -> None:
    write_crops(folder, 4, 1)


def _damaged(folder: Path) -> None:
    write_crops(folder, 2, 2)
    (folder / "run-1/1.jpg").write_bytes(b"JFIF?")


def _missing(folder: Path) -> None:
    pass


def _good(folder: Path) -> None:
    write_crops(folder, 4, 2)


BAD: list[tuple[str, Callable[[Path], None], list[str], int, str]] = [
    ("no identities", _nothing, [], 1, "no identities in it"),
    ("one identity", _one_identity, [], 1, "only 1 identity has at least 2 crops"),
    ("one crop each", _one_crop_each, [], 1, "no identity has at least 2 crops"),
    ("a damaged picture", _damaged, [], 1, "cannot be decoded as a picture"),
    ("no folder", _missing, [], 1, "does not exist"),
    ("no .onnx", _good, ["--out", "people.pt"], 2, "must end in .onnx"),
    ("the file is there", _good, ["--out", "there.onnx"], 2, "exists already"),
    ("its figures are there", _good, ["--out", "figures.onnx"], 2, "figures.json exists already"),
    ("a folder is there", _good, ["--out", "folder.onnx", "--force"], 2, "is a folder"),
    ("below a file", _good, ["--out", "there.onnx/people.onnx"], 1, "cannot be written"),
    ("no time", _good, ["--minutes", "0"], 2, "minutes must be above 0"),
    ("endless time", _good, ["--minutes", "inf"], 2, "minutes must be above 0 and finite"),
    ("a device that is none", _good, ["--device", "abacus"], 2, "--device abacus:"),
]


@pytest.mark.parametrize(("what", "make", "words", "code", "said"), BAD, ids=[row[0] for row in BAD])
def test_bad_input_is_told_in_one_line(
    what: str,
    make: Callable[[Path], None],
    words: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    sightline: Sightline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(tmp_path / "crops")
    monkeypatch.chdir(tmp_path)
    for name in ("there.onnx", "figures.json"):
        (tmp_path / name).write_text("precious")
    (tmp_path / "folder.onnx").mkdir()
    ran = sightline(COMMAND, "crops", *words)
    assert ran.code == code, ran.err
    (line,) = ran.errors
    assert said in line
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"crops", "there.onnx", "figures.json", "folder.onnx"}, what
    assert (tmp_path / "there.onnx").read_text() == "precious"


@pytest.mark.parametrize("name", ["torch", "onnx"])
def test_a_missing_package_is_told(
    name: str, tmp_path: Path, sightline: Sightline, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None if wanted == name else find(wanted))
    ran = sightline(COMMAND, small(tmp_path), "--out", tmp_path / "x.onnx")
    assert ran.code == 2
    assert ran.errors == [f'training needs {name}: pip install "sightline[train]"']


@pytest.mark.slow
def test_force_replaces(tmp_path: Path, sightline: Sightline) -> None:
    out = tmp_path / "people.onnx"
    out.write_text("old")
    ran = sightline(
        COMMAND, small(tmp_path), "--out", out, "--force", "--epochs", 1, "--threads", 1, "--device", "cpu"
    )
    assert ran.code == 0, ran.err
    assert ReidModel(out).length == 128
