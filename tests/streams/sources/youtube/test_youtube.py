"""Pages that play: through the child process, yt-dlp, FFmpeg and a site on loopback."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from pydantic import ValidationError

from pipeline.condition import Reason
from pipeline.errors import ConfigError, SourceError
from pipeline.frame import Frame
from pipeline.registry import load_plugin
from pipeline.secret import SecretUrl
from streams.sources.youtube.link import Link
from streams.sources.youtube.source import YoutubeOptions, YoutubeSource, page_of
from tests.streams.sources.media import flat, write_video
from tests.streams.sources.youtube.site import Site, serving, wait_until

pytest.importorskip("yt_dlp", reason="needs the extra 'youtube'")


@pytest.fixture(autouse=True)
def _no_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child inherits a proxy that is not there for everything but loopback."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.pages["/video"] = "<html><title>t</title><video src='/clip.mp4?signature={sig}'></video></html>"
    site.pages["/hls"] = "<html><title>t</title><video src='/list.m3u8'></video></html>"
    site.pages["/live"] = "<html><title>t</title><video src='/live.ts?signature={sig}'></video></html>"
    with serving(site):
        yield site


def source(page: str, scheme: str = "youtube", **options: Any) -> YoutubeSource:
    return YoutubeSource(SecretUrl(f"{scheme}://{page}"), YoutubeOptions(**options), "page")


def frames(reading: Iterator[object]) -> list[Frame]:
    return [item for item in reading if isinstance(item, Frame)]


@pytest.mark.parametrize("scheme", ["youtube", "site"])
def test_it_is_found_by_its_schemes_and_kept(scheme: str) -> None:
    assert load_plugin("source", scheme) is YoutubeSource
    assert YoutubeSource.live


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("youtube://dQw4w9WgXcQ", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"),
        ("youtube://-Qw4w9WgX_Q", "https://www.youtube.com/watch?v=-Qw4w9WgX_Q"),
        ("youtube://@nasa/live", "https://www.youtube.com/@nasa/live"),
        ("youtube://watch?v=dQw4w9WgXcQ&t=3", "https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=3"),
        ("youtube://youtu.be/dQw4w9WgXcQ", "https://youtu.be/dQw4w9WgXcQ"),
        (
            "youtube://https://www.youtube.com/watch?v=dQw4w9WgXcQ",
            "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        ),
        ("youtube://http://cam.example/page", "http://cam.example/page"),
        ("site://cam.example/page?x=1", "https://cam.example/page?x=1"),
        ("site://cam.example:8443/page", "https://cam.example:8443/page"),
        ("site://http://cam.example/page", "http://cam.example/page"),
        ("youtube://", None),
        ("youtube://file:///etc/passwd", None),
        ("youtube://some words", None),
        ("site://", None),
        ("site:///etc/passwd", None),
    ],
)
def test_which_page(url: str, page: str | None) -> None:
    assert page_of(url) == page


def test_no_page_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected youtube://VIDEO_ID"):
        source("")


@pytest.mark.parametrize(
    "options", [{"max_height": 0}, {"format": ""}, {"resolve_timeout_s": 0}, {"quality": 1}]
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        YoutubeOptions(**options)


def test_a_recording_plays(site: Site, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", [flat(index) for index in range(20)])
    site.sig = "first"
    page = source(f"{site.url}/video?token=mine")
    info = page.open()
    assert (info.width, info.height, info.codec, info.live) == (64, 48, "h264", False)
    assert info.url.endswith("/video?token=***")
    assert page.progress.connected
    taken = frames(page.read())
    assert len(taken) == 20
    assert taken[-1].moment.pts_s == pytest.approx(19 / 25)


@pytest.mark.slow
def test_a_playlist_plays(site: Site, tmp_path: Path) -> None:
    with av.open(
        str(tmp_path / "list.m3u8"), "w", format="hls", options={"hls_time": "1", "hls_list_size": "0"}
    ) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 25
        for index in range(50):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(flat(index), format="bgr24")))
        out.mux(stream.encode(None))
    page = source(f"{site.url}/hls", live=False)
    assert page.open().width == 64
    assert len(frames(page.read())) == 50


@pytest.mark.slow
def test_a_link_that_expires_is_renewed_by_the_next_instance(site: Site, tmp_path: Path) -> None:
    pictures = [flat(index) for index in range(250)]
    write_video(tmp_path / "live.ts", pictures, container="mpegts", gop=5, options={"tune": "zerolatency"})
    site.pace_s, site.sig = 0.005, "old"
    page = source(f"{site.url}/live", live=True)
    assert page.open().live
    reading = page.read()
    first = next(item for item in reading if isinstance(item, Frame))
    site.sig = "new"
    with pytest.raises(SourceError, match="the link to its media has expired") as caught:
        frames(reading)
    assert caught.value.reason is Reason.EXPIRED
    assert not caught.value.reason.is_refusal
    for secret in ("old", "signature"):
        assert secret not in str(caught.value)
    again = source(f"{site.url}/live", live=True)
    again.open()
    second = next(item for item in again.read() if isinstance(item, Frame))
    again.close()
    assert second.run != first.run
    assert any("live.ts?signature=new" in hit for hit in site.hits)


@pytest.mark.slow
def test_a_link_that_is_refused_at_once_is_a_refusal(site: Site, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", [flat(index) for index in range(5)])
    site.pages["/video"] = "<html><title>t</title><video src='/clip.mp4?signature=wrong'></video></html>"
    site.sig = "right"
    with pytest.raises(SourceError) as caught:
        source(f"{site.url}/video").open()
    assert caught.value.reason is Reason.FORBIDDEN
    assert "wrong" not in str(caught.value)


def test_what_the_page_says_comes_through(site: Site) -> None:
    with pytest.raises(SourceError, match=r"^youtube://http://127\.0\.0\.1.*HTTP Error") as caught:
        source(f"{site.url}/status/404").open()
    assert caught.value.reason is Reason.NOT_FOUND


def test_it_counts_as_connected_once_the_site_has_answered(site: Site) -> None:
    """YouTube takes several requests; the keeper is to know that they get on."""
    site.pages["/slow"] = "<html><title>t</title><video src='/list.m3u8'></video></html>"
    (site.folder / "list.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/endless\n")
    page = source(f"{site.url}/slow", resolve_timeout_s=30)

    def open_it() -> None:
        with pytest.raises(SourceError):
            page.open()

    thread = threading.Thread(target=open_it)
    thread.start()
    assert wait_until(lambda: page.progress.connected)
    page.close()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.slow
def test_a_page_without_end_is_given_up(site: Site) -> None:
    began_s = time.monotonic()
    with pytest.raises(SourceError, match="no answer from the site within 1 s") as caught:
        source(f"{site.url}/endless", resolve_timeout_s=1).open()
    assert caught.value.reason is Reason.NO_ANSWER
    assert time.monotonic() - began_s < 20  # the page would go on for ever


def children() -> set[int]:
    me = f"PPid:\t{os.getpid()}\n"
    found = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if me in status.read_text():
                found.add(int(status.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="counts processes in /proc")
@pytest.mark.slow
def test_closed_while_the_page_is_asked(site: Site) -> None:
    gc.collect()
    before = children()
    page = source(f"{site.url}/endless", resolve_timeout_s=60)
    caught: list[SourceError] = []

    def open_it() -> None:
        try:
            page.open()
        except SourceError as error:
            caught.append(error)

    thread = threading.Thread(target=open_it)
    thread.start()
    assert wait_until(lambda: any("endless" in hit for hit in site.hits))
    assert not page.progress.connected
    closed_s = time.monotonic()
    page.close()
    assert time.monotonic() - closed_s < 5  # not resolve_timeout_s
    thread.join(20)
    assert not thread.is_alive()
    assert caught[0].reason is Reason.CLOSED
    assert wait_until(lambda: children() <= before)
    page.close()
    with pytest.raises(SourceError, match="was closed"):
        page.open()


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    with pytest.raises(SourceError, match=r'pip install "sightline\[youtube\]"') as caught:
        source("dQw4w9WgXcQ").open()
    assert caught.value.reason is Reason.MISSING_PACKAGE


@pytest.mark.parametrize(
    ("url", "expires_s"),
    [
        ("https://h/v?expire=1700000000&sig=x", 1_700_000_000.0),
        ("https://h/hls/expire/1700000000/sig/x/list.m3u8", 1_700_000_000.0),
        ("https://h/v?Expires=1700000000&Policy=x", 1_700_000_000.0),
        ("https://h/v?id=1700000000", None),
        ("https://h/v?expire=17000000001", None),
    ],
)
def test_when_a_link_expires(url: str, expires_s: float | None) -> None:
    link = Link(SecretUrl(url), {"Cookie": "mine"})
    assert link.expires_s == expires_s
    assert "mine" not in repr(link)


@pytest.mark.slow
def test_what_yt_dlp_may_do_in_its_process(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No configuration, no plug-ins, no cache of the user."""
    home = tmp_path / "home"
    plugin = home / ".config/yt-dlp/plugins/own/yt_dlp_plugins/extractor/own.py"
    plugin.parent.mkdir(parents=True)
    mark = tmp_path / "plugin-ran"
    plugin.write_text(f"open({str(mark)!r}, 'w').close()\n")
    (home / ".config/yt-dlp/config").write_text("--format nosuchformat\n")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home / (".config" if "CONFIG" in name else ".cache")))
    write_video(tmp_path / "clip.mp4", [flat(index) for index in range(5)])
    page = source(f"{site.url}/video")
    page.open()
    page.close()
    assert not mark.exists()
    assert not (home / ".cache").exists()
