"""What travels through the pipeline: a picture with its identity, its time and all that is found in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pipeline.event import Event, Producer, event_id
from pipeline.moment import Moment
from pipeline.motion import MotionField
from pipeline.objects import Detections, Tracks
from pipeline.picture import Picture, U8Array

Counts = Mapping[str, Mapping[str, Mapping[str, int]]]
"""Totals so far: line name -> direction name -> label -> objects; "to right" comes before "to left"."""

_TOLD_CHARACTERS = 400
_MORE = "and more"

Line = tuple[tuple[float, float], ...]
"""A directed line in pixels: the (x, y) of its start, of its bends if it has any, and of its end."""

Area = tuple[tuple[float, float], ...]
"""A polygon in pixels: the (x, y) of its corners."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Media that is missing: damaged, lost, or never sent. No frame is invented for it.

    Attributes:
        cause: one of a few short words, e.g. "decode error", "truncated", "timestamp jump".
        after_s: media time of the last good picture before it, None when there was none.
        seconds: media time that is missing, None when it cannot be known.
        detail: one line for a person.
    """

    cause: str
    after_s: float | None
    seconds: float | None
    detail: str = ""


def joined(first: Gap | None, second: Gap | None) -> Gap | None:
    """Return two gaps with no frame between them as one; None stands for no gap."""
    if first is None or second is None:
        return first or second
    known = first.seconds is not None and second.seconds is not None
    return Gap(
        _both(first.cause, second.cause, ", "),
        first.after_s,
        (first.seconds or 0.0) + (second.seconds or 0.0) if known else None,
        _both(first.detail, second.detail, "; "),
    )


def _both(first: str, second: str, separator: str) -> str:
    """Return what two gaps say, each thing once; bounded, since a slow stage may drop frames for hours."""
    told = [text for text in first.split(separator) if text]
    new = [text for text in second.split(separator) if text and text not in told]
    both = separator.join(told + new)
    if len(both) <= _TOLD_CHARACTERS or not told:
        return both
    return first if told[-1] == _MORE else f"{first}{separator}{_MORE}"


class Overlay(Protocol):
    """Something that can paint what a frame contains; must not depend on later frames."""

    def paint(self, canvas: U8Array) -> None:
        """Paint onto `canvas`, (H, W, 3) uint8 BGR, in place."""


@dataclass(slots=True, eq=False)
class Frame:
    """One picture on its way through the stages; owned by one thread at a time.

    Attributes:
        stream: name of the stream.
        run: id of the uninterrupted run this frame belongs to: new at each connect of a live source, a
            digest of the content for files. Media time goes on from run to run.
        sequence: number of the frame within the run, from 0; together with stream and run its identity.
        moment: both clocks.
        picture: the pixels.
        gap: what is missing right before this frame, or None.
        arrived_s: monotonic seconds (`time.monotonic`) at which its data came in, None for recordings; how
            old it is at each step is counted from here.
        ticks: time stamp of its packet, in ticks of the packets' format; None where there are none.
        model_hash: hash of the weights that made `detections`, None without weights.
        detections: set by a detector.
        carried_s: age of the detections, seconds of media time: 0 when the detector looked at this picture,
            else how long ago it did; the boxes stayed because nothing moved, or were carried by optical flow.
        still: nothing has moved since the picture that a detector looked at last; this one or one up to 0.1 s
            before it, was compared.
        tracks: set by a tracker.
        counts: totals so far, set by a counter.
        lines: where the counter's lines lie, by name, so that a drawing stage can show them.
        motion: how what is seen moves, set by a stage of optical flow; None where it was not measured.
        areas: zones and places worth a look, by name, so that a drawing stage can show them.
        notes: what there is to say of an area, by its name ("3 waiting, 41 s"), to be drawn beside it.
        remarks: what there is to say of a track, by its id ("52 km/h"), to be drawn at its box.
        suspended: why places in this picture cannot be trusted ("moved", "covered"), set by a stage that
            watches the camera's health; lines and zones pause meanwhile. None when all is well.
        events: what became known at this frame.
        overlay: how to paint the results, set by a drawing stage.
    """

    stream: str
    run: str
    sequence: int
    moment: Moment
    picture: Picture
    gap: Gap | None = None
    arrived_s: float | None = None
    ticks: int | None = None
    model_hash: str | None = None
    detections: Detections | None = None
    carried_s: float = 0.0
    still: bool = False
    tracks: Tracks | None = None
    counts: Counts | None = None
    lines: Mapping[str, Line] | None = None
    motion: MotionField | None = None
    areas: Mapping[str, Area] | None = None
    notes: Mapping[str, str] | None = None
    remarks: Mapping[int, str] | None = None
    suspended: str | None = None
    events: list[Event] = field(default_factory=list)
    overlay: Overlay | None = None
    _drawn: U8Array | None = field(default=None, repr=False)

    def follows(self, earlier: Frame | None) -> bool:
        """Whether what was known at `earlier` still holds: media time goes on, if perhaps in another run.

        The runs of a camera lie on one media clock, so that objects and counts survive a short break. Where
        the clock itself began anew, they do not.
        """
        return earlier is not None and (earlier.run == self.run or earlier.moment.pts_s < self.moment.pts_s)

    def drawn(self) -> U8Array:
        """Return the annotated picture, (H, W, 3) uint8 BGR, read-only.

        Painted on a copy at the first call, so it costs nothing until somebody consumes it. Without an
        overlay it is the plain picture.
        """
        if self.overlay is None:
            return self.picture.bgr()
        if self._drawn is None:
            canvas = self.picture.bgr().copy()
            self.overlay.paint(canvas)
            canvas.flags.writeable = False
            self._drawn = canvas
        return self._drawn

    def showing(self, picture: Picture) -> Frame:
        """Return a frame that says the same of another picture, and knows no other.

        It is for who must not see this one. Appearance vectors are left out, too: by them a person can be
        found in other pictures.
        """
        detections = self.detections
        if detections is not None and detections.embedding is not None:
            detections = replace(detections, embedding=None)
        return replace(self, picture=picture, detections=detections, events=list(self.events), _drawn=None)

    def event(
        self,
        kind: str,
        key: str,
        producer: Producer,
        *,
        moment: Moment | None = None,
        track_id: int | None = None,
        label: str | None = None,
        position: tuple[float, float] | None = None,
        data: Mapping[str, Any] | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> Event:
        """Make an event of this frame's stream and run; the caller appends it to `events`.

        Args:
            kind: dotted name of what happened.
            key: what makes it unique within (stream, run, kind).
            producer: what produced it.
            moment: when it happened, if not at this frame.
            track_id: the track concerned.
            label: its class.
            position: (x, y) px.
            data: particulars of the kind.
            evidence: what proves it.
        """
        when = self.moment if moment is None else moment
        return Event(
            id=event_id(when, self.stream, self.run, kind, key),
            kind=kind,
            stream=self.stream,
            run=self.run,
            sequence=self.sequence,
            moment=when,
            producer=producer,
            track_id=track_id,
            label=label,
            position=position,
            data=data or {},
            evidence=evidence or {},
        )
