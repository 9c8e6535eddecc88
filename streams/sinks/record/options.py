"""Options of the sink `record`."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline.plugin import SinkOptions
from streams.sinks.sealed.keys import Sealing


def _folder(text: str) -> str:
    path = PurePath(text)
    if ".." in path.parts or not path.name or "\0" in text:
        raise ValueError(
            f"{text!r} must be the name of a folder within the output folder, or an absolute path"
        )
    return text


class RecordOptions(SinkOptions, Sealing):
    """Options of the record sink.

    Attributes:
        folder: where recordings go: within the output folder, or an absolute path of a folder that exists,
            such as one on another disk. It is not made then: a disk that is not mounted must not be taken
            for its empty mount point.
        container: fragmented MP4, or Matroska.
        segment_s: a new file begins with the first key frame after each multiple of so many seconds of UTC.
        fragment_s: what a crash may cost: a fragment (MP4) or cluster (Matroska) ends after so many seconds.
        sync_s: what a power failure may cost: the disk is waited for so often. 0: at each fragment; None:
            only when a file ends.
        keep_days: recordings that were stored longer ago go.
        keep_gb: so many gigabytes of recordings stay, of all streams together; beyond that the oldest go.
        free_gb: so many gigabytes of the disk stay free, whoever uses the others; the oldest recordings go
            for that, and if that does not help, nothing is recorded.
        index: file of the index; by default in `folder`. Needed where that lies on a network.
    """

    folder: Annotated[str, AfterValidator(_folder)] = "recordings"
    container: Literal["mp4", "mkv"] = "mp4"
    segment_s: int = Field(default=60, ge=1, le=86_400)
    fragment_s: float = Field(default=1.0, ge=0.1, le=60)
    sync_s: float | None = Field(default=5.0, ge=0, le=3600)
    keep_days: float = Field(default=30.0, gt=0, le=36_500)
    keep_gb: float = Field(default=100.0, ge=0.001, le=10_000_000)
    free_gb: float = Field(default=1.0, ge=0, le=1_000_000)
    index: Path | None = None
