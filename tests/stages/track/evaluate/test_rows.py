from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import SourceError
from stages.track.evaluate.rows import line_of, read_rows

GOOD = "1,2,3.5,4,5,6,1\n"


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        "1, 2, 3.5, 4, 5, 6, 1  \n",
        "1 2 3.5 4 5 6 1\n",
        "1\t2\t3.5\t4\t5\t6\t1",
        "\n\n" + GOOD + "\n",
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        "1.0,2,3.5e0,4,5,6,1\n",
    ],
    ids=["plain", "blanks", "by blanks", "by tabs", "empty lines", "byte order mark", "CR LF", "floats"],
)
def test_one_row_however_it_is_written(content: str, tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_bytes(content.encode())
    np.testing.assert_array_equal(read_rows(path, (7,)), [[1, 2, 3.5, 4, 5, 6, 1]])


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_file_has_no_rows(content: str, tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_text(content)
    assert read_rows(path, (9, 10)).shape == (0, 10)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (GOOD + "1,x,3,4,5,6,1\n", ":2: 'x' is not a number"),
        (GOOD + "\n1,2,3,4,,6,1\n", ":3: '' is not a number"),
        (GOOD + "1,2,3\n", ":2: 3 columns, but the first line has 7"),
        (GOOD + "1,2,3,4,5,6,1,\n", ":2: '' is not a number"),
        ("\n1,2,3\n", ":2: 3 columns, but there must be 7 or 9"),
        (GOOD + "1,2,3,4,nan,6,1\n", ":2: a value is not a finite number"),
        (GOOD + "1,2,3,4,5,inf,1\n", ":2: a value is not a finite number"),
        (GOOD + "\n0,2,3,4,5,6,1\n", ":3: the frame number must be a whole number from 1 on, got 0"),
        ("-4,2,3,4,5,6,1\n", ":1: the frame number must be a whole number from 1 on, got -4"),
        ("1.5,2,3,4,5,6,1\n", ":1: the frame number must be a whole number from 1 on, got 1.5"),
        ("# frame,id\n", ":1: '# frame' is not a number"),
        ("frame;id;left\n", ":1: 'frame;id;left' is not a number"),
    ],
)
def test_a_malformed_line_is_named(content: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_text(content)
    with pytest.raises(SourceError) as caught:
        read_rows(path, (7, 9))
    assert str(caught.value) == f"{path}{complaint}"


def test_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_bytes(b"\xff\xfe\x00\x00")
    with pytest.raises(SourceError, match="not a text file"):
        read_rows(path, (7,))
    with pytest.raises(SourceError, match="No such file"):
        read_rows(tmp_path / "nothing.txt", (7,))


def test_rows_are_counted_without_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_text("\na\n\nb\n")
    assert [line_of(path, row) for row in (0, 1)] == [2, 4]
