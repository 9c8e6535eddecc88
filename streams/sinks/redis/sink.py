"""Sink `redis`: events into a Redis stream, each once, the newest so many."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.plugin import NO_EVENTS, EventSink, EventSinkOptions, SinkContext
from streams.sinks.body import json_of_all
from streams.sinks.credentials import Credential, check_certificates, reveal
from streams.sinks.needed import need

_REMEMBER_S = 90 * 86400
"""How long Redis remembers what a box delivered last; longer than a journal keeps events by default."""
_ADD = """
local given = (#ARGV - 2) / 4
local repeated = false
for i = 1, given do
    if redis.call('SISMEMBER', KEYS[2], ARGV[4 * i - 1]) == 1 then repeated = true end
end
local stale = not repeated or redis.call('SCARD', KEYS[2]) > 10000
local added = 0
for i = 1, given do
    local at = 4 * i - 1
    if redis.call('SISMEMBER', KEYS[2], ARGV[at]) == 0 then
        redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*',
            'id', ARGV[at], 'kind', ARGV[at + 1], 'stream', ARGV[at + 2], 'event', ARGV[at + 3])
        if stale then redis.call('DEL', KEYS[2]) end
        stale = false
        redis.call('SADD', KEYS[2], ARGV[at])
        added = added + 1
    end
end
redis.call('EXPIRE', KEYS[2], ARGV[2])
return added
"""
"""Adds the events that the last delivery did not add, of which it keeps the ids; Redis runs a script alone.

A step that fails ends the script and undoes nothing: an id is noted only once its event is there.
XADD also is the first that writes: only that is refused when the memory is full.
A delivery of which nothing is known begins the ids anew: what comes again begins where the last one began.
"""


class RedisOptions(EventSinkOptions):
    """Options of the redis sink. User and password may be `env:NAME` or `file:PATH`.

    Attributes:
        host: of the server.
        port: where it listens.
        database: its number there.
        username: for servers with users (ACL).
        password: the same, or that of the server.
        key: of the stream.
        max_events: the stream keeps about so many, the newest.
        tls: encrypt.
        ca_file: certificates that are trusted (PEM); those of the system when left out.
        verify_tls: whether the server must show a certificate that is trusted.
        certificate: our own (PEM), for servers that want one.
        certificate_key: its key (PEM), when it is not in the same file.
        timeout_s: within which the server answers.
    """

    host: str = Field(pattern=r"^[A-Za-z0-9_.:-]{1,253}$")
    port: int = Field(default=6379, ge=1, le=65535)
    database: int = Field(default=0, ge=0, le=100_000)
    username: Credential | None = None
    password: Credential | None = None
    key: str = Field(default="sightline:events", min_length=1, max_length=500, pattern=r"^[^{}\x00-\x1f]+$")
    max_events: int = Field(default=100_000, ge=1, le=1_000_000_000)
    tls: bool = False
    ca_file: Path | None = None
    verify_tls: bool = True
    certificate: Path | None = None
    certificate_key: Path | None = None
    timeout_s: float = Field(default=10.0, gt=0, le=300)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.username and not self.password:
            raise ValueError("a username needs a password")
        check_certificates(
            tls=self.tls,
            ca_file=self.ca_file,
            certificate=self.certificate,
            certificate_key=self.certificate_key,
        )
        return self


class RedisSink(EventSink):
    """Adds an entry for each event: `id`, `kind`, `stream`, and `event`, which is `Event.to_dict` as JSON.

    The server remembers, in the same step, what the last delivery from here added, so that what is delivered
    again after a failure is not added again.
    """

    Options = RedisOptions
    emits = NO_EVENTS
    options: RedisOptions
    batch: ClassVar[int] = 500

    def __init__(self, options: RedisOptions, context: SinkContext) -> None:
        super().__init__(options, context)
        need("redis", "redis", "redis")
        who = "\0".join((socket.gethostname(), str(context.folder.resolve()), options.consumer or "redis"))
        # In braces: what a cluster keeps in one place.
        self._memory = f"{{{options.key}}}:had:{hashlib.blake2b(who.encode(), digest_size=8).hexdigest()}"
        self._shown = f"{options.host}:{options.port}"
        self._client: Any = None
        self._closed = False

    def deliver(self, events: Sequence[Event]) -> None:
        """Add events, in their order.

        Raises:
            EventsRefused: naming those that JSON cannot carry.
            SinkError: if the server does not take them now.
        """
        import redis

        texts = json_of_all(events)
        values: list[str | int] = [self.options.max_events, _REMEMBER_S]
        for event, text in zip(events, texts, strict=True):
            values += [str(event.id), event.kind, event.stream, text]
        try:
            if self._client is None:
                self._client = self._connected()
            if self._closed:
                raise SinkError(f"{self._shown}: closed")
            self._client.eval(_ADD, 2, self.options.key, self._memory, *values)
        except (redis.RedisError, ValueError, OSError) as error:  # the latter from `close` in the midst
            client, self._client = self._client, None
            if client is not None:
                client.close()
            raise SinkError(f"{self._shown}: {self._reason(error)}") from error

    def close(self) -> None:
        """Break off what is going on; safe more than once."""
        self._closed = True
        client = self._client
        if client is not None:
            client.connection_pool.disconnect()  # also of the connection that a delivery waits for

    def _connected(self) -> Any:
        """Return a client; it connects when it is used, and tries nothing twice, as the feeder does."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        options = self.options
        secure: dict[str, Any] = {}
        if options.tls:
            secure = {
                "ssl": True,
                "ssl_ca_certs": str(options.ca_file) if options.ca_file else None,
                "ssl_cert_reqs": "required" if options.verify_tls else "none",
                "ssl_check_hostname": options.verify_tls,
                "ssl_certfile": str(options.certificate) if options.certificate else None,
                "ssl_keyfile": str(options.certificate_key) if options.certificate_key else None,
            }
        return redis.Redis(
            host=options.host,
            port=options.port,
            db=options.database,
            username=reveal(options.username) if options.username else None,
            password=reveal(options.password) if options.password else None,
            socket_timeout=options.timeout_s,
            socket_connect_timeout=options.timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            **secure,
        )

    def _reason(self, error: Exception) -> str:
        from redis import exceptions

        match error:
            case _ if self._closed:
                return "closed"
            case exceptions.AuthenticationError() | exceptions.AuthorizationError():
                return f"it does not let us in ({error}); check username and password"
            case exceptions.NoPermissionError():
                return f"the user may not do this ({error}); docs/sinks.md lists the commands"
            case exceptions.OutOfMemoryError():
                return "its memory is full; raise maxmemory there, or lower max_events"
            case exceptions.TimeoutError():
                return f"no answer within {self.options.timeout_s:g} s"
            case _ if "unauthenticated" in str(error):  # what Redis says to long commands
                return "it does not let us in without a password"
            case _ if "WRONGTYPE" in str(error):
                return f"key '{self.options.key}' is no stream there; choose another one"
            case _:
                return str(error)
