from __future__ import annotations

import builtins
import functools
import os
import pathlib
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ModelError
from stages.detect.models.kinds import Kind, check_weights
from tests.shared_data import shared
from tests.stages.detect.models.files import Call, onnx_bytes, torch_legacy, torch_zip

ONNX = onnx_bytes()


def refusal(path: Path) -> str:
    """What is said against a file, "" when nothing is."""
    try:
        check_weights(path)
    except ModelError as error:
        return str(error)
    return ""


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.pt", torch_zip(), Kind.TORCH),
        ("a.pth", torch_legacy({"a": 1}), Kind.TORCH),
        ("a.pt", torch_zip({"path": pathlib.PosixPath("x"), "set": {1}}), Kind.TORCH),
        ("a.onnx", ONNX, Kind.ONNX),
        ("yolov4.weights", b"\0\0\0\0 numbers", Kind.OTHER),
        ("eye.xml", b"<?xml version='1.0'?><net/>", Kind.OTHER),
    ],
)
def test_what_is_whole_passes(tmp_path: Path, name: str, content: bytes, kind: Kind) -> None:
    assert check_weights(put(tmp_path, name, content)) is kind


@pytest.mark.parametrize("name", ["yolox_nano.onnx", "FastestDet.onnx", "nanodet_m_320.onnx"])
def test_real_weights_pass_and_cut_off_ones_do_not(tmp_path: Path, name: str) -> None:
    path = shared(f"weights/{name}")
    assert check_weights(path) is Kind.ONNX
    content = path.read_bytes()
    with pytest.raises(ModelError, match="is cut off: at least"):
        check_weights(put(tmp_path, "a.onnx", content[: len(content) * 2 // 3]))


HTML = b"\n<!DOCTYPE html><html><body>please log in</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 6\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.pt", b"", "are an empty file"),
        ("a.onnx", b"", "are an empty file"),
        ("a.weights", b"", "are an empty file"),
        ("a.pt", HTML, "is a web page and no weights"),
        ("a.onnx", HTML, "is a web page and no weights"),
        ("a.pt", POINTER, "is a Git LFS pointer"),
        ("a.onnx", POINTER, "is a Git LFS pointer"),
        ("a.pt", b"hello", "is no PyTorch file"),
        ("a.onnx", b"hello", "is no usable ONNX file"),
        ("a.onnx", torch_zip(), "but a zip or PyTorch file"),
        ("a.pt", ONNX, "is no PyTorch file"),
        ("a.pt", torch_zip()[:2000], "is cut off or damaged"),
        ("a.pt", torch_zip(folder="x/").replace(b"data.pkl", b"date.txt"), "is a zip archive and no PyTorch"),
        ("a.pt", b"\x80\x04N.", "is a pickle but no PyTorch weights"),
        ("a.onnx", bytes([8, 8]), "holds no network"),
        ("a.onnx", ONNX + b"\xff", "is damaged at byte"),
    ],
)
def test_what_is_none_is_named_in_one_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = put(tmp_path, name, content)
    with pytest.raises(ModelError, match=said) as raised:
        check_weights(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_folders_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a folder"):
        check_weights(tmp_path)
    with pytest.raises(ModelError, match="no weights at"):
        check_weights(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (Call(os.system, "true"), "posix.system"),
        (Call(subprocess.Popen, ["true"]), "Popen"),
        (Call(builtins.eval, "1"), "eval"),
        (Call(functools.partial(os.mkdir, "x")), "posix.mkdir"),
        (Call(__import__, "os"), "__import__"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("pack", [torch_zip, torch_legacy])
def test_code_in_a_pickle_is_named(tmp_path: Path, call: Call, name: str, protocol: int, pack: Any) -> None:
    content = pack({"model": [call]}, protocol)
    with pytest.raises(ModelError, match=rf"would run code when it is loaded \(.*{name}\)"):
        check_weights(put(tmp_path, "a.pt", content))


def test_an_import_whose_name_comes_from_the_memo_is_found(tmp_path: Path) -> None:
    pickled = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x940h\x00h\x01\x93\x8c\x04true\x85R."
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/data.pkl", pickled)
    with pytest.raises(ModelError, match=r"posix\.system"):
        check_weights(path)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["a.pt", "a.onnx", "a.bin"]))
def test_any_bytes_give_a_kind_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = put(tmp_path_factory.getbasetemp(), name, content)
    assert "\n" not in refusal(path)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, len(ONNX) - 1))
def test_a_network_cut_off_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = put(tmp_path_factory.getbasetemp(), "cut.onnx", ONNX[:length])
    said = refusal(path)
    if not said:  # between two fields after the graph: nothing that counts is missing
        import onnx

        assert onnx.load_model_from_string(ONNX[:length]).graph.node
    else:
        assert "download or copy it again" in said
