"""Counted against true, crossing by crossing, for streams whose source knows the truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.config.schema import StreamConfig
from pipeline.pairing import paired

_TOLERANCE_S = 1.0
"""How far a counted crossing may be from a true one: a joined or split blob moves the anchor a little."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line and direction: what was counted and what truly happened.

    Attributes:
        line: name of the line.
        direction: name of the direction.
        counted: crossings counted.
        true: crossings that happened.
        right: counted crossings that belong to a true one (within a second of it, one to one).
        counted_s: media times of the counted crossings, ascending.
        true_s: media times of the true crossings, ascending.
    """

    line: str
    direction: str
    counted: int
    true: int
    right: int
    counted_s: tuple[float, ...]
    true_s: tuple[float, ...]

    @property
    def missed(self) -> int:
        """True crossings that were not counted."""
        return self.true - self.right

    @property
    def extra(self) -> int:
        """Counted crossings that did not happen."""
        return self.counted - self.right

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the report."""
        return {**asdict(self), "missed": self.missed, "extra": self.extra}


def compare(stream: StreamConfig, events: Path) -> list[Comparison]:
    """Compare a stream's counted crossings in a JSONL file with its source's truth; [] without truth."""
    truth = getattr(stream.source.plugin, "true_crossings", None)
    if truth is None or not events.exists():
        return []
    counted = _counted(stream.name, events)
    rows = []
    for stage in stream.stages:
        options: Any = stage.options
        for line, settings in options.lines.items() if stage.name == "count" else ():
            if settings.start is None or not isinstance(settings.anchor, str):
                continue  # the street knows its truth at straight lines and named anchors
            true = truth(stream.url.reveal(), settings.start, settings.end, settings.anchor)
            for side in ("to_right", "to_left"):
                direction = getattr(settings.directions, side)
                true_s = tuple(crossing.t_s for crossing in true if crossing.direction == side)
                counted_s = tuple(sorted(counted.get((line, direction), ())))
                right = matched(counted_s, true_s, _TOLERANCE_S)
                rows.append(
                    Comparison(line, direction, len(counted_s), len(true_s), right, counted_s, true_s)
                )
    return rows


def matched(counted_s: Sequence[float], true_s: Sequence[float], tolerance_s: float) -> int:
    """Return how many counted times can be paired one to one with true times within the tolerance."""
    return len(paired(counted_s, true_s, tolerance_s))


def _counted(stream: str, events: Path) -> dict[tuple[str, str], list[float]]:
    """Return (line, direction) -> media times of the crossings in an events file."""
    times: dict[tuple[str, str], list[float]] = {}
    for line in events.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["kind"] == "line.crossing" and event["stream"] == stream:
            times.setdefault((event["data"]["line"], event["data"]["direction"]), []).append(event["pts_s"])
    return times
