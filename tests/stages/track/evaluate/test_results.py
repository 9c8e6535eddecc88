from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SinkError, SourceError
from stages.track.evaluate.motchallenge import MotSequence, read_sequences
from stages.track.evaluate.results import read_results, write_results
from tests.stages.track.evaluate.folders import FRAMES, found, text, truth15, truth17, write_sequence

CENTIPIXELS = st.integers(-200_000, 200_000)
SIZES = st.integers(0, 200_000)


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> MotSequence:
    folder = write_sequence(tmp_path_factory.mktemp("mot") / "s", truth15())
    return read_sequences([folder], with_detections=False)[0]


@given(
    boxes=st.dictionaries(
        st.tuples(st.integers(1, FRAMES), st.integers(0, 2**40)),
        st.tuples(CENTIPIXELS, CENTIPIXELS, SIZES, SIZES, st.integers(0, 100)),
        max_size=20,
    )
)
def test_what_is_written_is_read(
    boxes: dict[tuple[int, int], tuple[int, ...]], sequence: MotSequence
) -> None:
    rows = np.array([(*key, *(value / 100 for value in box)) for key, box in boxes.items()]).reshape(-1, 7)
    folder = sequence.folder / "results"
    write_results(folder / "s.txt", rows)
    np.testing.assert_array_equal(read_results(folder, sequence), rows)


def test_the_form_that_other_tools_read(tmp_path: Path) -> None:
    write_results(tmp_path / "new/s.txt", np.array([[1, 2, 3.14159, -4, 5, 6, 0.98765]]))
    assert (tmp_path / "new/s.txt").read_text() == "1,2,3.14,-4.00,5.00,6.00,0.9877,-1,-1,-1\n"


def test_a_place_that_takes_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot be written"):
        write_results(tmp_path / "file/s.txt", np.empty((0, 7)))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (text(found() + found([3])), ":11: this id is in this frame already, got 1"),
        ("11,1,2,3,4,5,1\n", ":1: the sequence has 10 frames, got 11"),
        ("0,1,2,3,4,5,1\n", ":1: the frame number must be a whole number from 1 on, got 0"),
        ("1,-1,2,3,4,5,1\n", ":1: the id must be a whole number from 0 on, got -1"),
        ("1,1,2,3,4,5\n", ":1: 6 columns, but there must be 7 or 8 or 9 or 10"),
        (None, ": no results of this sequence; --sequence NAME scores some of them only"),
    ],
)
def test_results_that_cannot_be_scored(
    content: str | None, complaint: str, sequence: MotSequence, tmp_path: Path
) -> None:
    path = tmp_path / "s.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SourceError) as caught:
        read_results(tmp_path, sequence)
    assert str(caught.value) == f"{path}{complaint}"


def test_other_classes_are_refused_where_there_are_classes(sequence: MotSequence, tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("1,1,2,3,4,5,1,3,-1,-1\n")
    assert len(read_results(tmp_path, sequence)) == 1  # MOT15: a position in the world
    later = write_sequence(tmp_path / "MOT17-01" / "s", truth17())
    (with_classes,) = read_sequences([later], with_detections=False)
    with pytest.raises(SourceError, match="only class 1, pedestrians, can be scored, got 3"):
        read_results(tmp_path, with_classes)
