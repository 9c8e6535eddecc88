"""What yt-dlp finds on pages of loopback, and what is said when it finds nothing."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.condition import Reason
from pipeline.errors import SourceError
from streams.sources.youtube.extract import Request, extract
from streams.sources.youtube.failure import plain, reason_and_words
from tests.streams.sources.media import flat, write_video
from tests.streams.sources.youtube.site import Site, serving

pytest.importorskip("yt_dlp", reason="needs the extra 'youtube'")
# yt-dlp leaves sockets of failed requests to the garbage collector; ours runs it in a process of its own.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def _only_loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever goes elsewhere fails the test."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1"):
            pytest.fail(f"left loopback for {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    yield
    gc.collect()


@pytest.fixture(scope="module")
def whole_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    site = Site(folder)
    write_video(folder / "clip.mp4", [flat(index) for index in range(10)])
    write_video(folder / "small.mp4", [flat(index) for index in range(10)])
    (folder / "list.m3u8").write_text(
        "#EXTM3U\n#EXT-X-VERSION:3\n"
        '#EXT-X-STREAM-INF:BANDWIDTH=4000000,RESOLUTION=1920x1080,CODECS="avc1.64001f"\nhigh.m3u8\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=1000000,RESOLUTION=1280x720,CODECS="avc1.64001f"\nmiddle.m3u8\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=640x360,CODECS="avc1.64001f"\nlow.m3u8\n'
    )
    for name in ("high", "middle", "low"):
        (folder / f"{name}.m3u8").write_text(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n"
        )
    site.pages["/video"] = "<html><title>t</title><video src='/clip.mp4?signature={sig}'></video></html>"
    site.pages["/hls"] = "<html><title>t</title><video src='/list.m3u8'></video></html>"
    site.pages["/two"] = (
        "<html><title>t</title><video src='/clip.mp4'></video><p><video src='/small.mp4'></video></html>"
    )
    site.pages["/empty"] = "<html><title>t</title>nothing here</html>"
    site.pages["/evil"] = "<html><title>t</title><video src='file:///etc/passwd'></video></html>"
    with serving(site):
        yield site


@pytest.fixture
def site(whole_site: Site) -> Site:
    whole_site.sig = None
    return whole_site


def ask(page: str, **changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {"max_height": 720, "format": None, "cookies": None, "timeout_s": 5.0}
    return extract(Request(page, **request | changes))


@pytest.mark.parametrize(
    ("page", "changes", "media"),
    [
        ("/video", {}, "/clip.mp4?signature=abc"),
        ("/clip.mp4?signature=abc", {}, "/clip.mp4?signature=abc"),
        ("/two", {}, "/clip.mp4"),
        ("/list.m3u8?signature=abc", {}, "/middle.m3u8"),
    ],
)
@pytest.mark.slow
def test_the_media_of_a_page(site: Site, page: str, changes: dict[str, Any], media: str) -> None:
    site.sig = "abc"
    found = ask(site.url + page, **changes)
    assert found["url"] == site.url + media
    assert found["live"] is None
    assert "User-Agent" in found["headers"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "media"),
    [
        ({}, "middle"),
        ({"max_height": 360}, "low"),
        ({"max_height": 1080}, "high"),
        ({"max_height": 200}, "low"),
        ({"max_height": 800}, "middle"),
        ({"format": "b[height<=400]"}, "low"),
    ],
)
def test_the_height_that_is_wanted(site: Site, changes: dict[str, Any], media: str) -> None:
    assert ask(f"{site.url}/hls", **changes)["url"] == f"{site.url}/{media}.m3u8"


@pytest.mark.parametrize(
    ("page", "reason", "said"),
    [
        ("/status/404", Reason.NOT_FOUND, "HTTP Error 404"),
        ("/status/410", Reason.NOT_FOUND, "HTTP Error 410"),
        ("/status/403", Reason.FORBIDDEN, "HTTP Error 403"),
        ("/status/401", Reason.UNAUTHORIZED, "HTTP Error 401"),
        ("/status/500", Reason.FAILED, "HTTP Error 500"),
        ("/empty", Reason.NOT_MEDIA, "Unsupported URL"),
        ("/evil", Reason.NO_VIDEO, "Requested format is not available"),
    ],
)
def test_what_is_wrong_with_a_page(site: Site, page: str, reason: Reason, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        ask(f"{site.url}{page}?token=hidden")
    assert caught.value.reason is reason
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "report this" not in str(caught.value)


def test_a_page_does_not_lead_to_files(site: Site) -> None:
    with pytest.raises(SourceError, match="leads to file:") as caught:
        ask(f"{site.url}/evil", format="b")
    assert caught.value.reason is Reason.REJECTED


def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(SourceError) as caught:
        ask(f"http://127.0.0.1:{port}/page")
    assert caught.value.reason is Reason.CONNECTION_REFUSED


def test_a_site_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(SourceError) as caught:
        ask(f"http://127.0.0.1:{silent.getsockname()[1]}/page", timeout_s=0.3)
    assert caught.value.reason is Reason.NO_ANSWER


def test_no_such_format(site: Site) -> None:
    with pytest.raises(SourceError, match="Requested format is not available"):
        ask(f"{site.url}/hls", format="b[height>5000]")


def test_cookies_are_sent_and_their_file_stays_as_it_is(site: Site, tmp_path: Path) -> None:
    jar = tmp_path / "cookies.txt"
    text = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tlogin\tsecret-of-mine\n"
    jar.write_text(text)
    found = ask(f"{site.url}/video", cookies=str(jar))
    assert site.seen["/video"]["Cookie"] == "login=secret-of-mine"
    assert found["headers"]["Cookie"] == "login=secret-of-mine"
    assert jar.read_text() == text
    with pytest.raises(SourceError, match="cookies: nosuch cannot be read"):
        ask(f"{site.url}/video", cookies="nosuch")
    jar.write_text("this is no jar\n")
    with pytest.raises(SourceError) as caught:
        ask(f"{site.url}/video", cookies=str(jar))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "ERROR: [youtube] abc: Sign in to confirm you're not a bot; please report this issue on  https://x/y",
            "Sign in to confirm you're not a bot",
        ),
        (
            "Unable to download https://u:p@h.example/v?sig=1 (caused by X('https://h/?sig=2'))",
            "Unable to download https://h.example",
        ),
        ("a\nb", "a b"),
        ("x" * 1000, "x" * 300 + "..."),
    ],
)
def test_messages_are_one_line_without_links(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ERROR: [youtube] abc: Private video. Sign in if you've been granted access", Reason.FORBIDDEN),
        ("ERROR: [youtube] abc: Video unavailable. This video has been removed", Reason.NOT_FOUND),
        ("ERROR: [youtube] abc: This live event will begin in 3 hours.", Reason.NO_DATA),
        ("ERROR: [twitch:stream] x: The channel is not currently live", Reason.NO_DATA),
        ("ERROR: something else", Reason.FAILED),
    ],
)
def test_reasons_by_words(text: str, reason: Reason) -> None:
    assert reason_and_words(Exception(text))[0] is reason
