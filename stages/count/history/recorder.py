"""The part of the stage `count` that keeps where every object went."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from pipeline.event import Event
from pipeline.plugin import StageContext, StreamInfo
from stages.count.history.asked import AskedLine
from stages.count.history.codec import FULL
from stages.count.history.compact import bound
from stages.count.history.files import stream_folder
from stages.count.history.options import TrajectoryOptions, require
from stages.count.history.row import CONTINUES, ENDED, SUSPENDED, UNSEEN, Row
from stages.count.history.sighting import Sighting
from stages.count.history.store import Store
from stages.count.history.verify import Verifier, told
from stages.count.history.writer import Writer
from stages.count.lines.options import LineOptions
from stages.count.seen import Seen

FOLDER = "trajectories"
"""Within the results' folder."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where objects are, and where their paths go.

    Attributes:
        info: of the stream.
        unit_px: of the stored resolution.
        verifier: with the lines in these pictures.
        writer: of this stream's files.
    """

    info: StreamInfo
    unit_px: float
    verifier: Verifier
    writer: Writer


class Recorder:
    """Keeps the path of each object, once it has ended, in Parquet files below `trajectories`.

    What the lines counted live is counted again over what is about to be kept: a path that would be counted
    otherwise is kept more exactly. So the past answers as the present did.

    Where there is no folder for results nothing is kept.

    Args:
        options: of this part.
        lines: makes the lines that are counted live, for pictures of known size.
        vanished_s: see `CountOptions`.
        context: of the stage.

    Raises:
        ConfigError: if what it needs is not installed.
    """

    def __init__(
        self,
        options: TrajectoryOptions,
        lines: Callable[[StreamInfo], Sequence[AskedLine]],
        vanished_s: float,
        context: StageContext,
    ) -> None:
        require("pyarrow")
        self._options = options
        self._lines = lines
        self._vanished_s = vanished_s
        self._context = context
        self._place: _Place | None = None
        self._objects: dict[int, Sighting] = {}
        self._latest_s = 0.0
        self._flushed_s = 0.0
        self._figures = {"trajectories": 0, "exact": 0, "disagree": 0, "path_bytes": 0}
        self._lost = 0

    def open(self, info: StreamInfo) -> None:
        """Begin with pictures of this size.

        Raises:
            SinkError: if the folder cannot be written.
        """
        self.close()
        self._objects.clear()
        self._latest_s = self._flushed_s = 0.0
        if self._context.folder is None:
            return
        store = Store(
            stream_folder(self._context.folder / FOLDER, info.stream),
            "live" if info.live else "".join(filter(str.isalnum, info.run))[:16] or "run",
            self._metadata(info),
            keep_days=self._options.keep_days,
            keep_mb=self._options.keep_mb,
        )
        store.open()
        unit_px = max(info.width, info.height) / self._options.resolution
        self._place = _Place(info, unit_px, Verifier(self._lines(info)), Writer(store))

    def update(self, seen: Seen) -> list[Event]:
        """Note where the frame's objects are."""
        place = self._place
        if place is None:
            return []
        self._note_crossings(seen)
        for object_id in seen.ended:
            self._end(place, object_id, UNSEEN)
        if seen.suspended is not None:
            self._end_all(place, SUSPENDED)
        elif seen.ids:
            self._note_positions(place, seen)
        self._latest_s = seen.time_s
        is_due = place.info.live and seen.time_s - self._flushed_s >= self._options.flush_s
        if is_due or place.writer.is_full:
            self._flushed_s = seen.time_s
            place.writer.flush()
        return []

    def finish(self, seen: Seen) -> list[Event]:
        """Keep the paths of all objects as they are; media time may begin anew after this."""
        if self._place is not None:
            self._note_crossings(seen)
            self._end_all(self._place, ENDED)
            self._place.writer.flush()
            self._latest_s = self._flushed_s = 0.0
        return []

    def statistics(self) -> Mapping[str, Any]:
        """Return how many trajectories are kept, and how.

        Keys: `trajectories`; `exact`, those of them that are kept position by position; `disagree`, those
        that count otherwise than live all the same; `lost`, as the disk refused them; `path_bytes` a
        trajectory.
        """
        kept, size = self._figures["trajectories"], self._figures["path_bytes"]
        place = self._place
        return {
            **self._figures,
            "path_bytes": round(size / kept, 1) if kept else 0.0,
            "lost": self._lost + (place.writer.lost if place else 0),
        }

    def close(self) -> None:
        """Write what waits; what the disk refuses is lost, and said."""
        place, self._place = self._place, None
        if place is not None:
            place.writer.close()
            self._lost += place.writer.lost

    def _note_crossings(self, seen: Seen) -> None:
        offset_ns = _offset_ns(seen)
        for each in seen.crossings:
            found = self._objects.get(each.crossing.track_id)
            if found is not None:
                found.account.live.setdefault(each.line, []).append(told(each.crossing, offset_ns))

    def _note_positions(self, place: _Place, seen: Seen) -> None:
        time_s, time_ns = seen.time_s, seen.frame.moment.time_ns
        for object_id, box, label in zip(seen.ids, seen.xyxy.tolist(), seen.labels, strict=True):
            found = self._objects.get(object_id)
            if found is None:
                began_us = round(time_s * 1e6)
                found = Sighting(seen.frame.run, 0, began_us, _offset_ns(seen), time_ns, time_ns)
                self._objects[object_id] = found
            else:
                if found.is_long(time_s):
                    self._keep(place, object_id, found, CONTINUES)
                    found = self._objects[object_id] = found.next_part()
                last_s = found.times_s[-1]
                if time_s - last_s >= self._vanished_s:
                    found.return_after(vanished=self._latest_s - last_s >= self._vanished_s)
            found.add(time_s, time_ns, box, label)

    def _end_all(self, place: _Place, how: str) -> None:
        for object_id in list(self._objects):
            self._end(place, object_id, how)

    def _end(self, place: _Place, object_id: int, how: str) -> None:
        found = self._objects.pop(object_id, None)
        if found is not None:
            self._keep(place, object_id, found, how)

    def _keep(self, place: _Place, object_id: int, found: Sighting, how: str) -> None:
        whole = found.path()
        kept, agrees = place.verifier.shortest(
            whole,
            found.must_stay(),
            place.unit_px,
            found.account,
            found.labels,
            found.offset_ns,
            finished=how != SUSPENDED,
            continues=how == CONTINUES,
        )
        left, top, right, bottom = bound(np.concatenate([whole.xyxy, kept.path.xyxy]))
        row = Row(
            run=found.run,
            object=object_id,
            part=found.part,
            since_us=kept.scale.start_us - found.began_us,
            end=how,
            start_ns=found.start_ns,
            end_ns=found.end_ns,
            start_us=kept.scale.start_us,
            tick_us=kept.scale.tick_us,
            unit_px=place.unit_px,
            width=place.info.width,
            height=place.info.height,
            left=left,
            top=top,
            right=right,
            bottom=bottom,
            label=found.labels[-1][1],
            labels=found.changes(),
            seen=len(whole),
            error=ceil(kept.error * 100),
            agrees=agrees,
            path=kept.data,
        )
        place.writer.add(row)
        self._figures["trajectories"] += 1
        self._figures["path_bytes"] += len(kept.data)
        self._figures["exact"] += kept.data[0] == FULL
        self._figures["disagree"] += not agrees

    def _metadata(self, info: StreamInfo) -> dict[str, str]:
        return {
            "sightline.stream": info.stream,
            "sightline.resolution": f"{self._options.resolution} units along the longer side",
            "sightline.error": "each side of each box within 1 unit at each observed time",
            "sightline.vanished_s": f"{self._vanished_s:g}",
            "sightline.config_hash": self._context.config_hash,
        }


def recorder_of(
    options: TrajectoryOptions, lines: Mapping[str, LineOptions], vanished_s: float, context: StageContext
) -> Recorder:
    """Return a recorder beside these lines."""

    def laid(info: StreamInfo) -> list[AskedLine]:
        return [AskedLine.of(name, line, vanished_s, info) for name, line in lines.items()]

    return Recorder(options, laid, vanished_s, context)


def _offset_ns(seen: Seen) -> int:
    """Return UTC less media time, ns."""
    moment = seen.frame.moment
    return moment.time_ns - round(moment.pts_s * 1e9)
