from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.detect.models import catalogue as names
from stages.detect.models import resolve as module
from stages.detect.models.catalogue import Known
from stages.detect.models.store import describe
from tests.command import Sightline
from tests.servers.http import HttpServer, body
from tests.stages.detect.models.files import onnx_bytes, torch_zip

CONTENT = onnx_bytes()
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    """Has /net.onnx, and /yolo0n.pt, which is a known name."""
    with HttpServer({"/net.onnx": body(CONTENT), "/yolo0n.pt": body(torch_zip())}) as site:
        model = Known("yolo0n.pt", site.url("/yolo0n.pt"), "AGPL-3.0", "yolo", "tests", "")
        for place in (module, names):
            monkeypatch.setattr(place, "known", lambda name: model if name == model.name else None)
        yield site


def test_a_model_comes_is_shown_and_goes(server: HttpServer, cache: Path, sightline: Sightline) -> None:
    url = server.url("/net.onnx")
    said = sightline("models", "fetch", url, "yolo0n.pt")
    assert said.code == 0
    path, size, source, known_path, _, known_source = said.out.splitlines()
    assert Path(path).read_bytes() == CONTENT
    assert f"SHA-256 {DIGEST}" in size
    assert source == f"  licence unknown, from {url}"
    assert known_path == str(cache / "models/yolo0n.pt")
    assert known_source.startswith("  licence AGPL-3.0, from http")
    assert "net.onnx: 0.0 MB of 0.0 MB" in said.err  # no terminal: lines

    rows = sightline("models", "list").out.splitlines()
    assert rows[0] == f"on this box, in {cache / 'models'}"
    assert rows[1].split() == ["net.onnx", "0.0", "MB", "unknown", url]
    assert rows[2].split()[:4] == ["yolo0n.pt", "0.0", "MB", "AGPL-3.0"]

    shown = json.loads(sightline("models", "show", "yolo0n.pt", "--json").out)
    assert (shown["file"], shown["licence"]) == (known_path, "AGPL-3.0")
    assert shown["sha256"] == hashlib.sha256(torch_zip()).hexdigest()
    assert shown["sha256"] in shown["first had"]
    assert "must publish the source" in shown["note"]

    assert sightline("models", "remove", "net.onnx", "yolo0n.pt").code == 0
    assert not Path(path).exists()
    assert "none" in sightline("models", "list").out.splitlines()[1]
    server.routes["/yolo0n.pt"] = body(torch_zip({"other": 1}))
    (error,) = sightline("models", "fetch", "yolo0n.pt").errors
    assert "sightline models remove --forget yolo0n.pt" in error
    assert sightline("models", "remove", "--forget", "yolo0n.pt").out.startswith("forgotten: ")
    assert sightline("models", "fetch", "yolo0n.pt").code == 0


def test_show_of_what_is_not_here_says_where_to_put_it(cache: Path, sightline: Sightline) -> None:
    shown = json.loads(sightline("models", "show", "yolox_s.onnx", "--json").out)
    assert shown["file"] is None
    assert shown["put it at"] == str(cache / "models/yolox_s.onnx")
    assert (shown["licence"], shown["stage"]) == ("Apache-2.0", "onnx")
    text = sightline("models", "show", "yolox_s.onnx").out
    assert f"put it at:  {cache / 'models/yolox_s.onnx'}" in text
    assert sightline("models", "show", "nowhere.onnx").errors[0].startswith("no weights at 'nowhere.onnx'")
    assert not cache.exists()


def test_show_of_a_file(cache: Path, tmp_path: Path, sightline: Sightline) -> None:
    (tmp_path / "own.onnx").write_bytes(CONTENT)
    shown = json.loads(sightline("models", "show", "own.onnx", "--json").out)
    assert (shown["sha256"], shown["format"], shown["licence"]) == (DIGEST, "ONNX", "unknown")


def test_list_by_a_word(cache: Path, sightline: Sightline) -> None:
    listed = json.loads(sightline("models", "list", "yolo11n", "--json").out)
    assert [model["name"] for model in listed["known"]] == [
        "yolo11n.pt",
        "yolo11n-seg.pt",
        "yolo11n-pose.pt",
        "yolo11n-obb.pt",
    ]
    assert listed["here"] == listed["exports"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["remove"], "name a model"),
        (["remove", "none.pt"], "'none.pt' is not among the downloaded models"),
        (["remove", "/etc/passwd"], "'/etc/passwd' is not among the downloaded models"),
        (["remove", "ROOT/cache/models/../../own.onnx"], "is not among the downloaded models"),
        (["remove", "../../own.onnx"], "is not among the downloaded models"),
        (["export", "a.pt", "--size", "640"], "wanted WIDTHxHEIGHT"),
        (["export", "a.pt", "--to", "tflite"], "wanted onnx, openvino or engine"),
        (["export", "a.pt", "--size", "100x100"], "multiple of 32"),
        (["fetch", "http://example.com/a.onnx"], "http can be tampered with"),
    ],
)
def test_what_cannot_be(
    words: list[str], said: str, cache: Path, tmp_path: Path, sightline: Sightline
) -> None:
    (tmp_path / "own.onnx").write_bytes(CONTENT)
    (cache / "models").mkdir(parents=True)
    done = sightline("models", *(word.replace("ROOT", str(tmp_path)) for word in words))
    assert done.code == 2
    assert said in done.errors[0]
    assert (tmp_path / "own.onnx").exists()


def test_two_of_one_name_are_told_apart(server: HttpServer, cache: Path, sightline: Sightline) -> None:
    server.routes["/other/net.onnx"] = body(onnx_bytes(5))
    first, second = server.url("/net.onnx"), server.url("/other/net.onnx")
    assert sightline("models", "fetch", first, second).code == 0
    (error,) = sightline("models", "remove", "net.onnx").errors
    assert "there are several 'net.onnx'; give one of: " in error
    assert sightline("models", "remove", second).code == 0
    assert len(json.loads(sightline("models", "list", "--json").out)["here"]) == 1


def test_exports_are_listed_and_removed(cache: Path, sightline: Sightline) -> None:
    place = cache / "exports/net-0123"
    place.mkdir(parents=True)
    (place / "net.onnx").write_bytes(CONTENT)
    (place / "export.json").write_text("{}")
    assert "net-0123" in sightline("models", "list").out
    assert sightline("models", "remove", "--exports").out == f"removed: {place}\n"
    assert list(place.parent.iterdir()) == []


def test_doctor_is_told_where_they_are(server: HttpServer, cache: Path, sightline: Sightline) -> None:
    assert describe() == f"{cache / 'models'}: 0 models, 0.0 MB"
    sightline("models", "fetch", server.url("/net.onnx"))
    assert describe() == f"{cache / 'models'}: 1 models, 0.0 MB"
