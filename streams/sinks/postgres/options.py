"""Options of the postgres sink, and where its secret comes from."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, model_validator

from pipeline.errors import ConfigError, SinkError
from pipeline.plugin import EventSinkOptions

_NAME = r"[a-z_][a-z0-9_]{0,62}"


class PostgresOptions(EventSinkOptions):
    """Options of the postgres sink.

    Attributes:
        dsn: where the database is, as `postgresql://USER:PASSWORD@HOST:PORT/DATABASE` or
            `host=... dbname=... user=...`; every parameter of libpq may be in it (sslmode, sslrootcert,
            several hosts with target_session_attrs). What it leaves out comes from libpq's own places:
            PGHOST, PGPASSWORD, `~/.pgpass`, a service file. It is a secret: it is shown nowhere.
        dsn_file: a file that holds it instead, read at each new connection, so that a password can be
            changed without a restart.
        table: name of the table, with its schema if wanted (`traffic.events`). It is made if missing.
        timeout_s: longest time for a connection and for a batch, seconds; then it is tried again.
        keep_days: rows that were stored longer ago are removed, whoever wrote them; None keeps them, for
            the database's own keeper to decide.
    """

    dsn: SecretStr | None = None
    dsn_file: Path | None = None
    table: str = Field(default="sightline_events", pattern=rf"^({_NAME}\.)?{_NAME}$")
    timeout_s: float = Field(default=30.0, ge=1, le=3600)
    keep_days: float | None = Field(default=None, gt=0, le=36_500)

    @model_validator(mode="after")
    def _of_one_place(self) -> PostgresOptions:
        if self.dsn is not None and self.dsn_file is not None:
            raise ValueError("give `dsn` or `dsn_file`, not both")
        return self

    @model_validator(mode="after")
    def _readable(self) -> PostgresOptions:
        try:
            from streams.sinks.postgres.address import address_of
        except ImportError as error:
            raise ConfigError(
                'the sink postgres needs the package psycopg: pip install "sightline[postgres]"'
            ) from error
        if self.dsn is not None:
            try:
                address_of(self.dsn.get_secret_value())
            except SinkError as error:
                raise ConfigError(str(error)) from None
        return self

    def secret(self) -> str:
        """Return the DSN in full, "" for libpq's own places.

        Raises:
            SinkError: if its file cannot be read.
        """
        if self.dsn_file is None:
            return self.dsn.get_secret_value() if self.dsn else ""
        try:
            return self.dsn_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise SinkError(f"dsn_file {self.dsn_file} cannot be read: {reason}") from error
