"""The compute thread of one stream: opens the stages, and leads every frame through them in order."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import Protocol

from pipeline.ages import Ages
from pipeline.blame import blaming
from pipeline.captured import Captured, Outgoing, lot_of
from pipeline.channel import Channel
from pipeline.config.schema import StreamConfig
from pipeline.errors import FrameLost, FramesLost, SightlineError, StageError
from pipeline.event import Event, Producer
from pipeline.frame import Frame, Gap, joined
from pipeline.ledger import Ledger
from pipeline.losses import Losses
from pipeline.plugin import Stage, StreamInfo
from pipeline.stopwatch import Stopwatch

_PATIENCE_S = 0.05
"""A recording whose pictures come slower than this is not waited for."""
_HOLD_S = 0.1
"""What is done is handed over when the rest of what was taken lasts longer, so that viewers see no jerks."""
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
        batch: most frames that a stage processes at once.
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
        self._losses = Losses(books.ledger)
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
        most = lot_of(info, self._batch) if full else self._batch
        patience_s = _PATIENCE_S if full else None  # a camera's thread sleeps until there is a picture
        while taken := self._frames.take(most, fill=full, patience_s=patience_s, whole=self._batch):
            if not self._pass(taken):
                return
        missing = joined(self._losses.at_the_end(), self.trailing_gap)
        if self._last is not None and missing:
            self._output.put(self._gap_event(self._last, missing, "end"))
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

    def _pass(self, taken: list[Captured]) -> bool:
        """Process what was taken and hand it over together, waking the output once; False: it is closed."""
        left = len(taken)
        due_s = time.monotonic() + _HOLD_S
        done: list[Frame] = []
        try:
            for info, batch in _batches(taken, self._batch):
                if not batch[0].fits(self._info):
                    if not self._deliver(done):
                        return False
                    done = []
                    self._finish()
                    self._open(info)
                left -= len(batch)
                frames = [item.frame for item in batch]
                self._note_ages("capture", frames)
                processed = self._process(frames)
                self._note_ages("compute", processed)
                done += processed
                if time.monotonic() >= due_s:
                    if not self._deliver(done):
                        return False
                    done, due_s = [], time.monotonic() + _HOLD_S
        except BaseException:
            self._deliver(done)
            raise
        finally:
            self._books.ledger.drop("compute", "stream failed", left)
        return self._deliver(done)

    def _deliver(self, done: list[Frame]) -> bool:
        if done:
            self._last = done[-1]
        taken = self._output.put_all(done)
        self._books.ledger.drop("compute", "stream failed", len(done) - taken)
        return taken == len(done)

    def _process(self, batch: list[Frame]) -> list[Frame]:
        """Lead the frames through the stages; return those that no stage has lost."""
        step = "compute"
        losses = self._losses
        losses.begin(batch)
        try:
            where = f"failed at frame {batch[0].sequence} ({batch[0].moment.pts_s:.2f} s)"
            stopwatch = self._books.stopwatch
            for step, stage in self._stages:
                left = losses.left
                with stopwatch.measure(step, len(left)), blaming(StageError, f"stage '{step}' {where}"):
                    for start in range(0, len(left), stage.batch):
                        self._step(step, stage, left[start : start + stage.batch])
            # Only now is it known what each frame follows.
            for frame in losses.left:
                if frame.gap:
                    frame.events.insert(0, self._gap_event(frame, frame.gap, f"{frame.sequence}"))
        except BaseException:
            self._books.ledger.drop(step, "error", len(losses.left))
            raise
        return losses.left

    def _step(self, step: str, stage: Stage, frames: list[Frame]) -> None:
        """Let a stage handle some frames, and note which of them it has lost."""
        try:
            stage.process_batch(frames)
        except FrameLost as why:
            for frame in frames:
                self._losses.lose(step, frame, why)
        except FramesLost as several:
            for place, loss in several.losses.items():
                self._losses.lose(step, frames[place], loss)

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


def _batches(items: list[Captured], most: int) -> Iterator[tuple[StreamInfo, list[Captured]]]:
    """Yield up to `most` items of one picture size at a time, with the info of the first of them."""
    for _, run in groupby(items, lambda item: (item.info.width, item.info.height)):
        while batch := list(islice(run, most)):
            yield batch[0].info, batch
