"""Each sink gets what it may see, when it wants it; what is shared is hidden once."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.frame import Frame
from pipeline.objects import Detections
from pipeline.plugin import Sink, SinkContext, SinkOptions, StreamInfo
from pipeline.privacy import veil
from pipeline.privacy.options import PrivacyOptions
from pipeline.stream import Stream
from tests.pipeline.parts import ListSink, WorkOptions, stream_config

PERSON = PrivacyOptions(labels=("person",), margin=0.0)
BLURRED = PrivacyOptions(labels=("person",), method="blur")


class Viewer(ListSink):
    """Looks at some pictures only."""

    def __init__(self, privacy: PrivacyOptions | bool | None, every: int = 1) -> None:
        super().__init__()
        self.options = SinkOptions(privacy=privacy)
        self.asked = 0
        self._every = every

    def wants_pictures(self, stream: str) -> bool:
        self.asked += 1
        return self.asked % self._every == 1 % self._every

    def pictures(self) -> list[Frame]:
        return [item for item in self.got["gate"] if isinstance(item, Frame)]


class Deaf(Sink):
    """Takes no frames."""

    def __init__(self) -> None:
        super().__init__(SinkOptions(), SinkContext(None))  # type: ignore[arg-type]


def find(frame: Frame) -> None:
    frame.detections = Detections(
        np.array([[2, 2, 6, 6]], np.float32), np.ones(1, np.float32), np.array(["person"])
    )


def run(*sinks: Sink, privacy: PrivacyOptions | None = None, **settings: object) -> Stream:
    names = [(f"sink{number}", sink) for number, sink in enumerate(sinks)]
    config = stream_config(WorkOptions(work=find), **settings)  # type: ignore[arg-type]
    stream = Stream(config, names, None, lambda: None, privacy=privacy)
    stream.start()
    stream.join(10)
    return stream


def is_hidden(frame: Frame) -> bool:
    return bool((frame.picture.bgr()[2:6, 2:6] == 0).all())


def test_a_default_for_all_and_settings_of_ones_own() -> None:
    default, own, nothing = Viewer(None), Viewer(BLURRED), Viewer(False)
    stream = run(default, own, nothing, privacy=PERSON, script=["frame"] * 3)
    assert stream.error is None
    assert all(is_hidden(frame) for frame in default.pictures())
    raw = nothing.pictures()[1]
    assert (raw.picture.bgr() == 1).all()
    assert not is_hidden(raw)
    assert own.pictures()[1].picture is not raw.picture
    assert [len(one.pictures()) for one in (default, own, nothing)] == [3, 3, 3]
    assert stream.ledger.entry().finished == 3


def test_without_any_the_frame_itself_comes() -> None:
    first, second = Viewer(None), Viewer(None)
    stream = run(first, second, script=["frame"] * 2)
    assert first.pictures()[0] is second.pictures()[0]
    assert "privacy" not in stream.stopwatch.per_frame_ms()


def test_those_with_the_same_setting_share_what_is_hidden_once(monkeypatch: pytest.MonkeyPatch) -> None:
    times = []
    hide = veil.hide
    monkeypatch.setattr(veil, "hide", lambda *some: times.append(1) or hide(*some))
    sinks = [Viewer(PERSON), Viewer(PERSON.model_copy()), Viewer(None)]
    stream = run(*sinks, privacy=PERSON, script=["frame"] * 4)
    assert len(times) == 4
    assert sinks[0].pictures()[3] is sinks[1].pictures()[3] is sinks[2].pictures()[3]
    assert "privacy" in stream.stopwatch.per_frame_ms()


def test_nothing_is_hidden_for_who_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    times = []
    hide = veil.hide
    monkeypatch.setattr(veil, "hide", lambda *some: times.append(1) or hide(*some))
    seldom = Viewer(PERSON, every=4)
    run(seldom, Deaf(), privacy=PERSON, script=["frame"] * 8)
    assert seldom.asked == 8
    assert seldom.frames() == list(range(8))
    assert len(times) == 2
    assert is_hidden(seldom.pictures()[4])
    spared = seldom.pictures()[5]
    assert spared.sequence == 5
    assert not spared.picture.bgr().any()
    assert not spared.picture.luma().any()
    assert not spared.picture.fit(4, 2).any()
    assert not spared.drawn().any()
    assert spared.picture.bgr().shape == (6, 8, 3)


def test_frames_that_wait_come_before_the_stream_is_closed() -> None:
    waits, at_once = Viewer(PERSON.model_copy(update={"ahead_s": 0.35})), Viewer(PERSON)
    stream = run(waits, at_once, script=["frame"] * 10)
    assert waits.frames() == at_once.frames() == list(range(10))
    assert all(is_hidden(frame) for frame in waits.pictures())
    assert waits.closed == ["gate"]
    assert stream.ledger.entry().finished == 10


def test_what_fails_while_hiding_ends_the_stream_and_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*some: object) -> None:
        raise RuntimeError("out of paint")

    monkeypatch.setattr(veil, "hide", fail)
    viewer = Viewer(None)
    stream = run(viewer, privacy=PERSON)
    assert viewer.pictures() == []
    assert str(stream.error) == "privacy failed: RuntimeError: out of paint"
    ledger = stream.ledger.entry()
    assert ledger.in_flight == 0
    assert ledger.finished == 0


def test_another_size_lets_out_what_waited_first() -> None:
    """The sinks are opened anew for pictures of another size."""
    waits = Viewer(PERSON.model_copy(update={"ahead_s": 5.0}))
    opened: list[int] = []
    begin = waits.open_stream

    def open_stream(info: StreamInfo) -> None:
        opened.append(len(waits.pictures()) if "gate" in waits.got else 0)
        if "gate" not in waits.got:
            begin(info)

    waits.open_stream = open_stream  # type: ignore[method-assign]
    run(waits, script=["frame"] * 3)
    assert opened == [0]
    assert waits.frames() == [0, 1, 2]
