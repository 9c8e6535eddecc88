"""Options of the mqtt sink."""

from __future__ import annotations

import ssl
from pathlib import Path
from string import Formatter
from typing import Self

from pydantic import Field, model_validator

from pipeline.plugin import EventSinkOptions
from streams.sinks.credentials import Credential, tls_context

_TOPIC = r"^[^+#$/\x00-\x1f][^+#\x00-\x1f]{0,200}$"
FIELDS = ("prefix", "stream", "kind", "label", "line")
"""What a topic may be made of."""


class MqttOptions(EventSinkOptions):
    """Options of the mqtt sink. User and password may be `env:NAME` or `file:PATH`.

    Attributes:
        host: of the broker.
        port: 1883, or 8883 with TLS, when left out.
        username: at the broker.
        password: the same.
        client_id: made of this machine's name and the output folder when left out.
        prefix: what all our topics begin with; two boxes at one broker need different ones.
        topic: of an event; made of `{prefix}`, `{stream}`, `{kind}`, `{label}` and `{line}`.
        totals: also keep the totals of lines on `PREFIX/STREAM/count/LINE/DIRECTION`, retained.
        home_assistant: prefix of Home Assistant's discovery, `homeassistant` there unless it was changed; the
            totals become sensors. None: none.
        tls: encrypt.
        ca_file: certificates that are trusted (PEM); those of the system when left out.
        verify_tls: whether the broker must show a certificate that is trusted.
        certificate: our own (PEM), for brokers that want one.
        key: its key (PEM), when it is not in the same file.
        timeout_s: within which the broker answers.
        keepalive_s: after one and a half times so long without us the broker says that we are offline.
    """

    host: str = Field(pattern=r"^[A-Za-z0-9_.:-]{1,253}$")
    port: int | None = Field(default=None, ge=1, le=65535)
    username: Credential | None = None
    password: Credential | None = None
    client_id: str | None = Field(default=None, min_length=1, max_length=200)
    prefix: str = Field(default="sightline", pattern=_TOPIC)
    topic: str = Field(default="{prefix}/{stream}/{kind}", pattern=_TOPIC)
    totals: bool = True
    home_assistant: str | None = Field(default=None, pattern=_TOPIC)
    tls: bool = False
    ca_file: Path | None = None
    verify_tls: bool = True
    certificate: Path | None = None
    key: Path | None = None
    timeout_s: float = Field(default=10.0, gt=0, le=300)
    keepalive_s: int = Field(default=30, ge=5, le=3600)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        try:
            names = {name for _, name, _, _ in Formatter().parse(self.topic) if name is not None}
        except ValueError as error:
            raise ValueError(f"topic: {error}") from None
        unknown = sorted(names.difference(FIELDS))
        if unknown:
            known = ", ".join(f"{{{name}}}" for name in FIELDS)
            raise ValueError(f"topic: {{{unknown[0]}}} is unknown; known: {known}")
        if self.home_assistant and not self.totals:
            raise ValueError("home_assistant shows the totals: it needs `totals: true`")
        if self.password and not self.username:
            raise ValueError("a password needs a username")
        if not self.tls and (self.ca_file or self.certificate or self.key):
            raise ValueError("certificates need `tls: true`")
        if any(len(part) > 63 or not part for part in self.host.rstrip(".").split(".")):
            raise ValueError(f"host: '{self.host}' is no name of a host")
        if self.tls:
            tls_of(self)
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port or (8883 if self.tls else 1883)


def tls_of(options: MqttOptions) -> ssl.SSLContext:
    """Return how TLS is spoken. Raises ValueError for files that hold no certificates or keys."""
    context = tls_context(options.ca_file, verify=options.verify_tls)
    if options.certificate:
        try:
            # A key that wants a password would ask for it on the terminal.
            context.load_cert_chain(options.certificate, options.key, password="")
        except (OSError, ssl.SSLError) as error:
            raise ValueError(
                f"certificate: {options.certificate} holds no certificate with its key: {error.strerror}"
            ) from None
    return context
