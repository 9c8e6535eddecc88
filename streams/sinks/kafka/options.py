"""Options of the kafka sink, and what they mean to its library."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.plugin import EventSinkOptions
from streams.sinks.credentials import Credential, check_certificates, reveal

_PORT = 9092
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


def _address(text: str) -> str:
    host, _, port = text.rpartition(":") if text.count(":") == 1 or text.startswith("[") else (text, "", "")
    if not port:
        host, port = text, str(_PORT)
    if not _HOST.fullmatch(host) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is no address; expected HOST or HOST:PORT")
    return f"{host}:{port}"


Server = Annotated[str, AfterValidator(_address)]
"""A broker's `HOST:PORT`."""


class KafkaOptions(EventSinkOptions):
    """Options of the kafka sink. User and password may be `env:NAME` or `file:PATH`.

    Attributes:
        servers: some brokers of the cluster, `HOST:PORT`; they tell of the others. The port is 9092 when left
            out.
        topic: where events go; it must exist unless the cluster makes topics by itself.
        username: for SASL.
        password: the same.
        mechanism: of SASL.
        tls: encrypt.
        ca_file: certificates that are trusted (PEM); those of the system when left out.
        verify_tls: whether brokers must show a certificate that is trusted, of their name.
        certificate: our own (PEM), for clusters that want one.
        certificate_key: its key (PEM), when it is not in the same file.
        compression: of what is sent.
        largest_kb: no larger event is sent; not more than the topic's `max.message.bytes`.
        timeout_s: within which all replicas that are in step have an event.
    """

    servers: tuple[Server, ...] = Field(min_length=1, max_length=50)
    topic: str = Field(default="sightline.events", pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,248}$")
    username: Credential | None = None
    password: Credential | None = None
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    tls: bool = False
    ca_file: Path | None = None
    verify_tls: bool = True
    certificate: Path | None = None
    certificate_key: Path | None = None
    compression: Literal["none", "gzip", "lz4", "zstd"] = "lz4"
    largest_kb: int = Field(default=1000, ge=1, le=100_000)
    timeout_s: float = Field(default=30.0, ge=1, le=3600)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        check_certificates(
            tls=self.tls,
            ca_file=self.ca_file,
            certificate=self.certificate,
            certificate_key=self.certificate_key,
        )
        return self

    def settings(self) -> dict[str, Any]:
        """Return what librdkafka is to be told (its CONFIGURATION.md); holds the password.

        Idempotence numbers what is sent, so that what is sent again by the library, because an answer was
        lost, is stored once and in order; `acks=all` waits for all replicas that are in step.

        Raises:
            SinkError: if a secret cannot be found.
        """
        settings: dict[str, Any] = {
            "bootstrap.servers": ",".join(self.servers),
            "client.id": "sightline",
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": self.compression,
            "message.max.bytes": self.largest_kb * 1000,
            "queue.buffering.max.kbytes": 2_000_000,  # what is sent is in memory anyway
            "message.timeout.ms": int(self.timeout_s * 1000),
            # How long a topic may be unknown, before that is said: one that is just made becomes known late.
            "topic.metadata.propagation.max.ms": int(min(self.timeout_s / 2, 10.0) * 1000),
            "linger.ms": 5,  # a delivery goes as one batch
            "max.in.flight": 1,  # a batch is one request; with more, order would hang on the cluster's checks
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 2000,
            "socket.keepalive.enable": True,
        }
        security = "SASL_" if self.username else ""
        settings["security.protocol"] = security + ("SSL" if self.tls else "PLAINTEXT")
        if self.username and self.password:
            settings["sasl.mechanism"] = self.mechanism
            settings["sasl.username"] = reveal(self.username)
            settings["sasl.password"] = reveal(self.password)
        if self.tls:
            settings["enable.ssl.certificate.verification"] = self.verify_tls
            settings["ssl.endpoint.identification.algorithm"] = "https" if self.verify_tls else "none"
            if self.ca_file:
                settings["ssl.ca.location"] = str(self.ca_file)
            if self.certificate:
                settings["ssl.certificate.location"] = str(self.certificate)
                settings["ssl.key.location"] = str(self.certificate_key or self.certificate)
        return settings
