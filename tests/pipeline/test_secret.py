"""Credentials: whatever shows a URL hides them, and nothing else."""

from __future__ import annotations

import pickle
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.secret import SecretUrl, without_credentials


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://admin:pw@10.0.0.1:554/1", "rtsp://***@10.0.0.1:554/1"),
        ("rtsp://admin:p@ss/word@10.0.0.1/1", "rtsp://***@10.0.0.1/1"),
        ("rtsp://admin@10.0.0.1/1", "rtsp://***@10.0.0.1/1"),
        ("http://cam/video.cgi?user=a&pwd=b&res=hd", "http://cam/video.cgi?user=***&pwd=***&res=hd"),
        ("http://cam/axis?resolution=640x480&auth_token=abc", "http://cam/axis?resolution=640x480&auth_token=***"),
        ("https://cdn/x.m3u8?X-Amz-Signature=ab12&t=3", "https://cdn/x.m3u8?X-Amz-Signature=***&t=3"),
        ("cannot open 'http://u:p@a/?key=1': no", "cannot open 'http://***@a/?key=***': no"),
        ("https://www.youtube.com/@channel/live", "https://www.youtube.com/@channel/live"),
        ("synthetic://street?seed=1&width=640", "synthetic://street?seed=1&width=640"),
        ("rtsp://c/user=a_password=b_c_channel=1_stream=0.sdp", "rtsp://c/user=***_password=***_channel=1_stream=0.sdp"),
        ("rtsp://c/user=a&password=b&channel=1.sdp", "rtsp://c/user=***&password=***&channel=1.sdp"),
        ("x?token=1.mp4", "x?token=1.mp4"),
        ("two rtsp://a:b@c/1 and rtsp://d:e@f/2", "two rtsp://***@c/1 and rtsp://***@f/2"),
    ],
)  # fmt: skip
def test_what_is_hidden(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=12)


@given(WORD, WORD)
def test_no_password_is_ever_shown(user: str, password: str) -> None:
    url = SecretUrl(f"rtsp://{quote(user, safe='')}:{quote(password, safe='')}@camera.example/stream")
    for text in (str(url), repr(url), f"{url}", f"{url:>90}", "%s" % url):  # noqa: UP031
        assert "rtsp://***@camera.example/stream" in text
        assert quote(password, safe="") not in text.replace("rtsp://***@camera.example/stream", "")


@pytest.mark.parametrize("password", ["it's", "a?u=b", 'a"b', "a b", "a<b>c", "a\tb", "'"])
def test_a_password_that_should_have_been_escaped_is_hidden_too(password: str) -> None:
    assert str(SecretUrl(f"rtsp://admin:{password}@cam/1")) == "rtsp://***@cam/1"
    assert str(SecretUrl(f"http://cam/1?pwd={password}&w=8")) == "http://cam/1?pwd=***&w=8"
    assert without_credentials(str(SecretUrl(f"rtsp://{password}@cam/1"))) == "rtsp://***@cam/1"


def test_only_reveal_tells_and_equality_is_of_the_full_text() -> None:
    one, other = SecretUrl("rtsp://a:1@c"), SecretUrl("rtsp://a:2@c")
    assert one.reveal() == "rtsp://a:1@c"
    assert one != other
    assert len({one, other, SecretUrl("rtsp://a:1@c")}) == 2
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(one)
