from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sinks.restream.target import target_of


@pytest.mark.parametrize(
    ("url", "shown", "is_tcp", "codecs"),
    [
        ("rtsp://user:word@media/live/{stream}", "rtsp://media:554", True, {"h264", "hevc", "mjpeg"}),
        ("rtsps://media/live", "rtsps://media:322", True, {"h264", "hevc"}),
        ("rtmp://media/live/secret-key", "rtmp://media:1935", True, {"h264", "hevc"}),
        ("rtmps://[::1]:9/live/key?sign=abc", "rtmps://[::1]:9", True, {"h264"}),
        ("udp://239.0.0.1:5000?ttl=4", "udp://239.0.0.1:5000", False, {"h264", "mpeg4"}),
        ("srt://media:8890?streamid=publish:gate:key", "srt://media:8890", False, {"h264", "hevc"}),
    ],
)
def test_what_a_url_says(url: str, shown: str, is_tcp: bool, codecs: set[str]) -> None:
    target = target_of(url, "gate")
    assert (target.shown, target.is_tcp) == (shown, is_tcp)
    assert all(target.carries(codec) for codec in codecs)
    assert not target.carries("prores")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://media/live", "must begin with one of rtsp://"),
        ("media/live", "must begin with one of"),
        ("rtsp:///live", "like rtsp://host/path"),
        ("rtsp://media:port/live", "a port that is none"),
        ("rtmp://media/key", "like rtmp://host/application/key"),
        ("udp://239.0.0.1", "needs a port"),
        ("rtsp://media/{name}", r"no other braces"),
        ("rtsp://media/two words", "without blanks"),
        ("rtsp://media/Tür", "ASCII"),
        ("rtsp://[media/live", "has no host"),
    ],
)
def test_a_url_that_cannot_be_pushed_to_is_refused_without_showing_it(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        target_of(url, "gate")
    assert "media/" not in str(caught.value)


def test_through_a_relay_everything_but_the_server_s_place_stays() -> None:
    target = target_of("rtsps://user:word@media:9/live/{stream}?a=1", "north gate")
    muxer = target.muxer(7001, transport="tcp", timeout_s=2.5)
    assert muxer.address == "rtsp://user:word@127.0.0.1:7001/live/north%20gate?a=1"
    assert (muxer.name, muxer.options) == ("rtsp", {"rtsp_transport": "tcp", "timeout": "2500000"})
    target = target_of("rtmps://user:word@media:9/live/key", "gate")
    muxer = target.muxer(7001, transport="tcp", timeout_s=2.5)
    assert muxer.address == "rtmp://user:word@127.0.0.1:7001/live/key"
    assert muxer.options["rtmp_tcurl"] == "rtmps://media:9/live"


@pytest.mark.parametrize(
    ("url", "address"), [("udp://h:1", "udp://h:1?pkt_size=1316"), ("udp://h:1?ttl=3", "udp://h:1?ttl=3")]
)
def test_udp_packets_fit_a_frame_of_the_network_unless_the_url_says_otherwise(url: str, address: str) -> None:
    assert target_of(url, "gate").muxer(None, transport="tcp", timeout_s=1).address == address


@given(stream=st.text(min_size=1, max_size=20))
def test_a_stream_s_name_cannot_leave_its_place(stream: str) -> None:
    try:
        url = target_of("rtsp://media/live/{stream}/end", stream).url.reveal()
    except (ValueError, UnicodeEncodeError):
        return  # lone surrogates are no names
    assert url.startswith("rtsp://media/live/")
    assert url.endswith("/end")
    assert url.count("/") == 5
    assert not set("?#@") & set(url)
