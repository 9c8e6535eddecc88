"""What the server answers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import cast

from aiohttp import web

from pipeline.moment import iso_utc
from streams.sinks.live.access import COOKIE, suffix_of
from streams.sinks.live.hls.playlist import playlist_of
from streams.sinks.live.hls.service import HlsService
from streams.sinks.live.hls.window import Window
from streams.sinks.live.options import LiveOptions, Pictures
from streams.sinks.live.stills import Stills
from streams.sinks.live.stream import LiveStream
from streams.sinks.live.studio import Still
from streams.sinks.live.viewers import Viewers
from streams.sinks.live.webrtc import OfferError, Peers

_STREAM = "/{stream:[A-Za-z0-9_-]{1,64}}"
_PICTURES = _STREAM + "/{pictures:original|annotated}"
_BOUNDARY = "sightline"
_WRITE_S = 10.0
_FIRST_S = 20.0
_SEND_BUFFER_BYTES = 128 << 10
_MOST_AHEAD = 2
_PART_NAMES = "part-{segment:[0-9]{1,12}}-{part:[0-9]{1,6}}.m4s"
_NEVER_CHANGES = {"Cache-Control": "private, max-age=60"}
_ASSETS = {"page.js": "text/javascript", "page.css": "text/css"}


class Handlers:
    """Routes and their answers.

    Args:
        options: of the sink.
        streams: those that are known, by name; the server adds to them.
        viewers: who watches.
        peers: WebRTC viewers, None if it is not offered.
        malformed: returns how many requests were none.
    """

    def __init__(
        self,
        options: LiveOptions,
        streams: Mapping[str, LiveStream],
        viewers: Viewers,
        peers: Peers | None,
        malformed: Callable[[], int],
    ) -> None:
        self._options = options
        self._streams = streams
        self._viewers = viewers
        self._peers = peers
        self._malformed = malformed
        assets = files("streams.sinks.live") / "assets"
        self._page = (assets / "page.html").read_bytes()
        self._assets = {name: (assets / name).read_bytes() for name in _ASSETS}

    def add_to(self, app: web.Application) -> None:
        """Add all routes."""
        router = app.router
        router.add_get("/", self._index)
        router.add_get("/streams.json", self._list)
        router.add_get("/favicon.ico", self._icon)
        router.add_get("/assets/{name:page\\.(?:js|css)}", self._asset)
        router.add_get(_PICTURES + "/video.m3u8", self._playlist)
        router.add_get(_PICTURES + "/head-{number:[0-9]{1,12}}.mp4", self._head)
        router.add_get(_PICTURES + "/segment-{segment:[0-9]{1,12}}.m4s", self._segment)
        router.add_get(_PICTURES + "/" + _PART_NAMES, self._part)
        router.add_get(_STREAM + "/annotated/video.mjpeg", self._mjpeg, allow_head=False)
        router.add_get(_STREAM + "/annotated/picture.jpg", self._snapshot, allow_head=False)
        router.add_post(_PICTURES + "/whep", self._whep)
        router.add_delete(_PICTURES + "/whep/{id:[A-Za-z0-9_-]{1,64}}", self._leave)

    async def _index(self, request: web.Request) -> web.StreamResponse:
        token = request.query.get("token")
        if token:  # it was right: off the address line, where people copy it from
            away = web.HTTPSeeOther("/")
            away.set_cookie(COOKIE, token, httponly=True, samesite="Strict", secure=request.secure)
            raise away
        return web.Response(body=self._page, content_type="text/html", charset="utf-8")

    async def _icon(self, _: web.Request) -> web.Response:
        return web.Response(status=204)

    async def _asset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return web.Response(body=self._assets[name], content_type=_ASSETS[name], charset="utf-8")

    async def _list(self, _: web.Request) -> web.Response:
        listed = [
            {
                "name": stream.name,
                "pictures": {
                    pictures: {
                        "video": stream.why_not(pictures, in_order=False),
                        "webrtc": self._why_no_webrtc(stream, pictures),
                        "stills": pictures == "annotated",
                    }
                    for pictures in stream.programmes
                },
                "passed_over": stream.passed_over,
            }
            for _, stream in sorted(self._streams.items())
        ]
        viewers = {
            "now": self._viewers.count,
            "most": self._options.max_viewers,
            "refused": self._viewers.refused,
        }
        return _json({"streams": listed, "viewers": viewers, "malformed": self._malformed()})

    async def _playlist(self, request: web.Request) -> web.Response:
        service = self._service(request)
        self._admit(request)
        service.touch()
        wanted = _asked_part(request)
        first_s = _FIRST_S + service.window.lengths.target_s
        from_part = wanted is not None or request.query.get("from") == "part"
        if not await service.until(lambda window: _is_ready(window, from_part), first_s):
            raise _unavailable("there are no pictures yet")
        if wanted is not None:
            if wanted[0] > service.window.next_part()[0] + _MOST_AHEAD:
                raise web.HTTPBadRequest(text="_HLS_msn is too far ahead\n")
            target_s = service.window.lengths.target_s
            if not await service.until(lambda window: window.has(*wanted), 3.0 * target_s):
                raise _unavailable("no picture came in time")
        service.touch()
        return web.Response(
            text=playlist_of(service.window, suffix_of(request.query)),
            content_type="application/vnd.apple.mpegurl",
            headers={"Cache-Control": "no-store"},
        )

    async def _head(self, request: web.Request) -> web.Response:
        service = self._working(request)
        head = service.window.heads.get(int(request.match_info["number"]))
        if head is None:
            raise _not_there()
        headers = {**_NEVER_CHANGES, "X-Codec": head.codec}
        return web.Response(body=head.data, content_type="video/mp4", headers=headers)

    async def _segment(self, request: web.Request) -> web.Response:
        service = self._working(request)
        segment = service.window.find(int(request.match_info["segment"]))
        if segment is None or not segment.is_complete:
            raise _not_there()
        return web.Response(body=segment.data(), content_type="video/mp4", headers=_NEVER_CHANGES)

    async def _part(self, request: web.Request) -> web.Response:
        service = self._working(request)
        number, index = int(request.match_info["segment"]), int(request.match_info["part"])
        if (number, index) == service.window.next_part():  # announced as the next: it is waited for
            target_s = service.window.lengths.target_s
            await service.until(lambda window: window.has(number, index), 3.0 * target_s)
        data = service.window.part(number, index)
        if data is None:
            raise _not_there()
        return web.Response(body=data, content_type="video/mp4", headers=_NEVER_CHANGES)

    async def _mjpeg(self, request: web.Request) -> web.StreamResponse:
        stills = self._stills(request)
        if not self._viewers.enter():
            raise _too_many()
        try:
            response = web.StreamResponse(
                headers={
                    "Content-Type": f"multipart/x-mixed-replace; boundary={_BOUNDARY}",
                    "Cache-Control": "no-store",
                }
            )
            _keep_short(request)
            await response.prepare(request)
            await response.write(f"--{_BOUNDARY}\r\n".encode())
            with stills.wanted():
                async for still in stills.each():
                    async with asyncio.timeout(_WRITE_S):  # who takes nothing for so long is let go
                        await response.write(_multipart(still))
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._viewers.leave()
        return response

    async def _snapshot(self, request: web.Request) -> web.Response:
        stills = self._stills(request)
        if not self._viewers.enter():
            raise _too_many()
        try:
            with stills.wanted():
                async with asyncio.timeout(self._options.stub_after_s + 2):
                    still = await anext(stills.each(), None)
        except TimeoutError:
            still = None
        finally:
            self._viewers.leave()
        if still is None:
            raise _unavailable("there is no picture")
        headers = {"Cache-Control": "no-store"}
        if still.time_ns is not None:
            headers["X-Picture-Time"] = iso_utc(still.time_ns)
        status = 503 if still.is_stub else 200
        return web.Response(body=still.jpeg, status=status, content_type="image/jpeg", headers=headers)

    async def _whep(self, request: web.Request) -> web.Response:
        stream, pictures = self._stream(request), _pictures(request)
        if pictures not in stream.programmes:
            raise _not_there()
        why_not = self._why_no_webrtc(stream, pictures)
        if self._peers is None or why_not:
            raise web.HTTPNotImplemented(text=f"{why_not}\n")
        if request.content_type != "application/sdp":
            raise web.HTTPUnsupportedMediaType(text="WHEP takes an offer of the type application/sdp\n")
        try:
            async with asyncio.timeout(_WRITE_S):
                offer = (await request.read()).decode(errors="replace")
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="the offer did not come\n") from None
        if not self._viewers.enter():
            raise _too_many()
        try:
            peer, answer = await self._peers.answer(
                offer, stream.programmes[pictures], stream.wake, lambda: stream.ask_for_key(pictures)
            )
        except OfferError as refused:
            self._viewers.leave()
            raise web.HTTPBadRequest(text=f"{refused}\n") from refused
        except BaseException:
            self._viewers.leave()
            raise
        headers = {"Location": f"{request.path}/{peer}"}
        return web.Response(status=201, text=answer, content_type="application/sdp", headers=headers)

    async def _leave(self, request: web.Request) -> web.Response:
        if self._peers is None or not await self._peers.leave(request.match_info["id"]):
            raise _not_there()
        return web.Response()

    def _why_no_webrtc(self, stream: LiveStream, pictures: Pictures) -> str | None:
        if self._peers is None:
            return 'WebRTC is not offered; it needs pip install "sightline[webrtc]"'
        return stream.why_not(pictures, in_order=True)

    def _stream(self, request: web.Request) -> LiveStream:
        stream = self._streams.get(request.match_info["stream"])
        if stream is None:
            raise web.HTTPNotFound(text="there is no such stream\n")
        return stream

    def _service(self, request: web.Request) -> HlsService:
        stream, pictures = self._stream(request), _pictures(request)
        if pictures not in stream.hls:
            raise web.HTTPNotFound(text=f"{pictures} pictures are not offered\n")
        why_not = stream.why_not(pictures, in_order=False)
        if why_not:
            raise web.HTTPNotImplemented(text=f"{why_not}\n")
        return stream.hls[pictures]

    def _working(self, request: web.Request) -> HlsService:
        """Return a programme that is watched: its files are there only with the playlist that names them."""
        service = self._service(request)
        if not service.is_working:
            raise _not_there()
        self._admit(request)
        service.touch()
        return service

    def _stills(self, request: web.Request) -> Stills:
        stills = self._stream(request).stills
        if stills is None:
            raise web.HTTPNotFound(text="annotated pictures are not offered\n")
        return stills

    def _admit(self, request: web.Request) -> None:
        what = f"{request.match_info['stream']}/{request.match_info['pictures']}"
        if not self._viewers.asks(request.remote or "", what):
            raise _too_many()


def _is_ready(window: Window, from_part: bool) -> bool:
    if from_part and any(segment.parts for segment in window.segments):
        return True
    return window.has_ended or any(segment.is_complete for segment in window.segments)


def _asked_part(request: web.Request) -> tuple[int, int | None] | None:
    """Return what the request wants to wait for (RFC 8216bis, 6.2.5.2)."""
    segment, part = request.query.get("_HLS_msn"), request.query.get("_HLS_part")
    for text in (segment, part):
        if text is not None and not (text.isascii() and text.isdecimal() and len(text) <= 12):
            raise web.HTTPBadRequest(text="_HLS_msn and _HLS_part are whole numbers\n")
    if segment is None:
        if part is not None:
            raise web.HTTPBadRequest(text="_HLS_part needs _HLS_msn\n")
        return None
    return int(segment), None if part is None else int(part)


def _pictures(request: web.Request) -> Pictures:
    return cast("Pictures", request.match_info["pictures"])


def _multipart(still: Still) -> bytes:
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(still.jpeg)}\r\n"
    if still.time_ns is not None:
        head += f"X-Picture-Time: {iso_utc(still.time_ns)}\r\n"
    # Browsers show a picture when the next boundary is there: it must not wait for the next picture.
    return b"".join([head.encode(), b"\r\n", still.jpeg, f"\r\n--{_BOUNDARY}\r\n".encode()])


def _keep_short(request: web.Request) -> None:
    """Let little wait in buffers, so that a slow viewer misses pictures instead of seeing old ones."""
    transport = request.transport
    if transport is None:
        return
    transport.set_write_buffer_limits(high=0)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)


def _json(value: object) -> web.Response:
    return web.Response(
        text=json.dumps(value), content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def _not_there() -> web.HTTPException:
    return web.HTTPNotFound(text="there is nothing here\n")


def _too_many() -> web.HTTPException:
    return web.HTTPServiceUnavailable(text="too many viewers\n", headers={"Retry-After": "10"})


def _unavailable(why: str) -> web.HTTPException:
    return web.HTTPServiceUnavailable(text=f"{why}\n", headers={"Retry-After": "2"})
