"""What a DSN says, without its secrets, and what is wrong with it, without quoting it."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pipeline.errors import SinkError

_FORM = "expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or host=... dbname=... user=..."
_HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is.

    Attributes:
        dsn: in full, a secret.
        shown: the same for people.
        secrets: its parts that no message may hold.
        names: of the parameters that it sets.
    """

    dsn: str
    shown: str
    secrets: tuple[str, ...]
    names: frozenset[str]

    def explained(self, error: BaseException) -> str:
        """Return what an error says, in one line that says where and gives nothing away."""
        said = " ".join(str(error).partition("Multiple connection attempts failed")[0].split())
        for secret in self.secrets:
            said = said.replace(secret, _HIDDEN)
        return f"{self.shown}: {said or type(error).__name__}"


def address_of(dsn: str) -> Address:
    """Read a DSN.

    Raises:
        SinkError: if it cannot be read; libpq's own message would quote the password.
    """
    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
    except psycopg.Error:
        raise SinkError(f"the dsn of PostgreSQL cannot be read; {_FORM}") from None
    hosts, ports = parts.get("host", ""), parts.get("port", "")
    # A password with "@", "/" or ":" that is not escaped ends up in the parts behind it.
    if "@" in hosts + ports + parts.get("dbname", "") or (not ports.replace(",", "").isdigit() and ports):
        raise SinkError(
            "the dsn of PostgreSQL cannot be read: write @ in a password as %40, / as %2F and : as %3A;"
            f" {_FORM}"
        )
    where = hosts or parts.get("hostaddr", "") or "PGHOST or the local socket"
    shown = f"PostgreSQL at {where}" + (f":{ports}" if ports else "")
    if "dbname" in parts:
        shown += f", database {parts['dbname']}"
    secrets = tuple(parts[name] for name in ("password", "sslpassword") if parts.get(name))
    return Address(dsn, shown, secrets, frozenset(parts))
