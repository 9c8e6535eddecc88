"""Small MOTChallenge folders whose scores can be computed by hand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

Row = tuple[float, ...]

FRAMES = 10


def box(frame: int, shift: float = 0.0) -> tuple[float, float, float, float]:
    """The one object's left, top, width and height: 5 px to the right in every frame."""
    return (100.0 + 5 * frame + shift, 50.0, 40.0, 80.0)


def truth15(frames: Iterable[int] = range(1, FRAMES + 1), ident: int = 1, shift: float = 0.0) -> list[Row]:
    """MOT15 rows, 10 columns, of an object that is there in these frames."""
    return [(frame, ident, *box(frame, shift), 1, -1, -1, -1) for frame in frames]


def truth17(kind: int = 1, ident: int = 1, shift: float = 0.0, counts: int = 1) -> list[Row]:
    """MOT17 rows, 9 columns, of an object of a class."""
    return [(frame, ident, *box(frame, shift), counts, kind, 1.0) for frame in range(1, FRAMES + 1)]


def found(
    frames: Iterable[int] = range(1, FRAMES + 1), ident: int = 1, shift: float = 0.0, score: float = 0.9
) -> list[Row]:
    """Rows of a result or, with an id of -1, of a detector."""
    return [(frame, ident, *box(frame, shift), score, -1, -1, -1) for frame in frames]


def detected(score: float = 0.9) -> list[Row]:
    return found(ident=-1, score=score)


def text(rows: Iterable[Row]) -> str:
    return "".join(",".join(f"{value:g}" for value in row) + "\n" for row in rows)


def info(frames: int = FRAMES, rate: str = "25") -> str:
    return f"[Sequence]\nname=any\nimDir=img1\nframeRate={rate}\nseqLength={frames}\nimExt=.jpg\n"


def write_sequence(
    folder: Path, truth: Iterable[Row], detections: Iterable[Row] | None = None, seqinfo: str | None = None
) -> Path:
    """Write a sequence and return its folder; without detections there is no det/."""
    for name, content in (
        ("gt/gt.txt", text(truth)),
        ("det/det.txt", None if detections is None else text(detections)),
        ("seqinfo.ini", info() if seqinfo is None else seqinfo),
    ):
        if content is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
    return folder
