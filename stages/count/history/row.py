"""One line of the table of trajectories, and the table's columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from stages.count.history.codec import Scale, decode
from stages.count.history.path import Path

FORMAT = "1"
"""Of the files; a newer one may hold paths in forms that this version does not know."""

CONTINUES, UNSEEN, SUSPENDED, ENDED = "continues", "unseen", "suspended", "ended"
"""How a row ends: the next part follows; unseen for `forget_s`; the camera was not fit; the stream ended."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept of one object, or of a part of a long one.

    Attributes:
        run: of the frame at which the object was first seen.
        object: its id.
        part: 0, 1, ... of a path that is kept in several rows.
        since_us: microseconds since the object's first sighting, 0 for part 0; with run and object,
            start_us - since_us tells which parts belong together.
        end: `CONTINUES`, `UNSEEN`, `SUSPENDED` or `ENDED`.
        start_ns: UTC of the first point, ns.
        end_ns: UTC of the last point, ns.
        start_us: media time of the first point, microseconds.
        tick_us: see `codec.Scale`.
        unit_px: see `codec.Scale`.
        width: of the picture, px.
        height: of the picture, px.
        left: of the box around the whole path, px, rounded outwards; so are the next three.
        top: px.
        right: px.
        bottom: px.
        label: the class at its end.
        labels: those before, each with the media time, in microseconds, up to which it was that.
        seen: positions that were observed.
        error: largest error of a side of a box at those, in hundredths of a unit, rounded up.
        agrees: False where the lines that were counted live count this path otherwise.
        path: see `codec`.
    """

    run: str
    object: int
    part: int
    since_us: int
    end: str
    start_ns: int
    end_ns: int
    start_us: int
    tick_us: int
    unit_px: float
    width: int
    height: int
    left: int
    top: int
    right: int
    bottom: int
    label: str
    labels: tuple[tuple[int, str], ...]
    seen: int
    error: int
    agrees: bool
    path: bytes

    def decoded(self) -> Path:
        """Return the path in px.

        Raises:
            ValueError: if its bytes are damaged.
        """
        return decode(self.path, Scale(self.start_us, self.tick_us, self.unit_px))


COLUMNS = tuple(field.name for field in fields(Row))

_DICTIONARY = ("run", "part", "since_us", "end", "tick_us", "unit_px", "width", "height", "label", "agrees")
_DELTAS = ("object", "start_ns", "end_ns", "start_us")


def schema(metadata: Mapping[str, str] | None = None) -> Any:
    """Return the columns as a `pyarrow.Schema`, with this metadata and the format's."""
    import pyarrow as pa

    text = pa.string()
    kinds = {
        "run": text,
        "object": pa.int64(),
        "part": pa.int32(),
        "since_us": pa.int64(),
        "end": text,
        "start_ns": pa.int64(),
        "end_ns": pa.int64(),
        "start_us": pa.int64(),
        "tick_us": pa.int32(),
        "unit_px": pa.float64(),
        "label": text,
        "labels": pa.list_(pa.struct([("until_us", pa.int64()), ("label", text)])),
        "error": pa.uint8(),
        "agrees": pa.bool_(),
        "path": pa.binary(),
    }
    columns = [pa.field(name, kinds.get(name, pa.int32()), nullable=name == "labels") for name in COLUMNS]
    return pa.schema(columns, metadata={"sightline.trajectories": FORMAT, **(metadata or {})})


def table_of(rows: Iterable[Row], metadata: Mapping[str, str] | None = None) -> Any:
    """Return rows as a `pyarrow.Table`."""
    import pyarrow as pa

    rows = list(rows)
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    columns["labels"] = [
        [{"until_us": until, "label": label} for until, label in labels] or None
        for labels in columns["labels"]
    ]
    return pa.table(columns, schema=schema(metadata))


def write_options() -> dict[str, Any]:
    """Return how `pyarrow.parquet` is to write such a table: small, and quick to search."""
    plain = [name for name in COLUMNS if name not in _DICTIONARY]
    encoding = dict.fromkeys(_DELTAS, "DELTA_BINARY_PACKED") | {"path": "DELTA_LENGTH_BYTE_ARRAY"}
    compression = {_parquet_name(name): "zstd" for name in COLUMNS if name != "path"} | {
        "path": "none",  # its bits are packed as densely as they can be
        "labels.list.element.until_us": "zstd",
        "labels.list.element.label": "zstd",
    }
    return {
        "compression": compression,
        "use_dictionary": list(_DICTIONARY),
        "column_encoding": {name: encoding[name] for name in plain if name in encoding},
        "write_statistics": ["start_ns", "end_ns", "part"],
        "version": "2.6",
        "store_schema": False,  # of Arrow: 2 kB in every file for what Parquet says as well
    }


def _parquet_name(name: str) -> str:
    return "labels.list.element.label" if name == "labels" else name
