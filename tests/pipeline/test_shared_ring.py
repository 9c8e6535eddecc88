from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import SinkError
from pipeline.picture import U8Array
from pipeline.shared_ring import (
    FOLDER,
    HEADER_BYTES,
    PREFIX,
    SLOT_HEADER_BYTES,
    RingPlace,
    RingReader,
    RingWriter,
    remove_stale,
    segment_bytes,
)
from tests.pipeline.messages import wait_until

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"there is no {FOLDER}")


def picture(value: int, size: int = 100) -> U8Array:
    return np.full(size, value, np.uint8)


@pytest.fixture
def ring() -> Iterator[RingWriter]:
    with closing(RingWriter(4, 100)) as writer:
        yield writer


def test_what_is_written_is_read_until_the_writer_comes_round(ring: RingWriter) -> None:
    reader = RingReader(ring.name)
    first = ring.write([picture(1)])
    view = reader.view(first)
    assert view is not None
    assert view.tolist() == [1] * 100
    for value in (2, 3):
        ring.write([picture(value)])
        assert reader.holds(first)
    ring.write([picture(4)])  # the next to be written is that of the first: it no longer counts
    assert not reader.holds(first)
    assert reader.view(first) is None
    assert reader.copy(first) is None
    assert view.tolist() == [1] * 100, "it is written only with the next"
    last = ring.write([picture(5)])
    copied = reader.copy(last)
    assert copied is not None
    assert copied.tolist() == [5] * 100
    assert view.tolist() == [5] * 100
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 7


def test_planes_lie_one_behind_the_other_whatever_their_stride(ring: RingWriter) -> None:
    wide = np.arange(48, dtype=np.uint8).reshape(6, 8)
    place = ring.write([wide[:, :5], wide[::2, ::2]])
    found = RingReader(ring.name).copy(place)
    assert found is not None
    assert found.tobytes() == wide[:, :5].tobytes() + wide[::2, ::2].tobytes()
    assert place.size == 42


@given(sizes=st.lists(st.integers(1, 100), max_size=20), slots=st.integers(3, 6))
@settings(max_examples=30, deadline=None)
def test_the_latest_pictures_are_there_and_no_others(sizes: list[int], slots: int) -> None:
    with closing(RingWriter(slots, 100)) as writer:
        reader = RingReader(writer.name)
        places = [writer.write([picture(number % 251, size)]) for number, size in enumerate(sizes)]
        for number, place in enumerate(places):
            found = reader.copy(place)
            if number < len(places) - (slots - 1):
                assert found is None
            else:
                assert found is not None
                assert found.tolist() == [number % 251] * sizes[number]


@pytest.mark.parametrize(
    "change",
    [
        {"offset": 0},
        {"offset": HEADER_BYTES + 8},
        {"offset": HEADER_BYTES + 4 * 4096},
        {"offset": 1 << 62},
        {"size": 0},
        {"size": 4097 - SLOT_HEADER_BYTES},
        {"size": 1 << 62},
        {"generation": 4},
        {"generation": 1},
        {"generation": 0, "offset": HEADER_BYTES + 2 * 4096},
    ],
)
def test_a_place_that_cannot_be_is_no_picture(ring: RingWriter, change: dict[str, int]) -> None:
    place = ring.write([picture(1)])
    assert RingReader(ring.name).copy(replace(place, **change)) is None


@given(
    offset=st.integers(0, 2**63 - 1) | st.integers(0, HEADER_BYTES + 5 * 4096),
    generation=st.integers(0, 2**63 - 1) | st.integers(0, 4),
    size=st.integers(0, 2**63 - 1) | st.integers(0, 5000),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_announced_lies_in_the_ring_or_is_refused(
    ring: RingWriter, offset: int, generation: int, size: int
) -> None:
    ring.write([picture(7)])
    found = RingReader(ring.name).copy(RingPlace(ring.name, offset, generation, size))
    assert found is None or found.size == size <= 4096 - SLOT_HEADER_BYTES


@pytest.mark.parametrize(
    "name", ["", "passwd", f"{PREFIX}../../etc/passwd", f"{PREFIX}{'x' * 100}", f"{PREFIX}none"]
)
def test_a_name_that_is_no_ring_is_an_error_of_one_line(name: str) -> None:
    with pytest.raises(SinkError, match=r"no ring of pictures|cannot be opened") as caught:
        RingReader(name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "content", [b"", b"x", bytes(4096), b"SLRING\0\1" + b"\xff" * 5000, b"SLRING\0\2" + bytes(9000)]
)
def test_a_file_that_is_no_ring_is_an_error_of_one_line(content: bytes) -> None:
    path = FOLDER / f"{PREFIX}test-{os.getpid()}"
    path.write_bytes(content)
    try:
        with pytest.raises(SinkError, match=r"no ring of pictures|cannot be read"):
            RingReader(path.name)
    finally:
        path.unlink(missing_ok=True)  # another process may have swept it away


def test_more_than_a_slot_holds_is_refused(ring: RingWriter) -> None:
    with pytest.raises(ValueError, match="101 bytes does not fit into 100"):
        ring.write([picture(1, 101)])
    for slots, size in ((2, 100), (4, 0), (10_000, 1)):
        with pytest.raises(ValueError, match="slots"):
            RingWriter(slots, size)


def test_more_than_there_is_is_an_error_of_one_line_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.shared_ring.secrets.token_hex", lambda size: f"{os.getpid():0{2 * size}x}")
    with pytest.raises(SinkError, match=r"has no room for [0-9]+ MB of pictures .*ask for fewer `slots`"):
        RingWriter(1024, 1 << 32)
    assert not (FOLDER / f"{PREFIX}{os.getpid():016x}").exists()


def test_closing_removes_the_segment_and_readers_keep_what_they_see() -> None:
    writer = RingWriter(3, 100)
    reader = RingReader(writer.name)
    place = writer.write([picture(9)])
    assert (FOLDER / writer.name).stat().st_size == segment_bytes(3, 100) == writer.nbytes
    assert (FOLDER / writer.name).stat().st_mode & 0o077 == 0
    writer.close()
    writer.close()
    assert not (FOLDER / writer.name).exists()
    found = reader.copy(place)
    assert found is not None
    assert found.tolist() == [9] * 100


_HOLD = """
import sys, time
from pipeline.shared_ring import RingWriter
print(RingWriter(3, 1000).name, flush=True)
time.sleep(60)
"""


def test_the_segment_of_a_killed_writer_is_removed_and_that_of_a_living_one_stays(ring: RingWriter) -> None:
    with subprocess.Popen([sys.executable, "-c", _HOLD], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        name = other.stdout.readline().strip()
        remove_stale()
        assert (FOLDER / name).exists()
        os.kill(other.pid, signal.SIGKILL)
        other.wait()

    def is_gone() -> bool:
        remove_stale()  # another process's tests may clear it up at the same time
        return not (FOLDER / name).exists()

    wait_until(is_gone)
    assert (FOLDER / ring.name).exists()


_OVERTAKE = """
import numpy as np
from pipeline.shared_ring import RingWriter
writer = RingWriter(3, 1_000_000)
number = 0
while True:
    writer.write([np.full(1_000_000, number % 251, np.uint8)])
    if number == 0:
        print(writer.name, flush=True)
    number += 1
"""


def test_a_reader_that_is_overtaken_notices_and_never_sees_half_a_picture() -> None:
    """The writer never rests, so that most pictures change while they are read."""
    whole = torn = mixed = 0
    with subprocess.Popen([sys.executable, "-c", _OVERTAKE], stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            name = writer.stdout.readline().strip()
            reader = RingReader(name)
            ends_s = time.monotonic() + 20
            while (whole < 5 or mixed < 5) and time.monotonic() < ends_s:
                for slot in range(3):
                    offset = HEADER_BYTES + slot * (segment_bytes(3, 1_000_000) - HEADER_BYTES) // 3
                    generation = int(reader._generations[offset // 8])
                    view = reader.view(RingPlace(name, offset, generation, 1_000_000))
                    if view is None:
                        continue
                    taken = view.copy()
                    is_mixed = bool((taken != taken[0]).any())
                    if reader.holds(RingPlace(name, offset, generation, 1_000_000)):
                        whole += 1
                        assert not is_mixed
                        assert taken[0] == ((generation // 2 - 1) * 3 + slot) % 251
                    else:
                        torn += 1
                        mixed += is_mixed
        finally:
            writer.kill()
    remove_stale()
    assert whole >= 5
    assert torn >= mixed >= 5, "there was something to notice"
