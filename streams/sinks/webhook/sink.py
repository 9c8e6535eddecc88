"""Sink `webhook`: each event as a POST request, signed, until the receiver has taken it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import ClassVar, Self
from uuid import UUID

from pydantic import Field, SecretStr, model_validator

from pipeline.errors import EventsRefused, SinkError
from pipeline.event import Event
from pipeline.plugin import NO_EVENTS, EventSink, EventSinkOptions, SinkContext
from streams.sinks.body import json_of
from streams.sinks.credentials import Credential, reveal, tls_context
from streams.sinks.webhook.post import Answer, Poster, parsed
from streams.sinks.webhook.signature import key_of, signed_headers

_LONGEST_WAIT_S = 3600.0
"""A server that asks for more is asked again after so long."""
_OWN_HEADERS = frozenset(
    {"content-type", "content-length", "host", "idempotency-key", "transfer-encoding", "webhook-id",
     "webhook-signature", "webhook-timestamp"}
)  # fmt: skip


class WebhookOptions(EventSinkOptions):
    """Options of the webhook sink. Secrets may be `env:NAME` or `file:PATH`.

    Attributes:
        url: where to, `http://` or `https://`; it may hold a token, so that only its host is ever shown. A
            user and password in it are sent as Basic authentication.
        secret: shared with the receiver: requests are signed with it (Standard Webhooks: `whsec_` and
            Base64, or any text). None: not signed.
        headers: further headers, e.g. Authorization.
        timeout_s: within which a request must be answered.
        refused_codes: answers that mean that this event will never be taken, whatever is tried. All others
            but 2xx mean: later.
        verify_tls: whether the server must show a certificate that is trusted. Without it, anybody in
            between can read the events.
        ca_file: certificates that are trusted (PEM); those of the system when left out.
    """

    url: Credential
    secret: Credential | None = None
    headers: dict[str, Credential] = Field(default_factory=dict, max_length=50)
    timeout_s: float = Field(default=10.0, gt=0, le=300)
    refused_codes: tuple[int, ...] = (400, 413, 415, 422)
    verify_tls: bool = True
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        is_secure = parsed(_revealed(self.url)).scheme == "https"
        if self.secret:
            key_of(_revealed(self.secret))
        for name, value in self.headers.items():
            if not name.isascii() or not name.replace("-", "").isalnum() or name.lower() in _OWN_HEADERS:
                raise ValueError(
                    f"headers: {name!r} is no name of a header, or one that the sink sets itself"
                )
            if any(sign in _revealed(value) for sign in "\r\n\0") or not _revealed(value).isascii():
                raise ValueError(f"headers: {name}: must be one line of ASCII")
        wrong = [code for code in self.refused_codes if not 400 <= code <= 499]
        if wrong:
            raise ValueError(f"refused_codes: {wrong[0]} is none of 400..499, the others may pass")
        if is_secure or self.ca_file:
            tls_context(self.ca_file, verify=self.verify_tls)
        return self


class WebhookSink(EventSink):
    """Posts each event as JSON (`Event.to_dict`), in order, one at a time over one connection.

    The header `webhook-id` (and `Idempotency-Key`) is the event's id and the same at each try, by which a
    receiver drops doubles: there are some when an answer was lost.
    """

    Options = WebhookOptions
    emits = NO_EVENTS
    options: WebhookOptions
    batch: ClassVar[int] = 100

    def __init__(
        self,
        options: WebhookOptions,
        context: SinkContext,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(options, context)
        self._clock = clock
        self._poster: Poster | None = None
        self._poster_url = ""
        self._taken: set[UUID] = set()
        self._not_before_s = 0.0
        self._closed = False

    def deliver(self, events: Sequence[Event]) -> None:
        """Post them.

        Raises:
            EventsRefused: naming those that were answered with one of `refused_codes`.
            SinkError: if one cannot be delivered now.
        """
        if self._clock() < self._not_before_s:
            raise SinkError(self._asked_to_wait())
        poster = self._ready()
        key = key_of(reveal(self.options.secret)) if self.options.secret else None
        refused: dict[int, str] = {}
        for place, event in enumerate(events):
            if event.id in self._taken:
                continue
            reason = self._posted(poster, key, event)
            if reason:
                refused[place] = reason
            else:
                # What comes again after a failure begins with what the receiver has.
                self._taken.add(event.id)
        if refused:
            raise EventsRefused(refused)
        self._taken.clear()

    def close(self) -> None:
        """Break off a request that is going on."""
        self._closed = True
        if self._poster:
            self._poster.close()

    def _ready(self) -> Poster:
        url = reveal(self.options.url)
        if self._poster is None or url != self._poster_url:
            if self._poster:
                self._poster.close()
            context = None
            if parsed(url).scheme == "https":
                context = tls_context(self.options.ca_file, verify=self.options.verify_tls)
            self._poster, self._poster_url = Poster(url, self.options.timeout_s, context), url
        if self._closed:
            self._poster.close()
        return self._poster

    def _posted(self, poster: Poster, key: bytes | None, event: Event) -> str:
        """Post one event; return why it will never be taken, "" when it was.

        Raises:
            SinkError: if not now.
        """
        try:
            body = json_of(event).encode()
        except ValueError as error:
            return str(error)
        answer = poster.post(
            body,
            {name: reveal(value) for name, value in self.options.headers.items()}
            | {"Content-Type": "application/json", "Idempotency-Key": str(event.id)}
            | signed_headers(key, str(event.id), int(self._clock()), body),
        )
        if 200 <= answer.code <= 299:
            return ""
        if answer.code in self.options.refused_codes:
            return f"{poster.shown} answers {answer.code} {answer.text}".rstrip()
        raise SinkError(self._reason(poster, answer))

    def _reason(self, poster: Poster, answer: Answer) -> str:
        said = f"{poster.shown} answers {answer.code} {answer.text}".rstrip()
        if answer.retry_after:
            wait_s = min(_seconds(answer.retry_after, self._clock()), _LONGEST_WAIT_S)
            if wait_s > 0:
                self._not_before_s = self._clock() + wait_s
                return self._asked_to_wait()
        if 300 <= answer.code <= 399:
            return f"{said}: it has moved; put the new address into url"
        if answer.code in (401, 403, 407):
            return f"{said}: it does not let us in; check secret, headers and the password in url"
        if answer.code in (404, 405, 410):
            return f"{said}: nothing takes events there; check the path in url"
        return said

    def _asked_to_wait(self) -> str:
        until = datetime.fromtimestamp(self._not_before_s, UTC).strftime("%H:%M:%S")
        return f"the server asks us to wait until {until} UTC"


def _revealed(secret: SecretStr) -> str:
    try:
        return reveal(secret)
    except SinkError as error:
        raise ValueError(str(error)) from None


def _seconds(retry_after: str, now_s: float) -> float:
    """Return what a Retry-After header (RFC 9110, section 10.2.3) asks for, 0 for nonsense."""
    try:
        return float(int(retry_after)) if retry_after.isdigit() else _date(retry_after) - now_s
    except (ValueError, OverflowError):
        return 0.0


def _date(text: str) -> float:
    date = parsedate_to_datetime(text)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
