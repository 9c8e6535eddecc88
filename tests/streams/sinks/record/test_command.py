from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.packet import Packet, PacketFormat
from streams.sinks.record.index import FILE, Index
from streams.sinks.record.segment import KEEP, Segment
from streams.sinks.record.verify import complaint_about
from tests.command import Sightline
from tests.streams.sinks.record.feeding import record, recording, repeated, segments

Material = tuple[PacketFormat, list[Packet]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, material: Material) -> Path:
    """A run with recordings of two streams, one with 8 s missing."""
    form, packets = material
    out = tmp_path_factory.mktemp("run")
    packets = repeated(packets, 5)
    with recording(out, segment_s=4) as sink:
        record(sink, form, packets)
        yard = [replace(packet, stream="yard", run="r") for packet in packets]
        record(sink, replace(form, stream="yard", run="r"), yard[:80] + yard[240:])
    return out


@pytest.fixture
def run(tmp_path: Path, made: Path) -> Path:
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def test_list(sightline: Sightline, run: Path) -> None:
    said = sightline("recordings", "list", run, "--time-zone", "Europe/Berlin")
    assert said.code == 0
    assert said.out.splitlines()[1:] == [
        "  gate: 2027-01-15 09:00:00+01:00 to 2027-01-15 09:00:20+01:00: "
        f"5 files, {size(run, 'gate')} MB, 20.0 s",
        "  yard: 2027-01-15 09:00:00+01:00 to 2027-01-15 09:00:20+01:00: "
        f"3 files, {size(run, 'yard')} MB, 12.0 s, 1 gaps",
        "missing",
        "  yard: nothing from 2027-01-15 09:00:04+01:00 to 2027-01-15 09:00:12+01:00 (8.0 s)",
    ]


def size(run: Path, stream: str) -> str:
    return f"{sum(segment.size for segment in segments(run / 'recordings', stream)) / 1e6:.1f}"


def test_list_files_of_a_time(sightline: Sightline, run: Path) -> None:
    words = ("--stream", "gate", "--from", "2027-01-15T08:00:05", "--to", "2027-01-15T08:00:09Z")
    said = sightline("recordings", "list", run / "recordings", "--files", *words)
    assert [line.split()[0] for line in said.out.splitlines()] == [
        f"gate/2027-01-15/gate_20270115T0800{second}.000Z.mp4" for second in ("04", "08")
    ]
    found = json.loads(sightline("recordings", "list", run, "--json", *words).out)
    assert [file["start"] for file in found["files"]] == [
        "2027-01-15T08:00:04.000Z",
        "2027-01-15T08:00:08.000Z",
    ]
    assert not found["gaps"]


def test_list_without_an_index(sightline: Sightline, run: Path) -> None:
    expected = sightline("recordings", "list", run).out
    for path in (run / "recordings").glob(f"{FILE}*"):
        path.unlink()
    assert sightline("recordings", "list", run).out == expected


def test_check(sightline: Sightline, run: Path) -> None:
    said = sightline("recordings", "check", run)
    assert (said.code, said.out) == (0, "8 files, 8 of them as they should be\n")
    first, second, third, *_ = segments(run / "recordings")
    (run / "recordings" / first.path).unlink()
    with (run / "recordings" / second.path).open("r+b") as file:
        file.truncate(second.size - 1000)
    with (run / "recordings" / third.path).open("r+b") as file:
        file.seek(100_000)
        file.write(bytes(third.size - 100_000))
    said = sightline("recordings", "check", run)
    assert said.code == 1
    assert said.out.splitlines()[0] == f"{first.path}: is missing"
    assert (
        said.out.splitlines()[1] == f"{second.path}: has {second.size - 1000} bytes instead of {second.size}"
    )
    assert "pictures instead of 80" in said.out.splitlines()[2]
    assert said.out.splitlines()[3] == "8 files, 5 of them as they should be"


def test_protect_and_unprotect(sightline: Sightline, run: Path) -> None:
    words = ("--stream", "gate", "--to", "2027-01-15T08:00:08")
    said = sightline("recordings", "protect", run, *words)
    assert said.out == "2 of 2 files are now protected\n"
    marks = sorted((run / "recordings").rglob(f"*{KEEP}"))
    assert [mark.name for mark in marks] == [
        f"gate_20270115T0800{second}.000Z.mp4.keep" for second in ("00", "04")
    ]
    assert "2 protected" in sightline("recordings", "list", run).out
    said = sightline("recordings", "unprotect", run, marks[0].name.removesuffix(KEEP))
    assert said.out == "1 of 1 files are now not protected any more\n"
    whole = run / "recordings" / "gate" / "2027-01-15" / marks[1].name.removesuffix(KEEP)
    sightline("recordings", "unprotect", run, whole)
    assert not list((run / "recordings").rglob(f"*{KEEP}"))


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["list", "nosuch"], "nosuch: no such folder; give the output folder of a run"),
        (["list", "EMPTY"], "there are no recordings in it; give the output folder of a run with the sink"),
        (["list", "RUN", "--stream", "gat"], "no recording of a stream 'gat'; did you mean 'gate'?"),
        (["list", "RUN", "--stream", "xyz"], "'xyz'; there are: gate, yard"),
        (["list", "RUN", "--from", "noon"], "'noon' is no moment; write 2026-03-01"),
        (["list", "RUN", "--from", "2028-01-01"], "nothing was recorded then; there is 2027-01-15 08:00:00"),
        (["list", "RUN", "--from", "2027-01-02", "--to", "2027-01-01"], "must be before"),
        (["list", "RUN", "--time-zone", "berlim"], "did you mean Europe/Berlin?"),
        (["list", "RUN", "--index", "nosuch.db"], "nosuch.db: there is no such file"),
        (["protect", "RUN"], "nothing is chosen; name files, or say --stream"),
        (["protect", "RUN", "a.mp4", "--stream", "gate"], "not both"),
        (["protect", "RUN", "/etc/passwd"], "/etc/passwd is not in"),
        (["protect", "RUN", "../../nosuch/a.mp4"], "is no recording in"),
        (["protect", "RUN", "gate_20270115T080004.mp4"], "the nearest is gate_20270115T080004.000Z.mp4"),
    ],
)
def test_what_is_refused(
    sightline: Sightline, made: Path, tmp_path: Path, words: list[str], error: str
) -> None:
    places = {"RUN": made, "EMPTY": tmp_path}
    said = sightline("recordings", *(places.get(word, word) for word in words))
    assert said.code in (1, 2)
    assert error in said.errors[0]


def test_check_while_recordings_go(sightline: Sightline, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index.writing(run / "recordings" / FILE)

    def removed_first(path: Path, segment: Segment) -> str:
        if "yard" in path.name:
            index.remove([segment.path])
            path.unlink()
        return complaint_about(path, segment)

    monkeypatch.setattr("streams.sinks.record.verify.complaint_about", removed_first)
    said = sightline("recordings", "check", run)
    index.close()
    assert (said.code, said.out) == (0, "8 files, 8 of them as they should be\n")
