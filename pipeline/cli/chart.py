"""The demo's chart: counts over time, counted against true."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.cli.truth import Comparison
from pipeline.errors import SinkError


def draw_chart(rows: Sequence[Comparison], path: Path) -> None:
    """Write a PNG with one step curve for counted and one for true per line and direction.

    Raises:
        SinkError: if the file cannot be written.
    """
    # Not pyplot: it keeps every figure and chooses a display for the whole process.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 2.4 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    end_s = max((*_last(rows), 1.0))
    for index, row in enumerate(rows):
        axes = figure.add_subplot(len(rows), 1, index + 1)
        for times, label, colour, width in (
            (row.true_s, f"true: {row.true}", "0.6", 5.0),
            (row.counted_s, f"counted: {row.counted}", "tab:red", 1.6),
        ):
            steps = [*range(len(times) + 1), len(times)]
            axes.step([0.0, *times, end_s], steps, where="post", label=label, color=colour, linewidth=width)
        axes.set_title(f"{row.line}: {row.direction}", loc="left", fontsize=11)
        axes.set_ylabel("objects")
        axes.set_xlim(0, end_s)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="upper left", frameon=False)
        axes.grid(alpha=0.3)
        if index == len(rows) - 1:
            axes.set_xlabel("media time (s)")
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise SinkError(f"{path}: cannot write the chart: {error.strerror}; choose another --out") from error


def _last(rows: Sequence[Comparison]) -> list[float]:
    return [times[-1] for row in rows for times in (row.counted_s, row.true_s) if times]
