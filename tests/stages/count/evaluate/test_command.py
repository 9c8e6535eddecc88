"""`sightline evaluate counts`, as a person calls it."""

import json
from pathlib import Path

import pytest

from stages.count.options import CountOptions
from tests.command import Sightline
from tests.shared_data import shared
from tests.stages.count.evaluate.runs import write_run

TRUTH = Path(__file__).parents[3] / "truth"
LINES = {"gate": ("up", "down")}
GATE = "{start: [80, 250], end: [440, 250], units: px, directions: {to_right: down, to_left: up}}"
HEAD = "# duration_s: 30\n# width: 640\n# height: 360\npts_s,line,direction,label\n"


def truth(folder: Path, rows: str = "1,gate,up,car\n5,gate,down,car\n", head: str = HEAD) -> Path:
    path = folder / "truth.csv"
    path.write_text(head + rows)
    return path


def test_a_run_that_was_made(tmp_path: Path, sightline: Sightline) -> None:
    rows = [(1.2, "gate", "up", "car"), (5.1, "gate", "down", "truck"), (9.0, "gate", "down", "car")]
    run = write_run(tmp_path / "out", rows, LINES, dropped={"detect": {"late": 3}})
    said = sightline("evaluate", "counts", run, "--truth", truth(tmp_path), "--json", tmp_path / "c.json")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0].split() == [
        "counted",
        "true",
        "error",
        "right",
        "missed",
        "extra",
        "precision",
        "recall",
        "GEH",
    ]
    assert lines[1].split() == ["gate", "3", "2", "+1", "(+50.0", "%)", "2", "0", "1", "0.667", "1.000", "-"]
    assert "- extra: gate down at 9.00 s, car" in lines
    assert "- 1 of class car counted as truck" in lines
    assert "- the run lost 3 of 900 pictures" in lines
    assert any("30 s are too short" in line for line in lines)
    document = json.loads((tmp_path / "c.json").read_text())
    assert document["lines"]["gate"]["directions"]["up"]["recall"] == 1.0
    assert document["total"]["precision_95"] == [0.2077, 0.9385]
    assert document["extra"][0]["event"]
    assert document["classes"]["car"] == {**document["classes"]["car"], "counted": 2, "true": 2, "right": 1}


def test_labels_may_be_renamed(tmp_path: Path, sightline: Sightline) -> None:
    run = write_run(tmp_path / "out", [(1.2, "gate", "up", "moving"), (5.1, "gate", "down", "moving")], LINES)
    said = sightline("evaluate", "counts", run, "--truth", truth(tmp_path), "--name", "moving=car")
    assert "class car" in said.out
    assert "1.000" in said.out.partition("class car")[2]


def test_that_lines_were_suspended_is_said(tmp_path: Path, sightline: Sightline) -> None:
    run = write_run(tmp_path / "out", [(1.2, "gate", "up", "car")], LINES)
    events = run / "events.jsonl"
    health = json.loads(events.read_text())
    health |= {"kind": "camera.health", "data": {"state": "begin", "suspends": True}}
    events.write_text(events.read_text() + json.dumps(health) + "\n")
    said = sightline("evaluate", "counts", run, "--truth", truth(tmp_path))
    assert "- lines were suspended 1 times (camera.health): nothing was counted then" in said.out


def test_a_run_that_goes_on_or_was_killed(tmp_path: Path, sightline: Sightline) -> None:
    run = write_run(tmp_path / "out", [(1.2, "gate", "up", "car")], {}, status="running")
    done = sightline("evaluate", "counts", run, "--truth", truth(tmp_path))
    assert done.code == 1
    assert "it goes on, or was killed; let it end first" in done.err


def test_times_of_the_clock_and_the_part_that_was_watched(tmp_path: Path, sightline: Sightline) -> None:
    rows = [(1.2, "gate", "up", "car"), (5.1, "gate", "down", "car"), (29.0, "gate", "down", "car")]
    run = write_run(tmp_path / "out", rows, LINES)
    head = "# from: 2024-05-01T08:00:00Z\n# to: 2024-05-01T08:00:10Z\ntime,line,direction\n"
    path = truth(tmp_path, "2024-05-01T10:00:01+02:00,gate,up\n2024-05-01T08:00:08Z,gate,up\n", head)
    said = sightline("evaluate", "counts", run, "--truth", path)
    assert said.code == 0, said.err
    assert "- missed: gate up at 2024-05-01T08:00:08.000Z" in said.out
    assert "1 crossings were counted outside of the watched time" in said.out


def test_the_run_s_own_events_are_a_truth(tmp_path: Path, sightline: Sightline) -> None:
    run = write_run(tmp_path / "out", [(1.2, "gate", "up", "car")], LINES)
    said = sightline("evaluate", "counts", run, "--truth", run / "events.jsonl")
    assert said.code == 0
    assert "taken on trust" in said.out


@pytest.mark.parametrize(
    ("head", "rows", "code", "said"),
    [
        ("# duration_s: 60\n", "1,gate,up,car\n", 1, "another clip: it is 60.00 s long, 30.00 s were seen"),
        ("# width: 1920\n", "1,gate,up,car\n", 1, "another clip: it has a width of 1920 px"),
        (
            "# run: 0ther\n",
            "1,gate,up,car\n",
            1,
            "another clip: its digest is 0ther, that of clip.mp4 is d1gest",
        ),
        (
            "",
            "45,gate,up,car\n",
            1,
            "another clip: it has a crossing at 45.00 s, clip.mp4 was seen for 30.00 s",
        ),
        ("", "1,gaet,up,car\n", 2, "no line 'gaet' in the run, did you mean 'gate'?; it has: gate"),
        ("", "1,gate,upp,car\n", 2, "no direction 'upp', did you mean 'up'?; it has: up, down"),
        ("# stream: yard\n", "1,gate,up,car\n", 2, "is the truth of stream 'yard', not of 'road'"),
    ],
)
def test_a_truth_of_another_clip(
    head: str, rows: str, code: int, said: str, tmp_path: Path, sightline: Sightline
) -> None:
    run = write_run(tmp_path / "out", [(1.2, "gate", "up", "car")], LINES)
    path = truth(tmp_path, rows, head + "pts_s,line,direction,label\n")
    ended = sightline("evaluate", "counts", run, "--truth", path, "--json", tmp_path / "c.json")
    assert ended.code == code
    (error,) = ended.errors
    assert said in error
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--stream", "raod"), "no stream 'raod', did you mean 'road'?"),
        (("--set", "a=1"), "is a run that was made: leave out --source, --set and --out"),
        (("--name", "car"), "--name car: wanted LABEL=CLASS"),
    ],
)
def test_wrong_words(words: tuple[str, ...], said: str, tmp_path: Path, sightline: Sightline) -> None:
    run = write_run(tmp_path / "out", [], LINES)
    ended = sightline("evaluate", "counts", run, "--truth", truth(tmp_path), *words)
    assert ended.code == 2
    assert said in ended.errors[0]


def test_a_folder_without_results_and_a_run_that_failed(tmp_path: Path, sightline: Sightline) -> None:
    path = truth(tmp_path)
    ended = sightline("evaluate", "counts", tmp_path, "--truth", path)
    assert (ended.code, len(ended.errors)) == (1, 1)
    assert "report.json: no such file" in ended.errors[0]
    run = write_run(tmp_path / "out", [], LINES, status="failed")
    assert "this run is failed" in sightline("evaluate", "counts", run, "--truth", path).errors[0]
    (run / "events.jsonl").unlink()
    assert "needs the sink 'events'" in sightline("evaluate", "counts", run, "--truth", path).errors[0]


def test_a_configuration_that_does_not_exist(tmp_path: Path, sightline: Sightline) -> None:
    ended = sightline("evaluate", "counts", tmp_path / "no.yaml", "--truth", truth(tmp_path))
    assert ended.code == 2
    assert "no such file" in ended.errors[0]


def walk(folder: Path, *, rate: int = 10, frames: int = 50) -> Path:
    """A sequence in which one person walks to the right, another stands and a third is not meant."""
    (folder / "gt").mkdir(parents=True)
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nframeRate={rate}\nseqLength={frames}\nimWidth=640\nimHeight=360\n"
    )
    rows = []
    for k in range(1, frames + 1):
        rows.append(f"{k},1,{100 + 8 * k},100,20,60,1,-1,-1,-1")
        rows.append(f"{k},2,50,100,20,60,1,-1,-1,-1")
        rows.append(f"{k},3,{100 + 8 * k},200,20,60,0,-1,-1,-1")
    (folder / "gt/gt.txt").write_text("\n".join(rows))
    return folder


SETTINGS = {
    "lines": {
        "gate": {
            "start": [300, 0],
            "end": [300, 360],
            "units": "px",
            "directions": {"to_right": "down", "to_left": "up"},
        }
    },
    "vanished_s": 1.0,
    "forget_s": 10.0,
}


@pytest.mark.parametrize("name", ["", "gt/gt.txt"])
def test_true_trajectories(name: str, tmp_path: Path, sightline: Sightline) -> None:
    """The person's bottom centre, 110 + 8 k px, passes 300 px at k = 23.75, at 2.275 s, to the left."""
    sequence = walk(tmp_path / "WALK")
    run = write_run(tmp_path / "out", [(2.3, "gate", "up", "person")], LINES, seconds=4.9, settings=SETTINGS)
    said = sightline(
        "evaluate", "counts", run, "--truth", sequence / name, "--tolerance", 0.1, "--json", tmp_path / "c"
    )
    assert said.code == 0, said.err
    assert "true crossings: 1, of 2 true trajectories" in said.out
    assert "50 boxes of the truth are marked as not to be considered" in said.out
    document = json.loads((tmp_path / "c").read_text())
    assert (document["total"]["right"], document["total"]["error"]) == (1, 0)
    assert document["late_s"] == pytest.approx(0.025)


def test_true_trajectories_of_another_size_or_length(tmp_path: Path, sightline: Sightline) -> None:
    sequence = walk(tmp_path / "WALK")
    run = write_run(tmp_path / "out", [], LINES, settings=SETTINGS)
    assert "it is 4.90 s long" in sightline("evaluate", "counts", run, "--truth", sequence).errors[0]
    info = sequence / "seqinfo.ini"
    info.write_text(info.read_text().replace("640", "1280"))
    assert "have 1280 x 360 px" in sightline("evaluate", "counts", run, "--truth", sequence).errors[0]
    info.unlink()
    assert "seqinfo.ini: no such file" in sightline("evaluate", "counts", run, "--truth", sequence).errors[0]


def test_trajectories_know_no_attributes(tmp_path: Path, sightline: Sightline) -> None:
    gate = SETTINGS["lines"]["gate"]
    settings = {**SETTINGS, "lines": {"gate": gate, "red": {**gate, "where": {"colour": ["red"]}}}}
    lines = {**LINES, "red": ("up", "down")}
    run = write_run(tmp_path / "out", [], lines, seconds=4.9, settings=settings)
    said = sightline("evaluate", "counts", run, "--truth", walk(tmp_path / "WALK"))
    assert said.code == 0, said.err
    assert "- not in the truth, not judged: red" in said.out


def test_settings_in_a_report_make_the_same_counter_again() -> None:
    lines = {
        "gate": {"points": [[0, 0], [0.5, 0.5], [1, 0.5]], "labels": ["car", "bus", "truck"], "band": 0.02},
        "exit": {"gates": [[[0, 0], [1, 1]], [[0, 1], [1, 0]]], "anchor": [0.5, 0.9]},
        "door": {"start": [0, 0], "end": [1, 1], "where": {"colour": ["red", "white"]}},
    }
    options = CountOptions.model_validate({"lines": lines, "forget_s": 20})
    assert CountOptions.model_validate(json.loads(json.dumps(options.plain()))) == options


@pytest.mark.slow
def test_the_shipped_traffic_counts_the_cars_exactly(tmp_path: Path, sightline: Sightline) -> None:
    """Detector: motion, without weights."""
    clip = shared("video/car-detection.mp4")
    said = sightline(
        "evaluate", "counts", "traffic", "--source", f"road={clip}", "--truth", TRUTH / "car-detection.csv",
        "--json", tmp_path / "c.json",
    )  # fmt: skip
    assert said.code == 0, said.err
    total = json.loads((tmp_path / "c.json").read_text())["total"]
    assert (total["counted"], total["right"], total["missed"], total["extra"]) == (4, 4, 0, 0)


@pytest.mark.slow
def test_the_shipped_objects_counts_dense_traffic_exactly(tmp_path: Path, sightline: Sightline) -> None:
    """Detector: onnx with yolox_nano.onnx (the shipped yolox_tiny is fetched at the first run)."""
    clip, weights = shared("video/traffic_a.mp4"), shared("weights/yolox_nano.onnx")
    said = sightline(
        "evaluate", "counts", "objects", "--source", f"road={clip}", "--truth", TRUTH / "traffic_a.csv",
        "--tolerance", 0.35, "--set", f"stages.onnx.model={weights}",
        "--set", f"stages.count.lines.gate={GATE}", "--json", tmp_path / "c.json",
    )  # fmt: skip
    assert said.code == 0, said.err
    total = json.loads((tmp_path / "c.json").read_text())["total"]
    assert (total["counted"], total["right"], total["missed"], total["extra"]) == (12, 12, 0, 0)


@pytest.mark.slow
def test_people_of_a_real_sequence(tmp_path: Path, sightline: Sightline) -> None:
    """TUD-Stadtmitte against its true trajectories at five lines; 11 of 11, as it stood."""
    folder, weights = shared("mot15/TUD-Stadtmitte"), shared("weights/yolox_nano.onnx")
    config = tmp_path / "c.yaml"
    places = ((name, 0.3 + 0.1 * at) for at, name in enumerate("abcde"))
    lines = ", ".join(f"{name}: {{start: [{x:.1f}, 0], end: [{x:.1f}, 1]}}" for name, x in places)
    config.write_text(
        f"streams: {{street: {{source: {folder / 'TUD-Stadtmitte.mp4'}}}}}\n"
        f"stages: [onnx: {{model: {weights}, labels: [person]}}, track, count: {{lines: {{{lines}}}}}]\n"
    )
    said = sightline("evaluate", "counts", config, "--truth", folder, "--json", tmp_path / "c.json")
    assert said.code == 0, said.err
    total = json.loads((tmp_path / "c.json").read_text())["total"]
    assert total["true"] == 11
    assert total["right"] >= 10
    assert total["extra"] <= 1
