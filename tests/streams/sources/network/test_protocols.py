"""What FFmpeg is told for each scheme."""

from __future__ import annotations

import pytest

from pipeline.secret import SecretUrl
from streams.sources.network.options import NetworkOptions
from streams.sources.network.protocols import Opening, endpoint, opening

SCHEMES = ["rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "udp", "tcp"]
LOCAL = {
    "file",
    "concat",
    "concatf",
    "subfile",
    "data",
    "pipe",
    "fd",
    "unix",
    "cache",
    "async",
    "ipfs",
    "md5",
}


def how(url: str, **options: object) -> Opening:
    return opening(SecretUrl(url), NetworkOptions.model_validate(options), {})


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_local_may_be_opened(scheme: str) -> None:
    allowed = how(f"{scheme}://10.0.0.9:1/x").options["protocol_whitelist"].split(",")
    assert scheme in allowed
    assert not LOCAL & set(allowed)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_rtsp_goes_over_the_transport_that_is_asked_for(transport: str) -> None:
    assert how("rtsp://10.0.0.9/", transport=transport).options["rtsp_transport"] == transport


def test_headers_are_sent_over_http_only() -> None:
    headers = {"Referer": "http://a/", "X-Key": "b"}
    options = NetworkOptions()
    told = opening(SecretUrl("http://a/b"), options, headers).options
    assert told["headers"] == "Referer: http://a/\r\nX-Key: b\r\n"
    assert "headers" not in opening(SecretUrl("rtsp://a/b"), options, headers).options


def test_secrets_do_not_show() -> None:
    told = opening(SecretUrl("http://u:hunter22@a/"), NetworkOptions(), {"Cookie": "hunter22"})
    assert "hunter22" not in repr(told)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("rtsp://u:p@10.0.0.9/1", ("10.0.0.9", 554)),
        ("rtsps://cam/", ("cam", 322)),
        ("http://[fe80::1]:81/x", ("fe80::1", 81)),
        ("https://cam/x", ("cam", 443)),
        ("rtmp://cam/live", ("cam", 1935)),
        ("tcp://cam:9", ("cam", 9)),
        ("udp://239.0.0.1:1234", None),
        ("srt://cam:9", None),
        ("rtsp://cam:port/", None),
        ("rtsp:///x", None),
    ],
)
def test_where_one_can_knock(url: str, place: tuple[str, int] | None) -> None:
    assert endpoint(SecretUrl(url)) == place
