from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, SightlineError, SourceError
from stages.track.evaluate.choices import Benchmark
from stages.track.evaluate.motchallenge import read_sequences
from tests.stages.track.evaluate.folders import FRAMES, detected, info, text, truth15, truth17, write_sequence


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("B-02", "A-01"):
        write_sequence(tmp_path / "mot" / name, truth15(), detected())
    return tmp_path / "mot"


def test_a_folder_of_sequences_and_a_sequence_itself(folder: Path) -> None:
    assert [sequence.name for sequence in read_sequences([folder])] == ["A-01", "B-02"]
    assert [sequence.name for sequence in read_sequences([folder], names=["B-02"])] == ["B-02"]
    (only,) = read_sequences([folder / "A-01"])
    assert (only.name, only.frames, only.rate_hz, only.benchmark) == ("A-01", FRAMES, 25.0, "MOT15")
    assert only.detections is not None
    assert len(only.detections) == len(only.truth) == FRAMES
    assert only.pictures is None
    assert set(only.files) == {"truth", "info", "detections"}


def test_the_same_sequence_named_twice_is_one(folder: Path) -> None:
    assert len(read_sequences([folder, folder / "A-01", folder / "." / "A-01"])) == 2


def test_true_times(tmp_path: Path) -> None:
    (sequence,) = read_sequences([write_sequence(tmp_path / "s", truth15(), detected(), info(rate="12.5"))])
    assert [sequence.pts_s(frame) for frame in (1, 2, 11)] == [0.0, 0.08, 0.8]


@pytest.mark.parametrize(
    ("name", "truth", "asked", "rules"),
    [
        ("TUD-Campus", truth15(), None, "MOT15"),
        ("MOT17-02-DPM", truth17(), None, "MOT17"),
        ("MOT16-02", truth17(), None, "MOT16"),
        ("MOT20-01", truth17(), None, "MOT20"),
        ("dancetrack0001", truth17(), None, "MOT17"),
        ("mine", truth17(), Benchmark.MOT20, "MOT20"),
        ("mine", truth17(kind=99), Benchmark.MOT15, "MOT15"),
    ],
)
def test_whose_rules(
    name: str, truth: list[tuple[float, ...]], asked: Benchmark | None, rules: str, tmp_path: Path
) -> None:
    folder = write_sequence(tmp_path / name, truth, detected())
    (sequence,) = read_sequences([folder], benchmark=asked)
    assert sequence.benchmark == rules


@pytest.mark.parametrize("place", ["A-01/det/det.txt", "A-01.txt"])
def test_detections_from_elsewhere(place: str, folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "dets"
    (elsewhere / place).parent.mkdir(parents=True)
    (elsewhere / place).write_text(text(detected()[:4]))
    (sequence,) = read_sequences([folder], names=["A-01"], detections=elsewhere)
    assert sequence.detections is not None
    assert len(sequence.detections) == 4


def test_results_alone_need_no_detections(tmp_path: Path) -> None:
    (sequence,) = read_sequences([write_sequence(tmp_path / "s", truth15())], with_detections=False)
    assert sequence.detections is None


def _write(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "A-01" / name).write_text(content) and None


def _rows(*rows: str) -> str:
    return "\n".join(rows)


MALFORMED: list[tuple[str, Callable[[Path], None], str]] = [
    ("truth is empty", _write("gt/gt.txt", ""), "gt/gt.txt: empty, so there is nothing to compare with"),
    (
        "8 columns",
        _write("gt/gt.txt", "1,1,2,3,4,5,1,1"),
        "gt/gt.txt:1: 8 columns, but there must be 9 or 10",
    ),
    ("no number", _write("gt/gt.txt", "1,1,2,3,4,5,1,1,a"), "gt/gt.txt:1: 'a' is not a number"),
    (
        "frame 0",
        _write("gt/gt.txt", "0,1,2,3,4,5,1,1,1"),
        "gt/gt.txt:1: the frame number must be a whole number",
    ),
    (
        "frame 11",
        _write("gt/gt.txt", "11,1,2,3,4,5,1,1,1"),
        "gt/gt.txt:1: the sequence has 10 frames, got 11",
    ),
    ("id -1", _write("gt/gt.txt", "1,-1,2,3,4,5,1,1,1"), "the id must be a whole number from 0 on, got -1"),
    (
        "id 1.5",
        _write("gt/gt.txt", "1,1.5,2,3,4,5,1,1,1"),
        "the id must be a whole number from 0 on, got 1.5",
    ),
    (
        "width",
        _write("gt/gt.txt", "1,1,2,3,-4,5,1,1,1"),
        "gt/gt.txt:1: the width must not be negative, got -4",
    ),
    (
        "id twice",
        _write("gt/gt.txt", _rows("1,7,2,3,4,5,1,1,1", "2,7,2,3,4,5,1,1,1", "1,7,9,9,4,5,1,1,1")),
        "gt/gt.txt:3: this id is in this frame already, got 7",
    ),
    (
        "class 14",
        _write("gt/gt.txt", "1,1,2,3,4,5,1,14,1"),
        "gt/gt.txt:1: the class must be 1 to 13 by the rules of MOT17, got 14",
    ),
    (
        "det columns",
        _write("det/det.txt", "1,-1,2,3,4,5"),
        "det/det.txt:1: 6 columns, but there must be 7 or 8",
    ),
    (
        "det frame 0",
        _write("det/det.txt", "0,-1,2,3,4,5,1"),
        "det/det.txt:1: the frame number must be a whole",
    ),
    ("no det", lambda folder: (folder / "A-01/det/det.txt").unlink(), "A-01: no detections at"),
    (
        "no seqinfo",
        lambda folder: (folder / "A-01/seqinfo.ini").unlink(),
        "frames' true times are unknown; put",
    ),
    ("no ini", _write("seqinfo.ini", "frameRate: what\n"), "seqinfo.ini: not an ini file with a section"),
    (
        "other section",
        _write("seqinfo.ini", "[S]\nframeRate=1\n"),
        "not an ini file with a section [Sequence]",
    ),
    (
        "no rate",
        _write("seqinfo.ini", "[Sequence]\nseqLength=3\n"),
        "frameRate must be a number above 0, got no",
    ),
    ("rate 0", _write("seqinfo.ini", info(rate="0")), "frameRate must be a number above 0, got 0"),
    ("rate nan", _write("seqinfo.ini", info(rate="nan")), "frameRate must be a number above 0, got nan"),
    (
        "length x",
        _write("seqinfo.ini", info().replace("=10", "=x")),
        "seqLength must be a number above 0, got x",
    ),
    ("length .5", _write("seqinfo.ini", info().replace("=10", "=9.5")), "must be a whole number, got 9.5"),
]


@pytest.mark.parametrize(("_", "spoil", "complaint"), MALFORMED, ids=[case[0] for case in MALFORMED])
def test_what_is_malformed_is_named(
    _: str, spoil: Callable[[Path], None], complaint: str, folder: Path
) -> None:
    spoil(folder)
    with pytest.raises(SourceError) as caught:
        read_sequences([folder])
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(folder / "A-01") in str(caught.value)


def test_what_is_missing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_sequence(tmp_path / "other/A-01", truth15(), detected())
    cases: list[tuple[dict[str, object], type[SightlineError], str]] = [
        ({"folders": [tmp_path / "nothing"]}, SourceError, "nothing: no such folder"),
        ({"folders": [folder / "A-01/seqinfo.ini"]}, SourceError, "seqinfo.ini: not a folder"),
        ({"folders": [tmp_path / "empty"]}, SourceError, "empty: no MOTChallenge sequence in it"),
        ({"folders": [folder], "names": ["A-01", "C"]}, ConfigError, "no sequence C; there are A-01, B-02"),
        ({"folders": [folder, tmp_path / "other"]}, ConfigError, "two sequences are named A-01"),
        ({"folders": [folder], "detections": tmp_path / "empty"}, SourceError, "A-01: no detections at"),
        ({"folders": [folder], "detections": tmp_path / "none"}, SourceError, "none: no such folder of"),
    ]
    for arguments, kind, complaint in cases:
        with pytest.raises(kind, match=complaint):
            read_sequences(**arguments)  # type: ignore[arg-type]
