from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sinks.record.segment import named, numbered, path_of

NAMES = st.text("abzAZ019_-", min_size=1, max_size=64)
TIMES = st.integers(0, 4_102_444_800_000)


@given(NAMES, TIMES, st.sampled_from([".mp4", ".mkv", ".mp4.age"]), st.integers(1, 9999))
def test_names_tell_stream_and_time(stream: str, millis: int, suffix: str, number: int) -> None:
    path = path_of(stream, millis * 1_000_000 + 123, suffix)
    assert path.startswith(f"{stream}/")
    for one in (path, numbered(path, number)):
        assert named(Path("/anywhere") / one) == (stream, millis * 1_000_000)


@given(NAMES, st.lists(TIMES, min_size=2, max_size=5))
def test_names_sort_by_time(stream: str, times: list[int]) -> None:
    paths = [path_of(stream, millis * 1_000_000, ".mp4") for millis in sorted(times)]
    assert paths == sorted(paths)


@pytest.mark.parametrize(
    "path",
    [
        "gate/2026-03-01/gate_20260301T080000.040Z.txt",
        "gate/2026-03-01/yard_20260301T080000.040Z.mp4",
        "gate/2026-03-01/gate_20261301T080000.040Z.mp4",
        "gate/2026-03-01/gate_20260301T080000.040Z.mp4.keep-it",
        "gate/2026-03-01/../gate_20260301T080000.040Z.mp4",
        "gate_20260301T080000.040Z.mp4",
    ],
)
def test_names_of_others(path: str) -> None:
    assert named(Path("/recordings") / path) is None
