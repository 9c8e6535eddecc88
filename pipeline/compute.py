"""The compute thread of one stream: opens the stages, and leads every frame through them in order."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Protocol

from pipeline.ages import Ages
from pipeline.blame import blaming
from pipeline.captured import Captured, Outgoing
from pipeline.channel import Channel
from pipeline.config.schema import StreamConfig
from pipeline.errors import SightlineError, StageError
from pipeline.event import Event, Producer
from pipeline.frame import Frame, Gap
from pipeline.ledger import Ledger
from pipeline.plugin import Stage, StreamInfo
from pipeline.stopwatch import Stopwatch

NamedStage = tuple[str, Stage]
"""A stage with the name it has in the configuration."""


class Books(Protocol):
    """Where a stream's threads enter what they did."""

    ledger: Ledger
    stopwatch: Stopwatch
    ages: Ages


class Compute:
    """Takes captured frames, processes them in batches, and hands them to the output.

    Attributes:
        trailing_gap: what is missing at the end; set before the captured frames end.

    Args:
        config: of the stream.
        stages: in their order.
        batch: frames that are taken at once, at most.
        frames: where frames come from.
        output: where they go.
        books: of the stream.
    """

    def __init__(
        self,
        config: StreamConfig,
        stages: Sequence[NamedStage],
        batch: int,
        frames: Channel[Captured],
        output: Channel[Outgoing],
        books: Books,
    ) -> None:
        self._config = config
        self._stages = stages
        self._batch = batch
        self._frames = frames
        self._output = output
        self._books = books
        self._info: StreamInfo | None = None
        self._last: Frame | None = None
        self.trailing_gap: Gap | None = None

    def run(self, info: StreamInfo, *, full: bool) -> None:
        """Process until the frames end or the output takes no more.

        Args:
            info: of the first connection.
            full: wait for full batches, so that their composition does not depend on timing.

        Raises:
            SightlineError: of the stage that failed; frames that it had are in the ledger.
        """
        self._open(info)
        while taken := self._frames.take(self._batch, fill=full):
            left = len(taken)
            try:
                for infos, batch in _by_format(taken):
                    if not batch[0].fits(self._info):
                        self._finish()
                        self._open(infos)
                    left -= len(batch)
                    if not self._pass([item.frame for item in batch]):
                        return
            finally:
                self._books.ledger.drop("compute", "stream failed", left)
        if self._last is not None and self.trailing_gap:
            self._output.put(self._gap_event(self._last, self.trailing_gap, "end"))
        self._finish()

    def close(self) -> Iterator[SightlineError]:
        """Close every stage; yield what fails."""
        for name, stage in self._stages:
            try:
                with blaming(StageError, f"closing stage '{name}' failed"):
                    stage.close()
            except SightlineError as error:
                yield error

    def _open(self, info: StreamInfo) -> None:
        for name, stage in self._stages:
            with blaming(StageError, f"stage '{name}' failed to open"):
                stage.open(info)
        self._info = info
        self._output.put(info)

    def _pass(self, batch: list[Frame]) -> bool:
        self._note_ages("capture", batch)
        self._process(batch)
        self._note_ages("compute", batch)
        self._last = batch[-1]
        for index, frame in enumerate(batch):
            if not self._output.put(frame):
                self._books.ledger.drop("compute", "stream failed", len(batch) - index)
                return False
        return True

    def _process(self, batch: list[Frame]) -> None:
        step = "compute"
        try:
            for frame in batch:
                if frame.gap:
                    frame.events.append(self._gap_event(frame, frame.gap, f"{frame.sequence}"))
            where = f"failed at frame {batch[0].sequence} ({batch[0].moment.pts_s:.2f} s)"
            stopwatch = self._books.stopwatch
            for step, stage in self._stages:
                with stopwatch.measure(step, len(batch)), blaming(StageError, f"stage '{step}' {where}"):
                    for start in range(0, len(batch), stage.batch):
                        stage.process_batch(batch[start : start + stage.batch])
        except BaseException:
            self._books.ledger.drop(step, "error", len(batch))
            raise

    def _finish(self) -> None:
        """Collect what is certain only now that nothing more follows, or nothing of this format."""
        if self._last is None:
            return
        for name, stage in self._stages:
            with (
                self._books.stopwatch.measure(name),
                blaming(StageError, f"stage '{name}' failed at the end"),
            ):
                for event in stage.finish():
                    self._output.put(event)

    def _note_ages(self, step: str, batch: list[Frame]) -> None:
        now_s = time.monotonic()
        for frame in batch:
            if frame.arrived_s is not None:
                self._books.ages.note(step, now_s - frame.arrived_s)

    def _gap_event(self, frame: Frame, gap: Gap, key: str) -> Event:
        moment = frame.moment
        if gap.after_s is not None:
            moment = moment.shifted(gap.after_s - moment.pts_s)
        return frame.event(
            "stream.gap",
            key,
            Producer("engine", config_hash=self._config.config_hash),
            moment=moment,
            data={"cause": gap.cause, "after_s": gap.after_s, "seconds": gap.seconds, "detail": gap.detail},
        )


def _by_format(items: list[Captured]) -> Iterator[tuple[StreamInfo, list[Captured]]]:
    """Yield runs of items of one picture size, with the info of the first of them."""
    for _, run in groupby(items, lambda item: (item.info.width, item.info.height)):
        batch = list(run)
        yield batch[0].info, batch
