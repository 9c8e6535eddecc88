"""What is judged: the counts of a run, in windows of time on a line, each with the strip of that time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

SLACK_NS = 1_000_000_000
"""A crossing lies between two pictures, and so may lie between two strips."""

MINUTE_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Count:
    """One counted crossing.

    Attributes:
        id: of its event.
        stream: name of the stream.
        line: name of the line.
        direction: name of the direction.
        label: class.
        time_ns: when the path met the line, UTC.
        pts_s: the same on the media clock.
        along: where on the line, 0 (start) to 1 (end); None when that is not known.
        snapshot: file of the crop, if there is one.
        clip_s: first and last second of the clip on the media clock, if the event names one.
    """

    id: str
    stream: str
    line: str
    direction: str
    label: str
    time_ns: int
    pts_s: float
    along: float | None = None
    snapshot: Path | None = None
    clip_s: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Strip:
    """The picture of a line over some time.

    Attributes:
        stream: name of the stream.
        line: name of the line.
        time_ns: of the first slit, UTC.
        end_ns: of the last slit.
        picture: file, JPEG.
        rows: px along the line.
        across: px of each slit.
        times_ms: of the slits, since the first.
        suspended: (from ms, to ms, why) where places could not be trusted.
        directions: names of crossing to the right and to the left.
    """

    stream: str
    line: str
    time_ns: int
    end_ns: int
    picture: Path
    rows: int
    across: int
    times_ms: tuple[int, ...]
    suspended: tuple[tuple[int, int, str], ...] = ()
    directions: tuple[str, str] = ("to_right", "to_left")


@dataclass(slots=True)
class Window:
    """Some time on one line: what a person looks through in one go.

    Attributes:
        id: the same whenever the run is looked at again.
        stream: name of the stream.
        line: name of the line.
        begin_ns: first moment, UTC.
        end_ns: last moment.
        strip: None where none was kept; then nobody can see what was missed.
        counts: in the order of time.
    """

    id: str
    stream: str
    line: str
    begin_ns: int
    end_ns: int
    strip: Strip | None
    counts: list[Count] = field(default_factory=list)


def windows_of(strips: Iterable[Strip], counts: Iterable[Count]) -> list[Window]:
    """Return a window for each strip, with the counts of its time, and one for each minute of the others.

    They are in the order of stream, line and time.
    """
    by_line: dict[tuple[str, str], list[Window]] = defaultdict(list)
    for strip in sorted(strips, key=lambda strip: strip.time_ns):
        by_line[strip.stream, strip.line].append(
            _window(strip.stream, strip.line, strip.time_ns, strip.end_ns, strip)
        )
    begins = {key: [window.begin_ns for window in windows] for key, windows in by_line.items()}
    bare: dict[tuple[str, str, int], Window] = {}
    for count in sorted(counts, key=lambda count: (count.time_ns, count.id)):
        key = count.stream, count.line
        window = _at(by_line.get(key, ()), begins.get(key, ()), count.time_ns)
        if window is None:
            minute_ns = count.time_ns // MINUTE_NS * MINUTE_NS
            window = bare.setdefault(
                (*key, minute_ns), _window(*key, minute_ns, minute_ns + MINUTE_NS - 1, None)
            )
        window.counts.append(count)
    every = [window for windows in by_line.values() for window in windows] + list(bare.values())
    return sorted(every, key=lambda window: (window.stream, window.line, window.begin_ns))


def sample(
    windows: Sequence[Window], wanted: Iterable[str], *, most_counts: int, most_windows: int, seed: int
) -> list[Window]:
    """Return windows drawn at random, in their order, until there are enough counts or windows.

    Args:
        windows: all.
        wanted: ids of those that are taken in any case.
        most_counts: no further window once there are so many counts; the last one may exceed it.
        most_windows: most windows.
        seed: another one draws others.
    """
    wanted = set(wanted)
    drawn = list(windows)
    Random(seed).shuffle(drawn)  # noqa: S311 - a sample, no secret
    drawn.sort(key=lambda window: window.id not in wanted)
    chosen: set[str] = set()
    counts = 0
    for window in drawn:
        if window.id not in wanted and (counts >= most_counts or len(chosen) >= most_windows):
            break
        chosen.add(window.id)
        counts += len(window.counts)
    return [window for window in windows if window.id in chosen]


def _window(stream: str, line: str, begin_ns: int, end_ns: int, strip: Strip | None) -> Window:
    kind = "strip" if strip is not None else "minute"
    return Window(f"{stream}/{line}/{kind}/{begin_ns}", stream, line, begin_ns, end_ns, strip)


def _at(windows: Sequence[Window], begins: Sequence[int], time_ns: int) -> Window | None:
    """Return the window of a moment: the latest that has begun, else one that begins right after."""
    after = bisect_right(begins, time_ns)
    if after and time_ns <= windows[after - 1].end_ns + SLACK_NS:
        return windows[after - 1]
    if after < len(windows) and begins[after] - time_ns <= SLACK_NS:
        return windows[after]
    return None
