from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.errors import SinkError
from pipeline.moment import Clock, Moment
from pipeline.packet import Packet, PacketFormat
from streams.sinks.encoder import Encoder, Encoding
from streams.sinks.restream.annex_b import AnnexB
from tests.media import write_crossing_video
from tests.packets import packets_of


@pytest.fixture(scope="module", params=["libx264", "libx265"])
def material(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PacketFormat, list[Packet]]:
    path = tmp_path_factory.mktemp("annex") / "clip.mp4"
    return packets_of(write_crossing_video(path, frames=30, codec=request.param))


def pictures(codec: str, packets: list[bytes]) -> int:
    decoder = av.CodecContext.create(codec, "r")
    found = sum(len(decoder.decode(av.Packet(data))) for data in packets)
    return found + len(decoder.decode(None))


def test_a_file_s_packets_can_be_joined_at_each_key_frame(
    material: tuple[PacketFormat, list[Packet]],
) -> None:
    form, packets = material
    turned = AnnexB(form)
    data = [turned.converted(packet).data for packet in packets]
    assert turned.form.extradata.startswith(b"\0\0\1")
    for place in [place for place, packet in enumerate(packets) if packet.is_key]:
        assert pictures(form.codec, data[place:]) == len(packets) - place


def test_a_camera_s_packets_stay_and_get_what_it_told_only_at_the_start(
    material: tuple[PacketFormat, list[Packet]],
) -> None:
    form, packets = material
    first = AnnexB(form)
    whole = [first.converted(packet) for packet in packets]
    heads = first.form.extradata
    bare = [replace(p, data=p.data.replace(heads, b"")) if p.is_key else p for p in whole]
    camera = replace(form, extradata=heads)
    again = AnnexB(camera)
    assert all(again.converted(packet) is packet for packet in whole)
    told = AnnexB(camera)
    turned = [told.converted(packet).data for packet in bare]
    assert turned[0].startswith(heads)
    assert pictures(form.codec, turned) == len(packets)
    assert turned[1:20] == [packet.data for packet in bare[1:20]]


def test_parameter_sets_that_change_are_noticed() -> None:
    turned = AnnexB(PacketFormat("gate", "run", "h264", 64, 48, Fraction(1, 90_000)))
    moment = Moment(0.0, 0, Clock.ARRIVAL)
    for size in ((64, 48), (128, 96)):
        encoder = Encoder("gate", "run", *size, Encoding())
        packet = encoder.encode(np.zeros((48, 64, 3), np.uint8), moment)
        assert turned.converted(packet) is packet
        assert turned.form.extradata.lstrip(b"\0") == encoder.form.extradata.lstrip(b"\0")


def test_other_codecs_stay_as_they_are_and_damage_is_told() -> None:
    form = PacketFormat("gate", "run", "mjpeg", 64, 48, Fraction(1, 1000))
    packet = Packet("gate", "run", 0, b"\xff\xd8", 0, 0, 0, True, None)  # type: ignore[arg-type]
    assert AnnexB(form).converted(packet) is packet
    record = bytes.fromhex("01640016ffe1000467640016010004 68ee3cb0".replace(" ", ""))
    damaged = AnnexB(replace(form, codec="h264", extradata=record))
    with pytest.raises(SinkError, match="stream 'gate': a packet is damaged"):
        damaged.converted(replace(packet, data=b"\0\0\xff\xff\x65"))
