"""Why there is no picture, as soon as that is clear."""

from __future__ import annotations

from pipeline.condition import Progress, Reason
from streams.sources.network.trouble import Watch


class Clock:
    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def watched() -> tuple[Watch, Progress, Clock]:
    progress, clock = Progress(), Clock()
    return Watch(progress, clock), progress, clock


def test_packets_without_a_key_frame() -> None:
    watch, progress, clock = watched()
    for _ in range(20):
        watch.damaged("")
        clock.now_s += 0.04
    assert progress.trouble is None
    clock.now_s += 4
    watch.damaged("")
    assert progress.trouble is not None
    assert progress.trouble[0] is Reason.NO_KEY_FRAME
    assert "21 packets in 5 s" in progress.trouble[1]
    assert watch.remark() == f" ({progress.trouble[1]})"
    watch.good()
    assert progress.trouble is None
    assert watch.remark() == ""


def test_errors_in_a_row() -> None:
    watch, progress, _ = watched()
    for _ in range(2):
        watch.damaged("damaged: x")
    assert progress.trouble is None
    watch.damaged("damaged: x")
    assert progress.trouble is not None
    assert progress.trouble[0] is Reason.DECODE_ERRORS


def test_a_large_share_of_errors() -> None:
    watch, progress, _ = watched()
    for _ in range(300):
        watch.damaged("damaged: x")
        watch.damaged("")
        watch.good()
    watch.damaged("damaged: x")
    assert progress.trouble is not None
    assert progress.trouble[0] is Reason.DECODE_ERRORS
    assert "more than half" in progress.trouble[1]
    for _ in range(100):
        watch.good()
    assert progress.trouble is None


def test_a_frozen_clock() -> None:
    watch, progress, _ = watched()
    watch.timeless(1.0, "does not advance")
    assert progress.trouble is None
    watch.timeless(3.0, "does not advance")
    assert progress.trouble is not None
    assert progress.trouble[0] is Reason.FROZEN_CLOCK
