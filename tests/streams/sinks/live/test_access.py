from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.errors import SinkError
from streams.sinks.live.access import Access, suffix_of
from streams.sinks.live.options import LiveOptions
from streams.sinks.live.sink import LiveSink
from streams.sinks.live.viewers import Viewers
from tests.streams.sinks.live.material import FakeClock


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "token", "cookie", "allowed"),
    [
        ("", "", "", False),
        ("Bearer t0ken", "", "", True),
        ("bearer  t0ken ", "", "", True),
        ("", "t0ken", "", True),
        ("", "", "t0ken", True),
        ("", "t0ken2", "", False),
        ("Bearer pass:word", "", "", False),
        (basic("sightline", "pass:word"), "", "", True),
        (basic("other", "pass:word"), "", "", False),
        (basic("sightline", "t0ken"), "", "", False),
        (basic("sightline", ""), "", "", False),
        ("Basic %%%", "", "", False),
        ("Basic " + base64.b64encode(b"\xff\xfe").decode(), "", "", False),
        ("Digest t0ken", "", "", False),
        ("", "t\udcffken", "", False),
    ],
)
def test_who_is_let_in(authorization: str, token: str, cookie: str, allowed: bool) -> None:
    access = Access(LiveOptions(password="pass:word", token="t0ken"))
    assert access.allows(authorization, token, cookie) is allowed


def test_nobody_is_asked_where_nothing_is_set() -> None:
    assert Access(LiveOptions()).allows("", "", "")


def test_a_secret_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first\n")
    access = Access(LiveOptions(token=f"file:{path}"))
    assert access.allows("", "first", "")
    path.write_text("second\n")
    assert not access.allows("", "first", "")
    path.unlink()
    with pytest.raises(SinkError, match="cannot be read"):
        access.allows("", "second", "")


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8090", True),
        ("192.0.2.7", True),
        ("[::1]:8090", True),
        ("[::1]", True),
        ("localhost:8090", True),
        ("LOCALHOST", True),
        ("box.example:8090", True),
        ("evil.example", False),
        ("evil.example:8090", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_names_of_others_are_not_ours(host: str, known: bool) -> None:
    assert Access(LiveOptions(names=("box.example",))).knows_host(host) is known
    assert Access(LiveOptions(token="t0ken")).knows_host(host)


def test_a_token_of_the_query_goes_on_in_the_playlist() -> None:
    assert suffix_of({}) == ""
    assert suffix_of({"token": "a&b=c\n"}) == "?token=a%26b%3Dc%0A"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "0.0.0.0"}, "other machines could watch"),
        ({"host": "camera-box"}, "other machines could watch"),
        ({"host": "::"}, "other machines could watch"),
        ({"token": ""}, "empty"),
        ({"password": "env:NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE"),
        ({"certificate": "a.pem"}, "belong together"),
        ({"port": 70000}, "65535"),
        ({"offer": []}, "at least 1"),
        ({"size": [640, 8]}, "each 16 to 8192"),
        ({"user": "a:b"}, "pattern"),
        ({"segment_s": 0.1}, "0.5"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LiveOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"host": "0.0.0.0", "open_to_all": True},
        {"host": "0.0.0.0", "token": "t"},
        {"host": "::1"},
        {"host": "127.3.2.1"},
        {"host": "localhost"},
    ],
)
def test_right_ones(options: dict[str, Any]) -> None:
    LiveOptions(**options)


def test_secrets_are_not_shown() -> None:
    options = LiveOptions(password="hush-1", token="hush-2")
    assert "hush" not in f"{options!r}{options}{options.model_dump()}"


def test_packets_are_taken_only_where_the_camera_s_own_pictures_are_offered() -> None:
    assert LiveSink.needs_packets(LiveOptions())
    assert not LiveSink.needs_packets(LiveOptions(offer=("annotated",)))


def test_viewers_are_counted_and_bounded() -> None:
    clock = FakeClock()
    viewers = Viewers(2, 10.0, clock)
    assert viewers.enter()
    assert viewers.asks("one", "gate/original")
    assert viewers.asks("one", "gate/original")
    assert not viewers.asks("two", "gate/original")
    assert not viewers.enter()
    assert (viewers.count, viewers.refused) == (2, 2)
    clock.now_s += 11
    assert viewers.asks("two", "gate/original")
    viewers.leave()
    assert viewers.count == 1
