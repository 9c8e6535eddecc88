"""Numbers for Prometheus: read off the streams when somebody asks, so that they cost nothing until then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pipeline.address import split_host_port
from pipeline.ages import BOUNDS_S
from pipeline.condition import SourceState
from pipeline.errors import SinkError
from pipeline.stream import State, Stream


def _none() -> None:
    """Return nothing: there is no journal."""


class MetricsServer:
    """Answers `GET /metrics` at an address until it is closed.

    Args:
        address: "host:port"; only who can reach it can read it, and nobody is asked who he is.
        streams: whose numbers.
        journal: returns `Outbox.statistics`, None without a journal.

    Raises:
        SinkError: if the address cannot be had.
    """

    def __init__(
        self, address: str, streams: Sequence[Stream], journal: Callable[[], Mapping[str, Any] | None] = _none
    ) -> None:
        host, port = split_host_port(address)
        registry = CollectorRegistry()
        registry.register(StreamCollector(streams, journal))
        ProcessCollector(registry=registry)
        self._server: WSGIServer
        self._thread: Thread
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise SinkError(
                f"metrics: {address} cannot be had: {error.strerror}; choose another address"
            ) from error
        self.endpoint = f"http://{host}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Answer nothing more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class StreamCollector(Collector):
    """The numbers of streams and sinks, as they are at the moment of asking."""

    def __init__(self, streams: Sequence[Stream], journal: Callable[[], Mapping[str, Any] | None]) -> None:
        self._streams = streams
        self._journal = journal

    def collect(self) -> Iterable[Metric]:
        """Yield every family with the samples of all streams."""
        yield from self._frames()
        yield from self._results()
        yield from self._sources()
        yield from self._packets()
        yield from self._delivered()
        yield self._ages()

    def _frames(self) -> Iterable[Metric]:
        captured = CounterMetricFamily(
            "sightline_frames_captured", "Frames that left the source.", labels=["stream"]
        )
        finished = CounterMetricFamily(
            "sightline_frames_finished", "Frames that reached every sink.", labels=["stream"]
        )
        dropped = CounterMetricFamily(
            "sightline_frames_dropped", "Frames dropped.", labels=["stream", "stage", "cause"]
        )
        running = GaugeMetricFamily(
            "sightline_stream_running", "1 while the stream is at work.", labels=["stream"]
        )
        for stream in self._streams:
            name, entry = stream.config.name, stream.ledger.entry()
            captured.add_metric([name], entry.captured)
            finished.add_metric([name], entry.finished)
            for stage, causes in entry.dropped.items():
                for cause, frames in causes.items():
                    dropped.add_metric([name, stage, cause], frames)
            running.add_metric([name], float(stream.state in (State.OPENING, State.RUNNING)))
        return captured, finished, dropped, running

    def _results(self) -> Iterable[Metric]:
        events = CounterMetricFamily("sightline_events", "Events of all kinds.", labels=["stream"])
        gaps = CounterMetricFamily("sightline_gaps", "Times that media was missing.", labels=["stream"])
        crossings = CounterMetricFamily(
            "sightline_crossings",
            "Objects counted at lines.",
            labels=["stream", "line", "direction", "label"],
        )
        for stream in self._streams:
            name = stream.config.name
            events.add_metric([name], stream.tally.events)
            gaps.add_metric([name], stream.tally.gaps()[0])
            for line, directions in stream.tally.counts().items():
                for direction, labels in directions.items():
                    for label, count in labels.items():
                        crossings.add_metric([name, line, direction, label], count)
        return events, gaps, crossings

    def _sources(self) -> Iterable[Metric]:
        state = GaugeMetricFamily(
            "sightline_source_state",
            "1 for the state that a live source is in.",
            labels=["stream", "state"],
        )
        trouble = GaugeMetricFamily(
            "sightline_source_trouble",
            "1 for the reason why a live source does not play, or not well.",
            labels=["stream", "reason"],
        )
        connections = CounterMetricFamily(
            "sightline_source_connections", "Connections that came to play.", labels=["stream"]
        )
        failures = GaugeMetricFamily(
            "sightline_source_failures", "Failed tries since it last played.", labels=["stream"]
        )
        next_try = GaugeMetricFamily(
            "sightline_source_next_try_seconds", "Seconds until the next try.", labels=["stream"]
        )
        for stream in self._streams:
            name, status = stream.config.name, stream.source
            if status is None:
                continue
            for each in SourceState:
                state.add_metric([name, str(each)], float(each is status.state))
            if status.reason is not None:
                trouble.add_metric([name, str(status.reason)], 1.0)
            connections.add_metric([name], status.connections)
            failures.add_metric([name], status.failures)
            if status.next_try_s is not None:
                next_try.add_metric([name], max(0.0, status.next_try_s - time.monotonic()))
        return state, trouble, connections, failures, next_try

    def _packets(self) -> Iterable[Metric]:
        taken = CounterMetricFamily(
            "sightline_packets_taken", "Packets that a sink has copied.", labels=["stream", "sink"]
        )
        lost = CounterMetricFamily(
            "sightline_packets_lost",
            "Packets that a sink should have copied.",
            labels=["stream", "sink", "cause"],
        )
        failing = GaugeMetricFamily(
            "sightline_sink_failing", "1 while a sink does not work.", labels=["stream", "sink"]
        )
        unwritten = CounterMetricFamily(
            "sightline_sink_lost",
            "What a sink of files left out, as its disk took nothing.",
            labels=["stream", "sink", "what"],
        )
        for stream in self._streams:
            for sink, numbers in stream.packet_statistics().items():
                where = [stream.config.name, sink]
                taken.add_metric(where, numbers["taken"])
                for cause, packets in numbers["lost"].items():
                    lost.add_metric([*where, cause], packets)
                failing.add_metric(where, float(numbers["error"] is not None))
            for sink, numbers in stream.file_statistics().items():
                where = [stream.config.name, sink]
                failing.add_metric(where, float(numbers["error"] is not None))
                for what, count in numbers["lost"].items():
                    unwritten.add_metric([*where, what], count)
        return taken, lost, failing, unwritten

    def _delivered(self) -> Iterable[Metric]:
        delivered = CounterMetricFamily(
            "sightline_sink_events", "Events that a sink has delivered out of the journal.", labels=["sink"]
        )
        waiting = GaugeMetricFamily(
            "sightline_sink_waiting_events", "Events in the journal that wait for a sink.", labels=["sink"]
        )
        failures = GaugeMetricFamily(
            "sightline_sink_failures", "Failed tries since a sink last delivered.", labels=["sink"]
        )
        for sink, numbers in ((self._journal() or {}).get("sinks") or {}).items():
            delivered.add_metric([sink], numbers["delivered"])
            waiting.add_metric([sink], numbers["waiting"])
            failures.add_metric([sink], numbers["failures"])
        return delivered, waiting, failures

    def _ages(self) -> Metric:
        ages = HistogramMetricFamily(
            "sightline_frame_age_seconds",
            "Seconds since a live frame's arrival when a step has done with it.",
            labels=["stream", "step"],
        )
        bounds = [*(f"{bound:g}" for bound in BOUNDS_S), "+Inf"]
        for stream in self._streams:
            for step, spread in stream.ages.spreads().items():
                below, buckets = 0, []
                for bound, count in zip(bounds, spread.counts, strict=True):
                    below += count
                    buckets.append((bound, below))
                ages.add_metric([stream.config.name, step], buckets, spread.total_s)
        return ages
