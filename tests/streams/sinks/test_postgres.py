from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.errors import ConfigError, EventsRefused, SinkError
from pipeline.plugin import SinkContext
from streams.sinks.postgres.address import address_of
from streams.sinks.postgres.options import PostgresOptions
from streams.sinks.postgres.sink import PostgresSink
from tests.command import Sightline
from tests.pipeline.messages import make_event
from tests.servers.postgres import PASSWORD, QUOTED, USER, PostgresServer

EVENTS = [make_event(number) for number in range(20)]
CREATE = (
    "CREATE TABLE sightline_events (id uuid {id}, time timestamptz, time_ns bigint, stream text, kind text,"
    " track_id bigint, label text, body {body} {more})"
)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


@pytest.fixture
def database(server: PostgresServer) -> str:
    """An empty database; returns its DSN."""
    query(server.dsn(), f"DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION {USER}")
    query(server.dsn(), "GRANT USAGE ON SCHEMA public TO public")
    return server.dsn()


@pytest.fixture
def sinks() -> Iterator[list[PostgresSink]]:
    made: list[PostgresSink] = []
    yield made
    for sink in made:
        sink.close()


def make(sinks: list[PostgresSink], dsn: str, **options: Any) -> PostgresSink:
    sinks.append(PostgresSink(PostgresOptions(dsn=dsn, **options), SinkContext(Path())))
    return sinks[-1]


def query(dsn: str, text: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(text.encode())
        return cursor.fetchall() if cursor.description else []


def numbers(dsn: str, table: str = "sightline_events") -> list[int]:
    return [row[0] for row in query(dsn, f"SELECT track_id FROM {table} ORDER BY 1")]


def test_a_row_is_the_event(database: str, sinks: list[PostgresSink]) -> None:
    events = [make_event(2, label="Straßenbahn \\u0000 é\t\n"), make_event(3, track_id=None, label=None)]
    make(sinks, database).deliver(events)
    columns = "id::text, extract(epoch from time)::float8, time_ns, stream, kind, track_id, label, body"
    assert query(database, f"SELECT {columns} FROM sightline_events ORDER BY time") == [
        (
            str(event.id),
            event.moment.time_ns / 1e9,
            event.moment.time_ns,
            "gate",
            "line.crossing",
            event.track_id,
            event.label,
            event.to_dict(),
        )
        for event in events
    ]
    assert query(database, "SELECT now() - max(stored_at) < interval '1 min' FROM sightline_events") == [
        (True,)
    ]


def test_what_comes_twice_is_one_row(database: str, sinks: list[PostgresSink]) -> None:
    for events in (EVENTS[:3], EVENTS[1:5], EVENTS[4:6] * 2):
        sink = make(sinks, database)
        sink.deliver(events)
        sink.deliver(events)
    assert numbers(database) == list(range(6))


def test_a_table_in_a_schema(database: str, sinks: list[PostgresSink]) -> None:
    query(database, "CREATE SCHEMA IF NOT EXISTS traffic")
    make(sinks, database, table="traffic.events").deliver(EVENTS[:2])
    assert numbers(database, "traffic.events") == [0, 1]
    with pytest.raises(ValueError, match="table"):
        PostgresOptions(dsn=database, table='x"; DROP TABLE y; --')


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"body": "json"}, "body is json instead of jsonb"),
        ({"id": ""}, r"neither \(id\) nor \(id, time\) is unique"),
        ({"more": ", site text NOT NULL"}, "site must be filled in, which this sink does not"),
    ],
)
def test_a_table_of_another_schema_is_one_line(
    database: str, sinks: list[PostgresSink], given: dict[str, str], problem: str
) -> None:
    query(database, CREATE.format(**{"id": "PRIMARY KEY", "body": "jsonb", "more": "", **given}))
    sink = make(sinks, database)
    with pytest.raises(SinkError, match=problem) as error:
        sink.deliver(EVENTS)
    assert "\n" not in str(error.value)
    assert "table sightline_events is of another schema" in str(error.value)
    query(database, "ALTER TABLE sightline_events RENAME TO of_somebody_else")
    sink.deliver(EVENTS[:2])
    assert numbers(database) == [0, 1]
    assert numbers(database, "of_somebody_else") == []


def test_a_table_with_more_columns_will_do(database: str, sinks: list[PostgresSink]) -> None:
    more = ", site text NOT NULL DEFAULT 'here', row bigint GENERATED ALWAYS AS IDENTITY"
    query(database, CREATE.format(id="PRIMARY KEY", body="jsonb", more=more))
    make(sinks, database).deliver(EVENTS[:2])
    make(sinks, database).deliver(EVENTS[:3])
    assert numbers(database) == [0, 1, 2]
    with pytest.raises(SinkError, match="stored_at is missing"):
        make(sinks, database, keep_days=1).deliver(EVENTS)


def test_a_database_of_another_encoding(server: PostgresServer, sinks: list[PostgresSink]) -> None:
    dsn = server.create("latin", "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(SinkError, match="encoding is LATIN1; events need one of encoding UTF8"):
        make(sinks, dsn).deliver(EVENTS)


def test_old_rows_go(database: str, sinks: list[PostgresSink]) -> None:
    make(sinks, database).deliver(EVENTS[:4])
    query(database, "UPDATE sightline_events SET stored_at = now() - interval '3 days' WHERE track_id < 3")
    make(sinks, database, keep_days=2.5).deliver(EVENTS[4:5])
    assert numbers(database) == [3, 4]


def test_what_can_never_be_stored_is_refused_alone(database: str, sinks: list[PostgresSink]) -> None:
    sink = make(sinks, database)
    nul, not_json = make_event(1, data={"a": {"b": ["x\0"]}}), make_event(2, data={"value": float("inf")})
    for bad, reason in ((nul, "NUL"), (not_json, "JSON"), (make_event(3, track_id=2**63), "bigint")):
        with pytest.raises(EventsRefused) as refusal:
            sink.deliver([EVENTS[0], bad, EVENTS[4]])
        assert list(refusal.value.reasons) == [1]
        assert reason in refusal.value.reasons[1]
    sink.deliver([EVENTS[0], EVENTS[4]])
    assert numbers(database) == [0, 4]


def test_a_commit_that_returned_is_safe_where_the_server_is_set_otherwise(
    database: str, sinks: list[PostgresSink]
) -> None:
    query(
        database,
        "CREATE TABLE noted (setting text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO noted VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$",
    )
    sink = make(sinks, database + "?options=-csynchronous_commit%3Doff")
    sink.deliver(EVENTS[:1])
    query(database, "CREATE TRIGGER t AFTER INSERT ON sightline_events FOR EACH ROW EXECUTE FUNCTION note()")
    sink.deliver(EVENTS[1:2])
    assert query(database, "SELECT * FROM noted") == [("on",)]


def test_timescale_where_there_is(database: str, sinks: list[PostgresSink]) -> None:
    """The call only, of a function that stands in: TimescaleDB itself is not in Debian."""
    query(
        database,
        "CREATE TABLE asked (what text); CREATE FUNCTION create_hypertable(relation regclass,"
        " time_column_name name, if_not_exists boolean DEFAULT false) RETURNS int LANGUAGE sql AS"
        " $$ INSERT INTO asked VALUES (relation::text || ' by ' || time_column_name) RETURNING 1 $$",
    )
    make(sinks, database).deliver(EVENTS[:2])
    make(sinks, database).deliver(EVENTS[:2])
    assert query(database, "SELECT what FROM asked") == [("sightline_events by time",)]


def test_a_role_that_may_only_insert(
    server: PostgresServer, database: str, sinks: list[PostgresSink]
) -> None:
    query(database, "CREATE ROLE box LOGIN PASSWORD 'box'")
    dsn = server.dsn(user="box", password="box")
    with pytest.raises(SinkError, match="permission denied for schema public"):
        make(sinks, dsn).deliver(EVENTS)
    make(sinks, database).deliver(EVENTS[:1])
    sink = make(sinks, dsn)
    with pytest.raises(SinkError, match="permission denied for table sightline_events"):
        sink.deliver(EVENTS)
    query(database, "GRANT INSERT ON sightline_events TO box")
    sink.deliver(EVENTS[:3])
    assert numbers(database) == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ((QUOTED, "wr0ng"), f'password authentication failed for user "{USER}"'),
        (("/postgres", "/nowhere"), 'database "nowhere" does not exist'),
        (("127.0.0.1", "nowhere.invalid"), "nowhere.invalid"),
    ],
)
def test_a_server_that_refuses_is_one_line_without_the_password(
    server: PostgresServer, sinks: list[PostgresSink], change: tuple[str, str], problem: str
) -> None:
    with pytest.raises(SinkError) as error:
        make(sinks, server.dsn().replace(*change)).deliver(EVENTS)
    said = str(error.value)
    assert problem in said
    assert "\n" not in said
    assert not any(secret in said for secret in (PASSWORD, QUOTED, "wr0ng"))


def test_a_restart_between_two_batches_is_no_failure(
    server: PostgresServer, database: str, sinks: list[PostgresSink]
) -> None:
    sink = make(sinks, database)
    sink.deliver(EVENTS[:1])
    server.stop()
    server.start()
    sink.deliver(EVENTS[1:2])
    assert numbers(database) == [0, 1]
    server.kill()
    with pytest.raises(SinkError, match="Connection refused"):
        sink.deliver(EVENTS[2:3])
    server.start()
    sink.deliver(EVENTS[2:3])
    assert numbers(database) == [0, 1, 2]


def test_a_server_that_does_not_answer_holds_up_nobody_for_long(
    server: PostgresServer, database: str, sinks: list[PostgresSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.sinks.postgres.sink._CLOSE_S", 0.05)
    idle, busy = make(sinks, database), make(sinks, database, timeout_s=1)
    idle.deliver(EVENTS[:1])
    busy.deliver(EVENTS[:1])
    server.freeze()
    try:
        begun_s = time.monotonic()
        failures: list[SinkError] = []

        def wait() -> None:
            try:
                idle.deliver(EVENTS[1:2])
            except SinkError as error:
                failures.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        with pytest.raises(SinkError, match="no answer within 1 s"):
            busy.deliver(EVENTS[1:2])
        idle.close()  # although it waits for an answer
        thread.join()
        assert len(failures) == 1
        assert time.monotonic() - begun_s < 10
    finally:
        server.thaw()
    busy.deliver(EVENTS[1:3])
    assert numbers(database) == [0, 1, 2]


@pytest.mark.parametrize(
    ("dsn", "problem"),
    [
        ("postgresql://u:s3cret@d@host/db", "%40"),
        ("postgresql://u:s3cret/d@host/db", "%40"),
        ("postgresql://u:12/s3cret@host/db", "%40"),
        ("host=h password=s3cret or not", "cannot be read"),
        ("postgresql://u:%zzs3cret@host/db", "cannot be read"),
    ],
)
def test_a_dsn_that_cannot_be_read_is_not_quoted(dsn: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        PostgresOptions(dsn=dsn)
    assert problem in str(error.value)
    assert "s3cret" not in str(error.value)


def test_an_address_shows_no_secret() -> None:
    address = address_of("postgresql://me:s3cret@db.example:5433/traffic?sslpassword=t0ken")
    assert address.shown == "PostgreSQL at db.example:5433, database traffic"
    assert address.explained(OSError("what s3cret\n t0ken?")) == f"{address.shown}: what *** ***?"
    assert "s3cret" not in repr(PostgresOptions(dsn=address.dsn))


def test_the_secret_can_lie_in_a_file_and_change(
    database: str, sinks: list[PostgresSink], tmp_path: Path
) -> None:
    file = tmp_path / "dsn"
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        PostgresOptions(dsn=f"file:{file}")
    file.write_text(database.replace(QUOTED, "old") + "\n")
    sink = make(sinks, f"file:{file}")
    with pytest.raises(SinkError, match="password authentication failed"):
        sink.deliver(EVENTS)
    file.write_text(database + "\n")
    sink.deliver(EVENTS[:1])
    assert numbers(database) == [0]


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "streams.sinks.postgres.address", None)
    with pytest.raises(ConfigError, match=r'pip install "sightline\[postgres\]"'):
        PostgresOptions()


def test_a_run_fills_the_table_with_the_dsn_of_the_environment(
    sightline: Sightline, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE__SINKS__POSTGRES__DSN", database)
    config = tmp_path / "street.yaml"
    config.write_text(
        "streams: {street: {source: 'synthetic://street?duration_s=6&rate_hz=12&width=320&height=240'}}\n"
        "stages: [motion, track, {count: {lines: {main: {start: [0.5, 0], end: [0.5, 1]}}}}]\n"
        "sinks: [events, {postgres: {}}]\n"
    )
    done = sightline("run", config, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    lines = (tmp_path / "out/events.jsonl").read_text().splitlines()
    assert lines
    assert query(database, "SELECT count(*) FROM sightline_events") == [(len(lines),)]
    written = (
        "".join(p.read_text(errors="ignore") for p in (tmp_path / "out").rglob("*") if p.is_file())
        + done.err
        + done.out
    )
    assert QUOTED not in written
    assert PASSWORD not in written
