"""What it costs to record cameras by copying their packets, and what a kill costs.

    python -m benchmarks.recording [--streams 8] [--seconds 30] [--kbit-s 4000] [--daemon-s 15] [--kills 100]

The first table: packets of 720p at 30 Hz (real traffic, coded anew at the bit rate that is asked for) come at
the pace of cameras to the queue, the thread and the sink of each stream, as in a run; the processor time of
all of it is divided by the time that went by and the number of streams. `queue alone` has a sink that does
nothing. Every packet that was fed must be in the files, bit by bit. The second: the whole daemon, which reads
as many RTSP cameras (Debian's gst-rtsp-server) and decodes them. The third: a
recorder is killed (`kill -9`) at random moments; packets that it was fed and are not in its file are counted.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av

from pipeline.feed import Feed
from pipeline.packet import Packet, PacketFormat
from pipeline.packet_sink import PacketSink
from pipeline.plugin import SinkContext, SinkOptions
from streams.sinks.record.options import RecordOptions
from streams.sinks.record.sink import RecordSink
from tests.command import as_from_a_terminal
from tests.packets import hashes, hashes_in, packets_of
from tests.servers.rtsp import RtspServer, looped
from tests.shared_data import shared
from tests.streams.sinks.record import child
from tests.streams.sinks.record.feeding import START_NS, repeated, segments
from tests.streams.sinks.record.test_killed import kill_once, lost_packets

RATE_HZ = 30
_SETTLE_S = 8.0


class NothingSink(PacketSink):
    """Takes packets and leaves them."""

    def open_packets(self, form: PacketFormat) -> None:
        """Do nothing."""

    def on_packet(self, packet: Packet) -> None:
        """Do nothing."""


def write_720p(path: Path, kbit_s: int) -> None:
    """Write eight seconds of traffic as a camera would send it: no B frames, a key frame each two seconds."""
    with av.open(shared("video/traffic_a.mp4")) as source, av.open(path, "w") as copy:
        track = copy.add_stream(
            "libx264", rate=RATE_HZ, options={"preset": "superfast", "tune": "zerolatency"}
        )
        track.width, track.height, track.pix_fmt = 1280, 720, "yuv420p"
        track.bit_rate = kbit_s * 1000
        track.gop_size = 2 * RATE_HZ
        for number, frame in enumerate(source.decode(video=0)):
            large = frame.reformat(1280, 720)
            large.pts, large.time_base = number, Fraction(1, RATE_HZ)
            large.pict_type = av.video.frame.PictureType.NONE
            copy.mux(track.encode(large))
        copy.mux(track.encode())


def share_of_a_core(
    sink: PacketSink, form: PacketFormat, packets: list[Packet], streams: int
) -> tuple[float, int]:
    """Feed packets to all streams at their pace; return processor time per stream and second, and bytes/s."""
    names = [f"cam{number}" for number in range(streams)]
    feeds = {name: Feed("record", name, sink, lambda _: None) for name in names}
    for name, feed in feeds.items():
        feed.start()
        feed.begin(replace(form, stream=name, live=True))
    begun_s = time.monotonic()
    spent_s, own_s = time.process_time(), time.thread_time()
    for packet in packets:
        time.sleep(max(0.0, begun_s + packet.moment.pts_s - time.monotonic()))
        for name, feed in feeds.items():
            feed.put(replace(packet, stream=name))
    for feed in feeds.values():
        feed.over()
        feed.close(20)
    spent_s = time.process_time() - spent_s - (time.thread_time() - own_s)
    wall_s = time.monotonic() - begun_s
    sink.close()
    rate = sum(len(packet.data) for packet in packets) / packets[-1].moment.pts_s
    return spent_s / wall_s / streams, int(rate)


def cost(streams: int, seconds: float, kbit_s: int) -> None:
    """Measure and print the first table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_720p(folder / "camera.mp4", kbit_s)
        form, packets = packets_of(folder / "camera.mp4", live=True, start_ns=START_NS)
        many = repeated(packets, 1 + round(seconds * RATE_HZ / len(packets)))
        many = [packet for packet in many if packet.moment.pts_s < seconds]
        print("| what | % of a core per stream | Mbit/s per stream |\n| --- | ---: | ---: |")
        rows = {
            "queue alone": (NothingSink, SinkOptions()),
            "record, mp4, fsync each 5 s": (RecordSink, RecordOptions(segment_s=10)),
            "record, mp4, fsync each second": (RecordSink, RecordOptions(segment_s=10, sync_s=0)),
            "record, mkv, fsync each 5 s": (RecordSink, RecordOptions(segment_s=10, container="mkv")),
        }
        for number, (what, (kind, options)) in enumerate(rows.items()):
            out = folder / str(number)
            sink = kind(options, SinkContext(out))
            share, rate = share_of_a_core(sink, form, many, streams)
            print(f"| {what} | {100 * share:.2f} | {rate * 8 / 1e6:.1f} |", flush=True)
            if kind is RecordSink:
                check(out / "recordings", many, streams)


def check(root: Path, packets: list[Packet], streams: int) -> None:
    """Make sure that every stream has every packet."""
    expected = hashes(packets)
    for number in range(streams):
        found = segments(root, f"cam{number}")
        stored = [one for segment in found for one in hashes_in(root / segment.path)]
        if stored != expected:
            raise SystemExit(f"cam{number}: {len(stored)} packets of {len(expected)}, or others")


def daemon(streams: int, seconds: float, kbit_s: int) -> None:
    """Measure and print the second table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_720p(folder / "camera.mp4", kbit_s)
        mount = looped(folder / "camera.mp4", folder)
        print("\n| the whole daemon | % of a core per stream |\n| --- | ---: |")
        with RtspServer({f"/cam{number}": mount for number in range(streams)}) as server:
            for decode, sinks in (
                ("all", "[]"),
                ("all", "[{record: {free_gb: 0}}]"),
                ("key_frames", "[{record: {free_gb: 0}}]"),
            ):
                config = folder / "box.yaml"
                cameras = "".join(
                    f"  cam{number}: {{source: {{url: '{server.url(f'/cam{number}')}', decode: {decode}}}, "
                    "stages: []}\n"
                    for number in range(streams)
                )
                config.write_text(f"streams:\n{cameras}sinks: {sinks}\n")
                share = daemon_share(config, folder / f"{decode}{len(sinks)}", seconds) / streams
                print(f"| decode: {decode}, sinks: {sinks} | {100 * share:.1f} |", flush=True)


def daemon_share(config: Path, out: Path, seconds: float) -> float:
    """Return processor time per second of a daemon that has settled."""
    words = ["-c", "from pipeline.cli.entry import main; main()", "run", config, "--out", out, "-q"]
    with subprocess.Popen([sys.executable, *words], preexec_fn=as_from_a_terminal) as process:
        time.sleep(_SETTLE_S)
        before_s = spent_by(process.pid)
        time.sleep(seconds)
        spent_s = spent_by(process.pid) - before_s
        process.send_signal(signal.SIGINT)
        process.wait(30)
    return spent_s / seconds


def spent_by(pid: int) -> float:
    """Return the processor time of a process, s (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def killed(kills: int) -> None:
    """Measure and print the third table."""
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_720p(folder / "camera.mp4", 1000)
        _, packets = packets_of(folder / "camera.mp4")
        expected = hashes(repeated(packets, 100))
        lost = []
        for number in range(kills):
            start_ns = START_NS + number * 10**12
            least, more_s = rng.randrange(20, 280), rng.uniform(0.0, 0.01)
            fed = kill_once(folder, folder / "camera.mp4", start_ns, least, more_s)
            lost.append(lost_packets(folder / "recordings", expected, start_ns, fed))
    seconds = [number / RATE_HZ for number in sorted(lost)]
    print(f"\n| {kills} kills, fragments of {child.FRAGMENT_S:g} s | |\n| --- | ---: |")
    print(f"| lost: median, most (s of video) | {seconds[len(seconds) // 2]:.2f}, {seconds[-1]:.2f} |")


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--kbit-s", type=int, default=4000)
    parser.add_argument("--daemon-s", type=float, default=15.0)
    parser.add_argument("--kills", type=int, default=100)
    asked = parser.parse_args()
    if asked.seconds:
        cost(asked.streams, asked.seconds, asked.kbit_s)
    if asked.daemon_s:
        daemon(asked.streams, asked.daemon_s, asked.kbit_s)
    if asked.kills:
        killed(asked.kills)


if __name__ == "__main__":
    main()
