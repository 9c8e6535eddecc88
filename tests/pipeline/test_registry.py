"""Plug-ins are found by name, also those of a third party."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from pipeline import registry
from pipeline.errors import ConfigError
from pipeline.plugin import Kind, Options, Sink, Source, Stage
from pipeline.registry import load_plugin, plugin_names, scheme_of, stages_giving

KINDS: list[tuple[Kind, type[Any]]] = [("source", Source), ("stage", Stage), ("sink", Sink)]


@pytest.mark.parametrize(("kind", "base"), KINDS)
def test_every_registered_plugin_loads_and_keeps_its_contract(kind: Kind, base: type[Any]) -> None:
    assert plugin_names(kind)
    for name in plugin_names(kind):
        loaded = load_plugin(kind, name)
        assert issubclass(loaded, base)
        assert issubclass(loaded.Options, Options)
        assert loaded.__doc__


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("source", {"file", "images", "synthetic"}),
        ("stage", {"motion", "hog", "onnx", "yolo", "track", "count", "draw"}),
        ("sink", {"events", "counts", "video"}),
    ],
)
def test_what_the_base_install_has(kind: Kind, names: set[str]) -> None:
    assert names <= set(plugin_names(kind))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown stage 'moton'; known: .*motion"):
        load_plugin("stage", "moton")


def test_a_third_partys_broken_import_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("blur", "no_such_package.blur:BlurStage", "sightline.stages")
    monkeypatch.setattr(registry, "entry_points", lambda **_: EntryPoints([broken]))
    with pytest.raises(
        ConfigError, match=r"stage 'blur' \(no_such_package.blur:BlurStage\) cannot be imported"
    ):
        load_plugin("stage", "blur")


def test_the_source_is_chosen_by_what_the_url_says(tmp_path: Path) -> None:
    (tmp_path / "frame[1].mp4").touch()
    cases = {
        "synthetic://street?seed=1": "synthetic",
        "RTSP://camera/1": "rtsp",
        str(tmp_path): "images",
        str(tmp_path / "a.mp4"): "file",
        str(tmp_path / "*.jpg"): "images",
        str(tmp_path / "frame[1].mp4"): "file",
        "C:\\clips\\a.mp4": "file",
    }
    assert {url: scheme_of(url) for url in cases} == cases


def test_stages_by_what_they_give() -> None:
    assert {"onnx", "yolo", "hog", "motion"} <= set(stages_giving("detections"))
    assert "track" not in stages_giving("detections")
    assert stages_giving("tracks") == ["follow", "track"]
