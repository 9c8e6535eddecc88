import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.event import Event, Producer
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.picture import BgrPicture, YuvPicture
from pipeline.plugin import StageContext, StreamInfo
from stages.count.evidence.options import EvidenceOptions
from stages.count.evidence.part import EvidencePart
from stages.count.place import LinePlace
from stages.count.seen import Passage, Seen

WIDTH, HEIGHT = 200, 100
PLACES = {
    "gate": LinePlace((((0.0, 50.0), (200.0, 50.0)),), ("down", "up")),
    "päth/2": LinePlace((((20.0, 0.0), (20.0, 100.0)),)),
}
INFO = StreamInfo("cam", "rtsp://u:***@cam/1", "run", WIDTH, HEIGHT)
LIVE = StreamInfo("cam", "rtsp://***@cam/1", "run", WIDTH, HEIGHT, live=True)


def part_in(folder: Path | None, info: StreamInfo = INFO, **options: Any) -> EvidencePart:
    part = EvidencePart(
        EvidenceOptions(**options), StageContext("cam", "c0ffee", folder=folder), lambda: PLACES
    )
    part.open(info)
    return part


def frame_at(time_s: float, x: float | None = None, suspended: str | None = None, run: str = "run") -> Frame:
    """A frame in which a red square of 20 px stands on the gate at `x`."""
    bgr = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    if x is not None:
        bgr[40:60, int(x) - 10 : int(x) + 10] = (0, 0, 240)
    moment = Moment(time_s, 1_700_000_000_000_000_000 + round(time_s * 1e9), Clock.FILE)
    return Frame("cam", run, round(time_s * 10), moment, BgrPicture(bgr), suspended=suspended)


def seen(frame: Frame, *, at: float | None = None, object_id: int = 7, ended: tuple[int, ...] = ()) -> Seen:
    boxes = np.array([[at - 10, 40, at + 10, 60]] if at is not None else np.zeros((0, 4)), float)
    ids = [] if at is None else [object_id]
    passages = [] if at is None else [Passage("gate", object_id, 0)]
    return Seen(
        frame,
        frame.moment.pts_s,
        ids,
        ids,
        ids,
        boxes,
        ["car"] * len(ids),
        ended=list(ended),
        passages=passages,
    )


def crossing(frame: Frame, time_s: float, object_id: int = 7, line: str = "gate") -> Event:
    return frame.event(
        "line.crossing",
        f"{line}:{object_id}:1",
        Producer("count", line),
        moment=frame.moment.shifted(time_s - frame.moment.pts_s),
        track_id=object_id,
        position=(100.0, 50.0),
        data={"line": line},
        evidence={"trail": []},
    )


def strips_of(folder: Path, line: str) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in sorted(folder.rglob("strip-*.json"))]
    return [document for document in found if document["line"] == line]


def test_a_count_has_a_crop_taken_when_its_path_met_the_line(tmp_path: Path) -> None:
    part = part_in(tmp_path)
    part.update(seen(frame_at(5.0, 100), at=100))
    final = frame_at(6.0)
    part.update(seen(final))
    other = final.event("zone.left", "a", Producer("count", "zone"))
    event, same = part.dress([crossing(final, 4.98), other])
    assert same is other
    name = f"evidence/cam/2023-11-14T22/crop-{event.id}.jpg"
    assert event.evidence == {
        "trail": [],
        "snapshot": name,
        "clip": {
            "stream": "cam",
            "from_s": 2.98,
            "to_s": 6.98,
            "from": "2023-11-14T22:13:22.980Z",
            "to": "2023-11-14T22:13:26.980Z",
        },
    }
    image = cv2.imread(str(tmp_path / name))
    assert image is not None
    assert image[12, 12, 2] > 180


def test_a_clip_begins_no_earlier_than_its_stream_and_names_a_camera(tmp_path: Path) -> None:
    (event,) = part_in(tmp_path, LIVE).dress([crossing(frame_at(1.0), 0.5)])
    clip = event.evidence["clip"]
    assert (clip["from_s"], clip["from"]) == (0.0, "2023-11-14T22:13:20.000Z")
    assert clip["source"] == "rtsp://***@cam/1"
    assert "snapshot" not in event.evidence


def test_what_is_forgotten_or_of_another_clock_has_no_crop(tmp_path: Path) -> None:
    part = part_in(tmp_path)
    part.update(seen(frame_at(5.0, 100), at=100))
    part.update(seen(frame_at(5.1), ended=(7,)))
    assert "snapshot" not in part.dress([crossing(frame_at(5.2), 5.0)])[0].evidence
    part.update(seen(frame_at(6.0, 100), at=100))
    part.update(seen(frame_at(0.0)))
    assert "snapshot" not in part.dress([crossing(frame_at(0.1), 0.0)])[0].evidence


def test_a_strip_shows_what_stood_on_the_line_and_when(tmp_path: Path) -> None:
    part = part_in(tmp_path, slit_px=2)
    for tick in range(40):
        part.update(seen(frame_at(tick / 10, 150 if 20 <= tick < 25 else None)))
    event = part.dress([crossing(frame_at(4.0), 2.0)])[0]
    part.close()
    (strip,) = strips_of(tmp_path, "gate")
    assert strip["times_ms"] == [tick * 100 for tick in range(40)]
    assert strip["directions"] == ["down", "up"]
    assert [one["id"] for one in strip["crossings"]] == [str(event.id)]
    image = cv2.imread(str(next(tmp_path.rglob(strip["picture"]))))
    assert image is not None
    assert image.shape == (192, 80, 3)
    red = image[..., 2] > 160
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    assert rows.min() / 192 == pytest.approx(0.7, abs=0.02)
    assert rows.max() / 192 == pytest.approx(0.8, abs=0.02)
    assert (columns.min(), columns.max()) == (40, 49)
    assert strips_of(tmp_path, "päth/2")[0]["crossings"] == []
    assert part.statistics()["strips"] == 2


def test_a_slit_is_repeated_while_the_detector_says_that_nothing_moves(tmp_path: Path) -> None:
    part = part_in(tmp_path, slit_px=2, strip_hz=5)  # every second picture
    for tick in range(40):
        frame = frame_at(tick / 10, 150 if tick >= 11 else None)  # in truth something came at 1.1 s
        frame.still = tick not in (0, 21)  # which the detector noticed at 2.1 s, between two slits
        frame.carried_s = 0.1 * frame.still
        part.update(seen(frame))
    part.close()
    (strip,) = strips_of(tmp_path, "gate")
    image = cv2.imread(str(next(tmp_path.rglob(strip["picture"]))))
    assert image is not None
    columns = np.flatnonzero((image[..., 2] > 160).any(0))
    assert (columns.min(), columns.max()) == (22, 39)


def test_strips_end_after_a_minute_with_the_run_and_with_the_hour(tmp_path: Path) -> None:
    part = part_in(tmp_path)
    for second in range(130):
        part.update(seen(frame_at(second)))
    for second in range(130, 135):
        part.update(seen(frame_at(second, run="next")))
    late = 3000.0
    for second in range(3):
        part.update(seen(frame_at(late + second)))
    part.close()
    strips = strips_of(tmp_path, "gate")
    assert [len(strip["times_ms"]) for strip in strips] == [60, 60, 10, 5, 3]
    assert [strip["run"] for strip in strips] == ["run", "run", "run", "next", "run"]
    assert {path.name for path in (tmp_path / "evidence/cam").iterdir()} == {"2023-11-14T22", "2023-11-14T23"}


def test_looks_are_no_more_frequent_than_wanted_whatever_the_rate(tmp_path: Path) -> None:
    part = part_in(tmp_path, strip_hz=10)
    for tick in range(60):
        part.update(seen(frame_at(tick / 30)))
    part.close()
    assert strips_of(tmp_path, "gate")[0]["times_ms"] == [100 * tick for tick in range(20)]


def test_times_when_places_cannot_be_trusted_are_marked(tmp_path: Path) -> None:
    part = part_in(tmp_path)
    told = [None, "moved", "moved", None, "moved", "dark", "dark"]
    for tick, suspended in enumerate(told):
        part.update(seen(frame_at(tick / 10, suspended=suspended)))
    part.close()
    assert strips_of(tmp_path, "gate")[0]["suspended"] == [
        [100, 200, "moved"],
        [400, 400, "moved"],
        [500, 600, "dark"],
    ]


def test_other_colours_begin_another_strip(tmp_path: Path) -> None:
    part = part_in(tmp_path)
    y, chroma = np.full((HEIGHT, WIDTH), 120, np.uint8), np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    frames = [frame_at(tick / 10) for tick in range(4)]
    for frame in frames[1:3]:
        frame.picture = YuvPicture(y, chroma, chroma, full_range=True)
    for frame in frames:
        part.update(seen(frame))
    part.close()
    strips = strips_of(tmp_path, "gate")
    assert [len(strip["times_ms"]) for strip in strips] == [1, 2, 1]
    levels = [cv2.imread(str(next(tmp_path.rglob(strip["picture"])))).mean() for strip in strips]
    assert levels == pytest.approx([60, 120, 60], abs=1)


def test_a_recording_begins_anew_and_a_camera_goes_on(tmp_path: Path) -> None:
    for info, strips in ((INFO, 1), (LIVE, 2), (INFO, 1)):
        part = part_in(tmp_path, info)
        part.update(seen(frame_at(float(strips))))
        part.close()
        assert len(strips_of(tmp_path, "gate")) == strips


def test_pictures_of_another_size_get_strips_of_their_own(tmp_path: Path) -> None:
    part = part_in(tmp_path)
    part.update(seen(frame_at(1.0)))
    part.open(StreamInfo("cam", "x", "run", 2 * WIDTH, 2 * HEIGHT))
    part.update(seen(frame_at(2.0)))
    part.close()
    part.close()
    assert len(strips_of(tmp_path, "gate")) == 2


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    part = part_in(None)
    part.update(seen(frame_at(5.0, 100), at=100))
    event = crossing(frame_at(5.0), 5.0)
    assert part.dress([event]) == [event]
    part.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("switched_off", ["snapshots", "strips"])
def test_each_can_be_switched_off(switched_off: str, tmp_path: Path) -> None:
    part = part_in(tmp_path, **{switched_off: False})
    part.update(seen(frame_at(5.0, 100), at=100))
    part.dress([crossing(frame_at(5.0), 5.0)])
    part.close()
    told = part.statistics()
    assert (told["snapshots"], told["strips"]) == ((0, 2) if switched_off == "snapshots" else (1, 0))


def test_a_full_disk_takes_the_proof_and_not_the_count(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_text("in the way")
    part = part_in(tmp_path)
    part.update(seen(frame_at(5.0, 100), at=100))
    (event,) = part.dress([crossing(frame_at(5.0), 5.0)])
    assert "snapshot" not in event.evidence
    part.close()
    assert part.statistics()["failed"] == 5
