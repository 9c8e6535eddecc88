"""The sink `push` over TLS: nginx-rtmp behind a proxy that ends it."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.daemons import rtmp
from tests.streams.sinks.restream.scene import Stage, wait_for


@contextmanager
def ending_tls(certificate: Path, port: int) -> Iterator[int]:
    """Take TLS connections, and hand on what they say to a port of loopback; yields its own port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    loop = asyncio.new_event_loop()

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            ways = [
                asyncio.ensure_future(pump(reader, far_writer)),
                asyncio.ensure_future(pump(far_reader, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            writer.transport.abort()
            far_writer.transport.abort()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


@pytest.mark.slow
def test_rtmps_is_checked_and_carries_the_stream(tmp_path: Path, certificate: Path) -> None:
    with rtmp(tmp_path) as server:
        server.start()
        with ending_tls(certificate, server.port) as port:
            url = f"rtmps://localhost:{port}/live/gate"
            with Stage(tmp_path, url) as stage:
                stage.camera.start()
                wait_for(lambda: stage.states() == ["failed"])
                assert "its certificate is not trusted" in str(stage.told[0]["detail"])
            with Stage(tmp_path, url, ca_file=str(certificate), timeout_s=5) as stage:
                player = stage.player(f"rtmp://127.0.0.1:{server.port}/live/gate")
                stage.camera.start()
                wait_for(lambda: len(player.seen) > 10, player)
                assert stage.told == []
        assert f"tc_url='rtmps://localhost:{port}/live'" in (tmp_path / "error.log").read_text()
