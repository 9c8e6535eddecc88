"""The page on which a person marks counts: one HTML file with everything in it."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from stages.count.audit.marks import Marks
from stages.count.audit.windows import Count, Window

_PAGE = Path(__file__).parent / "assets"
_NS_PER_MS = 1_000_000
CutClip = Callable[[Count], bytes | None]


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a run is on the page.

    Attributes:
        title: names the run.
        all_windows: of the run, or of the lines and the time asked for.
        all_counts: in them.
        several: whether they are of more than one stream.
        zone: in which times are shown.
        zone_name: what it is called.
    """

    title: str
    all_windows: int
    all_counts: int
    several: bool = False
    zone: tzinfo = UTC
    zone_name: str = "UTC"


def hour_name(time_ns: int, zone: tzinfo) -> str:
    """Return the name of an hour of the day, with its offset from UTC: `2026-10-25 02:00+02:00`."""
    when = datetime.fromtimestamp(time_ns // 1_000_000_000, zone)
    offset = when.strftime("%z")
    return f"{when:%Y-%m-%d %H}:00{offset[:3]}:{offset[3:5]}"


def make_page(windows: Sequence[Window], marks: Marks, scope: Scope, clip_of: CutClip) -> str:
    """Return the page as HTML; it loads nothing and works as a plain file.

    Args:
        windows: those to be judged.
        marks: made so far.
        scope: what they were taken from.
        clip_of: returns an MP4 file of a count, None where there is none.
    """
    data = {
        "title": scope.title,
        "zone": scope.zone_name,
        "all_windows": scope.all_windows,
        "all_counts": scope.all_counts,
        "several": scope.several,
        "marks": json.loads(marks.model_dump_json()),
        "windows": [_window(window, scope.zone, clip_of) for window in windows],
    }
    # "</" would end the element that the data lies in.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    page = _asset("page.html")
    for place, content in (("STYLE", _asset("page.css")), ("DATA", text), ("SCRIPT", _script())):
        before, marker, after = page.partition(f"/*{place}*/")
        assert marker, place  # noqa: S101 - our own template
        page = before + content + after
    return page


def _script() -> str:
    return _asset("accuracy.js") + _asset("page.js")


def _asset(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8")


def _window(window: Window, zone: tzinfo, clip_of: CutClip) -> dict[str, Any]:
    strip = window.strip
    labels = [name for name, _ in Counter(count.label for count in window.counts).most_common()]
    names = strip.directions if strip is not None else ()
    directions = list(dict.fromkeys([*names, *(count.direction for count in window.counts)]))
    return {
        "id": window.id,
        "stream": window.stream,
        "line": window.line,
        "time": _time(window.begin_ns, zone, "%Y-%m-%d %H:%M:%S"),
        "end": _time(window.end_ns, zone, "%H:%M:%S"),
        "hour": hour_name(window.begin_ns, zone),
        "begin_ms": window.begin_ns / _NS_PER_MS,
        "directions": directions,
        "labels": labels,
        "strip": None
        if strip is None
        else {
            "src": _inline(strip.picture.read_bytes(), "image/jpeg"),
            "rows": strip.rows,
            "across": strip.across,
            "times_ms": strip.times_ms,
            "suspended": strip.suspended,
        },
        "counts": [_count(count, window, zone, clip_of) for count in window.counts],
    }


def _count(count: Count, window: Window, zone: tzinfo, clip_of: CutClip) -> dict[str, Any]:
    clip = clip_of(count)
    return {
        "id": count.id,
        "direction": count.direction,
        "label": count.label,
        "time": _time(count.time_ns, zone, "%H:%M:%S.%f")[:-3],
        "ms": (count.time_ns - window.begin_ns) / _NS_PER_MS,
        "along": count.along,
        "crop": None if count.snapshot is None else _inline(count.snapshot.read_bytes(), "image/jpeg"),
        "clip": None if clip is None else _inline(clip, "video/mp4"),
    }


def _time(time_ns: int, zone: tzinfo, pattern: str) -> str:
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, zone).replace(microsecond=rest_ns // 1000).strftime(pattern)


def _inline(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
