"""The shipped configurations are ready to run, and every setting that they explain exists."""

import re
from pathlib import Path

import pytest

from pipeline.config import load_config
from pipeline.config.builtin import find_config, shipped_configs

NAMES = (
    "camera",
    "crowd",
    "demo",
    "folder",
    "follow",
    "junction",
    "left",
    "live",
    "objects",
    "people",
    "record",
    "shop",
    "speed",
    "traffic",
    "webcam",
)
STAGES = {
    "camera": ["motion", "track", "count", "draw"],
    "crowd": ["draw"],
    "follow": ["count", "draw"],
    "left": ["draw"],
    "record": [],
}
SINKS = {
    "camera": ["events", "counts"],
    "crowd": ["events", "video"],
    "folder": ["events", "counts"],
    "left": ["events", "video"],
    "record": ["events", "record"],
    "live": ["events", "live"],
    "webcam": ["events", "counts"],
}
SWITCHED_OFF = re.compile(r"^( *)#(?=[\w-])", re.MULTILINE)


def test_these_are_shipped() -> None:
    assert tuple(shipped_configs()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_is_ready_to_run(name: str) -> None:
    config = load_config(name, env={})
    (stream,) = config.streams
    assert [stage.name for stage in stream.stages][1:] == STAGES.get(name, ["track", "count", "draw"])
    assert [sink.name for sink in config.sinks] == SINKS.get(name, ["events", "counts", "video"])
    assert config.out == Path("out")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_switched_off_is_right_too(name: str, tmp_path: Path) -> None:
    text = shipped_configs()[name].read_text(encoding="utf-8")
    switched_on, count = SWITCHED_OFF.subn(r"\1", text)
    assert count
    path = tmp_path / "all.yaml"
    path.write_text(switched_on, encoding="utf-8")
    load_config(path, env={})


def test_the_camera_s_page_has_every_option_of_a_camera() -> None:
    text = shipped_configs()["camera"].read_text(encoding="utf-8")
    (stream,) = load_config("camera", env={}).streams
    for options in (stream.source.options, stream.keeper):
        for name in type(options).model_fields:
            assert re.search(rf"^ *#{name}: ", text, re.MULTILINE), name


@pytest.mark.parametrize("name", ["demo", "demo.yaml"])
def test_a_shipped_one_is_found_by_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo").mkdir()  # where `sightline demo` leaves its results
    assert find_config(Path(name)) == shipped_configs()["demo"]


def test_a_file_of_the_same_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo.yaml").touch()
    assert find_config(Path("demo.yaml")) == Path("demo.yaml")
    assert find_config(Path("elsewhere/traffic.yaml")) == Path("elsewhere/traffic.yaml")
    assert find_config(Path("nosuch")) == Path("nosuch")
