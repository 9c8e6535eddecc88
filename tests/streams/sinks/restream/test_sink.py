from __future__ import annotations

import socket
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError, SinkError
from pipeline.packet import PacketFormat
from pipeline.plugin import SinkContext
from streams.sinks.restream.options import PushOptions
from streams.sinks.restream.sink import PushSink
from tests.servers.daemons import free_port
from tests.streams.sinks.restream.scene import Stage, wait_for


def options(**given: Any) -> PushOptions:
    return PushOptions.model_validate({"url": "rtsp://u:pa55@media/{stream}", **given})


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"url": "http://media/pa55"}, "must begin with one of rtsp"),
        ({"url": "rtmp://media/pa55"}, "host/application/key"),
        ({"bitrate_kbps": 500, "size": [640, 360]}, r"bitrate_kbps, size: only what is encoded.*annotated"),
        ({"video": "annotated", "size": [8, 9000]}, "16 to 8192"),
        ({"url": "env:NO_SUCH_URL"}, "NO_SUCH_URL.*not set"),
        ({"url": "rtsps://media/pa55", "transport": "udp"}, "in clear"),
        ({"speed": 3}, "Extra inputs"),
    ],
)
def test_wrong_options_are_refused_without_showing_the_url(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint) as caught:
        options(**given)
    errors = str(caught.value.errors(include_input=False, include_url=False, include_context=False))
    assert "pa55" not in errors


def test_two_streams_to_one_url_are_refused_when_the_configuration_is_checked() -> None:
    assert PushSink.files(options(), ["north", "south"]) == ()
    assert PushSink.files(options(url="rtsp://media/one"), ["north"]) == ()
    with pytest.raises(ConfigError, match=r"2 streams \(north, south\).*\{stream\}"):
        PushSink.files(options(url="rtsp://media/one"), ["north", "south"])


def test_it_takes_packets_or_pictures() -> None:
    assert PushSink.needs_packets(options())
    assert not PushSink.needs_packets(options(video="annotated"))


def test_a_codec_that_cannot_be_sent_is_told_with_what_to_do(tmp_path: Path) -> None:
    sink = PushSink(options(url="rtmp://media/live/secret"), SinkContext(tmp_path))
    form = PacketFormat("gate", "run", "mjpeg", 64, 48, Fraction(1, 1000), live=True)
    complaint = "mjpeg cannot be sent there, but h264, hevc; set video: annotated"
    with pytest.raises(SinkError, match=complaint) as caught:
        sink.open_packets(form)
    assert "secret" not in str(caught.value)
    sink.close()


@pytest.mark.slow
def test_annotated_pictures_go_out_as_mpeg_ts_smaller_and_in_one_size(tmp_path: Path) -> None:
    port = free_port()
    with Stage(
        tmp_path, f"udp://127.0.0.1:{port}", video="annotated", size=[160, 160], keyframe_s=0.3, rate_hz=12.5
    ) as stage:
        player = stage.player(f"udp://127.0.0.1:{port}?timeout=1000000", "mpegts")
        stage.camera.start()
        wait_for(lambda: len(player.seen) > 4, player)
        stage.camera.stop()
        stage.camera.start((320, 320))  # the camera was turned
        count = len(player.seen)
        wait_for(lambda: len(player.seen) > count + 6, player)
        assert {seen.size for seen in player.seen} == {(160, 120)}
        assert player.connections == 1
        distances = np.diff([seen.pts_s for seen in player.seen[:5]])
        assert np.median(distances) == pytest.approx(0.08, abs=0.03)
        stage.assert_held_up_nobody()


def test_what_nobody_takes_is_not_drawn(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        url = f"rtsp://127.0.0.1:{door.getsockname()[1]}/gate"
    with Stage(tmp_path, url, video="annotated") as stage:
        stage.camera.start()
        wait_for(lambda: stage.camera.number > 20)
        stage.camera.stop()
        assert stage.states() == ["failed"]
        assert "127.0.0.1" in str(stage.told[0]["detail"])
        drawn = stage.sink._drawn["gate"][2]
        assert drawn._sent == 0
        assert drawn._unsent <= 8  # tries, between which nothing was handed over


def test_a_file_without_certificates_is_told(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("nothing")
    given = options(url="rtmps://media/live/secret", ca_file=tmp_path / "none.pem")
    with pytest.raises(SinkError, match=r"^ca_file: .*none\.pem holds no certificates: "):
        PushSink(given, SinkContext(tmp_path))
