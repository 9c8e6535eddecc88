"""Trajectories of real objects: few bytes, small errors, and counted again exactly as they were counted."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.stages.count.history.scenes import (
    SIZES,
    again,
    info_of,
    live_counts,
    play,
    random_lines,
    recounted,
    tracked,
    truth,
)

SMALL = ["TUD-Campus", "TUD-Stadtmitte", "KITTI-17"]
MAKERS = {"truth": truth, "tracked": tracked}
CASES = [(name, made) for name in SIZES for made in MAKERS]
QUICK = [("TUD-Stadtmitte", "tracked"), ("KITTI-17", "truth")]


@pytest.mark.parametrize(
    ("name", "made"),
    [case if case in QUICK else pytest.param(*case, marks=pytest.mark.slow) for case in CASES],
)
def test_lines_that_were_live_are_counted_again_exactly(name, made, tmp_path):
    width, height, _ = SIZES[name]
    count = 30 if (name, made) in QUICK else 300
    options = {"lines": random_lines(np.random.default_rng(5), count, width, height), "trajectories": {}}
    stage, events = play(MAKERS[made](name), options, info_of(width, height), tmp_path)
    live = live_counts(events)
    assert live
    assert recounted(again(tmp_path, options)) == live
    said = stage.statistics()["trajectories"]
    assert said["disagree"] == said["lost"] == 0
    assert said["exact"] <= 0.05 * said["trajectories"] + 1


@pytest.mark.parametrize(
    "name", ["KITTI-17", *(pytest.param(name, marks=pytest.mark.slow) for name in ("TUD-Campus", "Venice-2"))]
)
def test_a_new_line_is_right_but_for_those_that_it_says_it_doubts(name, tmp_path):
    """What the full tracks give at lines that were not live differs by no more than what is in doubt."""
    width, height, _ = SIZES[name]
    new = {"lines": random_lines(np.random.default_rng(6), 40, width, height)}
    play(tracked(name), {"trajectories": {}}, info_of(width, height), tmp_path)
    _, events = play(tracked(name), new, info_of(width, height), None)
    live, found = live_counts(events), again(tmp_path, new)
    for line in new["lines"]:
        wanted = {key: count for key, count in live.items() if key[0] == line}
        got = {key: count for key, count in recounted(found).items() if key[0] == line}
        off = sum(abs(wanted.get(key, 0) - got.get(key, 0)) for key in wanted | got)
        assert off <= 2 * found.doubtful[line]


@pytest.mark.parametrize(
    ("names", "most"), [(SMALL, 300), pytest.param(list(SIZES), 200, marks=pytest.mark.slow)]
)
def test_a_trajectory_takes_less_than_200_bytes(names, most, tmp_path):
    """The whole file, of all that was tracked; that of 41 trajectories is a third frame."""
    kept = path_bytes = 0
    for name in names:
        width, height, _ = SIZES[name]
        stage, _ = play(tracked(name), {"trajectories": {}}, info_of(width, height, live=True), tmp_path)
        said = stage.statistics()["trajectories"]
        kept += said["trajectories"]
        path_bytes += said["path_bytes"] * said["trajectories"]
    (path,) = tmp_path.rglob("*.parquet")
    assert path.stat().st_size / kept < most
    assert path_bytes / kept < 175


def test_the_error_is_below_one_unit_and_said(tmp_path):
    width, height, _ = SIZES["KITTI-17"]
    play(tracked("KITTI-17"), {"trajectories": {"resolution": 320}}, info_of(width, height), tmp_path)
    (path,) = tmp_path.rglob("*.parquet")
    table = pq.ParquetFile(path)
    errors = table.read(["error"])["error"].to_pylist()
    assert 0 < max(errors) <= 100
    metadata = table.metadata.metadata
    assert metadata[b"sightline.resolution"] == b"320 units along the longer side"
    assert b"within 1 unit" in metadata[b"sightline.error"]
