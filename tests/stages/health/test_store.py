"""What is kept of a camera's view over restarts and outages."""

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.moment import Clock, Moment
from pipeline.picture import BgrPicture
from pipeline.plugin import StageContext, StreamInfo
from pipeline.privacy.options import PrivacyOptions
from stages.health.options import HealthOptions
from stages.health.stage import HealthStage
from stages.health.store import Store
from tests.disks import Disks, fill
from tests.stages.health import faults
from tests.stages.health.faults import broken, looped, sound
from tests.stages.health.test_stage import PLACE, QUICK, opened, run, told

KEPT = Path("health/gate")


def test_a_camera_that_was_turned_during_an_outage_is_noticed(tmp_path: Path) -> None:
    run(looped(PLACE, 15), opened(PLACE[0], tmp_path, live=True))
    assert sorted(path.name for path in (tmp_path / KEPT).iterdir()) == ["reference.png", "view.json"]
    events, suspended = run(
        broken(PLACE, faults.panned(0.1), 0, 12, 25), opened(PLACE[0], tmp_path, live=True)
    )
    assert told(events) == [("moved", "begin"), ("moved", "end")]
    assert events[0].moment.pts_s == 0
    assert suspended[6.0] == "moved"
    reference = tmp_path / events[0].evidence["reference"]
    assert cv2.imread(str(reference), cv2.IMREAD_GRAYSCALE).shape == (180, 320)
    snapshot = cv2.imread(str(tmp_path / events[0].evidence["snapshot"]))
    assert snapshot.shape == (180, 320, 3)


def test_a_recording_does_not_depend_on_what_was_kept(tmp_path: Path) -> None:
    run(looped(PLACE, 15), opened(PLACE[0], tmp_path))
    turned = broken(PLACE, faults.panned(0.1), 0, 25, 25)
    assert run(turned, opened(PLACE[0], tmp_path))[0] == []


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    events, _ = run(broken(PLACE, faults.unlit, 12, 20, 25), opened(PLACE[0], live=True))
    assert events[0].evidence == {}
    assert list(tmp_path.iterdir()) == []


def test_who_deletes_the_reference_accepts_the_view(tmp_path: Path) -> None:
    stage = opened(PLACE[0], tmp_path, live=True)
    turned = faults.panned(0.2)
    events, _ = [], None
    for frame in broken(PLACE, turned, 12, 60, 60):
        if frame.moment.pts_s == 25:
            (tmp_path / KEPT / "reference.png").unlink()
        stage.process(frame)
        events += frame.events
    assert told(events) == [("moved", "begin"), ("moved", "end")]
    assert events[1].data["reason"] == "accepted"
    assert events[1].moment.pts_s == 25
    assert stage.statistics()["now"] == []
    kept = cv2.imread(str(tmp_path / KEPT / "reference.png"), cv2.IMREAD_GRAYSCALE)
    assert np.abs(kept.astype(float) - turned(PLACE[0], 0)).mean() < 3


def test_a_given_reference_is_the_view(tmp_path: Path) -> None:
    path = tmp_path / "day.png"
    cv2.imwrite(str(path), PLACE[0])
    good, _ = run(looped(PLACE, 10), opened(PLACE[0], reference=path))
    turned, _ = run(broken(PLACE, faults.panned(0.1), 0, 10, 10), opened(PLACE[0], reference=path))
    assert good == []
    assert told(turned)[0] == ("moved", "begin")
    large = np.asarray(cv2.resize(PLACE[0], (960, 540)), np.uint8)
    assert run(looped([large], 10), opened(large, reference=path, frozen_s=None))[0] == []


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.full((180, 320), 90, np.uint8), "shows too little to be recognised"),
        (np.zeros((200, 200), np.uint8), "200 x 200 px, the stream's pictures 320 x 180 px"),
    ],
)
def test_a_reference_that_fits_no_stream_is_refused(
    tmp_path: Path, picture: np.ndarray, message: str
) -> None:
    cv2.imwrite(str(tmp_path / "day.png"), picture)
    with pytest.raises(ConfigError, match=message):
        opened(PLACE[0], reference=tmp_path / "day.png")


@pytest.mark.parametrize("damage", ["", "{", '{"version": 1}', "other size", "no picture"])
def test_what_was_kept_and_is_damaged_is_learned_anew(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    run(looped(PLACE, 15), opened(PLACE[0], tmp_path, live=True))
    file = tmp_path / KEPT / "view.json"
    if damage == "other size":
        file.write_text(json.dumps(json.loads(file.read_text()) | {"width": 640}))
    elif damage == "no picture":
        (tmp_path / KEPT / "reference.png").write_bytes(b"")
    else:
        file.write_text(damage)
    with caplog.at_level(logging.WARNING):
        stage = opened(PLACE[0], tmp_path, live=True)
    assert stage.statistics()["view"] == "unknown"
    assert ("learned anew" in caplog.text) is (damage != "no picture")
    assert run(looped(PLACE, 15), stage)[0] == []
    assert stage.statistics()["view"] == "known"
    assert json.loads(file.read_text())["width"] == 320


def test_a_disk_that_refuses_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "health").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        events, _ = run(broken(PLACE, faults.panned(0.1), 12, 24, 30), opened(PLACE[0], tmp_path, live=True))
    assert told(events) == [("moved", "begin"), ("moved", "end")]
    assert events[0].evidence == {}
    assert caplog.text.count("cannot be kept") == 1


def test_pictures_of_problems_are_bounded(tmp_path: Path) -> None:
    stage = opened(PLACE[0], tmp_path, after_s=0, clear_s=0)
    pictures = broken(PLACE, sound, 0, 0, 300)
    for frame in pictures:
        if frame.sequence % 4 >= 2:
            frame.picture = faults.picture(faults.unlit(PLACE[0], frame.sequence), 0, 0).picture
        stage.process(frame)
    assert stage.statistics()["problems"]["dark"]["times"] > 60
    assert len(list((tmp_path / KEPT).glob("*.jpg"))) == 40


def test_a_view_is_remembered_in_another_light(tmp_path: Path) -> None:
    stage = opened(PLACE[0], tmp_path, live=True)
    dusk = [np.asarray(cv2.addWeighted(255 - one, 0.5, one, 0.08, 20), np.uint8) for one in PLACE]
    shown = [*(PLACE * 4), *(faults.infrared(one, 3) for one in dusk * 30)]
    assert run(looped(shown, len(shown)), stage)[0] == []
    assert 1 <= len(list((tmp_path / KEPT).glob("*.png"))) <= 3


def test_with_privacy_no_picture_of_a_problem_is_kept(tmp_path: Path) -> None:
    """Health looks before anybody has been detected."""
    privacy = PrivacyOptions(labels=("person",))
    stage = HealthStage(
        HealthOptions.model_validate(QUICK), StageContext("gate", folder=tmp_path, privacy=privacy)
    )
    stage.open(StreamInfo("gate", "test://", "run", PLACE[0].shape[1], PLACE[0].shape[0], live=True))
    events, _ = run(broken(PLACE, faults.unlit, 12, 20, 25), stage)
    assert told(events)[0] == ("dark", "begin")
    assert "snapshot" not in events[0].evidence
    assert not list(tmp_path.rglob("*.jpg"))


def test_evidence_is_kept_again_once_a_full_disk_has_room(
    small_disk: Disks, caplog: pytest.LogCaptureFixture
) -> None:
    disk = small_disk("1m")
    store = Store(disk, "gate")
    picture, moment = BgrPicture(np.dstack([PLACE[0]] * 3)), Moment(0.0, 0, Clock.ARRIVAL, 0)
    assert store.snapshot(picture, moment, "dark") is not None
    fill(disk / "filler")
    assert store.snapshot(picture, moment.shifted(1), "dark") is None
    assert store.reference is None
    (disk / "filler").unlink()
    kept = store.snapshot(picture, moment.shifted(2), "dark")
    assert kept is not None
    assert cv2.imread(str(disk / kept)) is not None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
