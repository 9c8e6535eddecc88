"""A folder that grows while it is read; the clock moves only when the source waits: then things happen."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from pydantic import ValidationError

from pipeline.condition import Reason
from pipeline.errors import ConfigError, SourceError
from pipeline.frame import Frame, Gap
from pipeline.moment import Clock
from pipeline.registry import load_plugin
from streams.sources.folder.source import FolderOptions, FolderSource
from tests.streams.sources.fake_clock import FakeClock
from tests.streams.sources.media import flat, level

Step = Callable[[], object]
BASE_NS = 1_700_000_000 * 10**9


class Scene(FakeClock):
    """At each wait of the source one thing happens in the folder; after the last it is closed."""

    def __init__(self, *steps: Step) -> None:
        super().__init__()
        self._steps = list(steps)
        self.source: FolderSource | None = None

    def utc_ns(self) -> int:
        return time.time_ns() + 3600 * 10**9  # all files are an hour old when it starts

    def wait(self, stop: threading.Event, until_s: float) -> bool:
        if self._steps:
            self._steps.pop(0)()
        elif self.source is not None:
            self.source.close()
        return super().wait(stop, until_s)


def put(path: Path, number: int, *, written_s: float | None = None, width: int = 64) -> None:
    """Write an image under another name and move it into place, as good uploaders do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.parent / f".{path.name}"
    assert cv2.imwrite(str(hidden.with_suffix(".png")), flat(number, width))
    hidden.with_suffix(".png").rename(path)
    if written_s is not None:
        os.utime(path, ns=(BASE_NS, BASE_NS + round(written_s * 1e9)))


def nothing() -> None:
    pass


def rests(count: int) -> list[Step]:
    return [nothing] * count


def read(url: Path | str, *steps: Step, **options: Any) -> tuple[list[Frame], list[Gap], list[Frame | Gap]]:
    """Read until the steps are over, and some waits more."""
    scene = Scene(*steps, *rests(3))
    scene.source = FolderSource(f"folder://{url}", FolderOptions(**options), "cam", scene)
    scene.source.open()
    items = list(scene.source.read())
    return (
        [item for item in items if isinstance(item, Frame)],
        [item for item in items if isinstance(item, Gap)],
        items,
    )


def numbers(frames: list[Frame]) -> list[int]:
    return [round((float(frame.picture.bgr().mean()) - level(0)) / 6) for frame in frames]


def test_it_is_found_by_its_scheme_kept_and_waited_for() -> None:
    assert load_plugin("source", "folder") is FolderSource
    assert FolderSource.live
    assert FolderSource.patient


def test_what_comes_is_read_once_and_what_was_there_is_not(tmp_path: Path) -> None:
    put(tmp_path / "old.png", 9)
    frames, gaps, _ = read(
        tmp_path,
        lambda: put(tmp_path / "a.png", 1, written_s=10),
        nothing,
        lambda: put(tmp_path / "b.png", 2, written_s=12.5),
        lambda: put(tmp_path / "c.png", 3, written_s=70),
        *rests(30),
    )
    assert numbers(frames) == [1, 2, 3]
    assert gaps == []
    assert [frame.moment.pts_s for frame in frames] == [0.0, 2.5, 60.0]
    assert [frame.sequence for frame in frames] == [0, 1, 2]
    first = frames[0].moment
    assert (first.time_ns, first.clock, first.uncertainty_ns) == (BASE_NS + 10**10, Clock.ARRIVAL, None)
    assert frames[0].arrived_s == pytest.approx(1001.0, abs=0.6)
    assert len({frame.run for frame in frames}) == 1


@pytest.mark.parametrize(
    ("order", "expected"), [("time", [3, 1, 2, 4]), ("name", [1, 2, 3, 4])], ids=["by time", "by name"]
)
def test_what_was_there_can_be_read_first(tmp_path: Path, order: str, expected: list[int]) -> None:
    for number, written_s in ((2, 30), (3, 10), (1, 20)):
        put(tmp_path / f"img{number if number < 3 else 10}.png", number, written_s=written_s)
    frames, gaps, _ = read(
        tmp_path,
        lambda: put(tmp_path / "img11.png", 4, written_s=90),
        *rests(3),
        existing="read",
        order=order,
    )
    if order == "time":
        assert numbers(frames) == expected
        assert gaps == []
    else:  # by name the times go back, and what has no place in time is told
        assert numbers(frames) == [1, 2, 4]
        assert [gap.cause for gap in gaps] == ["timestamp jump"]
        assert "img10.png" in gaps[0].detail


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("{}", [1, 4]), ("{}/a*", [1]), ("{}/**/*.png", [1, 2, 4]), ("{}/sub/*", [2, 3]), ("{}/*.png", [1, 4])],
)
def test_patterns(tmp_path: Path, pattern: str, expected: list[int]) -> None:
    (tmp_path / "sub").mkdir()

    def arrive() -> None:
        put(tmp_path / "a1.png", 1, written_s=1)
        put(tmp_path / "sub/a2.png", 2, written_s=2)
        put(tmp_path / "sub/a3.bmp", 3, written_s=3)
        put(tmp_path / "b4.png", 4, written_s=4)
        (tmp_path / "note.txt").write_text("no image")
        put(tmp_path / ".hidden.png", 5)

    frames, gaps, _ = read(pattern.format(tmp_path), arrive, *rests(3))
    assert numbers(frames) == expected
    assert gaps == []


def test_new_at_the_same_time_come_in_order_and_none_is_lost(tmp_path: Path) -> None:
    def arrive() -> None:
        for number in (10, 9, 2, 1):  # all within one tick of the file's clock
            put(tmp_path / f"img{number}.png", number, written_s=5)

    frames, gaps, _ = read(tmp_path, arrive, *rests(2))
    assert numbers(frames) == [1, 2, 9, 10]
    assert [frame.moment.pts_s for frame in frames] == pytest.approx([0.0, 0.001, 0.002, 0.003])
    assert gaps == []


def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere/a.png", 1)
    data = (tmp_path / "elsewhere/a.png").read_bytes()
    file = tmp_path / "in" / "a.png"
    file.parent.mkdir()

    def grow(share: float) -> Step:
        return lambda: file.write_bytes(data[: round(len(data) * share)])

    seen: list[object] = []
    scene = Scene(grow(0.1), grow(0.3), nothing, nothing, nothing, grow(1.0), *rests(4))
    source = scene.source = FolderSource(f"folder://{file.parent}", FolderOptions(), "cam", scene)
    scene._steps.insert(5, lambda: seen.append(source.progress.trouble))
    source.open()
    frames = list(source.read())
    assert [type(frame) for frame in frames] == [Frame]
    assert seen == [(Reason.NO_DATA, "waiting for a.png to be complete")]
    assert source.progress.trouble is None


@pytest.mark.parametrize("harm", ["half", "text", "empty", "folder"])
def test_what_stays_no_image_is_told_and_left(tmp_path: Path, harm: str) -> None:
    put(tmp_path / "elsewhere/a.png", 1)
    data = (tmp_path / "elsewhere/a.png").read_bytes()
    folder = tmp_path / "in"
    folder.mkdir()
    bad = folder / "b.png"

    def go_wrong() -> None:
        match harm:
            case "half":
                bad.write_bytes(data[: len(data) // 2])
            case "text":
                bad.write_text("this is no image")
            case "empty":
                bad.touch()
            case "folder":
                bad.mkdir()

    frames, gaps, items = read(
        folder,
        lambda: put(folder / "a.png", 1, written_s=1),
        nothing,
        go_wrong,
        nothing,
        lambda: put(folder / "c.png", 3, written_s=time.time() - BASE_NS / 1e9 + 60),
        *rests(12),
        patience_s=3,
    )
    assert numbers(frames) == [1, 3]
    if harm == "folder":
        assert gaps == []
        return
    assert [type(item) for item in items] == [Frame, Gap, Frame]
    assert (gaps[0].cause, gaps[0].after_s, gaps[0].seconds) == ("decode error", 0.0, None)
    assert gaps[0].detail.startswith("b.png: ")
    assert gaps[0].detail.endswith("(1 picture)")
    assert str(tmp_path) not in gaps[0].detail


def test_what_is_gone_before_it_is_read(tmp_path: Path) -> None:
    frames, gaps, _ = read(
        tmp_path,
        lambda: put(tmp_path / "a.png", 1),
        lambda: (tmp_path / "a.png").unlink(),
        lambda: put(tmp_path / "b.png", 2),
        *rests(2),
    )
    assert numbers(frames) == [2]
    assert gaps == []  # it was never complete


def test_one_file_that_is_written_again_and_again(tmp_path: Path) -> None:
    """Many cameras keep one picture up to date."""
    latest = tmp_path / "latest.png"
    steps: list[Step] = []
    for number in (1, 2, 3):
        steps += [lambda number=number: put(latest, number, written_s=number * 10.0), *rests(2)]  # type: ignore[misc]
    frames, _, _ = read(tmp_path / "*.png", *steps)
    assert numbers(frames) == [1, 2, 3]


def test_attributes_may_change(tmp_path: Path) -> None:
    frames, gaps, _ = read(
        tmp_path,
        lambda: put(tmp_path / "a.png", 1),
        *rests(3),
        lambda: (tmp_path / "a.png").chmod(0o600),
        *rests(30),
    )
    assert numbers(frames) == [1]
    assert gaps == []


def test_times_in_names(tmp_path: Path) -> None:
    def arrive() -> None:
        put(tmp_path / "cam1_20240331_005959_01.png", 1)
        put(tmp_path / "cam1_20240331_005959_02.png", 2)
        put(tmp_path / "cam1_20240331_030000_01.png", 3)  # an hour that was left out: one second later

    frames, gaps, _ = read(tmp_path, arrive, *rests(2), name_time="%Y%m%d_%H%M%S", time_zone="Europe/London")
    assert numbers(frames) == [1, 2, 3]
    assert [frame.moment.pts_s for frame in frames] == pytest.approx([0.0, 0.001, 3601.0])
    assert frames[0].moment.iso() == "2024-03-31T00:59:59.000Z"
    assert (frames[0].moment.clock, frames[0].moment.uncertainty_ns) == (Clock.CAMERA, 10**9)
    assert gaps == []


def test_a_clock_that_goes_back_is_told_and_followed(tmp_path: Path) -> None:
    stamps = [100.0, 101.0, 40.0, 41.0, 42.0, 43.0]
    steps: list[Step] = []
    for number, written_s in enumerate(stamps):
        steps += [
            lambda number=number, written_s=written_s: put(
                tmp_path / f"{number}.png", number, written_s=written_s
            ),  # type: ignore[misc]
            *rests(2),
        ]
    frames, gaps, _ = read(tmp_path, *steps)
    assert numbers(frames) == [0, 1, 4, 5]
    assert [frame.moment.pts_s for frame in frames] == pytest.approx([0.0, 1.0, 2.0, 3.0])
    assert [gap.cause for gap in gaps] == ["timestamp jump"]


def test_one_odd_size_is_a_gap_and_three_are_a_change(tmp_path: Path) -> None:
    def arrive(*widths: int) -> Step:
        def write() -> None:
            for width in widths:
                arrive.count += 1  # type: ignore[attr-defined]
                number: int = arrive.count  # type: ignore[attr-defined]
                put(tmp_path / f"{number:03d}.png", 1, written_s=number, width=width)

        return write

    arrive.count = 0  # type: ignore[attr-defined]
    frames, gaps, _ = read(tmp_path, arrive(64, 80, 64), *rests(3))
    assert len(frames) == 2
    assert "another size, 80 x 48 pixels" in gaps[0].detail
    with pytest.raises(SourceError) as caught:
        read(tmp_path, arrive(64, 80, 80, 80, 80), *rests(3))
    assert caught.value.reason is Reason.CHANGED


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="the folder cannot be read"):
        read(tmp_path / "nosuch")


def test_a_folder_that_goes_away(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(SourceError, match=r"is it there, and mounted\?"):
        read(folder, lambda: put(folder / "a.png", 1), *rests(3), lambda: shutil.rmtree(folder), *rests(3))


def test_closed_while_nothing_comes(tmp_path: Path) -> None:
    """With the real clock: the wait ends at once, whatever `poll_s` says."""
    source = FolderSource(f"folder://{tmp_path}", FolderOptions(poll_s=3600), "cam")
    caught: list[SourceError] = []

    def open_it() -> None:
        try:
            source.open()
        except SourceError as error:
            caught.append(error)

    thread = threading.Thread(target=open_it)
    thread.start()
    while not source.progress.connected:
        time.sleep(0.001)
    source.close()
    thread.join(5)
    assert not thread.is_alive()
    assert caught[0].reason is Reason.CLOSED


def test_it_remembers_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.sources.folder.watch._MARGIN_NS", 0)
    for number in range(300):
        (tmp_path / f"{number}.png").touch()
    steps: list[Step] = []
    for number in range(20):
        steps += [lambda number=number: put(tmp_path / f"new{number}.png", 1, written_s=number), nothing]  # type: ignore[misc]
    scene = Scene(*steps, *rests(3))
    source = scene.source = FolderSource(f"folder://{tmp_path}", FolderOptions(settle_s=0), "cam", scene)
    source.open()
    most = 0
    count = 0
    for _ in source.read():
        count += 1
        most = max(most, len(source._watch._done), len(source._watch._waiting))
    assert count == 20
    assert most < 20


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name_time": "%H%M%S"}, "a whole date is needed"),
        ({"name_time": "%Y%m%d_%H%M%S%Z"}, "%Z is not known"),
        ({"time_zone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ({"existing": "maybe"}, "skip"),
        ({"poll_s": 0}, "0.01"),
    ],
)
def test_bad_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        FolderOptions(**options)


def test_no_folder() -> None:
    with pytest.raises(ConfigError, match="which folder"):
        FolderSource("folder://", FolderOptions(), "cam")


@pytest.fixture(autouse=True)
def _ends(request: pytest.FixtureRequest) -> Iterator[None]:
    """No reader may outlive its test."""
    before = threading.active_count()
    yield
    assert threading.active_count() <= before
