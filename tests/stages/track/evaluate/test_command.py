from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Sightline
from tests.stages.track.appearance.test_reid import model_file
from tests.stages.track.evaluate.folders import FRAMES, detected, found, info, text, truth15, write_sequence
from tests.stages.track.evaluate.street import street

HEADINGS = ["HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDSW", "FP", "FN", "ms", "ms", "p99"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_sequence(tmp_path / "mot/one", truth15(), detected())
    write_sequence(
        tmp_path / "mot/two",
        truth15(),
        [*detected(-0.5)[:5], *detected(3.0)[5:], (1, -1, 1, 1, 0, 9, 1, -1, -1, -1)],
    )
    return tmp_path / "mot"


def test_a_plain_table_with_notes_on_stdout_and_nothing_else(folder: Path, sightline: Sightline) -> None:
    said = sightline("evaluate", "mot", folder, "--method", "deepsort")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].split() == ["sequence", "method", *HEADINGS]
    assert [line.split()[:2] for line in lines[1:4]] == [
        [name, "deepsort"] for name in ("one", "two", "COMBINED")
    ]
    assert lines[4:] == [
        "- rules of MOT15",
        "- appearance: none",
        "- scores outside 0..1 went through 1 / (1 + exp(-2 score)): two",
        "- scores all equal were taken as 1: one",
        "- boxes under 1 px left out: two 1",
        "- ms: median a frame of the tracker alone",
    ]


def test_the_json_can_be_repeated(folder: Path, tmp_path: Path, sightline: Sightline) -> None:
    target = tmp_path / "scores.json"
    words = ["-m", "deepsort", "-m", "deepsort", "--min-score", "0.25", "-s", "one", "--json", target]
    assert sightline("evaluate", "mot", folder, *words).code == 0
    document = json.loads(target.read_text())
    assert set(document) == {"schema", "versions", "settings", "network", "sequences", "methods"}
    assert {"sightline", "trackeval", "numpy", "python"} <= set(document["versions"])
    assert document["settings"]["methods"] == ["deepsort"]
    assert document["settings"]["min_score"] == 0.25
    one = document["sequences"]["one"]
    digest = hashlib.sha256((folder / "one/gt/gt.txt").read_bytes()).hexdigest()
    assert one["files"]["truth"]["sha256"] == digest
    assert (one["frames"], one["rate_hz"], one["detections"]["scores"]) == (FRAMES, 25.0, "all equal")
    scores = document["methods"]["deepsort"]["sequences"]["one"]
    assert scores["update_ms"]["p99"] >= scores["update_ms"]["median"] > 0
    assert scores["IDSW"] == 0
    assert 0 < scores["HOTA"] < 100  # its first boxes are not confirmed yet


def test_what_pictures_cost_is_told_apart(tmp_path: Path, sightline: Sightline) -> None:
    street(tmp_path / "mot/street", frames=9)
    target = tmp_path / "scores.json"
    words = ["-m", "sightline", "-m", "deepsort", "-m", "sort", "--set", "max_age_s=2"]
    said = sightline("evaluate", "mot", tmp_path / "mot", *words, "--camera-motion", "--json", target)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].split()[-9:] == ["ms", "ms", "p99", "looked", "%", "look", "ms", "camera", "ms"]
    assert lines[2].split()[-3] == "100.0"
    assert lines[3].split()[-3:] == ["-", "-", "-"]
    assert lines[4:] == [
        "- rules of MOT15",
        "- appearance of sightline, deepsort: builtin",
        "- appearance of sort: none",
        "- camera motion by optical flow: sightline, deepsort",
        "- ms: median a frame of the tracker alone",
        "- looked %, look ms: share of the boxes that were described, mean a frame beside ms",
        "- camera ms: mean a frame beside ms",
    ]
    document = json.loads(target.read_text())
    assert document["settings"]["set"] == ["max_age_s=2"]
    assert document["settings"]["camera_motion"] is True
    assert document["network"] is None
    sorts, deepsorts = (document["methods"][name]["combined"] for name in ("sort", "deepsort"))
    assert sorts["look_ms"] is sorts["looked_share"] is sorts["camera_ms"] is None
    assert deepsorts["looked_share"] == 1.0
    assert min(deepsorts[what]["mean"] for what in ("update_ms", "look_ms", "camera_ms")) > 0


def test_a_network_is_named_with_its_digest(tmp_path: Path, sightline: Sightline) -> None:
    street(tmp_path / "mot/street", frames=4)
    network = model_file(tmp_path / "net.onnx")
    target = tmp_path / "scores.json"
    said = sightline("evaluate", "mot", tmp_path / "mot", "--appearance", network, "--json", target)
    assert (said.code, said.err) == (0, "")
    assert "- appearance: net.onnx" in said.out.splitlines()
    document = json.loads(target.read_text())
    assert document["network"]["sha256"] == hashlib.sha256(network.read_bytes()).hexdigest()
    assert document["methods"]["sightline"]["sequences"]["street"]["appearance"] == "net.onnx"


def test_written_results_score_like_their_run(folder: Path, tmp_path: Path, sightline: Sightline) -> None:
    ran, checked, results = tmp_path / "ran.json", tmp_path / "checked.json", tmp_path / "results"
    words = ["evaluate", "mot", folder]
    assert sightline(*words, "-m", "deepsort", "--results", results, "--json", ran).code == 0
    said = sightline(*words, "--check", results / "deepsort", "--json", checked)
    assert said.code == 0
    assert "ms" not in said.out.split()
    document = json.loads(checked.read_text())
    assert document["sequences"]["two"]["files"]["results"]["sha256"]
    for part, scores in json.loads(ran.read_text())["methods"]["deepsort"]["sequences"].items():
        for key, value in document["methods"]["deepsort"]["sequences"][part].items():
            assert scores[key] == value


def test_results_of_another_tool(folder: Path, tmp_path: Path, sightline: Sightline) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (folder / "one/det/det.txt").unlink()  # results need none
    (other / "one.txt").write_text(text(found(ident=12)))
    said = sightline("evaluate", "mot", folder / "one", "--check", other)
    assert said.code == 0
    assert said.out.splitlines()[1].split() == ["one", "other", *["100.00"] * 5, "0", "0", "0"]


def test_progress_is_for_terminals(
    folder: Path, sightline: Sightline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # which rich takes for a terminal
    monkeypatch.setenv("TERM", "xterm")
    said = sightline("evaluate", "mot", folder, "-m", "deepsort")
    assert "scoring deepsort: two" in said.err
    assert "scoring" not in said.out


def _spoil(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "one" / name).write_text(content)


REFUSED: dict[str, tuple[Callable[[Path], object], list[str], int, str]] = {
    # name: what is done to the folder, words, exit code, the one line
    "no folder": (lambda _: None, ["{folder}/none"], 1, "{folder}/none: no such folder"),
    "no sequence": (
        lambda _: None,
        ["{folder}/one/gt"],
        1,
        "{folder}/one/gt: no MOTChallenge sequence in it: wanted SEQUENCE/gt/gt.txt",
    ),
    "no detections": (
        lambda folder: (folder / "one/det/det.txt").unlink(),
        ["{folder}"],
        1,
        "one: no detections at {folder}/one/det/det.txt; --detections FOLDER names another folder of them",
    ),
    "malformed": (
        _spoil("det/det.txt", "1,-1,1,1,5,5,1\n1,-1,1,1,5,5,high\n"),
        ["{folder}"],
        1,
        "{folder}/one/det/det.txt:2: 'high' is not a number",
    ),
    "columns": (
        _spoil("gt/gt.txt", "1,1,1,1,5,5,1\n"),
        ["{folder}"],
        1,
        "{folder}/one/gt/gt.txt:1: 7 columns, but there must be 9 or 10",
    ),
    "frame 0": (
        _spoil("gt/gt.txt", "0,1,1,1,5,5,1,1,1\n"),
        ["{folder}"],
        1,
        "{folder}/one/gt/gt.txt:1: the frame number must be a whole number from 1 on, got 0",
    ),
    "rate": (
        _spoil("seqinfo.ini", info(rate="fast")),
        ["{folder}"],
        1,
        "{folder}/one/seqinfo.ini: frameRate must be a number above 0, got fast",
    ),
    "sequence": (lambda _: None, ["{folder}", "-s", "x"], 2, "no sequence x; there are one, two"),
    "json": (
        lambda _: None,
        ["{folder}", "--json", "{folder}/none/x.json"],
        1,
        "{folder}/none/x.json: cannot be written: No such file or directory",
    ),
    "json over input": (
        lambda _: None,
        ["{folder}", "--json", "{folder}/one/gt/../gt/gt.txt"],
        2,
        "{folder}/one/gt/../gt/gt.txt is read; results would overwrite it",
    ),
    "json over a result": (
        lambda _: None,
        ["{folder}", "--check", "{folder}", "--json", "{folder}/one.txt"],
        2,
        "{folder}/one.txt is read; results would overwrite it",
    ),
    "results": (
        lambda _: None,
        ["{folder}", "--results", "{folder}/one/seqinfo.ini"],
        1,
        "{folder}/one/seqinfo.ini: cannot be made: File exists",
    ),
    "results over input": (
        lambda folder: (
            (folder / "d/deepsort").mkdir(parents=True)
            or [(folder / f"d/deepsort/{name}.txt").touch() for name in ("one", "two")]
        ),
        ["{folder}", "-m", "deepsort", "--detections", "{folder}/d/deepsort", "--results", "{folder}/d"],
        2,
        "{folder}/d/deepsort/one.txt is read; results would overwrite it",
    ),
    "check and method": (
        lambda _: None,
        ["{folder}", "--check", "{folder}", "-m", "deepsort"],
        2,
        "--check runs no tracker: leave out --method, --results, --detections, --appearance, "
        "--camera-motion, --set, --min-score",
    ),
    "check and a setting": (
        lambda _: None,
        ["{folder}", "--check", "{folder}", "--set", "n_init=1"],
        2,
        "--check runs no tracker: leave out --method, --results, --detections, --appearance, "
        "--camera-motion, --set, --min-score",
    ),
    "a setting": (
        lambda _: None,
        ["{folder}", "--set", "n_init=few"],
        2,
        "--set n_init=few: input should be a valid integer, unable to parse string as an integer",
    ),
    "an unknown setting": (
        lambda _: None,
        ["{folder}", "--set", "patience=2"],
        2,
        "method 'sightline' has no setting 'patience'; known: max_age_s, n_init, min_score, "
        "report_predicted_s, max_tracks, look_limit",
    ),
    "no network": (
        lambda _: None,
        ["{folder}", "--appearance", "osnet.onnx"],
        2,
        "--appearance osnet.onnx: neither none, builtin nor the path of an .onnx file",
    ),
    "json over the network": (
        lambda folder: (folder / "one/net.mp4").touch() or (folder / "two/net.mp4").touch(),
        ["{folder}", "--appearance", "{folder}/one/gt/gt.txt", "--json", "{folder}/one/gt/gt.txt"],
        2,
        "{folder}/one/gt/gt.txt is read; results would overwrite it",
    ),
    "nobody knows the camera": (
        lambda folder: (folder / "one/net.mp4").touch() or (folder / "two/net.mp4").touch(),
        ["{folder}", "-m", "sort", "--camera-motion"],
        2,
        "no camera motion is known to sort: leave out --camera-motion",
    ),
    "check without results": (
        lambda _: None,
        ["{folder}", "--check", "{folder}"],
        1,
        "{folder}/one.txt: no results of this sequence; --sequence NAME scores some of them only",
    ),
    "no pictures": (
        lambda _: None,
        ["{folder}", "--appearance", "builtin"],
        2,
        "one: no pictures (img1/ or a video) in {folder}/one, which --appearance builtin needs; "
        "leave it out, or choose sequences that have some by --sequence",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_one_line(case: str, folder: Path, sightline: Sightline) -> None:
    spoil, words, code, complaint = REFUSED[case]
    spoil(folder)
    said = sightline("evaluate", "mot", *(word.format(folder=folder) for word in words))
    assert said.errors == [complaint.format(folder=folder)]
    assert (said.code, said.out, said.err.count("\n")) == (code, "", 1)


def test_an_unknown_method_lists_the_known(folder: Path, sightline: Sightline) -> None:
    said = sightline("evaluate", "mot", folder, "-m", "kalman")
    assert said.code == 2
    assert said.errors[0].startswith("unknown tracking method 'kalman'; known: ")
    assert "deepsort" in said.errors[0]


def test_without_trackeval(folder: Path, sightline: Sightline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackeval", None)
    said = sightline("evaluate", "mot", folder)
    assert said.code == 2
    assert len(said.errors) == 1
    assert 'pip install "sightline[eval]"' in said.errors[0]


def test_a_failure_leaves_no_new_json(folder: Path, tmp_path: Path, sightline: Sightline) -> None:
    target, kept = tmp_path / "new.json", tmp_path / "kept.json"
    kept.write_text("{}")
    for path in (target, kept):
        assert sightline("evaluate", "mot", folder, "--check", tmp_path, "--json", path).code == 1
    assert not target.exists()
    assert kept.read_text() == "{}"


@pytest.mark.parametrize("words", [["evaluate", "mot", "--help"], ["evaluate", "--help"], ["--help"]])
def test_help(words: list[str], sightline: Sightline) -> None:
    said = sightline(*words)
    assert said.code == 0
    if "mot" in words:
        assert "Example: sightline evaluate mot MOT17/train" in " ".join(said.out.split())
    assert "Exit codes" in said.out
