"""Ways to put a path through a counter."""

from collections.abc import Iterable, Sequence

import numpy as np

from stages.count.line_counter import Crossing, LineCounter

Point = tuple[float, float]


def every(step_s: float, points: Iterable[Point], start_s: float = 0.0) -> list[tuple[float, float, float]]:
    """Give each point its time."""
    return [(start_s + i * step_s, x, y) for i, (x, y) in enumerate(points)]


def follow(
    counter: LineCounter, path: Sequence[tuple[float, float, float]], *, track_id: int = 7, label: str = "car"
) -> list[Crossing]:
    """Return what becomes final while one track follows a path of (time, x, y)."""
    found = []
    for time_s, x, y in path:
        found += counter.update(time_s, [track_id], np.array([[x, y]], float), [label])
    return found


def directions(crossings: Iterable[Crossing]) -> str:
    """Return the directions as one letter each, in order."""
    return "".join("R" if crossing.to_right else "L" for crossing in crossings)
