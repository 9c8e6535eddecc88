from __future__ import annotations

import json
import random
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest
from pydantic import ValidationError

from pipeline.errors import EventsRefused, SinkError
from pipeline.plugin import SinkContext
from streams.sinks.webhook.signature import key_of, signed_headers
from streams.sinks.webhook.sink import WebhookOptions, WebhookSink
from tests.pipeline.messages import make_event
from tests.servers.daemons import free_port, receiver
from tests.servers.footprint import until
from tests.streams.sinks.feeding import append, feeding, wait_delivered

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1u"
NOW_S = 1_772_352_000.0


class Site:
    """Answers POST requests as told; keeps their headers and bodies."""

    def __init__(self, *codes: int, context: ssl.SSLContext | None = None) -> None:
        self.codes = list(codes)
        self.headers: dict[str, str] = {}
        self.text = b""
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.connections: set[int] = set()
        self.before: Callable[[BaseHTTPRequestHandler], None] = lambda handler: None
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 2

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                site.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                site.connections.add(self.client_address[1])
                site.before(self)
                code = site.codes.pop(0) if site.codes else 204
                text = b"" if code == 204 else site.text
                self.send_response(code)
                for name, value in {**site.headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = False

            def handle_error(self, *args: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.scheme = "http"
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}/hook?token=hidden"

    @property
    def ids(self) -> list[str]:
        return [json.loads(body)["id"] for _, body in self.got]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def made(url: str, clock: Callable[[], float] = lambda: NOW_S, **options: Any) -> WebhookSink:
    return WebhookSink(WebhookOptions(url=url, **options), SinkContext(Path()), clock=clock)


def test_the_signature_is_that_of_the_specifications_own_library() -> None:
    # Made once by the package standardwebhooks.
    body = '{"kind":"line.crossing","label":"Straßenbahn"}'.encode()
    headers = signed_headers(key_of(SECRET), "0190a0a0-0000-7000-8000-000000000001", 1_772_352_000, body)
    assert headers == {
        "webhook-id": "0190a0a0-0000-7000-8000-000000000001",
        "webhook-timestamp": "1772352000",
        "webhook-signature": "v1,xu+4BziqYp/6FvcjKeq1CnM51o9m44D3zQzQmcCu59A=",
    }
    assert "webhook-signature" not in signed_headers(None, "a", 1, b"")


def test_each_event_is_a_signed_request_over_one_connection() -> None:
    events = [make_event(number) for number in range(3)]
    with Site() as site:
        sink = made(site.url, secret=SECRET, headers={"X-Site": "north"})
        sink.deliver(events)
        sink.close()
    assert [json.loads(body) for _, body in site.got] == [event.to_dict() for event in events]
    assert len(site.connections) == 1
    for (headers, body), event in zip(site.got, events, strict=True):
        expected = signed_headers(key_of(SECRET), str(event.id), int(NOW_S), body)
        assert expected.items() <= headers.items()
        assert (headers["x-site"], headers["idempotency-key"]) == ("north", str(event.id))
        assert headers["content-type"] == "application/json"


def test_user_and_password_of_the_url_are_sent_as_basic_authentication() -> None:
    with Site() as site:
        sink = made(site.url.replace("//", "//me:p%40w@"))
        sink.deliver([make_event()])
        sink.close()
    assert site.got[0][0]["authorization"] == "Basic bWU6cEB3"


def test_what_will_never_be_taken_is_refused_and_the_rest_delivered_once() -> None:
    events = [make_event(number) for number in range(4)]
    with Site(204, 422, 204, 413) as site:
        sink = made(site.url)
        with pytest.raises(EventsRefused) as refusal:
            sink.deliver(events)
        sink.deliver([events[0], events[2]])
        sink.close()
    assert sorted(refusal.value.reasons) == [1, 3]
    assert "answers 422" in refusal.value.reasons[1]
    assert site.ids == [str(event.id) for event in events]


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (500, "answers 500"),
        (401, "check secret"),
        (404, "check the path"),
        (302, "new address"),
        (409, "409"),
    ],
)
def test_other_answers_mean_later_and_nothing_is_sent_twice(code: int, what: str) -> None:
    events = [make_event(number) for number in range(3)]
    with Site(204, code) as site:
        site.text = b"<p>no\n way</p>"
        sink = made(site.url)
        with pytest.raises(SinkError, match=what) as error:
            sink.deliver(events)
        assert "hidden" not in str(error.value)
        assert "\n" not in str(error.value)
        sink.deliver(events)
        sink.close()
    first, second, third = (str(event.id) for event in events)
    assert site.ids == [first, second, second, third]


@pytest.mark.parametrize("asked", ["90", formatdate(NOW_S + 90, usegmt=True)])
def test_a_server_that_asks_to_wait_is_left_alone_until_then(asked: str) -> None:
    now_s = [NOW_S]
    with Site(429) as site:
        site.headers = {"Retry-After": asked}
        sink = made(site.url, clock=lambda: now_s[0])
        for later_s in (0, 1, 88):
            now_s[0] = NOW_S + later_s
            with pytest.raises(SinkError, match=r"wait until 08:01:30 UTC"):
                sink.deliver([make_event()])
        assert len(site.got) == 1
        now_s[0] = NOW_S + 90
        sink.deliver([make_event()])
        assert len(site.got) == 2
        sink.close()


@pytest.mark.parametrize("asked", ["soon", "-5", "²", formatdate(NOW_S - 900), "9" * 400])
def test_nonsense_in_retry_after_does_no_harm(asked: str) -> None:
    with Site(503) as site:
        site.headers = {"Retry-After": asked.encode().decode("latin-1")}
        now_s = [NOW_S]
        sink = made(site.url, clock=lambda: now_s[0])
        with pytest.raises(SinkError):
            sink.deliver([make_event()])
        now_s[0] += 3600
        sink.deliver([make_event()])
        sink.close()


def test_a_server_that_is_silent_or_never_done_is_given_up() -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        with suppress(OSError):
            while True:
                handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                time.sleep(0.02)

    given_up = threading.Event()
    with Site() as site:
        for before in (lambda handler: given_up.wait(20), drip):
            site.before = before
            sink = made(site.url, timeout_s=0.1)
            start_s = time.monotonic()
            with pytest.raises(SinkError, match=r"answer within 0.1 s"):
                sink.deliver([make_event()])
            assert time.monotonic() - start_s < 5
            given_up.set()
            sink.close()


def test_closing_breaks_off_a_request() -> None:
    entered, release = threading.Event(), threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        entered.set()
        release.wait(10)

    with Site() as site:
        site.before = hang
        sink = made(site.url, timeout_s=60)
        failed: list[Exception] = []

        def work() -> None:
            try:
                sink.deliver([make_event()])
            except SinkError as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        assert entered.wait(10)
        sink.close()
        thread.join(10)
        assert not thread.is_alive()
        release.set()
        assert "closed" in str(failed[0])


def test_a_connection_that_was_closed_meanwhile_is_no_failure() -> None:
    def end(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True

    with Site() as site:
        site.before = end  # without saying so
        sink = made(site.url)
        for number in range(3):
            sink.deliver([make_event(number)])
            time.sleep(0.02)
        sink.close()
    assert len(site.got) == 3


def test_unreachable_servers_are_one_line() -> None:
    nobody = made(f"http://127.0.0.1:{free_port()}/secret-path")
    with pytest.raises(SinkError, match=r"nothing listens there$") as error:
        nobody.deliver([make_event()])
    assert "secret-path" not in str(error.value)
    with pytest.raises(SinkError, match="cannot be resolved"):
        made("http://no-such-host.invalid/").deliver([make_event()])


def test_certificates_are_checked(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Site(context=context) as site:
        with pytest.raises(SinkError, match="certificate is not trusted"):
            made(site.url).deliver([make_event()])
        other = site.url.replace("localhost", "127.0.0.1")
        with pytest.raises(SinkError, match="certificate is not trusted"):  # that of another host
            made(other, ca_file=certificate).deliver([make_event()])
        assert site.got == []
        for options in ({"ca_file": certificate}, {"verify_tls": False}):
            sink = made(site.url, **options)
            sink.deliver([make_event()])
            sink.close()
        assert len(site.got) == 2


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"url": "ftp://host/geheim"}, "https://host/path"),
        ({"url": "http:///geheim"}, "https://host/path"),
        ({"url": "http://host:99999/geheim"}, "https://host/path"),
        ({"url": "http://ho st/geheim"}, "https://host/path"),
        ({"url": "env:NO_SUCH_geheim_NOT"}, "is not set"),
        ({"secret": "whsec_geheim!"}, "Base64"),
        ({"secret": "whsec_"}, "Base64"),
        ({"secret": "whsec_é"}, "Base64"),
        ({"secret": ""}, "empty"),
        ({"secret": "file:/nowhere/at-all"}, "cannot be read"),
        ({"headers": {"Webhook-Id": "geheim"}}, "sets itself"),
        ({"headers": {"X-A": "geheim\r\nX-B: 1"}}, "one line"),
        ({"refused_codes": [500]}, "none of 400..499"),
        ({"ca_file": "/nowhere.pem"}, "no certificates"),
    ],
)
def test_wrong_options_are_one_clear_line_without_secrets(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError) as error:
        WebhookOptions(**{"url": "http://host/", **options})
    messages = [str(problem["msg"]) for problem in error.value.errors()]
    assert what in messages[0]
    if "env:" not in str(options):
        assert "geheim" not in messages[0]


def test_secrets_come_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    with Site() as site:
        monkeypatch.setenv("HOOK_URL", site.url)
        sink = made("env:HOOK_URL", secret=f"file:{tmp_path / 'secret'}")
        sink.deliver([make_event()])
        (tmp_path / "secret").write_text("another")
        sink.deliver([make_event(1)])
        sink.close()
    for (headers, body), secret in zip(site.got, (SECRET, "another"), strict=True):
        expected = signed_headers(key_of(secret), headers["webhook-id"], int(NOW_S), body)
        assert headers["webhook-signature"] == expected["webhook-signature"]
    assert SECRET not in repr(WebhookOptions(url="http://host/", secret=SECRET).model_dump())


def received(folder: Path) -> list[str]:
    path = folder / "got.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(json.loads(line)["body"])["id"] for line in text.splitlines()]


def test_a_receiver_that_is_killed_and_comes_back_gets_everything(tmp_path: Path) -> None:
    with receiver(tmp_path, seconds_per_request=0.001) as server:
        sink = WebhookSink(
            WebhookOptions(url=f"http://127.0.0.1:{server.port}/", consumer="hook"), SinkContext(tmp_path)
        )
        with feeding(tmp_path, sink) as (journal, feeder):
            sent = append(journal, range(10))
            until(lambda: feeder.status.failures > 0, 20, "no failure while nobody listens")
            server.start()
            wait_delivered(feeder, 10)
            sent |= append(journal, range(10, 110))
            until(lambda: len(received(tmp_path)) > 30, 20, lambda: feeder.status)
            server.restart()
        got = received(tmp_path)
        assert set(got) == sent
        assert len(got) - len(sent) <= 1, "only a request that was going on comes twice"


@pytest.mark.slow
def test_a_storm_of_kills_loses_nothing(tmp_path: Path) -> None:
    rng = random.Random(7)
    with receiver(tmp_path, seconds_per_request=0.001) as server:
        server.start()
        options = WebhookOptions(url=f"http://127.0.0.1:{server.port}/")
        with feeding(tmp_path, WebhookSink(options, SinkContext(tmp_path))) as (journal, _):
            sent: set[str] = set()
            for kill in range(20):
                sent |= append(journal, range(kill * 100, kill * 100 + 100))
                time.sleep(rng.uniform(0.0, 0.3))
                server.restart()
        got = received(tmp_path)
        assert set(got) == sent
        assert len(got) - len(sent) <= 20
