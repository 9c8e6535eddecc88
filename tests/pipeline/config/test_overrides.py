# ruff: noqa: E501 - a mistake and what is said of it stand side by side

from pathlib import Path
from typing import Any

import pytest

from pipeline.config.problems import ConfigProblems
from pipeline.config.schema import Config
from tests.pipeline.config.plugins import GOOD, load


def option(config: Config, stage: int, name: str) -> Any:
    return getattr(config.streams[0].stages[stage].options, name)


@pytest.mark.parametrize(
    ("setting", "stage", "name", "value"),
    [
        ("stages.motion.width=480", 0, "width", 480),
        ("stages.0.motion.width=480", 0, "width", 480),
        ("stages[0].motion.width=480", 0, "width", 480),
        ("stages.motion.shadows=no", 0, "shadows", False),
        ("stages.motion={width: 640}", 0, "width", 640),
        ("stages.track.confirm=5", 1, "confirm", 5),
        ("stages.track={confirm: 5}", 1, "confirm", 5),
        ("stages.1={track: {confirm: 5}}", 1, "confirm", 5),
        ("stages.track.ages=[1, 2]", 1, "ages", [1.0, 2.0]),
        ("stages.track.ages=[1]", 1, "ages", [1.0]),
        ("streams.gate.stages.track.confirm=5", 1, "confirm", 5),
    ],
)
def test_set_reaches_an_option(setting: str, stage: int, name: str, value: object, tmp_path: Path) -> None:
    assert option(load(tmp_path, GOOD, sets=[setting]), stage, name) == value


def test_set_makes_what_is_missing_on_the_way(tmp_path: Path) -> None:
    sets = [
        "bus.frames=tcp://*:5578",
        "stages.count.lines.exit.points=[0, 0, 1, 1]",
        "stages.count.lines.exit.anchor=center",
        "streams.gate.source.url=b.mp4",
        "streams.new.source=c.mp4",
        "sinks.events={}",
        "out=elsewhere",
    ]
    config = load(tmp_path, GOOD, sets=sets)
    assert config.bus is not None
    assert config.bus.frames == "tcp://*:5578"
    assert sorted(option(config, 2, "lines")) == ["door", "exit"]
    assert [(stream.name, stream.url.reveal()) for stream in config.streams][::2] == [
        ("gate", "b.mp4"),
        ("new", "c.mp4"),
    ]
    assert config.out == Path("elsewhere")


def test_a_stream_without_stages_gets_its_own_copy_of_the_common_ones(tmp_path: Path) -> None:
    text = "streams: {a: {source: x}, b: {source: y}}\nstages: [motion, track]\n"
    config = load(tmp_path, text, sets=["streams.a.stages.motion.width=480"])
    a, b = config.streams
    assert option(config, 0, "width") == 480
    assert [step.options for step in b.stages] == [step.plugin.Options() for step in b.stages]
    assert a.stages[1] == b.stages[1]


@pytest.mark.parametrize(
    ("variable", "value", "stage", "name", "wanted"),
    [
        ("SIGHTLINE__STAGES__MOTION__WIDTH", "480", 0, "width", 480),
        ("sightline__stages__0__motion__width", "480", 0, "width", 480),
        ("SIGHTLINE__STREAMS__GATE__STAGES__TRACK__CONFIRM", "5", 1, "confirm", 5),
    ],
)
def test_the_environment_reaches_an_option(
    variable: str, value: str, stage: int, name: str, wanted: object, tmp_path: Path
) -> None:
    assert option(load(tmp_path, GOOD, env={variable: value}), stage, name) == wanted


def test_names_in_variables_are_found_in_any_case(tmp_path: Path) -> None:
    text = "streams: {Gate-1: {source: a.mp4}}\n"
    config = load(
        tmp_path, text, env={"SIGHTLINE__STREAMS__GATE_1__SOURCE": "b.mp4", "SIGHTLINE__OUT": "there"}
    )
    assert (config.streams[0].name, config.streams[0].url.reveal(), config.out) == (
        "Gate-1",
        "b.mp4",
        Path("there"),
    )


def test_other_variables_and_empty_ones_change_nothing(tmp_path: Path) -> None:
    env = {"SIGHTLINE_SHARED": "/x", "SIGHTLINE": "1", "SIGHTLINE__STREAMS__GATE__POLICY": "", "HOME": "/x"}
    assert load(tmp_path, GOOD, env=env).hash == load(tmp_path, GOOD).hash


def test_the_process_environment_is_used_unless_another_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE__OUT", "from-the-environment")
    assert load(tmp_path, GOOD, env=None).out == Path("from-the-environment")
    assert load(tmp_path, GOOD).out == Path("results")


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("foo", "--set foo: expected KEY=VALUE, such as streams.gate.policy=latest"),
        ("=3", "--set : expected KEY=VALUE, such as streams.gate.policy=latest"),
        ("a..b=3", "--set a..b: a part of the key is empty"),
        ("out.x=3", "--set out.x: out is 'results' and holds no settings"),
        ("stages.9.x=3", "--set stages.9.x: stages has 3 entries, counted from 0; no 9"),
        ("stages.0.track.x=3", "--set stages.0.track.x: stages[0] is 'motion', not 'track'"),
        ("stages.motoin.width=3", "--set stages.motoin.width: stages has no 'motoin'; did you mean 'motion'? known: motion, track, count"),
        ("stages.motion=[", "--set stages.motion: not YAML: ends too early: is a bracket or a quote open?"),
        ("stages.motion={a: 1, a: 2}", "--set stages.motion: a: key 'a' is written twice, first above; keep one"),
        ("stages.motion.widht=3", "--set stages.motion.widht: stages[0].motion.widht: unknown key 'widht'; did you mean 'width'? allowed: width, shadows, shade, sigma, size, name"),
        ("stages.motion.width=3", "--set stages.motion.width: stages[0].motion.width: expected a value of at least 16, found 3"),
        ("stages.count.lines.dor.anchor=center", "--set stages.count.lines.dor.anchor: stages[2].count.lines.dor.points: missing; it must be given; did you mean 'door'?"),
        ("streams.gaet.policy=latest", "--set streams.gaet.policy: streams.gaet.source: missing; it must be given; did you mean 'gate'?"),
        ("stages.count.lines.door.points=[0, 1]", "--set stages.count.lines.door.points: stages[2].count.lines.door.points: expected 4 entries, found [0, 1]"),
        ("stages.track.confirm=60", "--set stages.track.confirm: stages[1].track: confirm is longer than any visit"),
        ("stages.track.weights=broken", "--set stages.track.weights: stages[1].track: broken: these are no weights; download them again"),
        ("bus.frames=tcp://127.0.0.1:5577", "--set bus.frames: bus: events and frames both go to tcp://127.0.0.1:5577; each needs its own endpoint"),
        ("streams.yard.source.url=rtps://u:pw@x", "--set streams.yard.source.url: streams.yard.source: no source reads 'rtps://'; did you mean 'rtsp'? known: file, images, rtsp, synthetic"),
        ("buss.events=x", "--set buss.events: buss: unknown key 'buss'; did you mean 'bus'? allowed: streams, stages, sinks, bus, metrics, journal, privacy, out"),
        ("streams.gate.source=rtps://u:pw@x", "--set streams.gate.source: streams.gate.source: no source reads 'rtps://'; did you mean 'rtsp'? known: file, images, rtsp, synthetic"),
    ],
)  # fmt: skip
def test_a_wrong_set_says_so(setting: str, line: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path, GOOD, sets=[setting])
    assert str(caught.value) == line


def test_of_several_overrides_the_latest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path, GOOD, sets=["stages.track.confirm=60", "stages.track.ages=[1]"])
    assert str(caught.value) == "--set stages.track.ages: stages[1].track: confirm is longer than any visit"


def test_an_override_is_not_blamed_for_what_the_file_says_above_it(tmp_path: Path) -> None:
    text = GOOD.replace("- track", "- trakc: {}")
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path, text, sets=["stages.trakc.confirm=5"])
    assert str(caught.value).startswith(f"{tmp_path / 'x.yaml'}:11: stages[1].trakc: unknown stage 'trakc'")


def test_two_stages_of_one_name_are_told_apart_by_position(tmp_path: Path) -> None:
    text = "streams: {a: {source: x}}\nstages: [motion, motion]\n"
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path, text, sets=["stages.motion.width=480"])
    assert "name one by its position: stages[0] or stages[1]" in str(caught.value)
    assert option(load(tmp_path, text, sets=["stages[1].motion.width=480"]), 1, "width") == 480


def test_a_variable_that_may_mean_two_things_is_refused(tmp_path: Path) -> None:
    text = "streams: {a: {source: x}, A: {source: y}}\n"
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path, text, env={"SIGHTLINE__STREAMS__A__SOURCE": "z"})
    assert (
        str(caught.value)
        == "environment variable SIGHTLINE__STREAMS__A__SOURCE: 'A' may mean a or A; use --set"
    )
