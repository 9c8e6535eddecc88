"""Results never overwrite a source, the configuration, another result, or the results of a run at work."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from pipeline.config.load import load_config
from pipeline.engine import Engine
from pipeline.errors import ConfigError, SinkError
from pipeline.outputs import claimed, refuse_overwriting
from tests.command import Sightline
from tests.media import write_crossing_video

SINKS = "sinks: [events, counts, video]"


def refuse(folder: Path, *, sinks: str = SINKS, out: Path | None = None, report: Path | None = None) -> None:
    path = folder / "c.yaml"
    path.write_text(f"streams:\n  road: {{source: {folder}/road.mp4}}\nstages: []\n{sinks}\n")
    refuse_overwriting(load_config(path, env={}, out=out or folder / "out"), report)


def test_a_run_into_a_folder_of_its_own_is_fine(tmp_path: Path) -> None:
    (tmp_path / "road.mp4").touch()
    refuse(tmp_path, report=tmp_path / "out/report.json")
    refuse(tmp_path, report=tmp_path / "elsewhere.json")


def test_the_source_beside_the_results_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "road.mp4").touch()
    with pytest.raises(
        ConfigError, match=r"sink 'video' would overwrite .*road.mp4, the source of stream 'road'"
    ):
        refuse(tmp_path, out=tmp_path)


@pytest.mark.parametrize("kind", ["symlink_to", "hardlink_to"])
def test_links_are_seen_through(kind: str, tmp_path: Path) -> None:
    (tmp_path / "road.mp4").touch()
    (tmp_path / "out").mkdir()
    getattr(tmp_path / "out/road.mp4", kind)(tmp_path / "road.mp4")
    with pytest.raises(ConfigError, match="the source of stream 'road'"):
        refuse(tmp_path)


@pytest.mark.parametrize(
    ("sinks", "report", "says"),
    [
        ("sinks: [{events: {path: a.txt}}, {counts: {path: a.txt}}]", None, "'events' and sink 'counts'"),
        ("sinks: [video, video]", None, "sink 'video' and sink 'video' would both write"),
        ("sinks: [video, {events: {path: road.mp4}}]", None, "sink 'video' and sink 'events'"),
        ("sinks: [events]", "out/events.jsonl", "sink 'events' and the report would both write"),
        ("sinks: [events]", "c.yaml", "the report would overwrite .*c.yaml, the configuration"),
        ("sinks: [events]", "road.mp4", "the report would overwrite .*road.mp4, the source"),
    ],
)
def test_two_writers_of_one_file_are_named(sinks: str, report: str | None, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        refuse(tmp_path, sinks=sinks, report=tmp_path / report if report else None)


def _hold(folder: Path, ready: object, leave: object) -> None:
    with claimed(folder):
        ready.set()  # type: ignore[attr-defined]
        leave.wait(30)  # type: ignore[attr-defined]


def test_a_folder_in_use_by_another_process_is_refused_until_that_ends(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready, leave = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(tmp_path, ready, leave))
    other.start()
    try:
        assert ready.wait(30)
        with pytest.raises(SinkError, match="another run is writing there"), claimed(tmp_path):
            pass
    finally:
        leave.set()
        other.join(30)
    with claimed(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_the_engine_holds_its_folder_until_it_is_closed(tmp_path: Path) -> None:
    write_crossing_video(tmp_path / "road.mp4", frames=4)
    path = tmp_path / "c.yaml"
    path.write_text(f"streams: {{road: {{source: {tmp_path}/road.mp4}}}}\nsinks: [events]\n")
    config = load_config(path, env={}, out=tmp_path / "out")
    with Engine(config), pytest.raises(SinkError, match="another run"):
        Engine(config)
    with Engine(config) as engine:
        assert engine.run()["status"] == "done"


def test_the_recording_survives_the_natural_mistake(tmp_path: Path, sightline: Sightline) -> None:
    """`run traffic --source monday.mp4 --source tuesday.mp4 --out .`: streams are named like the files."""
    clips = [write_crossing_video(tmp_path / f"{day}.mp4", frames=4) for day in ("monday", "tuesday")]
    before = [clip.read_bytes() for clip in clips]
    ran = sightline("run", "traffic", "--source", clips[0], "--source", clips[1], "--out", tmp_path)
    assert ran.code == 2
    assert len(ran.errors) == 2
    assert "monday.mp4, the source of stream 'monday'" in ran.errors[0]
    assert [clip.read_bytes() for clip in clips] == before
    assert {path.name for path in tmp_path.iterdir()} == {"monday.mp4", "tuesday.mp4"}


def test_check_finds_it_too(tmp_path: Path, sightline: Sightline) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        "streams: {road: {source: x.mp4}}\nstages: []\nsinks: [{events: {path: report.json}}]\n"
    )
    said = sightline("check", config)
    assert said.code == 2
    assert "sink 'events' and the report would both write" in said.errors[0]
