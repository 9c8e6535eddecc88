"""MOTChallenge folders: sequences with their truth, detections, true frame rate and pictures."""

from __future__ import annotations

import configparser
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import ConfigError, SourceError
from stages.track.boxes import FloatArray
from stages.track.evaluate.choices import Benchmark
from stages.track.evaluate.detections import DetectionFile
from stages.track.evaluate.pictures import Pictures
from stages.track.evaluate.rows import CLASS, FRAME, HEIGHT, ID, WIDTH, read_rows, refuse

_CLASSES = 13
"""Classes of MOT16 and later: 1 is a pedestrian, the others are ignored or distract."""


@dataclass(frozen=True, eq=False)
class MotSequence:
    """One sequence with everything that an evaluation needs.

    Attributes:
        name: the folder's name.
        folder: where it lies.
        rate_hz: frames per second, as the sequence says.
        frames: its length; frames count from 1.
        benchmark: whose rules the truth is read by.
        truth: (N, C) float64 rows of gt/gt.txt.
        detections: None where only results are to be scored.
        pictures: None where there are none.
    """

    name: str
    folder: Path
    rate_hz: float
    frames: int
    benchmark: Benchmark
    truth: FloatArray
    detections: DetectionFile | None
    pictures: Pictures | None

    def pts_s(self, frame: int) -> float:
        """Return the media time of a frame; the first one is at 0."""
        return (frame - 1) / self.rate_hz

    @property
    def files(self) -> dict[str, Path]:
        """What is read, by meaning: "truth", "info", and where there are any "detections" and "video"."""
        files = {"truth": self.folder / "gt/gt.txt", "info": self.folder / "seqinfo.ini"}
        if self.detections is not None:
            files["detections"] = self.detections.path
        if self.pictures is not None and self.pictures.kind == "video":
            files["video"] = self.pictures.path
        return files


def read_sequences(
    folders: Iterable[Path],
    *,
    names: Sequence[str] = (),
    detections: Path | None = None,
    benchmark: Benchmark | None = None,
    with_detections: bool = True,
) -> list[MotSequence]:
    """Read all sequences of folders, or those of the given names, in the order of their names.

    Args:
        folders: each holds sequences (`<sequence>/gt/gt.txt`), or is one.
        names: the sequences to read; all when empty.
        detections: another folder to take `<sequence>/det/det.txt` or `<sequence>.txt` from.
        benchmark: whose rules to score by. When left out it is MOT15 for a truth of 10 columns, and for one
            of 9 the benchmark that the sequence is named for, else MOT17.
        with_detections: False reads no detections.

    Raises:
        ConfigError: if a named sequence is not there, or two have one name.
        SourceError: if a folder or file is missing or malformed.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for sequence in sequence_folders(folder):
            name = sequence.resolve().name
            if found.setdefault(name, sequence).resolve() != sequence.resolve():
                raise ConfigError(f"two sequences are named {name}: {found[name]} and {sequence}")
    unknown = [name for name in names if name not in found]
    if unknown:
        raise ConfigError(f"no sequence {unknown[0]}; there are {', '.join(found)}")
    chosen = {name: path for name, path in found.items() if not names or name in names}
    return [_read(name, chosen[name], detections, benchmark, with_detections) for name in sorted(chosen)]


def sequence_folders(folder: Path) -> list[Path]:
    """Return the folder itself if it is a sequence, else those of its folders that are, by name.

    Raises:
        SourceError: if there is no such folder or no sequence in it.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    if (folder / "gt/gt.txt").is_file():
        return [folder]
    found = sorted(truth.parent.parent for truth in folder.glob("*/gt/gt.txt"))
    if not found:
        raise SourceError(f"{folder}: no MOTChallenge sequence in it: wanted SEQUENCE/gt/gt.txt")
    return found


def _read(
    name: str, folder: Path, detections: Path | None, benchmark: Benchmark | None, with_detections: bool
) -> MotSequence:
    info = _info(folder)
    rate_hz, frames = _number(folder, info, "frameRate"), _number(folder, info, "seqLength")
    if frames % 1:
        raise SourceError(f"{folder / 'seqinfo.ini'}: seqLength must be a whole number, got {frames:g}")
    rules, truth = _truth(name, folder / "gt/gt.txt", int(frames), benchmark)
    return MotSequence(
        name=name,
        folder=folder,
        rate_hz=rate_hz,
        frames=int(frames),
        benchmark=rules,
        truth=truth,
        detections=_detections(name, folder, detections, int(frames)) if with_detections else None,
        pictures=Pictures.find(folder, info.get("imDir", "img1")),
    )


def _info(folder: Path) -> configparser.SectionProxy:
    path = folder / "seqinfo.ini"
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
        return parser["Sequence"]
    except FileNotFoundError:
        wanted = "[Sequence], frameRate=..., seqLength=... on a line each"
        raise SourceError(
            f"{path}: no such file, so the frames' true times are unknown; put {wanted}"
        ) from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, configparser.Error, KeyError) as error:
        raise SourceError(f"{path}: not an ini file with a section [Sequence]") from error


def _number(folder: Path, info: configparser.SectionProxy, key: str) -> float:
    text = info.get(key, "nothing")
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not 0 < value < np.inf:
        raise SourceError(f"{folder / 'seqinfo.ini'}: {key} must be a number above 0, got {text}")
    return value


def _truth(name: str, path: Path, frames: int, benchmark: Benchmark | None) -> tuple[Benchmark, FloatArray]:
    truth = read_rows(path, (9, 10))
    if not len(truth):
        raise SourceError(f"{path}: empty, so there is nothing to compare with")
    check_identities(path, truth, frames)
    rules = benchmark or _benchmark(name, truth.shape[1])
    if rules is not Benchmark.MOT15:
        kind = truth[:, CLASS]
        wrong = (kind < 1) | (kind > _CLASSES) | (kind % 1 != 0)
        refuse(path, wrong, f"the class must be 1 to {_CLASSES} by the rules of {rules}", kind)
    return rules, truth


def _benchmark(name: str, columns: int) -> Benchmark:
    if columns == 10:
        return Benchmark.MOT15
    return next((known for known in Benchmark if name.startswith(known)), Benchmark.MOT17)


def check_identities(path: Path, rows: FloatArray, frames: int) -> None:
    """Check what the rows of a truth or a result have in common.

    Raises:
        SourceError: if a frame is after the last one, an id is no whole number from 0 on or twice in a frame,
            or a box has a negative size.
    """
    frame, ident = rows[:, FRAME], rows[:, ID]
    refuse(path, frame > frames, f"the sequence has {frames} frames", frame)
    refuse(path, (ident < 0) | (ident % 1 != 0), "the id must be a whole number from 0 on", ident)
    for column, what in ((WIDTH, "width"), (HEIGHT, "height")):
        refuse(path, rows[:, column] < 0, f"the {what} must not be negative", rows[:, column])
    _, first = np.unique(rows[:, [FRAME, ID]], axis=0, return_index=True)
    again = np.ones(len(rows), np.bool_)
    again[first] = False
    refuse(path, again, "this id is in this frame already", ident)


def _detections(name: str, folder: Path, elsewhere: Path | None, frames: int) -> DetectionFile:
    tried = [folder / "det/det.txt"]
    if elsewhere is not None:
        if not elsewhere.is_dir():
            raise SourceError(f"{elsewhere}: no such folder of detections")
        tried = [elsewhere / name / "det/det.txt", elsewhere / f"{name}.txt"]
    for path in tried:
        if path.is_file():
            return DetectionFile.read(path, frames)
    advice = "; --detections FOLDER names another folder of them" if elsewhere is None else ""
    raise SourceError(f"{name}: no detections at {' or '.join(map(str, tried))}{advice}")
