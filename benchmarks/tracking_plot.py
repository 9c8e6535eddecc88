"""The picture of docs/tracking.md: milliseconds a frame against the number of objects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.tracking_tables import Times

LIMIT = "LIMIT (pairs, near only)"
_WIDTH_PX, _HEIGHT_PX, _DPI = 1200, 860, 100
# Ours are thick and saturated; peers are thin and pale, told apart by colour and dashes together.
_OURS = ("#d62728", "#ff7f0e", "#1f77b4", "#2ca02c", "#9467bd", "#e377c2", "#17becf")
_PEERS = ("#7f8fa6", "#b08f6a", "#7fa67f", "#a67f9c", "#a6a06a")
_DASHES = ((0, ()), (0, (5, 2)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 3)))


def plot_speed(path: Path, ours: Times, peers: Times, limit: Mapping[str, Mapping[str, float]]) -> None:
    """Draw medians on logarithmic axes, 1200 px wide; the legend has the slowest first, as the lines end.

    Args:
        path: of the PNG file; its folder must be there.
        ours: emphasised.
        peers: thin.
        limit: by number of objects, what the array work alone takes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_PX / _DPI, _HEIGHT_PX / _DPI), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot(xscale="log", yscale="log")
    lines: list[Any] = []
    for index, (name, times) in enumerate(sorted(peers.items())):
        colour, dashes = _PEERS[index % len(_PEERS)], _DASHES[index % len(_DASHES)]
        style = {"color": colour, "linestyle": dashes, "linewidth": 1.0, "zorder": 2}
        lines += axes.plot(*medians(times), label=name, **style)
    for (name, times), colour in zip(ours.items(), _OURS, strict=False):
        style = {"color": colour, "linewidth": 2.8, "marker": "o", "markersize": 5, "zorder": 4}
        lines += axes.plot(*medians(times), label=f"ours: {name}", **style)
    floor = {n: {"median_ms": parts[LIMIT]} for n, parts in limit.items()}
    style = {"color": "black", "linewidth": 2.0, "linestyle": (0, (4, 2)), "zorder": 3}
    lines += axes.plot(*medians(floor), label="limit: its array work alone", **style)
    # As the lines lie furthest to the right where there are all of them, near to the legend.
    common = max(set.intersection(*(set(line.get_xdata()) for line in lines)))
    lines.sort(key=lambda line: -dict(zip(line.get_xdata(), line.get_ydata(), strict=True))[common])
    legend = axes.legend(
        handles=lines,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        fontsize=9.5,
        frameon=False,
        handlelength=3,
    )
    for text in legend.get_texts():
        text.set_fontweight("bold" if text.get_text().startswith(("ours", "limit")) else "normal")
    sizes = sorted({int(n) for times in (*ours.values(), *peers.values(), limit) for n in times})
    axes.set_xticks(sizes, [str(n) for n in sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.tick_params(labelsize=12)
    axes.grid(visible=True, color="0.9", zorder=0)
    axes.set_xlabel("objects (N)", fontsize=13)
    axes.set_ylabel("ms a frame, median, one thread", fontsize=13)
    canvas.print_png(str(path))


def medians(times: Mapping[str, Mapping[str, float]]) -> tuple[list[int], list[float]]:
    """Return numbers of objects, ascending, and the medians there."""
    pairs = sorted((int(n), found["median_ms"]) for n, found in times.items())
    return [n for n, _ in pairs], [ms for _, ms in pairs]
