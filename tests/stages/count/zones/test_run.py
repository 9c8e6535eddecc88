"""Zones and routes from end to end, on the drawn street."""

import json
from pathlib import Path

import pytest

from tests.command import Sightline

CONFIG = """
out: {out}
streams:
  street: {{source: "synthetic://street?seed=3&duration_s=20&traffic=0.8"}}
stages:
  - motion: {{width: 320, min_area: 0.0008}}
  - track: {{appearance: none}}
  - count:
      lines:
        left: {{start: [0.3, 0.44], end: [0.3, 0.75], directions: {{to_right: out, to_left: in}}}}
        right: {{start: [0.7, 0.75], end: [0.7, 0.44], directions: {{to_right: out, to_left: in}}}}
      routes:
        through: {{gates: {{left: in, right: in}}}}
      zones:
        road:
          polygon: [[0.0, 0.46], [1.0, 0.46], [1.0, 0.8], [0.0, 0.8]]
          occupancy: {{over: 1, update_s: 2}}
          dwell: {{after_s: 2}}
          queue: {{length: 1, joined_s: 1}}
          loitering: {{after_s: 3}}
          stopped: {{after_s: 2}}
          wrong_way: {{way: [[0.0, 0.6], [1.0, 0.6]]}}
          tailgating: {{under_s: 2}}
          crowd: {{per_percent: 0.05, update_s: 2}}
        pavement:
          polygon: [[0.0, 0.82], [1.0, 0.82], [1.0, 1.0], [0.0, 1.0]]
  - draw
sinks: [events, video]
"""


def run(sightline: Sightline, folder: Path, out: str) -> tuple[list[dict], dict]:
    path = folder / "street.yaml"
    path.write_text(CONFIG.format(out=folder / out))
    ran = sightline("run", path)
    assert ran.code == 0, ran.err
    events = [json.loads(line) for line in (folder / out / "events.jsonl").read_text().splitlines()]
    return events, json.loads((folder / out / "report.json").read_text())["streams"]["street"]["stages"][
        "count"
    ]


@pytest.mark.slow
def test_every_begin_has_its_end_and_two_runs_are_the_same(tmp_path: Path, sightline: Sightline) -> None:
    events, report = run(sightline, tmp_path, "a")
    assert (events, report) == run(sightline, tmp_path, "b")
    assert len({event["id"] for event in events}) == len(events)
    begun = {event["id"]: event for event in events if event["data"].get("state") == "begin"}
    ended = [event["data"]["began"] for event in events if event["data"].get("state") == "end"]
    assert sorted(begun) == sorted(ended)
    for event in events:
        if event["data"].get("state") in ("update", "end"):
            first = begun[event["data"]["began"]]
            assert event["pts_s"] >= first["pts_s"]
            assert (event["data"]["zone"], event["track_id"]) == (first["data"]["zone"], first["track_id"])
            if "duration_s" in event["data"]:
                assert event["data"]["duration_s"] == pytest.approx(event["pts_s"] - first["pts_s"], abs=2e-3)
    kinds = {event["kind"] for event in events}
    assert {
        "zone.entered",
        "zone.left",
        "zone.occupancy",
        "zone.dwell",
        "zone.wrong_way",
        "zone.crowd",
    } <= kinds
    visits = [event for event in events if event["kind"] == "zone.left" and event["data"]["zone"] == "road"]
    told = report["zones"]["road"]
    gone = sum(told["left"].values()) + sum(told["lost"].values())
    assert sum(told["entered"].values()) == gone == len(visits) > 5
    routes = [event for event in events if event["kind"] == "route.completed"]
    whole = sum(
        n
        for row in report["routes"]["through"]["completed"].values()
        for c in row.values()
        for n in c.values()
    )
    assert len(routes) == whole > 0
    assert {(event["data"]["origin"], event["data"]["destination"]) for event in routes} <= {
        ("left", "right"),
        ("right", "left"),
    }
