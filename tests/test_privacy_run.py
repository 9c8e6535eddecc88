"""The proof: who must not see something does not get it, by no sink and no socket of a whole run.

A box with a secret pattern walks through a recording. Its detector finds it late, and misses it for a while.
Whatever leaves the run is decoded and searched for the pattern: with privacy it is found no better than
patterns that were never there, without it is found everywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import av
import cv2
import numpy as np
import pytest

import sightline
from pipeline.config.catalogue import INSTALLED, Catalogue
from pipeline.config.load import load_config
from pipeline.engine import Engine
from pipeline.frame import Frame
from pipeline.plugin import Kind, Sink, SinkContext, SinkOptions
from pipeline.wire import FrameMessage
from tests.pipeline.messages import wait_until

WIDTH, HEIGHT, RATE_HZ, FRAMES = 320, 240, 20, 56
BOX_W, BOX_H, TOP, BLOCK = 64, 96, 72, 4
LATE, MISSED = range(4), range(24, 30)
"""Frames in which the box is grey, so that the detector, which looks for blue, does not find it."""

CONFIG = """
streams: {{gate: {{source: {folder}/in.mp4}}}}
stages:
  - colour: {{colours: {{badge: {{low: [95, 60, 40], high: [140, 255, 255]}}}}, height: 240, close: 9}}
  - track: {{n_init: 2, max_age_s: 1}}
  - count:
      lines: {{middle: {{start: [0.5, 0], end: [0.5, 1]}}}}
      evidence: {{strip_hz: 120, rows: 240, reach: 0, quality: 95}}
  - draw: {{labels: false}}
sinks: [video, spy, events]
bus: {{frames: "ipc://{folder}/frames", raw: "ipc://{folder}/raw"}}
out: {folder}/out
{privacy}
"""
PRIVACY = "privacy: {{labels: [badge], method: {method}, margin: 0.15, hold_s: 1.0, ahead_s: 0.4}}"


def pattern(seed: int) -> np.ndarray:
    """(BOX_H, BOX_W) float32: squares of BLOCK px, drawn by the seed."""
    bits = np.random.default_rng(seed).integers(0, 2, (BOX_H // BLOCK, BOX_W // BLOCK))
    return np.kron(bits * 2 - 1, np.ones((BLOCK, BLOCK))).astype(np.float32)


SECRET = pattern(1)
ONE_LOOK = 1 / np.sqrt(BOX_H * BOX_W / BLOCK**2)
"""How alike two patterns are by chance (one standard deviation)."""
DECOYS = [pattern(1000 + seed) for seed in range(200)]


def detail(pattern: np.ndarray) -> np.ndarray:
    """Return what of a pattern is finer than half a cell of `pixelate` and `blur` (31 px here)."""
    return np.asarray(pattern - cv2.blur(pattern, (15, 15), borderType=cv2.BORDER_REFLECT), np.float32)


def left(number: int) -> int:
    return 16 + 4 * number


def write_recording(path: Path) -> None:
    """Noise at rest, and the box at 80 px/s, without loss."""
    luma = np.random.default_rng(3).integers(80, 120, (HEIGHT, WIDTH), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ, options={"qp": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FRAMES):
            y, u, v = luma.copy(), *(np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8) for _ in range(2))
            x = left(number)
            y[TOP : TOP + BOX_H, x : x + BOX_W] = 128 + 40 * SECRET
            if number not in LATE and number not in MISSED:
                place = np.s_[TOP // 2 : (TOP + BOX_H) // 2, x // 2 : (x + BOX_W) // 2]
                u[place], v[place] = 210, 110
            planes = np.concatenate([y.ravel(), u.ravel(), v.ravel()]).reshape(HEIGHT * 3 // 2, WIDTH)
            for packet in stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")):
                container.mux(packet)
        container.mux(stream.encode())


class SpySink(Sink):
    """A third party's sink: keeps all that it can get of each frame."""

    Options: ClassVar[type[SinkOptions]] = SinkOptions
    got: ClassVar[dict[Path, list[tuple[int, list[np.ndarray], np.ndarray]]]] = {}

    def __init__(self, options: SinkOptions, context: SinkContext) -> None:
        super().__init__(options, context)
        self.pictures = self.got.setdefault(context.folder, [])

    def on_frame(self, frame: Frame) -> None:
        luma = frame.picture.luma()
        kept = [
            luma,
            frame.picture.bgr()[..., 1],
            frame.picture.fit(WIDTH, HEIGHT)[..., 1],
        ]
        planes = frame.picture.planes()
        kept += [] if planes is None else [planes.y]
        kept += [array.base for array in kept if isinstance(array.base, np.ndarray) and array.base.ndim == 2]
        self.pictures.append((frame.sequence, kept, frame.drawn()[..., 1]))


@dataclass
class Seen:
    """What left a run, by where: pictures (H, W) uint8, with the number of the frame where it is known."""

    pictures: dict[str, list[tuple[int | None, np.ndarray]]] = field(default_factory=dict)

    def add(self, where: str, number: int | None, luma: np.ndarray) -> None:
        self.pictures.setdefault(where, []).append((number, np.ascontiguousarray(luma, np.uint8)))


def names(kind: Kind) -> list[str]:
    return [*INSTALLED.names(kind), "spy"] if kind == "sink" else INSTALLED.names(kind)


def load(kind: Kind, name: str) -> type[Any]:
    return SpySink if name == "spy" else INSTALLED.load(kind, name)


def run(folder: Path, privacy: str) -> Seen:
    """Run the whole engine on the recording, and collect what comes out of it."""
    write_recording(folder / "in.mp4")
    config = folder / "c.yaml"
    config.write_text(CONFIG.format(folder=folder, privacy=privacy))
    seen = Seen()
    checked = load_config(config, env={}, catalogue=Catalogue(names, load))
    with (
        Engine(checked) as engine,
        sightline.subscribe(f"ipc://{folder}/frames", ["frame/"]) as listener,
        sightline.subscribe_raw(f"ipc://{folder}/raw", "raw/gate") as raw_listener,
    ):
        is_over = threading.Event()
        viewers = [
            threading.Thread(target=look, args=(listener, seen, is_over)),
            threading.Thread(target=look_at_raw, args=(raw_listener, seen, is_over)),
        ]
        bus = engine._bus
        assert bus is not None
        for viewer in viewers:
            viewer.start()
        try:
            wait_until(lambda: bus.wants_frames("gate") and bus.wants_raw("gate"))
            engine.run()
        finally:
            is_over.set()
            for viewer in viewers:
                viewer.join()
        assert engine.streams[0].error is None
    for number, kept, drawn in SpySink.got.pop(folder / "out"):
        seen.add("third party", number, drawn)
        for luma in kept:
            seen.add("plain", number, luma)
    with av.open(str(folder / "out/gate.mp4")) as container:
        for number, picture in enumerate(container.decode(video=0)):
            seen.add("video", number, picture.to_ndarray(format="gray"))
    for path in sorted((folder / "out").rglob("*")):
        if path.suffix in (".jpg", ".png"):
            where = "strip" if path.name.startswith("strip") else "crop"
            seen.add(where, None, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    return seen


def look(listener: sightline.Listener, seen: Seen, is_over: threading.Event) -> None:
    while True:
        received = listener.receive(0.1)
        if received is None:
            if is_over.is_set():
                return
            continue
        message = received.message
        assert isinstance(message, FrameMessage)
        luma = cv2.imdecode(np.frombuffer(message.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
        seen.add("bus", message.sequence, np.asarray(luma, np.uint8))


def look_at_raw(listener: sightline.RawListener, seen: Seen, is_over: threading.Event) -> None:
    while True:
        raw = listener.receive(0.1)
        if raw is None:
            if is_over.is_set():
                return
            continue
        seen.add("raw", raw.message.sequence, raw.bgr()[..., 1])


def best(wanted: np.ndarray, pictures: Sequence[tuple[int | None, np.ndarray]]) -> float:
    """Return how well a pattern is found anywhere in the pictures, either way round: 1 is there."""
    found = 0.0
    for _, picture in pictures:
        if picture.shape[0] < BOX_H or picture.shape[1] < BOX_W:
            picture = cv2.copyMakeBorder(picture, 0, BOX_H, 0, BOX_W, cv2.BORDER_CONSTANT, value=128)
        for way in (wanted, wanted[:, ::-1]):
            matched = cv2.matchTemplate(
                picture.astype(np.float32), np.ascontiguousarray(way), cv2.TM_CCOEFF_NORMED
            )
            matched[~np.isfinite(matched) | (np.abs(matched) > 1.001)] = 0  # where a picture is plain
            found = max(found, float(np.abs(matched).max()))
    return found


def mean_of_all(pictures: Sequence[tuple[int | None, np.ndarray]]) -> np.ndarray:
    """Return what somebody gets who lays all boxes over each other, and knows where they were."""
    boxes = [box for _, box in boxes_of(pictures)]
    assert len(boxes) >= 5
    return np.asarray(np.mean(boxes, axis=0))


def boxes_of(pictures: Sequence[tuple[int | None, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield what is where the box was, for the pictures of which that is known."""
    for number, picture in pictures:
        if number is not None and picture.shape == (HEIGHT, WIDTH):
            yield number, picture[TOP : TOP + BOX_H, left(number) : left(number) + BOX_W].astype(np.float64)


def likeness(wanted: np.ndarray, box: np.ndarray) -> float:
    box, wanted = box - box.mean(), wanted - wanted.mean()
    return float(abs((box * wanted).sum()) / max(1e-9, np.sqrt((box**2).sum() * (wanted**2).sum())))


@pytest.fixture(scope="module")
def open_run(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list]:
    return run(tmp_path_factory.mktemp("open"), "").pictures


def test_without_privacy_the_secret_is_everywhere(open_run: Mapping[str, list]) -> None:
    assert set(open_run) == {"video", "third party", "plain", "bus", "raw", "crop", "strip"}
    for where, pictures in open_run.items():
        assert best(SECRET, pictures[-12:]) > 0.7, where
    for where in ("video", "third party", "bus", "raw"):
        assert likeness(SECRET, mean_of_all(open_run[where])) > 0.7, where


def check_nowhere(seen: Mapping[str, list], secret: np.ndarray, decoys: Sequence[np.ndarray]) -> None:
    """The secret is found no better than others, in any picture and in all of them laid over each other."""
    for where, pictures in seen.items():
        some = pictures[:: max(1, len(pictures) // 6)]
        some += [one for one in pictures if one[0] in (0, 3, 24, 29)][:8]
        many = len(some) < 3
        chance = max(best(decoy, some) for decoy in decoys[: 60 if many else 3])
        assert best(secret, some) <= max(ONE_LOOK, (1.0 if many else 1.25) * chance), where
        assert best(secret, some) < 0.35, where
    for where in ("video", "third party", "bus", "raw"):
        box = mean_of_all(seen[where])
        assert likeness(secret, box) <= max(likeness(decoy, box) for decoy in decoys), where


def test_masked_it_is_nowhere(open_run: Mapping[str, list], tmp_path: Path) -> None:
    seen = run(tmp_path, PRIVACY.format(method="mask")).pictures
    assert set(seen) == set(open_run)
    assert [number for number, _ in seen["video"]] == list(range(FRAMES))
    assert {number for number, _ in seen["third party"]} == set(range(FRAMES))
    for number, box in boxes_of(seen["plain"] + seen["raw"]):
        assert len(np.unique(box)) == 1, number  # nothing is left, not even of what came late or was missed
    check_nowhere(seen, SECRET, DECOYS)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pixelate", "blur"])
def test_of_what_is_not_masked_no_detail_is_anywhere(
    method: str, open_run: Mapping[str, list], tmp_path: Path
) -> None:
    """Broad shades stay; the detail between them, by which things are recognised, does not."""
    seen = run(tmp_path, PRIVACY.format(method=method)).pictures
    assert set(seen) == set(open_run)
    assert likeness(detail(SECRET), mean_of_all(open_run["third party"])) > 0.7
    check_nowhere(seen, detail(SECRET), [detail(decoy) for decoy in DECOYS])
