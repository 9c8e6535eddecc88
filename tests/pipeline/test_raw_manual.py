"""What docs/protocol.md says of raw pictures: its tables, its layout in C, and a run that has them."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import sightline
from pipeline.config.load import load_config
from pipeline.engine import Engine
from pipeline.shared_ring import FOLDER, RingWriter
from pipeline.wire import RawHeader
from tests.pipeline.test_raw import announcement

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"there is no {FOLDER}")

ROOT = Path(__file__).parents[2]
MANUAL = (ROOT / "docs/protocol.md").read_text()
EXAMPLE = ROOT / "docs/examples/ring.c"


def test_the_manual_lists_exactly_the_fields_that_travel(tmp_path: Path) -> None:
    listed = set()
    for title in ("Every header", "Raw header"):
        section = MANUAL.split(f"### {title}")[1].split("\n#")[0]
        for first in re.findall(r"^\| (`[^|]+`) \|", section, flags=re.MULTILINE):
            listed |= set(re.findall(r"`(\w+)`", first))
    header = announcement(f"ipc://{tmp_path / 'raw'}").header()
    assert listed == set(RawHeader.model_fields) == set(header)
    assert set(header["ring"]) == {"segment", "offset", "generation", "bytes"}


def test_the_manual_shows_the_file_that_is_compiled() -> None:
    assert f"\n{EXAMPLE.read_text()}```" in MANUAL


def test_a_program_in_c_reads_the_ring_and_notices_when_it_is_overtaken(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        why = "no C compiler: apt-get install gcc libc6-dev"
        pytest.fail(why) if os.environ.get("CI") == "true" else pytest.skip(why)
    program = tmp_path / "ring"
    words = [
        "-std=c11",
        "-D_GNU_SOURCE",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        str(EXAMPLE),
        "-o",
        str(program),
    ]
    built = subprocess.run([compiler, *words], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    pixels = np.random.default_rng(3).integers(0, 255, (30, 40), np.uint8)
    with closing(RingWriter(3, pixels.size)) as ring:
        place = ring.write([pixels])

        def read(offset: int = place.offset, size: int = place.size) -> tuple[int, str]:
            words = [place.segment, str(offset), str(place.generation), str(size)]
            done = subprocess.run([str(program), *words], capture_output=True, text=True)
            return done.returncode, done.stdout

        assert read() == (0, f"{pixels.sum()}\n")
        assert read(offset=place.offset + 8)[0] == read(size=5000)[0] == read(offset=0)[0] == 1
        ring.write([pixels])
        assert read()[0] == 0
        ring.write([pixels])
        assert read()[0] == 3


def test_the_layout_is_the_documented_one() -> None:
    with closing(RingWriter(3, 5000)) as ring:
        places = [ring.write([np.full(5000, value, np.uint8)]) for value in (1, 2)]
        memory = (FOLDER / ring.name).read_bytes()
    assert memory[:8] == b"SLRING\0\x01"
    version, slots = struct.unpack_from("<II", memory, 8)
    stride, first = struct.unpack_from("<QQ", memory, 16)
    assert (version, slots, stride % 4096) == (1, 3, 0)
    assert [place.offset for place in places] == [first, first + stride]
    generations = [struct.unpack_from("<Q", memory, first + slot * stride)[0] for slot in range(3)]
    assert generations == [2, 2, 1], "the next is marked already"
    assert memory[first + stride + 64 : first + stride + 5064] == b"\2" * 5000


@pytest.mark.slow
def test_a_run_has_them(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path / 'raw'}"
    config = load_config(
        "demo",
        sources=["street=synthetic://street?width=160&height=120&duration_s=3600"],
        sets=[f"bus.raw={address}", "bus.events=ipc://" + str(tmp_path / "events"), "sinks=[]"],
        out=tmp_path / "out",
    )
    with sightline.subscribe_raw(address, "raw/street") as listener, Engine(config) as engine:
        running = threading.Thread(target=engine.run)
        running.start()
        found = listener.receive(20)
        engine.stop()
        running.join()
        report = engine.report()
    assert found is not None
    assert found.bgr().shape == (120, 160, 3)
    assert found.message.tracks is not None
    assert report["streams"]["street"]["frames"]["finished"] > 0
    assert not [path for path in FOLDER.glob("sightline-ring-*") if path.name == found.message.place.segment]
