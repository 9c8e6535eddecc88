"""Recordings as text for people, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import tzinfo
from itertools import groupby
from pathlib import Path

from pipeline.moment import iso_utc
from streams.sinks.record.reading import gaps_between
from streams.sinks.record.segment import Segment
from streams.sinks.record.when import local

_MOST_GAPS = 20


def streams(root: Path, segments: Sequence[Segment], zone: tzinfo) -> str:
    """Return a row for each stream, and below them what is missing."""
    lines = [f"recordings in {root}"]
    missing = []
    for name, group in groupby(segments, key=lambda segment: segment.stream):
        own = list(group)
        gaps = gaps_between(own)
        kept = sum(segment.protected for segment in own)
        facts = [
            f"{len(own)} files",
            _bytes(sum(segment.size for segment in own)),
            _length(sum(segment.seconds for segment in own)),
            *([f"{kept} protected"] if kept else []),
            *([f"{len(gaps)} gaps"] if gaps else []),
            *([f"{sum(s.lost for s in own)} packets lost"] if any(s.lost for s in own) else []),
        ]
        lines.append(f"  {name}: {span(own, zone)}: {', '.join(facts)}")
        missing += [
            f"  {name}: nothing from {local(a.end_ns, zone)} to {local(b.start_ns, zone)}"
            f" ({_length((b.start_ns - a.end_ns) / 1e9)})"
            for a, b in gaps
        ]
    if len(missing) > _MOST_GAPS:
        missing = [*missing[-_MOST_GAPS:], f"  and {len(missing) - _MOST_GAPS} earlier ones"]
    return "\n".join([*lines, *(["missing", *missing] if missing else [])])


def files(segments: Sequence[Segment], zone: tzinfo) -> str:
    """Return a row for each file."""
    rows = [
        (
            segment.path,
            local(segment.start_ns, zone),
            _length(segment.seconds),
            _bytes(segment.size),
            f"{segment.packets} pictures",
            f"{segment.codec} {segment.width}x{segment.height}",
            segment.state.value + (", protected" if segment.protected else ""),
            f"{segment.lost} lost" if segment.lost else "",
        )
        for segment in segments
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def document(root: Path, segments: Sequence[Segment]) -> str:
    """Return the same as JSON."""
    listed = [
        {**asdict(segment), "start": iso_utc(segment.start_ns), "end": iso_utc(segment.end_ns)}
        for segment in segments
    ]
    gaps = [
        {"stream": before.stream, "start": iso_utc(before.end_ns), "end": iso_utc(after.start_ns)}
        for before, after in gaps_between(segments)
    ]
    return json.dumps({"folder": str(root), "files": listed, "gaps": gaps}, indent=2)


def span(segments: Sequence[Segment], zone: tzinfo) -> str:
    """Say from when to when."""
    first = min(segment.start_ns for segment in segments)
    last = max(segment.end_ns for segment in segments)
    return f"{local(first, zone)} to {local(last, zone)}"


def _length(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _bytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
