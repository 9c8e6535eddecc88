"""Counts the past: lines that are drawn today, over trajectories that were kept then."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from pipeline.plugin import StreamInfo
from stages.count.history.archive import Archive, Bounds, Span, Stored, joined
from stages.count.history.asked import AskedLine, kind_at
from stages.count.history.bins import Bins
from stages.count.history.codec import decode
from stages.count.history.follow import Found, Gate, batch_crossings, path_crossings
from stages.count.history.path import I64Array
from stages.count.history.row import GIVEN_UP
from stages.count.lines.options import LineOptions


class Counted(NamedTuple):
    """What a number is of.

    Attributes:
        line: name.
        direction: name.
        label: class.
        bin: number of the interval, see `Bins`.
    """

    line: str
    direction: str
    label: str
    bin: int


@dataclass(slots=True)
class Recount:
    """What was counted over one stream's past.

    Attributes:
        counts: crossings.
        trajectories: that were kept in the time that is asked for.
        near: those of them that touch the box around a line.
        doubtful: those that pass so near the deciding places that what is stored may count otherwise.
        damaged: those that cannot be read.
        unmatched: line -> what to say of the classes that it asks for, as no trajectory has them.
    """

    counts: Counter[Counted] = field(default_factory=Counter)
    trajectories: int = 0
    near: int = 0
    doubtful: Counter[str] = field(default_factory=Counter)
    damaged: int = 0
    unmatched: dict[str, str] = field(default_factory=dict)


class _Job(NamedTuple):
    """A gate that is being put to a batch."""

    line: AskedLine
    gate: Gate
    stored: Stored
    found: Future[tuple[Found, Any, Any]]


def recount(
    archive: Archive,
    lines: Mapping[str, LineOptions],
    span: Span,
    bins: Bins,
    progress: Callable[[float], None] | None = None,
) -> Recount:
    """Count lines over a stream's trajectories.

    Args:
        archive: the stream's.
        lines: by name.
        span: when a crossing must have been.
        bins: which intervals to tell apart.
        progress: is told which share of the trajectories has been looked at, about.

    Raises:
        ConfigError: if a line does not fit the pictures.
        SourceError: if files cannot be read.
    """
    result = Recount()
    sizes = archive.sizes(span)
    result.trajectories = sum(sizes.values())
    done = 0.0
    with ThreadPoolExecutor(os.cpu_count() or 1, "recount") as pool:
        for size in sizes:
            info = StreamInfo(archive.stream, "", "", *size)
            asked = [AskedLine.of(name, line, info) for name, line in lines.items()]
            bounds = [_box(gate) for line in asked for gate in line.gates]
            for job in _jobs(pool, _noted(archive.near(span, size, bounds), result), asked):
                _tally(result, job, span, bins)
                done += len(job.stored) / len(bounds)
                if progress:
                    progress(done / max(1, result.trajectories))
            for rows in archive.long(span, size, bounds):
                result.near += len(rows)
                _tally_long(result, rows, asked, span, bins)
    result.unmatched = _unmatched(archive, lines, span, {counted.line for counted in result.counts})
    return result


def _unmatched(
    archive: Archive, lines: Mapping[str, LineOptions], span: Span, found: Collection[str]
) -> dict[str, str]:
    """Return, by line, what to say of classes that nobody had; files are read only if one counted nothing."""
    waiting = {name: sorted(line.labels) for name, line in lines.items() if line.labels and name not in found}
    known = archive.classes(span) if waiting else []
    said = {}
    for name, labels in waiting.items():
        if known and not set(labels) & set(known):
            near = [match for label in labels for match in get_close_matches(label, known, 1)]
            meant = f"; did you mean '{near[0]}'?" if near else ""
            said[name] = f"counts only {', '.join(labels)}; the classes kept are {', '.join(known)}{meant}"
    return said


def _noted(batches: Iterator[Stored], result: Recount) -> Iterator[Stored]:
    """Pass batches on, and count what is in them."""
    for stored in batches:
        result.near += len(stored)
        yield stored


def _jobs(pool: ThreadPoolExecutor, batches: Iterator[Stored], lines: list[AskedLine]) -> Iterator[_Job]:
    """Put every line to every batch, a few at the same time; yield them in order."""
    waiting: deque[_Job] = deque()
    neighbours = {id(gate): gate.neighbours(sqrt(2.0)) for line in lines for gate in line.gates}
    for stored in batches:
        error_px = sqrt(2.0) * float(stored.batch.unit_px.max())
        for line in lines:
            for gate in line.gates:
                others = neighbours[id(gate)] if error_px == sqrt(2.0) else gate.neighbours(error_px)
                hold_s = line.options.hold_s
                found = pool.submit(batch_crossings, gate, hold_s, line.anchor, stored.batch, others)
                waiting.append(_Job(line, gate, stored, found))
        while len(waiting) > 2 * (os.cpu_count() or 1) * max(1, len(lines)):
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()


def _tally(result: Recount, job: _Job, span: Span, bins: Bins) -> None:
    """Add what one gate has found in a batch."""
    line, gate, stored, future = job
    found, left_out, doubtful = future.result()
    result.doubtful[line.name] += len(doubtful)
    _add(result, line, stored, found, span, bins)
    for row in left_out.tolist():
        data = stored.batch.bytes_of(row)
        try:
            path = decode(data, stored.batch.scale_of(row))
        except ValueError:
            result.damaged += 1
            continue
        finished = bool(stored.batch.finished[row])
        one = path_crossings(
            gate, line.options.hold_s, path.times_s, path.anchored(line.anchor), path.vanished, finished
        )
        _add(result, line, stored, one._replace(rows=one.rows + row), span, bins)


def _add(result: Recount, line: AskedLine, stored: Stored, found: Found, span: Span, bins: Bins) -> None:
    if not len(found.rows):
        return
    times_ns = _utc_ns(found.times_s, stored.batch.start_us[found.rows], stored.start_ns[found.rows])
    names, codes = stored.labels(found.rows)
    changed = [
        (at, kind_at(stored.kinds(int(found.rows[at])), float(found.known_s[at])))
        for at in np.flatnonzero(stored.changed(found.rows)).tolist()
    ]
    names += sorted({kind.label for _, kind in changed} - set(names))
    counts = np.array([line.options.wants(name, {}) for name in names], bool)[codes]
    for at, kind in changed:
        codes[at] = names.index(kind.label)
        counts[at] = line.options.wants(kind.label, kind.attributes)
    counts &= span.holds(times_ns)
    numbers, places = np.unique(bins.numbers(times_ns[counts]), return_inverse=True)
    keys = (places * len(names) + codes[counts]) * 2 + found.to_right[counts]
    for key, count in zip(*np.unique(keys, return_counts=True), strict=True):
        rest, to_right = divmod(int(key), 2)
        place, code = divmod(rest, len(names))
        counted = Counted(line.name, line.direction(bool(to_right)), names[code], int(numbers[place]))
        result.counts[counted] += int(count)


def _tally_long(
    result: Recount, rows: list[dict[str, Any]], lines: list[AskedLine], span: Span, bins: Bins
) -> None:
    """Add what lines find on a path that is kept in parts."""
    try:
        start_ns, path, kinds = joined(rows)
    except ValueError:
        result.damaged += 1
        return
    first_us = np.array([rows[0]["start_us"]])
    for line in lines:
        for crossed in line.crossings(path, kinds, rows[-1]["end"] not in GIVEN_UP):
            times_ns = _utc_ns(np.array([crossed.time_s]), first_us, np.array([start_ns]))
            if span.holds(times_ns)[0]:
                number = int(bins.numbers(times_ns)[0])
                direction = line.direction(crossed.to_right)
                result.counts[Counted(line.name, direction, crossed.kind.label, number)] += 1


def _utc_ns(times_s: Any, start_us: I64Array, start_ns: I64Array) -> I64Array:
    """Return the UTC of moments of media time."""
    after_ns: I64Array = np.rint(times_s * 1e9).astype(np.int64) - start_us * 1000
    return start_ns + after_ns


def _box(gate: Gate) -> Bounds:
    """Return the box that a path must touch to meet a gate."""
    left, top = gate.points.min(axis=0).tolist()
    right, bottom = gate.points.max(axis=0).tolist()
    return left, top, right, bottom
