"""What a weights file is by its content: missing, cut off, a web page, or a pickle that would run code."""

from __future__ import annotations

import zipfile
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import ModelError
from stages.detect.models.pickles import dangerous_name

_HEAD = 512
_GRAPH_FIELD = 7
_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The first pickle of a file that torch wrote before version 1.6: its magic number."""
_LEGACY_PICKLES = 4
"""Magic number, protocol, what the machine was like, and the objects."""
_AGAIN = "download or copy it again"


class Kind(StrEnum):
    """Whose format a file has."""

    TORCH = "PyTorch"
    ONNX = "ONNX"
    OTHER = "other"


def check_weights(path: Path) -> Kind:
    """Look at a weights file without loading it: its beginning, its directory, the names in its pickle.

    A file that passes may still be unusable; loaders decide that. This says early, and in plain words, what
    they would say late and in their own. It is no sandbox: PyTorch files are loaded by `weights_only`, too.

    Raises:
        ModelError: if it is missing, empty, cut off, no weights at all, not what its name says, or holds
            a call that weights have no need of.
    """
    try:
        with path.open("rb") as file:
            return _kind(path, file)
    except OSError as error:
        raise ModelError(_unreadable(path, error)) from error


def _unreadable(path: Path, error: OSError) -> str:
    if path.is_dir():
        return f"'{path}' is a folder; give a weights file"
    if not path.exists():
        return f"no weights at '{path}'; give the path of an existing weights file"
    return f"cannot read the weights '{path}': {error.strerror}; check its permissions"


def _kind(path: Path, file: BinaryIO) -> Kind:
    head = file.read(_HEAD)
    if not head:
        raise ModelError(f"the weights '{path}' are an empty file; {_AGAIN}")
    _refuse_text(path, head)
    suffix = path.suffix.lower()
    if suffix in {".pt", ".pth"}:
        _check_torch(path, file, head)
        return Kind.TORCH
    if suffix == ".onnx":
        if head.startswith(b"PK\x03\x04"):
            raise ModelError(f"'{path}' is no ONNX file but a zip or PyTorch file; give its true name")
        _check_onnx(path, file)
        return Kind.ONNX
    return Kind.OTHER


def _refuse_text(path: Path, head: bytes) -> None:
    begin = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if begin.startswith(b"version https://git-lfs.github.com/"):
        raise ModelError(
            f"'{path}' is a Git LFS pointer and not the weights themselves; run 'git lfs pull', or {_AGAIN}"
        )
    is_openvino = path.suffix.lower() == ".xml"
    if begin.startswith((b"<!doctype", b"<html")) or (begin.startswith(b"<?xml") and not is_openvino):
        raise ModelError(
            f"'{path}' is a web page and no weights (a login or an error page?); {_AGAIN} by a direct link"
        )


def _check_torch(path: Path, file: BinaryIO, head: bytes) -> None:
    if head.startswith(b"PK\x03\x04"):
        _check_torch_zip(path, file)
    elif head.startswith(_LEGACY_TORCH):
        file.seek(0)
        _refuse_code(path, dangerous_name(file, pickles=_LEGACY_PICKLES))
    elif head[:1] == b"\x80":
        file.seek(0)
        _refuse_code(path, dangerous_name(file, pickles=1))
        raise ModelError(f"'{path}' is a pickle but no PyTorch weights; {_AGAIN}")
    else:
        raise ModelError(f"'{path}' is no PyTorch file; {_AGAIN}")


def _check_torch_zip(path: Path, file: BinaryIO) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
            if not names:
                raise ModelError(
                    f"'{path}' is a zip archive and no PyTorch file; unpack it and give what is in it"
                )
            for name in names:
                with archive.open(name) as pickled:
                    _refuse_code(path, dangerous_name(pickled, pickles=1))
    except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
        raise ModelError(f"'{path}' is cut off or damaged ({error}); {_AGAIN}") from error


def _refuse_code(path: Path, name: str | None) -> None:
    if name is not None:
        raise ModelError(
            f"'{path}' would run code when it is loaded ({name}) and is refused; "
            f"get the weights from somebody you trust"
        )


def _check_onnx(path: Path, file: BinaryIO) -> None:
    """Walk over the fields of the outermost protobuf message (onnx.proto, ModelProto); it reads none."""
    size = file.seek(0, 2)
    file.seek(0)
    has_graph = False
    while file.tell() < size:
        at = file.tell()
        tag = _varint(file)
        field, wire = (tag >> 3, tag & 7) if tag is not None else (0, -1)
        length = {0: 0, 1: 8, 5: 4}.get(wire)
        if wire == 0:
            length = 0 if _varint(file) is not None else None
        elif wire == 2:
            length = _varint(file)
        if field == 0 or length is None:
            if at == 0 or not has_graph:
                raise ModelError(f"'{path}' is no usable ONNX file; {_AGAIN}")
            raise ModelError(f"'{path}' is damaged at byte {at}; {_AGAIN}")
        if file.tell() + length > size:
            missing = file.tell() + length - size
            if at == 0 or field > _LAST_FIELD:
                raise ModelError(f"'{path}' is no usable ONNX file; {_AGAIN}")
            raise ModelError(f"'{path}' is cut off: at least {missing} bytes are missing; {_AGAIN}")
        file.seek(length, 1)
        has_graph = has_graph or field == _GRAPH_FIELD
    if not has_graph:
        raise ModelError(f"'{path}' holds no network: it is no usable ONNX file, or cut off; {_AGAIN}")


_LAST_FIELD = 26
"""Of ModelProto (`configuration`, ONNX 1.18), with fields to spare."""


def _varint(file: BinaryIO) -> int | None:
    value = 0
    for place in range(10):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << (7 * place)
        if byte[0] < 0x80:
            return value
    return None
