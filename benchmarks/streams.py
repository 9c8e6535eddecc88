"""What one more 720p stream costs in memory, and how soon a run detects something after its start.

    python -m benchmarks.streams [--streams 1 2 4 8] [--model FILE.onnx] [--rounds 3]

Each row is `sightline run` itself, a process of its own, over that many streams of one 1280 x 720 file with
detection (`onnx`, no torch), tracking and counting; sinks: events. Memory is what the process holds
(resident) at most. The start is counted from the command to the first picture with a track, received over the
bus.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import cv2
import yaml

from pipeline.listen import Listener

_SHARED = Path(__file__).parents[2] / "shared/data"
_CLIP = _SHARED / "video/traffic_a.mp4"
_MODEL = _SHARED / "weights/yolox_nano.onnx"
_MIB = 1 << 20


def make_clip(target: Path) -> None:
    """Scale traffic_a.mp4 to 1280 x 720."""
    with av.open(str(_CLIP)) as container, av.open(str(target), "w") as output:
        stream = output.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.options = {"preset": "veryfast"}
        for frame in container.decode(video=0):
            image = cv2.resize(frame.to_ndarray(format="bgr24"), (1280, 720))
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        output.mux(stream.encode(None))


def write_config(path: Path, video: Path, model: Path, streams: int, frames: str | None = None) -> None:
    """Write a configuration of so many streams that publishes its frames at an endpoint, or nowhere."""
    config: dict[str, Any] = {
        "out": str(path.with_suffix("")),
        "streams": {f"camera{number}": {"source": str(video)} for number in range(streams)},
        "stages": [
            {"onnx": {"model": str(model)}},
            {"track": {"appearance": "none"}},
            {"count": {"lines": {"gate": {"start": [0, 0.7], "end": [1, 0.7]}}}},
        ],
        "sinks": ["events"],
    }
    if frames:
        config["bus"] = {"frames": frames}
    path.write_text(yaml.safe_dump(config))


def started(config: Path) -> subprocess.Popen[bytes]:
    """Start `sightline run`."""
    command = [sys.executable, "-c", "from pipeline.cli.entry import main; main()", "run", str(config)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def first_detection_s(config: Path, endpoint: str) -> float:
    """Return the seconds from the command to the first frame with a track, received over the bus."""
    start_s = time.monotonic()
    process = started(config)
    with Listener([endpoint], topics=("frame/",)) as frames:
        while process.poll() is None:
            received = frames.receive(0.2)
            if received is not None and len(received.message.tracks or ()):
                took_s = time.monotonic() - start_s
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=30)
                return took_s
    raise SystemExit(f"no track was seen: {(process.stderr.read() if process.stderr else b'').decode()}")


def peak_mib(config: Path) -> float:
    """Return what a whole run holds in memory at most."""
    process = started(config)
    most_mib = 0.0
    while process.poll() is None:
        most_mib = max(most_mib, held_mib(process.pid))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit((process.stderr.read() if process.stderr else b"").decode().strip())
    return most_mib


def held_mib(pid: int) -> float:
    """Return what a process holds in memory; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * 4096 / _MIB


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--model", type=Path, default=_MODEL, help="an ONNX file that the stage knows")
    parser.add_argument("--rounds", type=int, default=3, help="starts")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        video = home / "clip.mp4"
        make_clip(video)
        endpoint = f"ipc://{home}/frames"
        write_config(home / "start.yaml", video, asked.model, 1, endpoint)
        starts_s = [first_detection_s(home / "start.yaml", endpoint) for _ in range(asked.rounds)]
        print(f"start to first track: {statistics.median(starts_s):.2f} s (most {max(starts_s):.2f})")
        print("streams   peak MiB   MiB per further stream")
        least: tuple[int, float] | None = None
        for streams in sorted(asked.streams):
            config = home / f"run{streams}.yaml"
            write_config(config, video, asked.model, streams)
            mib = peak_mib(config)
            more = "" if least is None else f"{(mib - least[1]) / (streams - least[0]):10.1f}"
            print(f"{streams:7d} {mib:10.0f}   {more}", flush=True)
            least = least or (streams, mib)


if __name__ == "__main__":
    main()
