"""What Prometheus is told: asked over a real socket, parsed by Prometheus' own parser."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.backoff import KeeperOptions
from pipeline.condition import Reason
from pipeline.config.schema import PluginConfig
from pipeline.errors import ConfigError, SinkError, SourceError
from pipeline.metrics import MetricsServer
from pipeline.plugin import Options, Source, StreamInfo
from pipeline.stream import Stream
from tests.pipeline.cameras import PATIENCE_S, Camera
from tests.pipeline.parts import stream_config

Samples = dict[tuple[str, tuple[str, ...]], float]


def asked(server: MetricsServer) -> Samples:
    with urllib.request.urlopen(server.endpoint, timeout=5) as answer:
        text = answer.read().decode()
    return {
        (sample.name, _values(sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _values(labels: Mapping[str, str]) -> tuple[str, ...]:
    """The labels' values, the stream's first."""
    return tuple(labels[name] for name in sorted(labels, key=lambda name: (name != "stream", name)))


@pytest.fixture
def file_stream() -> Stream:
    done = threading.Event()
    stream = Stream(stream_config(script=["frame", "gap", "frame"]), [], None, done.set)
    stream.start()
    assert done.wait(PATIENCE_S)
    return stream


@pytest.fixture
def server(file_stream: Stream) -> Iterator[MetricsServer]:
    server = MetricsServer("127.0.0.1:0", [file_stream])
    yield server
    server.close()


def test_the_books_of_a_stream(server: MetricsServer) -> None:
    samples = asked(server)
    assert samples["sightline_frames_captured_total", ("gate",)] == 2
    assert samples["sightline_frames_finished_total", ("gate",)] == 2
    assert samples["sightline_gaps_total", ("gate",)] == 1
    assert samples["sightline_stream_running", ("gate",)] == 0
    assert samples["process_open_fds", ()] > 0
    assert not [name for name, _ in samples if name.startswith("sightline_source_state")]


class Absent(Source):
    """A camera that is not there."""

    live = True

    def open(self) -> StreamInfo:
        raise SourceError("nothing listens there", Reason.CONNECTION_REFUSED)

    read = Camera.read


def test_a_lost_camera_says_why_and_when_it_is_tried_again() -> None:
    source = PluginConfig("source", "absent", Absent, Options())
    config = replace(stream_config(), source=source, keeper=KeeperOptions(retry_s=600, retry_most_s=600))
    done = threading.Event()
    stream = Stream(config, [], None, done.set)
    server = MetricsServer("127.0.0.1:0", [stream])
    try:
        stream.start()
        while stream.source is None or stream.source.next_try_s is None:
            assert not done.is_set()
        samples = asked(server)
        assert samples["sightline_source_state", ("gate", "backing off")] == 1
        assert samples["sightline_source_state", ("gate", "playing")] == 0
        assert samples["sightline_source_trouble", ("gate", "connection refused")] == 1
        assert 200 < samples["sightline_source_next_try_seconds", ("gate",)] <= 600
        assert samples["sightline_source_failures", ("gate",)] == 1
        assert samples["sightline_stream_running", ("gate",)] == 1
    finally:
        stream.stop()
        assert done.wait(PATIENCE_S)
        server.close()


def test_ages_are_a_histogram(file_stream: Stream) -> None:
    file_stream.ages.note("output", 0.05)
    file_stream.ages.note("output", 1000.0)
    server = MetricsServer("127.0.0.1:0", [file_stream])
    try:
        samples = asked(server)
    finally:
        server.close()
    assert samples["sightline_frame_age_seconds_count", ("gate", "output")] == 2
    assert samples["sightline_frame_age_seconds_sum", ("gate", "output")] == pytest.approx(1000.05)
    assert samples["sightline_frame_age_seconds_bucket", ("gate", "100", "output")] == 1


def test_sinks_that_copy_and_sinks_that_have_the_journal(file_stream: Stream) -> None:
    file_stream.packet_statistics = lambda: {  # type: ignore[method-assign]
        "record": {"taken": 90, "lost": {"queue full": 7, "failed": 2}, "waiting": 1, "error": "disk full"}
    }
    journal = {"sinks": {"mqtt": {"delivered": 5, "waiting": 3, "failures": 2}}}
    server = MetricsServer("127.0.0.1:0", [file_stream], lambda: journal)
    try:
        samples = asked(server)
    finally:
        server.close()
    assert samples["sightline_packets_taken_total", ("gate", "record")] == 90
    assert samples["sightline_packets_lost_total", ("gate", "queue full", "record")] == 7
    assert samples["sightline_sink_failing", ("gate", "record")] == 1
    assert samples["sightline_sink_events_total", ("mqtt",)] == 5
    assert samples["sightline_sink_waiting_events", ("mqtt",)] == 3
    assert samples["sightline_sink_failures", ("mqtt",)] == 2


def test_an_address_in_use_is_named(server: MetricsServer) -> None:
    address = server.endpoint.removeprefix("http://").removesuffix("/metrics")
    with pytest.raises(SinkError, match=rf"metrics: {address} cannot be had: .*; choose another address"):
        MetricsServer(address, [])


def test_closed_it_answers_no_more(file_stream: Stream) -> None:
    server = MetricsServer("127.0.0.1:0", [file_stream])
    server.close()
    server.close()
    with pytest.raises(urllib.error.URLError):
        asked(server)


@pytest.mark.parametrize("address", ["", "x", "127.0.0.1:99999", "tcp://127.0.0.1:1", "127.0.0.1:"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ConfigError, match="is no address; write HOST:PORT"):
        MetricsServer(address, [])
