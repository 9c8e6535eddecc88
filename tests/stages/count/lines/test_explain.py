"""`explain` says of each object near a line why it was or was not counted."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.errors import ConfigError, SinkError
from pipeline.objects import Tracks
from pipeline.plugin import StageContext, StreamInfo
from stages.count.lines import stories
from stages.count.lines.read import read_stories
from stages.count.stage import CountStage
from tests.disks import Disks, fill
from tests.stages.count.seen import HEIGHT, WIDTH, frame_at

# A line from (200, 180) to (440, 180); right is down; its band is 10 px.
GATE = {"start": [200, 180], "end": [440, 180], "units": "px", "band": 10}
GATE |= {"directions": {"to_right": "down", "to_left": "up"}}

PATHS = {
    # name: (positions at 10 Hz (x, y) or None where it is predicted, what is said)
    "goes down": ([(300, 100 + 15 * i) for i in range(10)], "counted: it went over the line, down"),
    "goes up": ([(300, 260 - 15 * i) for i in range(10)], "counted: it went over the line, up"),
    "turns": (
        [(300, y) for y in (140, 160, 174, 160, 140)],
        "not counted: it came within 10 px of the line and turned back before it had met it",
    ),
    "goes over and comes back": (
        [(300, y) for y in (140, 160, 184, 176, 160, 140)],
        "not counted: it met the line twice and left its band on the side it came from",
    ),
    "is beyond for a moment": (
        [(300, y) for y in (140, 160, 191, 160, 140)],
        "not counted: it met the line twice and left its band on the side it came from; "
        "once it was beyond the band for less than 0.15 s",
    ),
    "goes around the end": (
        [(445, 100 + 15 * i) for i in range(10)],
        "not counted: it passed an end of the line within its band, not over the line",
    ),
    "over, and back around the end": (
        [(432, 140), (432, 183), (444, 183), (444, 140)],
        "not counted: it went over the line and back around its end",
    ),
    "passes far out": (
        [(470, 100 + 15 * i) for i in range(10)],
        "not counted: it came no nearer than 30 px, and the band is 10 px",
    ),
    "appears on it": (
        [(300, 175 + 10 * i) for i in range(6)],
        "not counted: it was first seen within 10 px of the line, so where it came from is not known",
    ),
    "ends on it": (
        [(300, y) for y in (140, 160, 183)],
        "not counted: it was last seen within 10 px of the line, after it had met it once",
    ),
    "is only predicted beyond it": (
        [(300, 140), (300, 165), *[(300, y, "predicted") for y in (180, 200, 220, 240, 260)]],
        "not counted: only its predicted positions went over the line; it was not seen to do so",
    ),
}


def run(folder: Path, path, *, label: str = "car", suspended_from: int = 10**9, **line) -> None:
    options = CountStage.Options(lines={"gate": GATE | line}, explain=True)
    stage = CountStage(options, StageContext("cam", folder=folder))
    stage.open(StreamInfo("cam", "file:cam", "run", WIDTH, HEIGHT))
    for step, (x, y, *predicted) in enumerate(path):
        box = np.array([[x - 10, y - 30, x + 10, y]], np.float32)
        detection = [-1] if predicted else [0]
        tracks = Tracks(np.array([7]), box, np.ones(1), np.array([label]), np.array(detection), np.zeros(1))
        frame = frame_at(step / 10, tracks=tracks)
        frame.suspended = "moved" if step >= suspended_from else None
        stage.process(frame)
    stage.finish()


@pytest.mark.parametrize(("path", "why"), PATHS.values(), ids=PATHS.keys())
def test_why(tmp_path, path, why):
    run(tmp_path, path)
    (story,) = read_stories(tmp_path)
    assert story["why"] == why
    assert story["counted"] == why.startswith("counted")
    assert (story["stream"], story["line"], story["track_id"], story["label"]) == ("cam", "gate", 7, "car")


def test_another_class(tmp_path):
    run(tmp_path, PATHS["goes down"][0], labels=["truck", "bus"], where={"colour": "red"})
    assert read_stories(tmp_path)[0]["why"] == (
        "not counted: it went over the line, but the line counts only bus or truck with colour red; "
        "it is 'car'"
    )


def test_suspended(tmp_path):
    run(tmp_path, [(300, y) for y in (140, 160, 178, 184, 200, 220, 240, 260)], suspended_from=3)
    assert [story["why"] for story in read_stories(tmp_path)] == [
        "not counted: the view was disturbed while it was at the line"
    ]


def test_who_is_far_away_is_not_spoken_of(tmp_path):
    run(tmp_path, [(600, 20), (600, 40)])
    assert read_stories(tmp_path) == []


def test_nothing_is_written_unless_asked(tmp_path):
    stage = CountStage(CountStage.Options(lines={"gate": GATE}), StageContext("cam", folder=tmp_path))
    stage.open(StreamInfo("cam", "file:cam", "run", WIDTH, HEIGHT))
    stage.process(frame_at(0, tracks=Tracks.empty()))
    stage.finish()
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(stories, "MOST_BYTES", 2000)
    file = stories.StoryFile(tmp_path, "cam")
    for number in range(200):
        file.add("gate", number, "car", 0.0, "counted", counted=True)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4000
    assert [story["track_id"] for story in read_stories(tmp_path)][-1] == 199
    assert len(list(tmp_path.iterdir())) == 2


def test_the_command(tmp_path):
    run(tmp_path, PATHS["goes down"][0])
    told = CliRunner().invoke(app, ["explain", str(tmp_path), "--line", "gate", "--track", "7"])
    assert told.exit_code == 0
    assert "gate  #7 car: counted: it went over the line, down" in told.output
    told = CliRunner().invoke(app, ["explain", str(tmp_path), "--json"])
    assert json.loads(told.output)["counted"] is True
    assert CliRunner().invoke(app, ["explain", str(tmp_path), "--missed"]).output == ""


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"line": "gaet"}, "nothing came near a line 'gaet'; did you mean 'gate'"),
        ({"stream": "yard"}, "nothing came near a stream 'yard'; there are cam"),
        ({"track": 99}, "no object 99 came near a line"),
    ],
)
def test_unknown_names(tmp_path, asked, says):
    run(tmp_path, PATHS["goes down"][0])
    with pytest.raises(ConfigError, match=says):
        read_stories(tmp_path, **asked)


def test_a_run_that_was_not_told_to_explain(tmp_path):
    with pytest.raises(ConfigError, match=r"wrote no explanations; run it again with --set"):
        read_stories(tmp_path)
    with pytest.raises(ConfigError, match="there is no such folder"):
        read_stories(tmp_path / "nowhere")


def test_a_full_disk_leaves_a_camera_counted_and_the_file_whole(
    small_disk: Disks, caplog: pytest.LogCaptureFixture
) -> None:
    disk = small_disk("100k")
    file = stories.StoryFile(disk, "cam", endures=True)
    for number in range(60):
        if number == 20:
            fill(disk / "filler")
        if number == 40:
            (disk / "filler").unlink()
        file.add("gate", number, "car", float(number), "why " * 100)
    lines = (disk / "cam.explain.jsonl").read_text().splitlines()
    ids = [json.loads(line)["track_id"] for line in lines]
    before = len(ids) - 20
    assert ids == [*range(before), *range(40, 60)]
    assert 20 <= before < 35  # some find room in the last page
    assert file.lost == 60 - len(ids)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "counts go on unexplained" in told[0]
    assert f"{file.lost} sentences are lacking" in told[1]


def test_a_full_disk_ends_a_recording_whose_counts_were_to_be_explained(small_disk: Disks) -> None:
    disk = small_disk("100k")
    file = stories.StoryFile(disk, "cam")
    fill(disk / "filler")
    with pytest.raises(SinkError, match=r"cam\.explain\.jsonl: cannot be written: No space left on device"):
        file.add("gate", 1, "car", 1.0, "why " * 100)
