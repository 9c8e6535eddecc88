"""Maps on the disk: three files for each interval, the latest ones are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np

from pipeline.moment import iso_utc
from pipeline.picture import Picture, U8Array
from stages.count.maps.grid import Sums
from stages.count.maps.render import flow_picture, heat_picture

FOLDER = "maps"
"""Within the folder of the results."""
_OURS = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{6}Z(?:-\d+)?)(\.npz|\.heat\.png|\.flow\.png)")
_MOST_SIZES = 9
_SUMS = ("dwell_s", "visitors", "shift_px", "path_px")


class MapFiles:
    """`2026-03-01T080000Z.npz`, `.heat.png` and `.flow.png` for each interval, named by its start in UTC.

    Args:
        folder: of one stream.
        keep: so many intervals are kept, the latest.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder = folder
        self._keep = keep

    def clear(self) -> None:
        """Remove the maps of an earlier run. Raises OSError."""
        for path in self._found():
            path.unlink(missing_ok=True)

    def write(
        self, start_ns: int, seconds: int, sums: Sums, scene: Picture | None, *, width: int, height: int
    ) -> None:
        """Write an interval's maps, over those that it has already; then remove what is too old.

        Args:
            start_ns: when it begins, UTC.
            seconds: its length.
            sums: what was added up.
            scene: what is shown below them, None for black.
            width: of the camera's picture, px.
            height: of the camera's picture, px.

        Raises:
            OSError: if they cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        stem = self._stem(start_ns, sums, width)
        arrays = {name: getattr(sums, name) for name in _SUMS}
        told = {
            "velocity_px_s": sums.velocity_px_s,
            "speed_px_s": sums.speed_px_s,
            "direction_deg": sums.direction_deg,
            "agreement": sums.agreement,
            "start_ns": start_ns,
            "seconds": seconds,
            "width_px": width,
            "height_px": height,
        }
        _save(self._folder / f"{stem}.npz", {**arrays, **told})
        for name, paint in (("heat", heat_picture), ("flow", flow_picture)):
            _save_png(self._folder / f"{stem}.{name}.png", paint(sums, scene, width, height))
        self._drop_old()

    def read(self, start_ns: int, like: Sums, *, width: int) -> Sums | None:
        """Return the sums of an interval that was begun before, if there are any on the same cells."""
        stem = self._stem(start_ns, like, width)
        return _sums(self._folder / f"{stem}.npz", like, width)

    def _stem(self, start_ns: int, sums: Sums, width: int) -> str:
        """Return the interval's name; where it has maps of other cells already, it gets a number."""
        stem = iso_utc(start_ns)[:19].replace(":", "") + "Z"
        for number in range(1, _MOST_SIZES + 1):
            name = stem if number == 1 else f"{stem}-{number}"
            path = self._folder / f"{name}.npz"
            if not path.exists() or _sums(path, sums, width) is not None:
                return name
        return stem

    def _found(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        return sorted(path for path in self._folder.iterdir() if _OURS.fullmatch(path.name))

    def _drop_old(self) -> None:
        paths = self._found()
        stems = sorted({path.name.partition(".")[0] for path in paths})
        old = set(stems[: -self._keep])
        for path in paths:
            if path.name.partition(".")[0] in old:
                path.unlink(missing_ok=True)


def _sums(path: Path, like: Sums, width: int) -> Sums | None:
    """Return what a file has added up; None where there is none, a damaged one, or one of other cells."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = Sums(*(file[name] for name in _SUMS))
            is_alike = found.dwell_s.shape == like.dwell_s.shape and int(file["width_px"]) == width
            return found if is_alike else None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _save(path: Path, arrays: Mapping[str, Any]) -> None:
    beside = path.with_name(f"{path.name}.new")
    with beside.open("wb") as file:
        np.savez_compressed(file, **arrays)
    beside.replace(path)


def _save_png(path: Path, bgr: U8Array) -> None:
    is_done, data = cv2.imencode(".png", bgr)
    if not is_done:
        raise OSError(f"{path.name} cannot be encoded")
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(data.tobytes())
    beside.replace(path)
