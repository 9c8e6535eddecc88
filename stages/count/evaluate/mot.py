"""Crossings that are derived from true trajectories, as MOTChallenge folders have them.

A true crossing is here what the configured line makes of perfect detections and perfect identities: the same
band, hold time and anchor. What is then measured is the detector and the tracker, on the ground of this line.
"""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pipeline.errors import SourceError
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Tracks
from pipeline.picture import BgrPicture
from pipeline.plugin import StageContext, StreamInfo
from stages.count.evaluate.run_folder import Run
from stages.count.evaluate.truth import Clip, Event, Truth
from stages.count.options import CountOptions
from stages.count.stage import CountStage

_FRAME, _ID, _CONSIDERED, _CLASS = 0, 1, 6, 7
_CLASSES = {1: "person", 2: "person", 3: "car", 4: "bicycle", 5: "motorcycle", 7: "person"}
_KEPT = ("lines", "masks", "vanished_s", "forget_s")
"""What of the counter's settings says what a crossing is; true identities need no hand-over."""


@dataclass(frozen=True, eq=False)
class MotTruth:
    """The true boxes of a sequence.

    Attributes:
        path: of gt.txt.
        rate_hz: pictures per second, as the sequence says; picture k from 1 is at (k - 1) / rate_hz seconds.
        frames: their number.
        width: of the picture, px; None where the sequence does not say.
        height: of the picture, px.
        rows: (N, C) float64, the rows of gt.txt that count.
        left_out: how many rows the sequence itself says not to consider.
    """

    path: Path
    rate_hz: float
    frames: int
    width: int | None
    height: int | None
    rows: npt.NDArray[np.float64]
    left_out: int

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a sequence: its folder, or its gt/gt.txt with seqinfo.ini in the folder above.

        Raises:
            SourceError: if something is missing or malformed.
        """
        truth = path / "gt/gt.txt" if path.is_dir() else path
        info_path = truth.resolve().parent.parent / "seqinfo.ini"
        info = _info(info_path)
        rate_hz, frames = (_number(info_path, info, key) for key in ("frameRate", "seqLength"))
        width, height = (
            int(_number(info_path, info, key)) if key in info else None for key in ("imWidth", "imHeight")
        )
        rows = _rows(truth)
        if (rows[:, _FRAME] > frames).any():
            raise SourceError(
                f"{truth}: has picture {rows[:, _FRAME].max():g}, but the sequence has {frames:g}"
            )
        considered = rows[:, _CONSIDERED] != 0
        return cls(truth, rate_hz, int(frames), width, height, rows[considered], int((~considered).sum()))

    def crossings(self, run: Run) -> Truth:
        """Return the crossings of the run's lines by these trajectories.

        Raises:
            SourceError: if the run's report does not say where its lines are, or it is of another size.
        """
        report = run.report
        if self.width and self.height and (self.width, self.height) != (report["width"], report["height"]):
            raise SourceError(
                f"{self.path} is the truth of another clip: its pictures have {self.width} x {self.height} "
                f"px, those of {report['source']} {report['width']} x {report['height']} px"
            )
        settings = (report["stages"].get("count") or {}).get("settings")
        if not settings:
            raise SourceError(f"{run.folder}: its report does not say where the lines are; run it again")
        lines = {name: line for name, line in settings["lines"].items() if not line.get("where")}
        if not lines:
            raise SourceError(f"{self.path}: all lines count by attributes, of which trajectories know none")
        kept = {key: settings[key] for key in _KEPT if key in settings}
        options = CountOptions.model_validate({**kept, "lines": lines, "handover_s": 0})
        events = self._events(options, run)
        notes = [f"true crossings: {len(events)}, of {len(np.unique(self.rows[:, _ID]))} true trajectories"]
        if self.left_out:
            notes.append(f"{self.left_out} boxes of the truth are marked as not to be considered")
        return Truth(
            origin=str(self.path),
            events=tuple(sorted(events, key=lambda event: event.time_s)),
            watched=dict.fromkeys(options.lines),
            clip=Clip(duration_s=(self.frames - 1) / self.rate_hz, width=self.width, height=self.height),
            notes=tuple(notes),
        )

    def _events(self, options: CountOptions, run: Run) -> list[Event]:
        size = (run.report["width"], run.report["height"])
        stage = CountStage(options, StageContext(run.stream))
        stage.open(StreamInfo(run.stream, str(self.path), "truth", *size))
        nothing = BgrPicture(np.zeros((1, 1, 3), np.uint8))
        found: list[Any] = []
        for number in range(1, self.frames + 1):
            pts_s = (number - 1) / self.rate_hz
            frame = Frame(
                run.stream, "truth", number - 1, Moment(pts_s, int(pts_s * 1e9), Clock.FILE), nothing
            )
            frame.tracks = self._tracks(number)
            stage.process(frame)
            found += frame.events
        found += stage.finish()
        stage.close()
        return [
            Event(event.moment.pts_s, event.data["line"], event.data["direction"], event.label)
            for event in found
            if event.kind == "line.crossing"
        ]

    def _tracks(self, number: int) -> Tracks:
        rows = self.rows[self.rows[:, _FRAME] == number]
        count = len(rows)
        corner, size = rows[:, 2:4], rows[:, 4:6]
        is_old = rows.shape[1] >= 10  # MOT15 has people only
        labels = ["person" if is_old else _CLASSES.get(int(kind), "other") for kind in rows[:, _CLASS]]
        return Tracks(
            id=rows[:, _ID].astype(np.int64),
            xyxy=np.concatenate([corner, corner + size], axis=1).astype(np.float32),
            score=np.ones(count, np.float32),
            label=np.array(labels, np.str_),
            detection=np.arange(count),
            missed_s=np.zeros(count, np.float32),
        )


def _info(path: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
        return parser["Sequence"]
    except FileNotFoundError:
        raise SourceError(
            f"{path}: no such file; trajectories need it with [Sequence], frameRate=... and seqLength=..."
        ) from None
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError) as error:
        raise SourceError(f"{path}: not an ini file with a section [Sequence]") from error


def _number(path: Path, info: configparser.SectionProxy, key: str) -> float:
    text = info.get(key, "nothing")
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not 0 < value < np.inf:
        raise SourceError(f"{path}: {key} must be a number above 0, got {text}")
    return value


def _rows(path: Path) -> npt.NDArray[np.float64]:
    try:
        rows = np.loadtxt(path, delimiter=",", ndmin=2, encoding="utf-8-sig")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise SourceError(f"{path}: no table of numbers: {error}") from error
    if rows.size == 0:
        raise SourceError(f"{path}: empty, so there is nothing to compare with")
    if rows.shape[1] not in (9, 10) or not np.isfinite(rows).all() or (rows[:, 4:6] < 0).any():
        raise SourceError(
            f"{path}: wanted 9 or 10 finite numbers a line: frame, id, left, top, width, height, considered"
        )
    return rows
