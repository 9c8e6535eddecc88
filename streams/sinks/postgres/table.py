"""The table of events: made where it is missing, checked where it is not."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from pipeline.errors import SinkError

COLUMNS = {
    "id": "uuid",
    "time": "timestamp with time zone",
    "time_ns": "bigint",
    "stream": "text",
    "kind": "text",
    "track_id": "bigint",
    "label": "text",
    "body": "jsonb",
}
"""Those that the sink fills in, with their types."""
STORED = "stored_at"
"""When a row came, by the server's clock; it fills that in."""

_CREATE = sql.SQL(
    "CREATE TABLE IF NOT EXISTS {table} (id uuid NOT NULL, time timestamp with time zone NOT NULL,"
    " time_ns bigint NOT NULL, stream text NOT NULL, kind text NOT NULL, track_id bigint, label text,"
    " body jsonb NOT NULL, stored_at timestamp with time zone NOT NULL DEFAULT now(),"
    # The time follows from the id; it is part of the key because a hypertable wants that.
    " PRIMARY KEY (id, time))"
)
_INDICES = (
    sql.SQL("CREATE INDEX ON {table} (stream, kind, time)"),
    sql.SQL("CREATE INDEX ON {table} USING brin (stored_at)"),
)
_LOOK = """
SELECT attname, format_type(atttypid, atttypmod),
    attnotnull AND NOT atthasdef AND attidentity = '' AND attgenerated = ''
FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
"""
# A unique index over the id, or the id and the time: without one, events that come twice would be two rows.
_KEYED = """
SELECT EXISTS (
    SELECT FROM pg_index JOIN LATERAL (
        SELECT array_agg(attname::text ORDER BY attname) AS names FROM pg_attribute
        WHERE attrelid = indrelid AND attnum = ANY (indkey)
    ) AS columns ON true
    WHERE indrelid = %s::regclass AND indisunique AND indisvalid AND indpred IS NULL AND indexprs IS NULL
        AND names IN (ARRAY['id'], ARRAY['id', 'time'])
)
"""
_HYPERTABLE = (
    "SELECT nspname FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace"
    " WHERE proname = 'create_hypertable' LIMIT 1"
)
_LOCK = 0x7369676874  # "sight": boxes that start together make the table one after the other


def identifier(table: str) -> sql.Identifier:
    """Return `schema.table` or `table`, quoted."""
    return sql.Identifier(*table.split("."))


def prepare(connection: psycopg.Connection, table: str, *, trims: bool = False) -> None:
    """Make the table, as a hypertable where TimescaleDB is, or check the one that is there.

    Args:
        connection: to the database.
        table: its name.
        trims: whether rows are to be removed by their age, for which it needs the column `stored_at`.

    Raises:
        SinkError: if it is of another schema, or the database of another encoding.
        psycopg.Error: if the server refuses.
    """
    name = identifier(table)
    quoted = name.as_string(connection)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_encoding')")
        encoding = _only(cursor)
        if encoding != "UTF8":
            raise SinkError(f"the database's encoding is {encoding}; events need one of encoding UTF8")
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (quoted,))
        if not _only(cursor):
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (quoted,))
            if not _only(cursor):
                _create(cursor, name, quoted)
        _check(cursor, table, quoted, COLUMNS | ({STORED: COLUMNS["time"]} if trims else {}))


def _create(cursor: psycopg.Cursor, name: sql.Identifier, quoted: str) -> None:
    cursor.execute(_CREATE.format(table=name))
    for index in _INDICES:
        cursor.execute(index.format(table=name))
    found = cursor.execute(_HYPERTABLE).fetchone()
    if found:
        call = sql.SQL("SELECT {}(%s::regclass, 'time'::name, if_not_exists => true)")
        cursor.execute(call.format(sql.Identifier(found[0], "create_hypertable")), (quoted,))


def _check(cursor: psycopg.Cursor, table: str, quoted: str, wanted: dict[str, str]) -> None:
    cursor.execute(_LOOK, (quoted,))
    found = {name: (kind, is_needed) for name, kind, is_needed in cursor.fetchall()}
    wrong = []
    for name, kind in wanted.items():
        if name not in found:
            wrong.append(f"{name} is missing")
        elif found[name][0] != kind:
            wrong.append(f"{name} is {found[name][0]} instead of {kind}")
    wrong += [
        f"{name} must be filled in, which this sink does not"
        for name, (_, is_needed) in found.items()
        if is_needed and name not in COLUMNS
    ]
    cursor.execute(_KEYED, (quoted,))
    if not wrong and not _only(cursor):
        wrong.append("neither (id) nor (id, time) is unique")
    if wrong:
        raise SinkError(
            f"table {table} is of another schema: {'; '.join(wrong)}. Name another with `table`; a missing"
            " one is made"
        )


def _only(cursor: psycopg.Cursor) -> object:
    row: Sequence[object] | None = cursor.fetchone()
    return row[0] if row else None
