"""Options of the s3 sink."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from pipeline.plugin import EventSinkOptions
from streams.sinks.credentials import Credential
from streams.sinks.s3.keys import BATCH_FIELDS, FIELDS, checked


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    try:
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right or parts.username or parts.query or parts.fragment:
        raise ValueError(
            f"expected http://HOST:PORT or https://HOST, without a user, not {parts.scheme}://..."
        )
    return url


class S3Options(EventSinkOptions):
    """Options of the s3 sink. Keys may be `env:NAME` or `file:PATH`.

    Attributes:
        bucket: must exist.
        endpoint: of a service that is not Amazon's, `https://HOST`.
        region: of the bucket; Amazon's needs it, others mostly do not care.
        access_key: together with `secret_key`; left out, they are found where Amazon's own tools find them
            (environment, `~/.aws`, the machine's role).
        secret_key: the same.
        session_token: for keys that are lent for a while.
        upload: which files that the `evidence` of an event names are uploaded.
        suffixes: no other files are.
        key: of a file; made of `{host}`, `{stream}`, `{kind}`, `{label}`, `{line}`, `{date}`, `{hour}`,
            `{time}` (all UTC), `{id}`, `{role}` and `{name}`.
        events: also upload the events themselves, as objects of JSON Lines.
        events_key: of such an object; made of `{host}`, and `{date}`, `{hour}`, `{time}` and `{id}` of its
            first event.
        events_every_s: pause between two such objects, in which events gather.
        part_mb: larger files are uploaded in parts of this size.
        storage_class: of the objects.
        path_style: whether the bucket stands in the path instead of the host's name; None: where there is an
            `endpoint`.
        verify_tls: whether the server must show a certificate that is trusted.
        ca_file: certificates that are trusted (PEM); those of the system when left out.
        timeout_s: within which the server connects, and answers each request.
    """

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$")
    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None
    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]{1,40}$")
    access_key: Credential | None = None
    secret_key: Credential | None = None
    session_token: Credential | None = None
    upload: tuple[str, ...] = ("snapshot", "clip")
    suffixes: tuple[Annotated[str, Field(pattern=r"^\.[a-z0-9]{1,8}$")], ...] = (
        ".jpg", ".jpeg", ".png", ".webp", ".mp4", ".mkv", ".ts", ".age",
    )  # fmt: skip
    key: str = Field(default="{stream}/{date}/{kind}/{name}", max_length=300)
    events: bool = False
    events_key: str = Field(default="events/{date}/{time}-{id}.jsonl", max_length=300)
    events_every_s: float = Field(default=2.0, ge=0, le=3600)
    part_mb: int = Field(default=16, ge=5, le=1000)
    storage_class: str | None = Field(default=None, pattern=r"^[A-Z_]{1,40}$")
    path_style: bool | None = None
    verify_tls: bool = True
    ca_file: Path | None = None
    timeout_s: float = Field(default=30.0, gt=0, le=600)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key belong together")
        if self.session_token and not self.access_key:
            raise ValueError("a session_token belongs to an access_key")
        for option, fields, needed in (("key", FIELDS, "name"), ("events_key", BATCH_FIELDS, "id")):
            try:
                checked(getattr(self, option), fields, needed)
            except ValueError as error:
                raise ValueError(f"{option}: {error}") from None
        if self.ca_file and not self.ca_file.is_file():
            raise ValueError(f"ca_file: there is no file {self.ca_file}")
        return self

    @property
    def addressing(self) -> Literal["path", "auto"]:
        """How the bucket is addressed, as botocore calls it."""
        is_path = self.endpoint is not None if self.path_style is None else self.path_style
        return "path" if is_path else "auto"
