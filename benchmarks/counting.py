"""How right the counts are: counted against true over synthetic streets, crossing by crossing.

    python -m benchmarks.counting [--seeds 11 12 13] [--set stages.motion.width=480]...

Runs the demo's configuration on streets with other seeds. `right` are counted crossings that belong to a
true one (same line and direction, within a second, one to one); recall = right / true, precision = right /
counted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import cv2

from pipeline.cli.truth import Comparison, compare
from pipeline.config.load import load_config
from pipeline.engine import Engine


def count_street(url: str, sets: list[str]) -> tuple[list[Comparison], float]:
    """Run the demo's configuration over a street; return what was counted, and frames per second."""
    with tempfile.TemporaryDirectory() as folder:
        settings = ["sinks=[events]", f"streams.street.source={url}", *sets]
        config = load_config("demo", sets=settings, out=Path(folder))
        with Engine(config) as engine:
            report = engine.run()
        stream = report["streams"]["street"]
        if stream["error"]:
            sys.exit(f"{url}: {stream['error']}")
        return compare(config.streams[0], Path(folder) / "events.jsonl"), stream["fps"]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--set", action="append", default=[], dest="sets", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)  # as `sightline run` does
    print(
        "| seed | line, direction | counted | true | right | recall | precision |\n"
        "|---|---|---:|---:|---:|---:|---:|"
    )
    totals = [0, 0, 0]
    for seed in arguments.seeds:
        rows, rate = count_street(f"synthetic://street?seed={seed}", arguments.sets)
        for row in rows:
            show(str(seed), f"{row.line}, {row.direction}", row.counted, row.true, row.right)
            totals = [a + b for a, b in zip(totals, (row.counted, row.true, row.right), strict=True)]
        print(f"seed {seed}: {rate:.0f} frames/s", file=sys.stderr)
    show("all", "", *totals)


def show(seed: str, where: str, counted: int, true: int, right: int) -> None:
    """Print one row of the table."""
    recall, precision = right / max(1, true), right / max(1, counted)
    print(f"| {seed} | {where} | {counted} | {true} | {right} | {recall:.2f} | {precision:.2f} |")


if __name__ == "__main__":
    main()
