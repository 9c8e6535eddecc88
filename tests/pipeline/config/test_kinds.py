"""Kinds of events that nothing makes are told before anything runs: misspelt ones, and those of elsewhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import registry
from pipeline.config.catalogue import Catalogue
from pipeline.config.kinds import Glossary, emitted_by
from pipeline.config.load import load_config
from pipeline.config.problems import ConfigProblems
from pipeline.config.schema import Config
from pipeline.errors import ConfigError
from pipeline.kinds import ENGINE, doubts_of
from pipeline.plugin import Kind, Options, Stage

COUNT = """\
  - motion
  - track
  - count: {{lines: {{door: {{start: [0, 0.5], end: [1, 0.5]}}}}{more}}}
"""
ZONE = ", zones: {till: {polygon: [[0, 0], [1, 0], [1, 1]], dwell: {}}}"
HALL = "streams: {hall: {source: hall.mp4}}\n"
INSTALLED = Catalogue(cache(registry.plugin_names), cache(registry.load_plugin))
"""As the default, but each plug-in is looked up once for all tests."""
TWO = "streams:\n  hall: {source: hall.mp4}\n  yard: {source: yard.mp4, stages: [motion]}\n"


class StrangeStage(Stage):
    """A third party's, which says nothing of events."""

    Options = Options


class ShopStage(StrangeStage):
    emits = {"shop.opened": "somebody unlocked the door"}  # noqa: RUF012


def beside(**stages: type[Any] | None) -> Catalogue:
    """Return what is installed, and these stages; None for one that cannot be imported."""

    def names(kind: Kind) -> list[str]:
        return sorted([*INSTALLED.names(kind), *(stages if kind == "stage" else ())])

    def load(kind: Kind, name: str) -> type[Any]:
        if kind != "stage" or name not in stages:
            return INSTALLED.load(kind, name)
        found = stages[name]
        if found is None:
            raise ConfigError(f"stage '{name}' cannot be imported")
        return found

    return Catalogue(names, load)


def load(
    folder: Path, sinks: str, *, streams: str = HALL, more: str = "", stages: str = "", **arguments: Any
) -> Config:
    path = folder / "x.yaml"
    path.write_text(f"{streams}stages:\n{stages}{COUNT.format(more=more)}sinks:\n{sinks}")
    return load_config(path, **{"env": {}, "catalogue": INSTALLED, **arguments})


def said(folder: Path, kinds: str, **arguments: Any) -> list[str]:
    """Return what is doubted in a sink's kinds, without the file, the line and the place."""
    config = load(folder, f"  - jsonl: {{kinds: [{kinds}]}}\n", **arguments)
    return [doubt.message for doubt in config.doubts]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("line.crosing", "nothing emits 'line.crosing'; did you mean 'line.crossing' (stage count)?"),
        ("Line.Crossing", "nothing emits 'Line.Crossing'; did you mean 'line.crossing' (stage count)?"),
        ("line", "nothing emits 'line'; did you mean 'line.*' (stage count)?"),
        ('"zones.*"', "nothing emits 'zones.*'; did you mean 'zone.*' (stage count and stage flow)?"),
        ("sourcestate", "nothing emits 'sourcestate'; did you mean 'source.state' (the engine)?"),
        ("clip.save", "nothing emits 'clip.save'; did you mean 'clip.saved' (sink clips)?"),
        ("qwxyz", "nothing emits 'qwxyz'; `sightline events` lists what there is"),
    ],
)
def test_what_nothing_installed_can_emit_is_refused(kind: str, says: str, tmp_path: Path) -> None:
    asked = f"\n      kinds:\n        - line.crossing\n        - {kind}\n"
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path, f"  - jsonl:{asked}  - s3:\n      bucket: bucket{asked}  - clips: {{kinds: ['*']}}\n")
    assert [str(problem) for problem in caught.value.problems] == [
        f"{tmp_path}/x.yaml:10: sinks[0].jsonl.kinds[1]: {says}",
        f"{tmp_path}/x.yaml:15: sinks[1].s3.kinds[1]: {says}",
    ]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (
            "zone.dwell",
            "nothing in this run emits 'zone.dwell'; it comes from stage count: an object stays long in a "
            "zone; it goes on; it ended",
        ),
        (
            '"zone.*"',
            "nothing in this run emits 'zone.*'; such events come from stage count and stage flow",
        ),
        (
            "source.state",
            "nothing in this run emits 'source.state'; it comes from the engine: a live source began to "
            "play, stalled, was lost or refused",
        ),
        (
            "recording.alarm",
            "nothing in this run emits 'recording.alarm'; it comes from sink record: recording of a stream, "
            "or the index, does not work; and when that ends",
        ),
    ],
)
def test_what_only_this_run_does_not_emit_is_doubted(kind: str, says: str, tmp_path: Path) -> None:
    assert said(tmp_path, kind) == [says]


@pytest.mark.parametrize(
    ("kinds", "arguments"),
    [
        ('line.crossing, "line.*", "*.crossing", "*", "[kl]ine.?rossing"', {}),
        ('zone.dwell, "zone.*", zone.entered', {"more": ZONE}),
        ("stream.gap, journal.overrun", {}),
        ("source.state", {"streams": "streams: {hall: {source: rtsp://camera/1}}\n"}),
    ],
)
def test_what_comes_about_is_not_doubted(kinds: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    assert said(tmp_path, kinds, **arguments) == []


@pytest.mark.parametrize(
    ("sinks", "doubted"),
    [
        ("  - jsonl\n", 0),
        ("  - jsonl: {kinds: [recording.alarm, sink.state]}\n  - record\n", 0),
        ("  - clips: {kinds: [recording.damaged]}\n  - record: {streams: [hall]}\n", 0),
        ("  - jsonl: {kinds: [recording.alarm], streams: [yard]}\n  - record: {streams: [hall]}\n", 1),
        ("  - s3: {bucket: bucket, kinds: [clip.saved]}\n  - clips: {kinds: [line.crossing]}\n", 0),
        ("  - jsonl: {kinds: [line.crossing], streams: [hall]}\n", 0),
        ("  - jsonl: {kinds: [line.crossing, journal.overrun], streams: [yard]}\n", 2),
    ],
)
def test_a_sink_gets_what_its_streams_and_the_sinks_of_those_tell(
    sinks: str, doubted: int, tmp_path: Path
) -> None:
    doubts = load(tmp_path, sinks, streams=TWO).doubts
    assert len(doubts) == doubted
    assert all(doubt.message.startswith("nothing in stream 'yard' emits '") for doubt in doubts)


def test_what_an_override_asks_for_is_named_by_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems, match=r"^--set sinks\.0\.jsonl\.kinds: .*'line\.crossing'"):
        load(tmp_path, "  - jsonl: {}\n", sets=["sinks.0.jsonl.kinds=[line.crosing]"])


IDENTIFY = """\
  - identify:
      gates: {{a: {{stream: hall, line: door}}, b: {{stream: yard, line: door}}}}
      links: {{way: {{start: a, end: b}}}}
      alerts: {{kinds: [{kinds}]}}
"""


@pytest.mark.parametrize(
    ("kinds", "doubts"),
    [
        ("zone.dwell", []),
        ('"zone.*"', []),
        (
            "identity.match",
            ["nothing before it in stream 'hall' emits 'identity.match'; it comes "],
        ),
    ],
)
def test_a_stage_is_told_of_what_comes_before_it(kinds: str, doubts: list[str], tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    streams = HALL.replace("}}", "}, yard: {source: yard.mp4}}")
    path.write_text(f"{streams}stages:\n{COUNT.format(more=ZONE)}{IDENTIFY.format(kinds=kinds)}")
    found = load_config(path, env={}, catalogue=INSTALLED).doubts
    assert [doubt.key for doubt in found] == ["stages[3].identify.alerts.kinds[0]"] * len(doubts)
    assert all(doubt.message.startswith(says) for doubt, says in zip(found, doubts, strict=True))


def test_a_third_partys_kinds_are_as_good_as_ours(tmp_path: Path) -> None:
    shop = {"catalogue": beside(shop=ShopStage)}
    assert said(tmp_path, "shop.opened", stages="  - shop\n", **shop) == []
    assert said(tmp_path, "shop.opened", **shop) == [
        "nothing in this run emits 'shop.opened'; it comes from stage shop: somebody unlocked the door"
    ]
    with pytest.raises(ConfigProblems, match=r"did you mean 'shop.opened' \(stage shop\)"):
        said(tmp_path, "shop.open", **shop)


@pytest.mark.parametrize("strange", [StrangeStage, None])
def test_what_says_nothing_is_no_error(strange: type[Any] | None, tmp_path: Path) -> None:
    """It may make any kind: where it runs nothing is doubted, else a misspelt kind is only doubted."""
    catalogue = beside(strange=strange)
    assert Glossary.of(catalogue).silent == ("stage strange",)
    assert said(tmp_path, "line.crosing", catalogue=catalogue) == [
        "nothing in this run emits 'line.crosing'; did you mean 'line.crossing' (stage count)?"
    ]
    if strange is not None:
        assert said(tmp_path, "line.crosing, any.thing", catalogue=catalogue, stages="  - strange\n") == []


def test_no_plugin_is_imported_where_all_is_well(tmp_path: Path) -> None:
    catalogue = Catalogue(INSTALLED.names, lambda kind, name: _only(kind, name))
    assert said(tmp_path, "line.crossing", catalogue=catalogue) == []


def _only(kind: Kind, name: str) -> type[Any]:
    assert name in {"file", "motion", "track", "count", "jsonl"}, f"{kind} {name} was imported"
    return INSTALLED.load(kind, name)


def test_a_run_can_emit_no_more_than_is_known(tmp_path: Path) -> None:
    config = load(tmp_path, "  - record\n  - jsonl\n", streams=TWO, more=ZONE)
    emitted = emitted_by(config)
    assert emitted == {
        "line.crossing",
        "zone.entered",
        "zone.left",
        "zone.dwell",
        "stream.gap",
        "sink.state",
        "journal.overrun",
        "recording.alarm",
        "recording.damaged",
        "recording.reconciled",
    }
    assert emitted <= Glossary.of(INSTALLED).known.keys()


@given(st.lists(st.text(max_size=80)), st.sets(st.sampled_from(sorted(ENGINE))))
def test_a_beginning_is_doubted_when_no_kind_has_it(prefixes: list[str], emitted: set[str]) -> None:
    doubted = [prefix for prefix in prefixes if not any(kind.startswith(prefix) for kind in emitted)]
    said = doubts_of(prefixes, emitted)
    assert len(said) == len(doubted)
    assert all(repr(prefix[:60]) in line for prefix, line in zip(doubted, said, strict=True))
    assert doubts_of(emitted, emitted) == []
