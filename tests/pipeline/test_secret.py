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


def test_only_reveal_tells_and_equality_is_of_the_full_text() -> None:
    one, other = SecretUrl("rtsp://a:1@c"), SecretUrl("rtsp://a:2@c")
    assert one.reveal() == "rtsp://a:1@c"
    assert one != other
    assert len({one, other, SecretUrl("rtsp://a:1@c")}) == 2
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(one)
