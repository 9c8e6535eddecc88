"""`sightline recount`: questions to the past, and what is wrong with them said in one line."""

from __future__ import annotations

import csv
import io
import json
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from pipeline.errors import ConfigError
from stages.count.history.archive import Span
from stages.count.history.bins import Bins, moment_ns, zone_named
from stages.count.history.replay import asked_of, replay
from tests.command import Sightline
from tests.stages.count.history.scenes import SIZES, archive_in, info_of, play, tracked, tracks_of

LINE = "0,0.5 1,0.5"
HOUR_NS = 3600 * 10**9


def walk(start_s, object_id, x=300.0, seconds=4.0):
    """Yield one object that walks down the picture in some seconds."""
    for t in np.arange(0, seconds, 0.1):
        y = 60 + 280 * t / seconds
        yield start_s + t, tracks_of([(object_id, (x - 10, y - 30, x + 10, y), "car")])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder with three objects, at 0:00, 0:20 and 2:00 of the first day."""
    folder = tmp_path_factory.mktemp("run")
    frames = [*walk(0.0, 1), *walk(1200.0, 2, x=100), *walk(7200.0, 3)]
    play(frames, {"trajectories": {}}, info_of(640, 360), folder)
    return folder


def test_a_new_line_is_counted(sightline: Sightline, run):
    done = sightline("recount", run, "--line", f"gate={LINE}")
    assert done.code == 0
    assert "cam     gate  to_right   car        3" in done.out
    assert "3 trajectories, 3 of them near the lines" in done.out


def test_a_class_that_nobody_had_is_told_with_the_nearest(sightline: Sightline, run):
    done = sightline("recount", run, "--line", f"gate={LINE}", "--label", "cra")
    assert "- gate counts only cra; the classes kept are car; did you mean 'car'?" in done.out
    done = sightline("recount", run, "--line", f"gate={LINE}", "--label", "cra", "--label", "car")
    assert "counts only" not in done.out


def test_intervals_in_local_time_as_csv(sightline: Sightline, run):
    done = sightline("recount", run, "--line", LINE, "--by", "hour", "--time-zone", "Europe/Berlin", "--csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [(row["from"], row["count"]) for row in rows] == [
        ("1970-01-01T01:00+01:00", "2"),
        ("1970-01-01T03:00+01:00", "1"),
    ]


def test_from_and_to(sightline: Sightline, run, tmp_path):
    told = tmp_path / "told.json"
    asked = ("--line", LINE, "--from", "1970-01-01T00:10", "--to", "1970-01-01T01:00")
    assert sightline("recount", run, *asked, "--json", told).code == 0
    document = json.loads(told.read_text())
    assert [each["count"] for each in document["streams"]["cam"]["counts"]] == [1]
    assert document["asked"]["from"] == "1970-01-01T00:10"


def test_a_line_in_px_with_bends_and_other_options(sightline: Sightline, run):
    drawn = "bent=50,100 200,180 640,180"
    done = sightline("recount", run / "trajectories", "--line", drawn, "--anchor", "center", "--label", "car")
    assert "bent  to_right   car        3" in done.out
    assert "bent  to_right" not in sightline("recount", run, "--line", drawn, "--label", "bus").out


def test_zones_routes_and_events(sightline: Sightline, run, tmp_path):
    events = tmp_path / "events.jsonl"
    done = sightline(
        *("recount", run, "--line", "a=0,0.4 1,0.4", "--line", "b=0,0.8 1,0.8", "--route", "through=a,b"),
        *("--zone", "left=0,0.3 0.3,0.3 0.3,0.9 0,0.9", "--events", events),
    )
    assert done.code == 0
    assert "route.completed  through  a > b" in done.out
    told = [json.loads(line) for line in events.read_text().splitlines()]
    kinds = [each["kind"] for each in told]
    assert kinds.count("route.completed") == 3
    assert kinds.count("zone.entered") == kinds.count("zone.left") == 1
    (left,) = [each for each in told if each["kind"] == "zone.left"]
    assert left["data"]["dwell_s"] == pytest.approx(0.6 * 360 / 280 * 4, abs=0.2)
    assert left["time"].startswith("1970-01-01T00:20:0")


def test_what_a_configuration_asks(sightline: Sightline, run, tmp_path):
    config = tmp_path / "site.yaml"
    config.write_text(
        "streams: {cam: {source: x.mp4}}\n"
        "stages:\n  - track\n"
        "  - count:\n      lines: {gate: {start: [0, 0.5], end: [1, 0.5], directions: {to_right: down}}}\n"
        "      trajectories: {}\n"
    )
    assert "gate  down       car        3" in sightline("recount", run, "--config", config).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing is asked"),
        (("--line", "gate=0.1,0.5"), "a line needs 2 points or more"),
        (("--zone", "0.1,0.5 0.5,0.5"), "a zone needs 3 points or more"),
        (("--line", "gate=0.1;0.5 0.9,0.5"), "'0.1;0.5' is no point"),
        (("--line", "a=0,0 1,1", "--line", "a=0,1 1,0"), "two are called 'a'"),
        (("--line", "0,0 900,900"), "lies outside the picture of 640 x 360"),
        (("--line", "0.5,0.5 0.5,0.5"), "two different points"),
        (("--zone", "0.1,0.1 0.9,0.9 0.9,0.1 0.1,0.9"), "cross"),
        (("--line", LINE, "--time-zone", "Europe/Berln"), "did you mean Europe/Berlin?"),
        (("--line", LINE, "--from", "yesterday"), "'yesterday' is no moment"),
        (("--line", LINE, "--from", "1971", "--to", "1970-01-01"), "'1971' is no moment"),
        (("--line", LINE, "--from", "1971-01-01", "--to", "1970-01-01"), "must be before"),
        (("--line", LINE, "--stream", "dock"), "no trajectories of the stream 'dock'; there are: cam"),
        (("--config", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
        (("--route", "r=a,b", "--line", "a=0,0.5 1,0.5"), "b"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(sightline: Sightline, run, arguments, said):
    done = sightline("recount", run, *arguments)
    assert done.code in (1, 2)
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_folder_without_trajectories(sightline: Sightline, tmp_path):
    done = sightline("recount", tmp_path, "--line", LINE)
    assert done.code == 1
    assert "no trajectories are kept there" in done.err


def test_a_damaged_file_is_named(sightline: Sightline, tmp_path):
    play(walk(0.0, 1), {"trajectories": {}}, info_of(640, 360), tmp_path)
    (path,) = tmp_path.rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-50])
    done = sightline("recount", tmp_path, "--line", LINE)
    assert done.code == 1
    assert path.name in done.err
    assert len(done.err.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["TUD-Stadtmitte", "KITTI-17"])
def test_the_past_visits_zones_as_the_present_did(name, tmp_path):
    """Every visit and every route of real people, most of them to a tenth of a second."""
    width, height, _ = SIZES[name]
    options = {
        "lines": {"a": {"start": [0.45, 0], "end": [0.45, 1]}, "b": {"start": [0.55, 0], "end": [0.55, 1]}},
        "zones": {"middle": {"polygon": [[0.35, 0.2], [0.65, 0.2], [0.65, 1], [0.35, 1]]}},
        "routes": {"through": {"gates": ["a", "b"]}},
    }
    _, events = play(tracked(name), {**options, "trajectories": {}}, info_of(width, height), tmp_path)
    past = list(replay(archive_in(tmp_path), asked_of(options), Span()))
    for kind in ("zone.entered", "zone.left", "route.completed"):
        then = sorted(event.moment.pts_s for event in events if event.kind == kind)
        now = sorted(event.moment.time_ns / 1e9 for event in past if event.kind == kind)
        assert len(now) == len(then) > 0
        assert np.median(np.abs(np.subtract(now, then))) < 0.1


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_days_on_which_clocks_are_changed(day, hours):
    zone = ZoneInfo("Europe/Berlin")
    start = moment_ns(day, zone)
    times = start + np.arange(hours) * HOUR_NS + 1
    days, all_hours = Bins("day", zone), Bins("hour", zone)
    assert {days.text(int(number)) for number in days.numbers(times)} == {day}
    texts = [all_hours.text(int(number)) for number in all_hours.numbers(times)]
    assert len(set(texts)) == hours
    assert days.text(int(days.numbers(np.array([start + hours * HOUR_NS]))[0])) != day


def test_hours_of_zones_with_odd_offsets():
    bins = Bins("hour", zone_named("Asia/Kathmandu"))
    (number,) = bins.numbers(np.array([1_780_000_000 * 10**9]))
    assert bins.text(int(number)).endswith(":00+05:45")


def test_an_unknown_zone_without_a_like_one():
    with pytest.raises(ConfigError, match="names are like"):
        zone_named("qqqqqqqq")
