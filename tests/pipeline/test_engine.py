"""A whole run: isolation of streams, exit codes, the report."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.schema import Config, PluginConfig, StreamConfig
from pipeline.engine import Engine
from pipeline.errors import ConfigError, FetchError, ModelError, SightlineError, SinkError, SourceError
from pipeline.journal import Overrun
from pipeline.outbox import JournalOptions
from pipeline.plugin import Options, Sink, SinkContext, SinkOptions, StageContext, StreamInfo
from pipeline.report import write_report
from pipeline.secret import SecretUrl
from streams.sinks.events import EventsOptions, EventsSink
from tests.pipeline.parts import WorkOptions, WorkStage, stream_config


class Quiet(Sink):
    """Takes everything; keeps how often it was closed."""

    closed = 0

    def __init__(self, options: Options, context: SinkContext) -> None:
        super().__init__(options, context)
        self.opened: list[str] = []

    def open_stream(self, info: StreamInfo) -> None:
        self.opened.append(info.stream)

    def close(self) -> None:
        self.closed += 1


def config(folder: Path, *streams: StreamConfig) -> Config:
    sinks = (PluginConfig("sink", "quiet", Quiet, Quiet.Options()),)
    return Config(streams, sinks, None, folder / "out", "feed", folder / "c.yaml")


def run(folder: Path, *streams: StreamConfig) -> tuple[dict[str, object], int]:
    with Engine(config(folder, *streams)) as engine:
        report = engine.run()
    json.dumps(report)
    return report, engine.exit_code()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (SourceError("cut"), 1),
        (ValueError("bug"), 1),
        (ConfigError("line outside"), 2),
        (ModelError("none"), 2),
        (FetchError("offline"), 1),
    ],
)
def test_exit_codes_by_situation(error: Exception | None, code: int, tmp_path: Path) -> None:
    script = ["frame", *([error] if error else [])]
    report, found = run(tmp_path, stream_config(script=script))
    assert found == code
    assert report["status"] == ("failed" if error else "done")


def test_one_failing_stream_stops_no_other(tmp_path: Path) -> None:
    report, code = run(
        tmp_path,
        stream_config(script=["frame"] * 30, name="a"),
        stream_config(open_error=SourceError("no such file"), name="b"),
        stream_config(WorkOptions(open_error=OSError("bad lens")), name="c"),
        stream_config(script=["frame"] * 30, name="d"),
    )
    streams = report["streams"]
    assert isinstance(streams, dict)
    assert code == 1
    assert {name: s["state"] for name, s in streams.items()} == {
        "a": "ended",
        "b": "failed",
        "c": "failed",
        "d": "ended",
    }
    assert streams["a"]["frames"] == {"captured": 30, "finished": 30, "dropped": {}}
    assert streams["b"]["error"] == "no such file"
    assert "bad lens" in streams["c"]["error"]


def test_the_report_has_what_scripts_rely_on(tmp_path: Path) -> None:
    report, _ = run(tmp_path, stream_config())
    assert {"status", "config", "config_hash", "seconds", "streams", "versions"} <= report.keys()
    stream = report["streams"]["gate"]  # type: ignore[index]
    assert {"frames", "counts", "seconds", "fps", "media_seconds", "gaps", "config_hash"} <= stream.keys()
    assert "sightline" in report["versions"]  # type: ignore[operator]


class Talking(WorkStage):
    """Says how often it was asked to work, or fails to."""

    def statistics(self) -> Mapping[str, Any]:
        if self.options.batch > 1:
            raise OSError("no answer")
        return {"batches": len(self.batches)}


def test_the_report_has_what_stages_say_of_themselves(tmp_path: Path) -> None:
    kinds = [(Talking, 1), (Talking, 2), (WorkStage, 1)]
    stages = tuple(
        PluginConfig("stage", f"{kind.__name__.lower()}{batch}", kind, WorkOptions(batch=batch))
        for kind, batch in kinds
    )
    report, _ = run(tmp_path, replace(stream_config(), stages=stages))
    stream = report["streams"]["gate"]  # type: ignore[index]
    assert stream["stages"] == {"talking1": {"batches": 10}, "talking2": {"error": "OSError: no answer"}}


@pytest.mark.parametrize(("live", "code"), [(False, 1), (True, 0)])
def test_a_stopped_file_is_half_a_count_but_a_live_stream_has_no_end(
    live: bool, code: int, tmp_path: Path
) -> None:
    engine = Engine(config(tmp_path, stream_config(script=["frame", "wait"], live=live)))
    with engine:
        report = engine.run(tick=engine.stop, tick_s=0.01)
    assert report["status"] == "stopped"
    assert engine.exit_code() == code


def test_a_sink_serves_the_streams_that_it_names(tmp_path: Path) -> None:
    plain = config(
        tmp_path, stream_config(name="sub"), stream_config(name="main"), stream_config(name="yard")
    )
    only_main = PluginConfig("sink", "quiet", Quiet, SinkOptions(streams=("main",)))
    with Engine(replace(plain, sinks=(*plain.sinks, only_main))) as engine:
        engine.run()
        opened = [sorted(sink.opened) for _, sink in engine._sinks]
    assert opened == [["main", "sub", "yard"], ["main"]]


def test_the_metrics_can_be_asked_while_the_engine_is_there(tmp_path: Path) -> None:
    with Engine(replace(config(tmp_path, stream_config()), metrics="127.0.0.1:0")) as engine:
        engine.run()
        assert engine.metrics is not None
        with urllib.request.urlopen(engine.metrics.endpoint, timeout=5) as answer:
            assert b'sightline_frames_finished_total{stream="gate"} 10.0' in answer.read()


def test_leaving_closes_every_sink(tmp_path: Path) -> None:
    engine = Engine(config(tmp_path, stream_config(name="a"), stream_config(name="b")))
    with engine:
        engine.run()
    sink = engine._sinks[0][1]
    assert isinstance(sink, Quiet)
    assert sorted(sink.opened) == ["a", "b"]
    assert sink.closed == 1
    engine.close()


class Stuck(Quiet):
    def close(self) -> None:
        super().close()
        raise OSError("disk full")


def test_a_sink_that_cannot_be_closed_fails_the_run_but_loses_neither_report_nor_the_other_sinks(
    tmp_path: Path,
) -> None:
    sinks = tuple(PluginConfig("sink", name, Stuck, Quiet.Options()) for name in ("a", "b"))
    with Engine(replace(config(tmp_path, stream_config()), sinks=sinks)) as engine:
        engine.run()
    report = engine.report()
    assert (report["status"], report["error"]) == ("failed", "closing sink 'a' failed: OSError: disk full")
    assert report["streams"]["gate"]["state"] == "ended"
    assert engine.exit_code() == 1
    assert [sink.closed for _, sink in engine._sinks if isinstance(sink, Stuck)] == [1, 1]


def test_a_stage_that_cannot_be_made_is_named_and_leaves_no_folder(tmp_path: Path) -> None:
    class Broken(WorkStage):
        def __init__(self, options: WorkOptions, context: StageContext) -> None:
            raise KeyError("no\nkey")

    broken = replace(stream_config(), stages=(PluginConfig("stage", "blur", Broken, WorkOptions()),))
    with pytest.raises(
        SightlineError, match=r"stream 'gate': stage 'blur' cannot be made: KeyError: 'no.*key'$"
    ):
        Engine(config(tmp_path, broken))
    assert list(tmp_path.iterdir()) == []


def test_a_sink_that_cannot_be_made_is_named_and_those_made_before_are_closed(tmp_path: Path) -> None:
    made: list[Quiet] = []

    class Kept(Quiet):
        def __init__(self, options: Options, context: SinkContext) -> None:
            super().__init__(options, context)
            made.append(self)

    class Broken(Sink):
        def __init__(self, options: Options, context: SinkContext) -> None:
            raise OSError("no such device")

    sinks = tuple(PluginConfig("sink", kind.__name__, kind, Options()) for kind in (Kept, Broken))
    with pytest.raises(SinkError, match="sink 'Broken' cannot be made: OSError: no such device"):
        Engine(replace(config(tmp_path, stream_config()), sinks=sinks))
    assert [sink.closed for sink in made] == [1]


def test_the_report_before_the_end_says_so(tmp_path: Path) -> None:
    seen: list[str] = []
    with Engine(config(tmp_path, stream_config(script=["frame", "wait"], live=True))) as engine:
        assert engine.report()["status"] == "running"

        def tick() -> None:
            seen.append(engine.report()["status"])
            engine.stop()

        engine.run(tick=tick, tick_s=0.01)
    assert seen[0] == "running"
    assert engine.report()["status"] == "stopped"


def test_a_report_holds_any_file_name(tmp_path: Path) -> None:
    """Linux file names are bytes; what is no UTF-8 reaches Python as lone surrogates."""
    name = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    write_report({"source": name, "line": "Straße"}, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == {
        "source": name,
        "line": "Straße",
    }


def test_the_report_shows_no_password(tmp_path: Path) -> None:
    secret = replace(stream_config(), url=SecretUrl("script://admin:secret@camera/1"))
    report, _ = run(tmp_path, secret)
    assert "secret" not in json.dumps(report)
    assert "camera" in json.dumps(report)


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "report.json"
    write_report({"status": "done"}, target)
    assert json.loads(target.read_text()) == {"status": "done"}
    assert [path.name for path in target.parent.iterdir()] == ["report.json"]
    for impossible in (target / "below-a-file.json", target.parent, Path("/"), Path()):
        with pytest.raises(SinkError, match="cannot write the report"):
            write_report({}, impossible)
    assert [path.name for path in tmp_path.rglob("*.part")] == []


def test_what_belongs_to_no_stream_is_in_the_file_of_events(tmp_path: Path) -> None:
    options = [EventsOptions(), EventsOptions(path="gate.jsonl", streams=("gate",))]
    sinks = tuple(PluginConfig("sink", "events", EventsSink, each) for each in options)
    made = replace(config(tmp_path, stream_config()), sinks=sinks, journal=JournalOptions())
    with Engine(made) as engine:
        engine._tell("", "recording.reconciled", {"added": 1})
        engine.run()
        assert engine._outbox
        engine._outbox._overrun(Overrun("slow", 3, 7))
        kept = [entry.event() for entry in engine._outbox.journal.read(0, 100)]
    lines = (tmp_path / "out" / "events.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [event.to_dict() for event in kept]
    assert [(event.stream, event.kind) for event in kept] == [
        ("_box", "recording.reconciled"),
        ("_box", "journal.overrun"),
    ]
    assert (tmp_path / "out" / "gate.jsonl").read_text() == ""
