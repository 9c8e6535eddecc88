"""How long it takes to count a month at a line that nobody had drawn then.

    python -m benchmarks.recount [--days 30] [--per-day 50000] [--folder FOLDER]

Makes the files first, as a run would have written them, from trajectories that are made up: a road with two
directions and footpaths beside it, boxes that tremble as a detector's do, about 64 observed positions each.
5,000 of them differ; the others are the same ones at other times. Then counts lines of different kinds, each
in a process of its own as the command does, and says what reading alone takes.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np

from stages.count.history.compact import bound, compact
from stages.count.history.files import piece_path, stream_folder
from stages.count.history.path import Path as Trajectory
from stages.count.history.row import UNSEEN, Row, table_of
from stages.count.history.store import write_table

WIDTH, HEIGHT, UNIT_PX = 1920, 1080, 3.0
DAY_NS = 86_400 * 10**9
DIFFERENT = 5000
FIRST_DAY_NS = 1_772_323_200 * 10**9  # 2026-03-01
COMMAND = "from pipeline.cli.entry import main; main()"
LINES = {
    "across the whole road": "0.5,0.2 0.5,0.95",
    "one lane": "0.3,0.5 0.3,0.62",
    "a corner": "0.02,0.3 0.12,0.2",
}


def trajectory(rng: np.random.Generator, start_s: float) -> Trajectory:
    """Return one object's way through the picture."""
    if rng.random() < 0.7:  # a vehicle
        seconds, size = rng.uniform(1.5, 5), rng.uniform((90, 60), (260, 160))
        y = rng.uniform(0.45, 0.8) * HEIGHT
        ends = np.array([[-100.0, y], [WIDTH + 100, y + rng.normal(0, 60)]])
    else:
        seconds, size = rng.uniform(3, 15), rng.uniform((30, 90), (60, 180))
        x = rng.uniform(0, WIDTH, 2)
        ends = np.column_stack([x, rng.uniform(0.25, 0.4, 2) * HEIGHT])
    if rng.random() < 0.5:
        ends = ends[::-1]
    times_s = start_s + np.arange(0, seconds, 0.08)
    share = ((times_s - start_s) / seconds)[:, None]
    foot = ends[0] + (ends[1] - ends[0]) * share
    foot += np.cumsum(rng.normal(0, 0.8, foot.shape), axis=0)
    trembling = np.hstack([foot - size * (0.5, 1.0), foot + size * (0.5, 0.0)])
    trembling += rng.normal(0, 0.045 * size.mean(), trembling.shape)
    return Trajectory(times_s, trembling.astype(np.float32).astype(float), np.zeros(len(times_s), bool))


def day_of_rows(count: int) -> list[Row]:
    """Return a day's trajectories in the order of their ends."""
    rng = np.random.default_rng(7)
    rows = []
    starts_us = np.sort(rng.integers(0, 86_000 * 10**6, count)).tolist()
    made = []
    for _ in range(min(count, DIFFERENT)):
        whole = trajectory(rng, 0.0)
        made.append((whole, compact(whole, np.zeros(len(whole), bool), UNIT_PX, 0)))
    for number, start_us in enumerate(starts_us, 1):
        whole, kept = made[int(rng.integers(len(made)))]
        left, top, right, bottom = bound(whole.xyxy)
        rows.append(
            Row(
                run="0" * 16,
                object=number,
                part=0,
                since_us=0,
                end=UNSEEN,
                start_ns=FIRST_DAY_NS + start_us * 1000,
                end_ns=FIRST_DAY_NS + start_us * 1000 + round(whole.times_s[-1] * 1e9),
                start_us=start_us,
                tick_us=kept.scale.tick_us,
                unit_px=UNIT_PX,
                width=WIDTH,
                height=HEIGHT,
                left=left,
                top=top,
                right=right,
                bottom=bottom,
                label=str(rng.choice(["car", "car", "car", "truck", "person"])),
                attributes={},
                earlier=(),
                seen=len(whole),
                error=ceil(kept.error * 100),
                agrees=True,
                path=kept.data,
            )
        )
    return rows


def make(folder: Path, days: int, per_day: int) -> None:
    """Write the files of so many days."""
    begin = time.perf_counter()
    rows = day_of_rows(per_day)
    print(
        f"a day made in {time.perf_counter() - begin:.0f} s: {np.mean([row.seen for row in rows]):.0f} "
        f"positions and {np.mean([len(row.path) for row in rows]):.0f} bytes of path a trajectory",
        file=sys.stderr,
    )
    for day in range(days):
        later_ns = day * DAY_NS
        shifted = [
            replace(
                row,
                start_ns=row.start_ns + later_ns,
                end_ns=row.end_ns + later_ns,
                start_us=row.start_us + later_ns // 1000,
            )
            for row in rows
        ]
        name = time.strftime("%Y-%m-%d", time.gmtime((FIRST_DAY_NS + later_ns) / 1e9))
        path = piece_path(stream_folder(folder / "trajectories", "road"), name, "live", day, day)
        write_table(path, [table_of(shifted)], {})


def main() -> None:
    """Make the files, measure, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--per-day", type=int, default=50_000)
    parser.add_argument("--folder", type=Path, help="use what is there already, or make it there")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="recount-"))
    if not (folder / "trajectories").exists():
        make(folder, arguments.days, arguments.per_day)
    measure(folder)
    if arguments.folder is None:
        shutil.rmtree(folder)


def measure(folder: Path) -> None:
    """Count each line in a process of its own and print what it took."""
    import duckdb

    files = [str(path) for path in sorted(folder.rglob("*.parquet"))]
    size = sum(Path(path).stat().st_size for path in files)
    begin = time.perf_counter()
    rows = paths = 0
    connection = duckdb.connect()
    connection.execute("set enable_progress_bar = false")
    reader = connection.sql("select path, start_ns, start_us from read_parquet(?)", params=[files])
    for table in reader.to_arrow_reader(65_536):
        rows += len(table)
        paths += table.column("path").buffers()[2].size
    reading_s = time.perf_counter() - begin
    print(
        f"{rows} trajectories, {size / 1e6:.0f} MB: {size / rows:.0f} bytes each, {paths / rows:.0f} the path"
    )
    print(f"reading alone: {reading_s:.2f} s\n\n| line | near | crossings | s |\n|---|---:|---:|---:|")
    for name, line in LINES.items():
        command = [sys.executable, "-m", "pipeline.cli.entry", "recount", str(folder), "--line", line]
        code = (
            "from pipeline.cli.entry import main; import sys; sys.argv = ['sightline', *sys.argv[1:]]; main()"
        )
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code, *command[3:]], capture_output=True, text=True, check=True
        )
        taken_s = time.perf_counter() - begin
        told = done.stdout.splitlines()
        counted = sum(int(row.split()[-1]) for row in told[1:] if row and not row.startswith("-"))
        near = next(row for row in told if "near the lines" in row).split(",")[1].split()[0]
        print(f"| {name} | {near} | {counted} | {taken_s:.2f} |")


if __name__ == "__main__":
    main()
