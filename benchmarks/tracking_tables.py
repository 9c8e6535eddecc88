"""Markdown tables of trackers: ours in bold among their measured peers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

Times = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By tracker and number of objects: "median_ms" and "p99_ms", as the bench's tracker_speed.py writes them."""

Scores = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By tracker and scene: "IDF1", "HOTA" and "IDSW", as the bench's identity_stress.py writes them."""

_CEILING = "(true ids)"
_LIMITS = ("LIMIT (pairs, near only)", "LIMIT (pairs, smoothed)")
_RATES = {"hota": "HOTA", "deta": "DetA", "assa": "AssA", "mota": "MOTA", "idf1": "IDF1"}
_COUNTS = {"idsw": "IDSW", "fp": "FP", "fn": "FN"}


def speed_table(
    ours: Times, peers: Times, limit: Mapping[str, Mapping[str, float]], sizes: Sequence[str]
) -> str:
    """Return median / p99 ms of all, the quickest at the middle size first, and the physical limits."""
    middle = sizes[len(sizes) // 2]

    def row(times: Mapping[str, Mapping[str, float]]) -> list[str]:
        return [
            f"{milliseconds(times[n]['median_ms'])} / {milliseconds(times[n]['p99_ms'])}"
            if n in times
            else ""
            for n in sizes
        ]

    rows = _rows(ours, peers, row, lambda times: times.get(middle, {}).get("median_ms", float("inf")))
    floors = [
        [f"*{name}*", *(milliseconds(limit[n][name]) if n in limit else "" for n in sizes)]
        for name in _LIMITS
    ]
    return markdown(["tracker", *(f"N = {n}" for n in sizes)], [*rows, *floors])


def stress_table(ours: Scores, peers: Scores) -> str:
    """Return the IDF1 of each scene with its mean, the best first, below the ceiling."""
    scenes = list(next(iter(ours.values())))
    alone = {name: found for name, found in ours.items() if name != _CEILING}

    def row(found: Mapping[str, Mapping[str, float]]) -> list[str]:
        means = [fmean(found[scene][what] for scene in scenes) for what in ("IDF1", "HOTA")]
        switches = sum(found[scene]["IDSW"] for scene in scenes)
        each = [f"{found[scene]['IDF1']:.1f}" for scene in scenes]
        return [*each, f"**{means[0]:.1f}**", f"{means[1]:.1f}", f"{switches:.0f}"]

    others = {name: found for name, found in peers.items() if name != _CEILING}
    rows = _rows(alone, others, row, lambda found: -fmean(found[scene]["IDF1"] for scene in scenes))
    if _CEILING in ours:
        rows.insert(0, [_CEILING, *row(ours[_CEILING])])
    heads = [scene.replace("_", " ") for scene in scenes]
    return markdown(["tracker", *heads, "mean IDF1", "mean HOTA", "IDSW"], rows)


def mot_table(ours: Mapping[str, Any], peers: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Return the pooled scores, the best HOTA first.

    Args:
        ours: by method, `stages.track.evaluate.run.Evaluation`.
        peers: by tracker, "COMBINED" -> score -> value, as the bench's tracker_accuracy.py writes them.
    """
    scored = {
        name: {title: getattr(found.combined, key) for key, title in (_RATES | _COUNTS).items()}
        for name, found in ours.items()
    }
    pooled = {name: found["COMBINED"] for name, found in peers.items()}

    def row(found: Mapping[str, float]) -> list[str]:
        rates = [f"{found[title]:.2f}" for title in _RATES.values()]
        return [*rates, *(str(found[title]) for title in _COUNTS.values())]

    rows = _rows(scored, pooled, row, lambda found: -found["HOTA"])
    return markdown(["tracker", *_RATES.values(), *_COUNTS.values()], rows)


def milliseconds(value: float) -> str:
    """Return two digits or more: 0.153 -> 0.15, 3.42 -> 3.42, 38.7 -> 39."""
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, numbers to the right."""
    lines = [heads, ["---", *(["---:"] * (len(heads) - 1))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rows(
    ours: Mapping[str, Any],
    peers: Mapping[str, Any],
    row: Callable[[Any], list[str]],
    order: Callable[[Any], float],
) -> list[list[str]]:
    named = [(f"**ours: {name}**", found) for name, found in ours.items()]
    named += list(peers.items())
    return [[name, *row(found)] for name, found in sorted(named, key=lambda pair: order(pair[1]))]
