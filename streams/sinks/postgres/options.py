"""Options of the postgres sink."""

from __future__ import annotations

from pydantic import Field, model_validator

from pipeline.errors import ConfigError, SinkError
from pipeline.plugin import EventSinkOptions
from streams.sinks.credentials import Credential, reveal

_NAME = r"[a-z_][a-z0-9_]{0,62}"


class PostgresOptions(EventSinkOptions):
    """Options of the postgres sink.

    Attributes:
        dsn: where the database is, as `postgresql://USER:PASSWORD@HOST:PORT/DATABASE` or
            `host=... dbname=... user=...`, or `env:NAME` or `file:PATH`, where that is to be found, anew at
            each connection. Every parameter of libpq may be in it (sslmode, sslrootcert, several hosts with
            target_session_attrs); what it leaves out comes from libpq's own places: PGHOST, PGPASSWORD,
            `~/.pgpass`, a service file. It is a secret: it is shown nowhere.
        table: name of the table, with its schema if wanted (`traffic.events`). It is made if missing.
        timeout_s: longest time for a connection and for a batch, seconds; then it is tried again.
        keep_days: rows that were stored longer ago are removed, whoever wrote them; None keeps them, for
            the database's own keeper to decide.
    """

    dsn: Credential | None = None
    table: str = Field(default="sightline_events", pattern=rf"^({_NAME}\.)?{_NAME}$")
    timeout_s: float = Field(default=30.0, ge=1, le=3600)
    keep_days: float | None = Field(default=None, gt=0, le=36_500)

    @model_validator(mode="after")
    def _readable(self) -> PostgresOptions:
        try:
            from streams.sinks.postgres.address import address_of
        except ImportError as error:
            raise ConfigError(
                'the sink postgres needs the package psycopg: pip install "sightline[postgres]"'
            ) from error
        try:
            address_of(self.secret())
        except SinkError as error:
            raise ConfigError(str(error)) from None
        return self

    def secret(self) -> str:
        """Return the DSN in full, "" for libpq's own places.

        Raises:
            SinkError: if it cannot be found.
        """
        return reveal(self.dsn) if self.dsn else ""
