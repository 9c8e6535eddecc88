"""`sightline tune` as a shell sees it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import yaml

from stages.track.stage import TrackOptions
from tests.command import Sightline
from tests.media import write_crossing_video
from tests.shared_data import shared

SHORT = "synthetic://street?duration_s=4&rate_hz=8&width=320&height=180"
BUSY = "synthetic://street?duration_s=6&rate_hz=5&width=320&height=180&traffic=1.5"


def settings_of(out: str) -> dict[str, object]:
    """Return what the fragment at the end of the output sets."""
    read = yaml.safe_load(out[out.rindex("stages:") :])["stages"]
    assert len(read) == 1
    settings = {} if read == ["track"] else read[0]["track"]
    TrackOptions.model_validate(settings)
    return dict(settings)


def test_help_teaches(sightline: Sightline) -> None:
    said = sightline("tune", "--help")
    assert said.code == 0
    for word in ("CLIP", "--detector", "--method", "--minutes", "--hidden-s", "--truth", "Example:"):
        assert word in said.out, word


def test_too_little_is_no_failure_and_says_what_would_help(sightline: Sightline) -> None:
    said = sightline("tune", SHORT)
    assert said.code == 0
    assert "3.9 s are short" in said.out
    assert "too little to judge by: at least 5 objects" in said.out
    assert "keep the defaults: too little to judge by" in said.out
    settings_of(said.out)


@pytest.mark.slow
def test_a_table_a_verdict_and_settings_to_paste(
    sightline: Sightline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.track.tune.knobs._VALUES", {"n_init": (1, 3), "max_age_s": (1.0, 5.0)})
    target = tmp_path / "tuned.json"
    said = sightline("tune", BUSY, "--hidden-s", "0.5", "--json", target)
    assert said.code == 0, said.err
    for words in (
        "objects whose identity is beyond doubt",
        "back after",
        "defaults",
        "n_init 1",
        "MB of tables",
    ):
        assert words in said.out, words
    assert any(line.startswith(("use ", "keep the defaults")) for line in said.out.splitlines())
    assert "detecting" in said.err
    document = json.loads(target.read_text())
    assert document["recommended"].items() <= settings_of(said.out).items()
    assert document["detector"] == {"name": "motion", "settings": {}}
    assert document["absences_s"] == [0.3, 0.5]
    assert {"n_init", "max_age_s"} <= {key for each in document["tried"] for key in each["settings"]}
    assert document["defaults"]["gain"] == 0


REFUSED: dict[str, tuple[list[str], int, str]] = {
    # name: words; exit code; the one line
    "no clip": (["none.mp4"], 1, "none.mp4: no such file; check the path"),
    "no source": (["rtps://door/1"], 2, "unknown source 'rtps'; known: file, folder, http"),
    "a camera": (
        ["rtsp://door/1"],
        2,
        "rtsp://door/1 is a live source; record a minute or two of it and give the file",
    ),
    "unknown method": ([SHORT, "-m", "srt"], 2, "unknown tracking method 'srt'; known: sightline, deepsort"),
    "unknown detector": ([SHORT, "--detector", "hgo"], 2, "unknown detector 'hgo'; known: "),
    "no network": ([SHORT, "--appearance", "no.onnx"], 2, "no model at 'no.onnx'"),
    "no pair": ([SHORT, "--detector-set", "width"], 2, "--detector-set width: write KEY=VALUE"),
    "no such setting": (
        [SHORT, "--detector-set", "x=1"],
        2,
        "detector 'motion' has no setting 'x'; it has: ",
    ),
    "no weights": (
        [SHORT, "--detector", "onnx", "--detector-set", "model=no.onnx"],
        2,
        "no weights at 'no.onnx'",
    ),
    "no folder for json": (
        [SHORT, "--json", "{folder}/no/x.json"],
        1,
        "{folder}/no/x.json: cannot be written: ",
    ),
    "json over the clip": (["{clip}", "--json", "{clip}"], 2, "--json {clip} is read; the figures would"),
    "no truth": ([SHORT, "--truth", "{folder}/gt.txt"], 1, "{folder}/gt.txt: no such file"),
    "nothing found": (
        [SHORT, "--detector-set", "min_area=0.9"],
        1,
        f"{SHORT}: 'motion' finds nothing in 3.9 s; it sees only what moves before a fixed camera",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str, sightline: Sightline, tmp_path: Path) -> None:
    words, code, line = REFUSED[name]
    clip = tmp_path / "clip.mp4"
    if any("{clip}" in word for word in words):
        write_crossing_video(clip, frames=30)

    def filled(text: str) -> str:
        return text.replace("{folder}", str(tmp_path)).replace("{clip}", str(clip))

    target = tmp_path / "left.json"
    extra = [] if "json" in name else ["--json", target]
    said = sightline("tune", *map(filled, words), *extra)
    assert said.code == code
    assert len(said.errors) == 1
    assert said.errors[0].startswith(filled(line))
    assert not target.exists()


@pytest.mark.slow  # importing ultralytics takes seconds
@pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None, reason='needs the extra "yolo"')
def test_yolo_without_weights(sightline: Sightline) -> None:
    said = sightline("tune", SHORT, "--detector", "yolo", "--detector-set", "model=no.pt")
    assert (said.code, len(said.errors)) == (2, 1)
    assert said.errors[0].startswith("no weights at 'no.pt'")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_city_traffic(sightline: Sightline) -> None:
    said = sightline("tune", shared("video/traffic_a.mp4"), "--hidden-s", "2")
    assert said.code == 0, said.err
    assert "8.3 s are short" in said.out
    assert "back after" in said.out
    settings_of(said.out)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_street_with_its_truth(sightline: Sightline) -> None:
    pytest.importorskip("trackeval", reason='needs the extra "eval"')
    clip = shared("mot15/TUD-Stadtmitte/TUD-Stadtmitte.mp4")
    weights = shared("weights/yolox_nano.onnx")
    network = [
        "--detector",
        "onnx",
        "--detector-set",
        f"model={weights}",
        "--detector-set",
        "labels=[person]",
    ]
    said = sightline("tune", clip, *network, "--truth", clip.parent / "gt/gt.txt")
    assert said.code == 0, said.err
    assert "figure: mean of HOTA and IDF1" in said.out
    settings_of(said.out)
