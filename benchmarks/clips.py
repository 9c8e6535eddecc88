"""What event clips, cutting and sealing cost: `python -m benchmarks.clips`.

One stream of 720p at 30 Hz and about 5 Mbit/s, handed to the sinks as fast as they take it: what is told is
processor time per picture.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.event import Producer
from pipeline.frame import Frame
from pipeline.packet import Packet, PacketFormat
from pipeline.picture import BgrPicture
from pipeline.plugin import SinkContext
from streams.sinks.clips.options import ClipsOptions
from streams.sinks.clips.sink import ClipsSink
from streams.sinks.cut.cutter import Cutter
from streams.sinks.record.options import RecordOptions
from streams.sinks.record.reading import open_recordings
from streams.sinks.record.sink import RecordSink
from streams.sinks.sealed.files import create, open_to_read
from streams.sinks.sealed.keys import make_pair, read_public, read_secret

RATE_HZ, KEY_EVERY, MEDIA_S = 30, 30, 120
START_NS = 1_800_000_000_000_000_000
PACKET_BYTES = 4_000_000 // 8 // RATE_HZ


def camera() -> tuple[PacketFormat, list[Packet]]:
    """Return two minutes: four seconds of noise in blocks, coded once, again and again."""
    import av

    from tests.packets import packets_of

    rng = np.random.default_rng(5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=RATE_HZ, options={"preset": "ultrafast", "bf": "0"})
            stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
            stream.codec_context.gop_size = KEY_EVERY
            stream.codec_context.bit_rate = 4_000_000
            for _ in range(4 * RATE_HZ):
                small = rng.integers(0, 255, (45, 80, 3), np.uint8)
                picture = np.repeat(np.repeat(small, 16, axis=0), 16, axis=1)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            container.mux(stream.encode(None))
        form, packets = packets_of(path)
    step = packets[1].pts - packets[0].pts
    found = [
        replace(
            packet,
            sequence=packet.sequence + turn * len(packets),
            pts=packet.pts + turn * len(packets) * step,
            dts=(packet.dts or 0) + turn * len(packets) * step,
            moment=packet.moment.shifted(turn * 4.0),
        )
        for turn in range(MEDIA_S // 4)
        for packet in packets
    ]
    return form, found


def cpu_of(act: Callable[[], Any]) -> float:
    """Return the processor time of an act, s."""
    begun_s = time.process_time()
    act()
    return time.process_time() - begun_s


def clips(form: PacketFormat, packets: list[Packet], events_every_s: float | None, **options: Any) -> float:
    """Return the processor time for all packets, s."""
    picture = BgrPicture(np.zeros((24, 32, 3), np.uint8))
    with tempfile.TemporaryDirectory() as folder:
        given = {"kinds": ["*"], "free_gb": 0, "fsync": False, **options}
        sink = ClipsSink(ClipsOptions(**given), SinkContext(Path(folder)))
        every = 0 if events_every_s is None else round(events_every_s * RATE_HZ)

        def act() -> None:
            sink.open_packets(form)
            for number, packet in enumerate(packets):
                sink.on_packet(packet)
                frame = Frame("gate", packet.run, packet.sequence, packet.moment, picture)
                if every and number % every == every - 1:
                    sink.on_event(frame.event("line.crossing", str(number), Producer("count", "main")))
                sink.on_frame(frame)
            sink.close()

        return cpu_of(act)


def main() -> None:
    """Print the tables."""
    form, packets = camera()
    size = sum(len(packet.data) for packet in packets)
    print(f"{len(packets)} packets, {size / 1e6:.0f} MB, {size * 8 / MEDIA_S / 1e6:.1f} Mbit/s\n")
    print("| clips | us a picture | % of a core at 30 Hz |\n| --- | ---: | ---: |")
    for name, every, options in [
        ("nothing happens", None, {}),
        ("an event a minute, 10 s each", 60.0, {}),
        ("an event every 12 s, 10 s each", 12.0, {}),
        ("an event every 4 s, shared clips of 2 min", 4.0, {}),
    ]:
        spent_s = clips(form, packets, every, **options)
        print(f"| {name} | {spent_s / len(packets) * 1e6:.0f} | {spent_s / MEDIA_S * 100:.2f} |")

    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        _, secret, public = make_pair(folder, "owner")
        print("\n| what | MB/s |\n| --- | ---: |")
        content = b"".join(packet.data for packet in packets)
        begun_s = time.perf_counter()
        with closing(create(folder / "sealed.age", read_public([public]))) as file:
            for start in range(0, size, 32_768):
                file.write(content[start : start + 32_768])
        print(f"| sealing | {size / 1e6 / (time.perf_counter() - begun_s):.0f} |")
        begun_s = time.perf_counter()
        with open_to_read(folder / "sealed.age", read_secret(secret)) as reader:
            while reader.read(1 << 20):
                pass
        print(f"| opening | {size / 1e6 / (time.perf_counter() - begun_s):.0f} |")
        for name, seal in (("plain", None), ("sealed", [public])):
            out = folder / name
            out.mkdir()
            sink = RecordSink(RecordOptions(free_gb=0, sync_s=None, seal_for=seal), SinkContext(out))
            spent_s = cpu_of(lambda sink=sink: record(sink, form, packets))
            print(f"| recording, {name} ({spent_s / MEDIA_S * 100:.2f} % of a core at 30 Hz) | |")
            begun_s = time.perf_counter()
            cut(out, folder / f"{name}.mp4", () if seal is None else read_secret(secret))
            print(f"| cutting 100 s, {name} | {size / 1.2e6 / (time.perf_counter() - begun_s):.0f} |")


def record(sink: RecordSink, form: PacketFormat, packets: list[Packet]) -> None:
    """Record all packets."""
    sink.open_packets(form)
    for packet in packets:
        sink.on_packet(packet)
    sink.close()


def cut(out: Path, target: Path, keys: tuple[bytes, ...]) -> None:
    """Cut 100 s."""
    found = open_recordings(out)
    from_ns, to_ns = START_NS + 10_000_000_000, START_NS + 110_000_000_000
    segments = [(found.path_of(segment), segment) for segment in found.of("gate", from_ns, to_ns)]
    Cutter(target, from_ns, to_ns, keys).run(segments)
    found.close()


if __name__ == "__main__":
    main()
