"""The tables and the picture of docs/tracking.md, from made-up figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest

from benchmarks import tracking
from benchmarks.tracking_plot import LIMIT, medians, plot_speed
from benchmarks.tracking_tables import markdown, milliseconds, mot_table, speed_table, stress_table


def times(*pairs: tuple[int, float]) -> dict[str, dict[str, float]]:
    return {str(n): {"median_ms": ms, "p99_ms": 2 * ms} for n, ms in pairs}


OURS = {"sort": times((10, 0.2), (100, 0.4))}
PEERS = {
    "slow": times((10, 5.0), (100, 50.0)),
    "quick": times((10, 0.1), (100, 0.3)),
    "odd": times((10, 1.0)),
}
FLOOR = {
    "10": {LIMIT: 0.04, "LIMIT (pairs, smoothed)": 0.025},
    "100": {LIMIT: 0.07, "LIMIT (pairs, smoothed)": 0.25},
}


def names(table: str) -> list[str]:
    return [line.split(" | ")[0].strip("| ") for line in table.splitlines()[2:]]


def test_speed_is_ordered_by_the_middle_size_with_the_limits_last() -> None:
    table = speed_table(OURS, PEERS, FLOOR, ["10", "100"])
    assert names(table) == [
        "quick",
        "**ours: sort**",
        "slow",
        "odd",
        f"*{LIMIT}*",
        "*LIMIT (pairs, smoothed)*",
    ]
    assert "| **ours: sort** | 0.20 / 0.40 | 0.40 / 0.80 |" in table
    assert "| odd | 1.00 / 2.00 |  |" in table


def test_stress_has_the_ceiling_first_and_means() -> None:
    def scores(*idf1: float) -> dict[str, dict[str, float]]:
        scenes = ("low_fps", "twins")
        return {s: {"IDF1": v, "HOTA": v / 2, "IDSW": 3} for s, v in zip(scenes, idf1, strict=True)}

    ours = {"(true ids)": scores(99, 97), "sightline": scores(90, 80)}
    peers = {"(true ids)": scores(99, 97), "better": scores(100, 90), "worse": scores(10, 20)}
    table = stress_table(ours, peers)
    assert names(table) == ["(true ids)", "better", "**ours: sightline**", "worse"]
    assert "| **ours: sightline** | 90.0 | 80.0 | **85.0** | 42.5 | 6 |" in table
    assert table.startswith("| tracker | low fps | twins | mean IDF1 |")


def test_mot_is_ordered_by_hota() -> None:
    rates = {
        "hota": 40.0,
        "deta": 30.0,
        "assa": 50.0,
        "mota": 20.0,
        "idf1": 60.0,
        "idsw": 5,
        "fp": 6,
        "fn": 7,
    }
    ours = {"sort": SimpleNamespace(combined=SimpleNamespace(**rates))}
    pooled = {"HOTA": 41.5, "DetA": 1, "AssA": 2, "MOTA": 3, "IDF1": 4, "IDSW": 5, "FP": 6, "FN": 7}
    table = mot_table(ours, {"peer": {"COMBINED": pooled, "TUD": pooled}})
    assert names(table) == ["peer", "**ours: sort**"]
    assert table.endswith("| 40.00 | 30.00 | 50.00 | 20.00 | 60.00 | 5 | 6 | 7 |")


@pytest.mark.parametrize(("value", "text"), [(0.153, "0.15"), (3.42, "3.42"), (9.999, "10.00"), (38.7, "39")])
def test_milliseconds(value: float, text: str) -> None:
    assert milliseconds(value) == text


def test_markdown_aligns_numbers() -> None:
    assert markdown(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_the_picture(tmp_path: Path) -> None:
    target = tmp_path / "speed.png"
    plot_speed(target, OURS, PEERS, FLOOR)
    picture = cv2.imread(str(target))
    assert picture is not None
    assert picture.shape[1] == 1200
    assert picture.std() > 5


def test_medians_are_in_order() -> None:
    assert medians(times((100, 2.0), (10, 1.0))) == ([10, 100], [1.0, 2.0])


def test_saved_speed_is_shown_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    results.mkdir()
    (results / "speed.json").write_text(json.dumps(PEERS))
    (results / "limit.json").write_text(json.dumps(FLOOR))
    saved, picture = tmp_path / "saved.json", tmp_path / "p.png"
    saved.write_text(json.dumps({"speed": OURS}))
    monkeypatch.setattr(tracking, "BENCH", tmp_path)
    words = ["tracking", "--only", "speed", "--from", saved, "--sizes", "100", "10", "--picture", picture]
    monkeypatch.setattr(sys, "argv", list(map(str, words)))
    tracking.main()
    assert "**ours: sort** | 0.20 / 0.40 | 0.40 / 0.80 |" in capsys.readouterr().out
    assert picture.exists()


@pytest.mark.parametrize(
    ("section", "missing"),
    [("speed", "bench/tracker_speed.py"), ("stress", "bench/identity_stress.py"), ("mot", "data/mot15")],
)
def test_without_the_shared_folder_it_says_what_it_needs(
    section: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "SHARED", tmp_path)
    monkeypatch.setattr(tracking, "BENCH", tmp_path / "bench")
    monkeypatch.setattr(sys, "argv", ["tracking", "--only", section, "--picture", str(tmp_path / "p.png")])
    with pytest.raises(SystemExit) as caught:
        tracking.main()
    assert str(caught.value).startswith(f"{tmp_path / missing}: no such")
    assert "SIGHTLINE_SHARED" in str(caught.value)
