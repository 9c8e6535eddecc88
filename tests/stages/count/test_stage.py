import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Tracks
from pipeline.picture import BgrPicture
from pipeline.plugin import StageContext, StreamInfo
from pipeline.registry import load_plugin
from stages.count.stage import CountStage

WIDTH, HEIGHT = 640, 360
PICTURE = BgrPicture(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
GATE = {"start": [0.0, 0.5], "end": [1.0, 0.5], "directions": {"to_right": "down", "to_left": "up"}}


def stage(*, width: int = WIDTH, height: int = HEIGHT, options: dict | None = None, **lines) -> CountStage:
    checked = CountStage.Options(lines=lines, **(options or {}))
    made = CountStage(checked, StageContext("cam", config_hash="c0ffee"))
    made.open(StreamInfo("cam", "file:cam", "run", width, height))
    return made


def frame(
    sequence: int, at: Mapping[int, tuple[float, float]] | None, label: str = "car", seen: bool = True
) -> Frame:
    """A frame at 10 Hz with 20 x 30 px boxes whose bottom centres lie `at` the places, by track id."""
    made = Frame(
        "cam",
        "run",
        sequence,
        Moment(sequence / 10, sequence * 10**8, Clock.FILE),
        PICTURE,
        model_hash="m0de1",
    )
    if at is not None:
        n = len(at)
        xyxy = np.array([[x - 10, y - 30, x + 10, y] for x, y in at.values()], np.float32).reshape(-1, 4)
        detection = np.arange(n) if seen else np.full(n, -1)
        made.tracks = Tracks(
            np.array(list(at), np.int64), xyxy, np.ones(n), np.full(n, label), detection, np.zeros(n)
        )
    return made


def drive(counter: CountStage, *ys: float, x: float = 320, track_id: int = 7, **kind) -> list[Event]:
    events = []
    for sequence, y in enumerate(ys):
        passing = frame(sequence, {track_id: (x, y)}, **kind)
        counter.process(passing)
        events += passing.events
    return events


def test_it_is_registered():
    assert load_plugin("stage", "count") is CountStage


def test_the_event_of_a_crossing():
    (event,) = drive(stage(gate=GATE), 140, 160, 200, 220, 240)
    assert event.kind == "line.crossing"
    assert event.sequence == 4, "the frame at which it became final"
    assert event.moment == Moment(pytest.approx(0.15), 150_000_000, Clock.FILE)
    assert event.position == pytest.approx((320, 180))
    assert (event.track_id, event.label) == (7, "car")
    assert event.data == {"line": "gate", "direction": "down", "label": "car"}
    assert (event.producer.stage, event.producer.name) == ("count", "gate")
    assert (event.producer.config_hash, event.producer.model_hash) == ("c0ffee", "m0de1")
    assert event.evidence == {
        "trail": [[0.0, 320, 140], [0.1, 320, 160], [0.2, 320, 200], [0.3, 320, 220], [0.4, 320, 240]]
    }
    assert Event.from_dict(json.loads(json.dumps(event.to_dict()))).id == event.id


def test_the_same_input_gives_the_same_events():
    first, second = (drive(stage(gate=GATE), 140, 160, 200, 220, 240, 160, 140, 120) for _ in range(2))
    assert [event.to_dict() for event in first] == [event.to_dict() for event in second]
    assert len({event.id for event in first}) == 2


def test_counts_hold_every_line_and_direction_from_the_start():
    counter = stage(gate=GATE, **{"side road": {"start": [0.9, 0], "end": [0.9, 1]}})
    empty = frame(0, {})
    counter.process(empty)
    assert empty.counts == {"gate": {"down": {}, "up": {}}, "side road": {"to_right": {}, "to_left": {}}}
    assert list(empty.counts["gate"]) == ["down", "up"]
    assert empty.lines == {"gate": ((0, 180), (640, 180)), "side road": ((576, 0), (576, 360))}


def test_counts_are_snapshots_made_anew_only_on_change():
    counter = stage(gate=GATE)
    frames = [frame(i, {7: (320, y)}) for i, y in enumerate((140, 160, 200, 220, 240, 250))]
    for passing in frames:
        counter.process(passing)
    before, after = frames[0].counts, frames[-1].counts
    assert all(passing.counts is before for passing in frames[:4])
    assert all(passing.counts is after for passing in frames[4:])
    assert before == {"gate": {"down": {}, "up": {}}}
    assert after == {"gate": {"down": {"car": 1}, "up": {}}}
    assert all(passing.lines is frames[0].lines for passing in frames)
    with pytest.raises(TypeError):
        after["gate"]["down"]["car"] = 2


def test_counts_are_by_label():
    counter = stage(gate=GATE)
    drive(counter, 140, 200, 220, 240, label="car")
    drive(counter, 140, 200, 220, 240, label="truck", track_id=8)
    drive(counter, 240, 160, 140, 120, label="truck", track_id=9)
    last = frame(9, {})
    counter.process(last)
    assert last.counts == {"gate": {"down": {"car": 1, "truck": 1}, "up": {"truck": 1}}}


def test_only_the_labels_asked_for_count():
    counter = stage(gate=GATE | {"labels": ["truck"]})
    assert drive(counter, 140, 200, 220, 240, label="car") == []
    assert len(drive(counter, 140, 200, 220, 240, label="truck", track_id=8)) == 1


def warnings_of(counter: CountStage, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    counter.finish()
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_a_line_whose_labels_nothing_has_is_told_of_once(caplog):
    counter = stage(gate=GATE | {"labels": ["truck", "car"]}, free=GATE, other=GATE | {"labels": ["moving"]})
    drive(counter, 140, 200, 220, 240, label="moving")
    said = "line 'gate' of stream 'cam' counts only car, truck; the tracks seen were moving"
    assert warnings_of(counter, caplog) == [said]
    assert warnings_of(counter, caplog) == []


def test_the_warning_names_the_nearest_class_that_was_seen(caplog):
    counter = stage(gate=GATE | {"labels": ["motorbike"]})
    drive(counter, 140, 200, label="motorcycle")
    (said,) = warnings_of(counter, caplog)
    assert said.endswith("the tracks seen were motorcycle; did you mean 'motorcycle'?")


def test_one_fitting_label_is_enough_for_no_warning(caplog):
    counter = stage(gate=GATE | {"labels": ["truck", "car"]})
    drive(counter, 140, label="moving")
    drive(counter, 140, label="car", track_id=8)
    drive(counter, 140, label="moving")
    assert warnings_of(counter, caplog) == []


def test_where_nothing_was_seen_no_label_is_missing(caplog):
    counter = stage(gate=GATE | {"labels": ["car"]})
    counter.process(frame(0, {}))
    counter.process(frame(1, {7: (320, 140)}, label="moving", seen=False))
    assert warnings_of(counter, caplog) == []


def test_the_warning_names_a_bounded_number_of_labels(caplog):
    counter = stage(gate=GATE | {"labels": ["car"]})
    for number in range(50):
        drive(counter, 140, label=f"kind {number:02}", track_id=number)
    (said,) = warnings_of(counter, caplog)
    assert said.endswith("were " + ", ".join(f"kind {number:02}" for number in range(10)) + ", others")
    late = stage(gate=GATE | {"labels": ["car"]})
    for number in range(50):
        drive(late, 140, label=f"kind {number:02}" if number < 49 else "car", track_id=number)
    assert warnings_of(late, caplog) == []


def test_what_finish_returns():
    counter = stage(gate=GATE)
    assert drive(counter, 140, 220) == []
    (event,) = counter.finish()
    assert event.data["direction"] == "down"
    assert (event.sequence, event.moment.pts_s) == (1, pytest.approx(0.05))
    assert list(counter.finish()) == []
    assert list(stage(gate=GATE).finish()) == [], "without a frame"


def test_predicted_positions_alone_never_count():
    counter = stage(gate=GATE)
    for sequence, (y, seen) in enumerate(
        [(140, True), (160, True), *[(y, False) for y in range(180, 350, 10)]]
    ):
        passing = frame(sequence, {7: (320, y)}, seen=seen)
        counter.process(passing)
        assert passing.events == []
    assert list(counter.finish()) == []


def test_seen_again_beyond_after_predictions_counts():
    counter = stage(gate=GATE)
    events = []
    for sequence, y in enumerate((140, 160, 180, 200, 220, 240, 260)):
        passing = frame(sequence, {7: (320, y)}, seen=y not in (180, 200))
        counter.process(passing)
        events += passing.events
    assert [event.data["direction"] for event in events] == ["down"]


def test_the_anchor_decides():
    ys = (140, 160, 200, 205, 205, 205)  # the boxes are 30 px high: bottoms cross y = 180, tops do not
    assert len(drive(stage(gate=GATE | {"anchor": "bottom_center"}), *ys)) == 1
    assert drive(stage(gate=GATE | {"anchor": "top_center"}), *ys) == []


def test_lines_count_independently():
    counter = stage(gate=GATE, second={"start": [0, 250], "end": [640, 250], "units": "px"})
    events = drive(counter, 140, 160, 200, 220, 240, 260, 280, 300)
    assert [event.producer.name for event in events] == ["gate", "second"]


@pytest.mark.parametrize(
    ("band", "units", "ends_at", "counts"),
    [
        (None, "fraction", 187, 0),  # 1 % of the diagonal of 640 x 360: 7.34 px
        (None, "fraction", 188, 1),
        (None, "px", 187, 0),
        (None, "px", 188, 1),
        (0.05, "fraction", 216, 0),  # 36.7 px
        (0.05, "fraction", 217, 1),
        (12, "px", 192, 0),
        (12, "px", 193, 1),
    ],
)
def test_the_band(band, units, ends_at, counts):
    scale = (1, 1) if units == "fraction" else (WIDTH, HEIGHT)
    line = {"start": [0, 0.5 * scale[1]], "end": [scale[0], 0.5 * scale[1]], "units": units, "band": band}
    assert len(drive(stage(gate=line), 100, *[ends_at] * 5)) == counts


def test_hold_s():
    assert len(drive(stage(gate=GATE | {"hold_s": 0.35}), 140, 200, 210, 220, 230)) == 0
    assert len(drive(stage(gate=GATE | {"hold_s": 0.35}), 140, 200, 210, 220, 230, 240)) == 1


def test_without_tracks_it_says_what_is_missing():
    with pytest.raises(ConfigError, match=r"^stage 'count' needs tracks; put a stage 'track' before it"):
        stage(gate=GATE).process(frame(0, None))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            {"start": [0, 180], "end": [700, 180], "units": "px"},
            "line 'gate': end (700, 180) px lies outside the picture of 640 x 360 px; "
            "x must be within 0..640, y within 0..360",
        ),
        (
            {"start": [-1, 180], "end": [640, 180], "units": "px"},
            "line 'gate': start (-1, 180) px lies outside the picture of 640 x 360 px; "
            "x must be within 0..640, y within 0..360",
        ),
        (
            {"start": [0.5, 0.5], "end": [0.501, 0.5]},
            "line 'gate': start (320, 180) and end (320.64, 180) px are 0.64 px apart in the "
            "picture of 640 x 360 px; a line needs at least 3 px; move them apart",
        ),
        (
            {"start": [0, 0.5], "end": [1, 0.5], "units": "px"},
            "line 'gate': start (0, 0.5) and end (1, 0.5) px are 1 px apart in the "
            "picture of 640 x 360 px; a line needs at least 3 px; for fractions set units: fraction",
        ),
    ],
)
def test_lines_that_do_not_fit_the_picture(line, message):
    with pytest.raises(ConfigError) as caught:
        stage(gate=line)
    assert str(caught.value) == message


def test_the_shortest_line():
    assert stage(gate={"start": [10, 10], "end": [13, 10], "units": "px"})
    with pytest.raises(ConfigError, match=r"2\.9 px apart"):
        stage(gate={"start": [10, 10], "end": [12.9, 10], "units": "px"})


def test_the_border_belongs_to_the_picture():
    assert stage(gate={"start": [0, 0], "end": [640, 360], "units": "px"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to count; give it lines"),
        ({"lines": {}}, "nothing to count; give it lines"),
        ({"lines": {"": GATE}}, "at least 1 character"),
        ({"lines": {"gate": {"start": [0, 0]}}}, "end"),
        ({"lines": {"gate": GATE | {"end": [0, 0.5]}}}, r"two different points, got \(0, 0\.5\) twice"),
        (
            {"lines": {"gate": GATE | {"end": [640, 180]}}},
            r"end \(640, 180\) must lie within 0\.\.1 .*: px",
        ),
        ({"lines": {"gate": GATE | {"start": [-0.1, 0.5]}}}, r"start \(-0\.1, 0\.5\) must lie within 0\.\.1"),
        ({"lines": {"gate": GATE | {"start": [float("nan"), 0.5]}}}, "start"),
        ({"lines": {"gate": GATE | {"units": "px", "end": [float("nan"), 0.5]}}}, "end"),
        ({"lines": {"gate": GATE | {"anchor": "feet"}}}, "'bottom_center'"),
        ({"lines": {"gate": GATE | {"labels": []}}}, "at least 1"),
        ({"lines": {"gate": GATE | {"hold_s": -1}}}, "greater than or equal to 0"),
        ({"lines": {"gate": GATE | {"band": -1}}}, "greater than or equal to 0"),
        ({"lines": {"gate": GATE | {"band": 12}}}, r"band 12 must be below 1 \(a fraction"),
        ({"lines": {"gate": GATE | {"directions": {"to_right": "in", "to_left": "in"}}}}, "'in' twice"),
        ({"lines": {"gate": GATE | {"directions": {"to_right": " "}}}}, "at least 1 character"),
        ({"lines": {"gate": GATE | {"colour": "red"}}}, "colour"),
        (
            {"lines": {"gate": GATE}, "forget_s": 0.5},
            r"forget_s \(0\.5\) must not be less than",
        ),
    ],
)
def test_options_that_are_wrong(options, message):
    with pytest.raises(ValidationError, match=message):
        CountStage.Options.model_validate(options)


def test_a_new_run_starts_its_tracks_afresh():
    """After a reconnect id 7 is somebody else: no path leads from where the old 7 was."""
    counter = stage(gate=GATE)
    drive(counter, 100, 110, 120)
    for sequence, y in enumerate((260, 270, 280, 290, 300)):
        passing = frame(sequence, {7: (320, y)})
        passing.run = "second run"
        counter.process(passing)
        assert passing.events == []
    assert counter.finish() == []


def test_what_a_run_left_open_is_counted_when_the_next_begins():
    counter = stage(gate=GATE)
    assert drive(counter, 100, 260) == []
    after = frame(0, {})
    after.run = "second run"
    counter.process(after)
    (event,) = after.events
    assert (event.run, event.data["direction"], event.track_id) == ("run", "down", 7)
    assert after.counts == {"gate": {"down": {"car": 1}, "up": {}}}


def test_a_reconnect_in_the_midst_of_a_crossing_does_not_lose_it():
    counter = stage(gate=GATE)
    drive(counter, 100, 110, 120)
    events = []
    for sequence, y in enumerate((260, 270, 280, 290, 300), start=20):
        passing = frame(sequence, {7: (320, y)})
        passing.run = "after the reconnect"
        counter.process(passing)
        events += passing.events
    assert [event.data["direction"] for event in events] == ["down"]


def test_pictures_of_another_size_leave_the_totals_alone():
    counter = stage(gate=GATE)
    events = drive(counter, 100, 110, 260, 270, 280, 290)
    assert len(events) == 1
    assert counter.finish() == []
    counter.open(StreamInfo("cam", "file:cam", "run", 2 * WIDTH, 2 * HEIGHT))
    after = frame(30, {})
    counter.process(after)
    assert after.counts == {"gate": {"down": {"car": 1}, "up": {}}}


def test_attributes_of_tracks_hold_where_detections_are_not_at_hand():
    """As when the past is shown again: what was stored of an object has been voted on already."""
    counter = stage(gate={**GATE, "where": {"colour": ["red"]}})
    events = []
    for sequence in range(8):
        shown = frame(sequence, {1: (200, 140 + 12 * sequence), 2: (400, 140 + 12 * sequence)})
        colours = np.array([{"colour": "red"}, {"colour": "blue"}], np.object_)
        shown.tracks = replace(shown.tracks, attributes=colours)
        counter.process(shown)
        events += shown.events
    assert [event.track_id for event in (*events, *counter.finish())] == [1]


@pytest.mark.parametrize(
    ("situation", "says"),
    [
        ({"crowd": {"per_m2": 1}}, r"zones.z: crowd.per_m2 needs the stage's ground"),
        ({"tailgating": {"under_m": 8}}, r"zones.z: tailgating.under_m needs the stage's ground"),
    ],
)
def test_metres_without_ground_are_told_before_anything_runs(situation, says):
    with pytest.raises(ValidationError, match=says):
        CountStage.Options(zones={"z": {"polygon": [(0.1, 0.1), (0.5, 0.1), (0.5, 0.5)], **situation}})


def test_counting_does_not_load_what_few_streams_need() -> None:
    """scipy's optimisation and statistics are 40 MB of each run."""
    script = (
        "import sys; import stages.count.stage, stages.track.stage; "
        "print(*({'scipy.optimize', 'scipy.special', 'scipy.stats', 'scipy.sparse'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
