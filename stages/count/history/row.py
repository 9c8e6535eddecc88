"""One line of the table of trajectories, and the table's columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from stages.count.history.asked import Kind
from stages.count.history.codec import Scale, decode
from stages.count.history.path import Path

FORMAT = "1"
"""Of the files; a newer one may hold paths in forms that this version does not know."""

CONTINUES, UNSEEN, ENDED = "continues", "unseen", "ended"
"""How a row ends: the next part follows; unseen for `forget_s`; the stream ended."""

SUSPENDED, STOPPED = "suspended", "stopped"
"""Or: the camera was not fit; the run failed. What lines had not decided then was given up."""

GIVEN_UP = (SUSPENDED, STOPPED)


class Earlier(NamedTuple):
    """What an object was taken for up to some moment.

    Attributes:
        until_us: media time, microseconds.
        label: its class.
        attributes: what else was known of it.
    """

    until_us: int
    label: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept of one object, or of a part of a long one.

    Attributes:
        run: of the frame at which the object was first seen.
        object: its id.
        part: 0, 1, ... of a path that is kept in several rows.
        since_us: microseconds since the object's first sighting, 0 for part 0; with run and object,
            start_us - since_us tells which parts belong together.
        end: `CONTINUES`, `UNSEEN`, `ENDED`, `SUSPENDED` or `STOPPED`.
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
        attributes: what else was known of it at its end.
        earlier: what it was taken for before.
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
    attributes: Mapping[str, str]
    earlier: tuple[Earlier, ...]
    seen: int
    error: int
    agrees: bool
    path: bytes

    def kinds(self) -> list[Kind]:
        """Return what the object was taken for, from the row's beginning on."""
        return kinds_of(self.start_us, self.earlier, self.label, self.attributes)

    def decoded(self) -> Path:
        """Return the path in px.

        Raises:
            ValueError: if its bytes are damaged.
        """
        return decode(self.path, Scale(self.start_us, self.tick_us, self.unit_px))


def kinds_of(
    start_us: int, earlier: Sequence[Earlier], label: str, attributes: Mapping[str, str]
) -> list[Kind]:
    """Return what an object was taken for, from its row's beginning on."""
    since_us = [start_us, *(each.until_us for each in earlier)]
    taken = [*((each.label, each.attributes) for each in earlier), (label, attributes)]
    return [Kind(since / 1e6, *kind) for since, kind in zip(since_us, taken, strict=True)]


COLUMNS = tuple(field.name for field in fields(Row))

_DICTIONARY = ("run", "part", "since_us", "end", "tick_us", "unit_px", "width", "height", "label", "agrees")
_OFTEN_EMPTY = ("attributes", "earlier")
_DELTAS = ("object", "start_ns", "end_ns", "start_us")


def file_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return what stands in a file beside its rows: this, and which format it has."""
    return {"sightline.trajectories": FORMAT, **metadata}


def schema() -> Any:
    """Return the columns as a `pyarrow.Schema`."""
    import pyarrow as pa

    text = pa.string()
    more = pa.map_(text, text)
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
        "attributes": more,
        "earlier": pa.list_(pa.struct([("until_us", pa.int64()), ("label", text), ("attributes", more)])),
        "error": pa.uint8(),
        "agrees": pa.bool_(),
        "path": pa.binary(),
    }
    columns = [pa.field(name, kinds.get(name, pa.int32()), nullable=name in _OFTEN_EMPTY) for name in COLUMNS]
    return pa.schema(columns)


def table_of(rows: Iterable[Row]) -> Any:
    """Return rows as a `pyarrow.Table`."""
    import pyarrow as pa

    rows = list(rows)
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    columns["attributes"] = [list(row.attributes.items()) or None for row in rows]
    columns["earlier"] = [
        [{**each._asdict(), "attributes": list(each.attributes.items()) or None} for each in row.earlier]
        or None
        for row in rows
    ]
    return pa.table(columns, schema=schema())


def write_options() -> dict[str, Any]:
    """Return how `pyarrow.parquet` is to write such a table: small, and quick to search."""
    plain = [name for name in COLUMNS if name not in _DICTIONARY]
    encoding = dict.fromkeys(_DELTAS, "DELTA_BINARY_PACKED") | {"path": "DELTA_LENGTH_BYTE_ARRAY"}
    # The bits of paths are packed as densely as they can be; what is hardly ever there needs no packing.
    packing = {name: "zstd" for name in COLUMNS if name not in (*_OFTEN_EMPTY, "path")}
    return {
        "compression": packing,
        "use_dictionary": list(_DICTIONARY),
        "column_encoding": {name: encoding[name] for name in plain if name in encoding},
        "write_statistics": ["start_ns", "end_ns", "part"],
        "version": "2.6",
        "store_schema": False,  # of Arrow: 2 kB in every file for what Parquet says as well
    }
