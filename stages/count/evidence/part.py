"""The part `evidence` of the stage `count`: crops, clips and audit strips, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import hypot
from typing import Any

from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.moment import iso_utc
from pipeline.picture import Picture
from pipeline.plugin import StageContext, StreamInfo
from pipeline.privacy.options import effective
from pipeline.privacy.veil import Veil
from stages.count.evidence.crops import Crop, Crops, cut
from stages.count.evidence.options import EvidenceOptions
from stages.count.evidence.shelf import Shelf, hour_of
from stages.count.evidence.slit import SlitReader
from stages.count.evidence.strips import StripFile, Strips
from stages.count.place import LinePlace
from stages.count.seen import Seen

FOLDER = "evidence"
"""Within the run's folder."""


class EvidencePart:
    """Takes a crop when a path meets a line, and puts it, with the clip's place, into the event of the count.

    It comes after the lines. The stage gives it the frame (`update`) and then the events that all parts have
    made of it (`dress`); likewise at the end, after `finish`.

    Files of a recording are begun anew with each run, as its events are; those of a camera are kept until
    newer ones need their room. Without a folder nothing is kept or named.

    Args:
        options: what to keep.
        context: of the stage.
        places: tells, once the lines are open, where they lie, by name.
    """

    def __init__(
        self,
        options: EvidenceOptions,
        context: StageContext,
        places: Callable[[], Mapping[str, LinePlace]],
    ) -> None:
        self._options = options
        self._context = context
        self._places_now = places
        self._places: Mapping[str, LinePlace] = {}
        self._crops = Crops()
        setting = effective(options.privacy, context.privacy)
        self._veil = None if setting is None else Veil(setting, context.stream, ahead=False)
        self._strips: Strips | None = None
        self._shelf: Shelf | None = None
        self._source: str | None = None
        self._latest_s = 0.0
        self._snapshots = 0
        self._strip_files = 0

    def open(self, info: StreamInfo) -> None:
        """Lay the slits; what was collected of pictures of another size is written."""
        self._end_strips()
        self._crops.clear()
        self._source = info.url if info.live else None
        self._places = self._places_now()
        options, folder = self._options, self._context.folder
        if folder is None or not self._places:
            return
        if self._shelf is None:
            root = folder / FOLDER / self._context.stream
            self._shelf = Shelf(root, round(options.max_mb * 1e6), anew=not info.live)
        if options.strips:
            reader = SlitReader(
                self._places,
                info.width,
                info.height,
                rows=options.rows,
                across=options.slit_px,
                reach_px=options.reach * hypot(info.width, info.height),
            )
            self._strips = Strips(self._places, reader, hz=options.strip_hz, quality=options.quality)

    def update(self, seen: Seen) -> list[Event]:
        """Take crops of the objects whose path met a line, and the slits of the lines."""
        if self._shelf is None:
            return []
        if seen.time_s < self._latest_s:  # media time has begun anew, and with it the ids
            self._crops.clear()
        self._latest_s = seen.time_s
        picture = self._shown(seen.frame)
        if self._options.snapshots:
            self._take_crops(seen, picture)
        if self._strips is not None:
            self._put(self._strips.add(seen.frame, picture))
        return []

    def dress(self, events: Sequence[Event], seen: Seen | None = None) -> list[Event]:  # noqa: ARG002
        """Return the events, those of counted crossings with `snapshot` and `clip` in their evidence."""
        if self._shelf is None:
            return list(events)
        return [self._dressed(event) if event.kind == "line.crossing" else event for event in events]

    def finish(self, seen: Seen) -> list[Event]:  # noqa: ARG002
        """Return nothing; what is open is written when its last events have been dressed, by `close`."""
        return []

    def statistics(self) -> Mapping[str, Any]:
        """Return `snapshots` and `strips` written, `bytes` kept, files that `failed` or were `removed`."""
        shelf = self._shelf
        if shelf is None:
            return {}
        return {
            "snapshots": self._snapshots,
            "strips": self._strip_files // 2,
            "bytes": shelf.kept_bytes,
            "failed": shelf.failed,
            "removed": shelf.removed,
        }

    def close(self) -> None:
        """Write what is left of the strips."""
        self._end_strips()
        self._crops.clear()

    def _shown(self, frame: Frame) -> Callable[[], Picture]:
        """Return how to get the frame's picture without what must not be seen; hidden when asked for."""
        if self._veil is None:
            return lambda: frame.picture
        (veiled,) = self._veil.look(frame)
        return lambda: veiled.frame().picture

    def _take_crops(self, seen: Seen, picture: Callable[[], Picture]) -> None:
        if seen.ended:
            self._crops.forget(set(seen.ended))
        for passage in seen.passages:
            if not self._crops.wants(passage.line, passage.object_id, seen.time_s):
                continue
            jpeg = cut(picture(), seen.xyxy[passage.row], self._options.quality)
            if jpeg is not None:
                self._crops.add(passage.line, passage.object_id, Crop(seen.time_s, jpeg))

    def _dressed(self, event: Event) -> Event:
        evidence = {**event.evidence, "clip": self._clip(event)}
        line, object_id = event.data.get("line"), event.track_id
        crop = None
        if isinstance(line, str) and object_id is not None:
            crop = self._crops.take(line, object_id, event.moment.pts_s)
        if crop is not None and self._shelf is not None:
            hour, name = hour_of(event.moment.time_ns), f"crop-{event.id}.jpg"
            if self._shelf.put(hour, name, crop.jpeg):
                evidence["snapshot"] = f"{FOLDER}/{self._context.stream}/{hour}/{name}"
                self._snapshots += 1
        dressed = replace(event, evidence=evidence)
        if self._strips is not None:
            self._strips.note(dressed)
        return dressed

    def _clip(self, event: Event) -> dict[str, Any]:
        moment, clip_s = event.moment, self._options.clip_s
        before, after = moment.shifted(-min(clip_s, max(moment.pts_s, 0.0))), moment.shifted(clip_s)
        clip = {
            "stream": event.stream,
            "from_s": round(before.pts_s, 6),
            "to_s": round(after.pts_s, 6),
            "from": iso_utc(before.time_ns),
            "to": iso_utc(after.time_ns),
        }
        # A recording is known by its content, the event's `run`: its name changes no event.
        return clip if self._source is None else {**clip, "source": self._source}

    def _end_strips(self) -> None:
        strips, self._strips = self._strips, None
        if strips is not None:
            self._put(strips.close(self._context.stream))

    def _put(self, files: Sequence[StripFile]) -> None:
        if self._shelf is None:
            return
        for file in files:
            self._strip_files += self._shelf.put(file.hour, file.name, file.content)
