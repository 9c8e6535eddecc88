"""`sightline cut` on what the sink `record` has written."""

from __future__ import annotations

import re
import signal
from dataclasses import replace
from pathlib import Path

import av
import pytest

from pipeline.packet import Packet, PacketFormat
from streams.sinks.copying.target import FileTarget
from tests.command import Sightline
from tests.disks import Disks
from tests.media import write_crossing_video
from tests.packets import packets_of
from tests.streams.sinks.clips.driving import later_run, times_in
from tests.streams.sinks.record.feeding import as_from_a_camera, record, recording

Material = tuple[PacketFormat, list[Packet]]
RATE_HZ = 20


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    path = write_crossing_video(tmp_path_factory.mktemp("cut") / "source.mp4", 12 * RATE_HZ)
    form, packets = packets_of(path)
    return as_from_a_camera(path, replace(form, reorder=2), packets)  # as sources tell it of B frames


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, material: Material) -> Path:
    """Twelve seconds from 8:00 UTC in segments of five, and after a break of 18 s twelve others."""
    folder = tmp_path_factory.mktemp("run")
    form, packets = material
    with recording(folder, segment_s=5) as sink:
        record(sink, form, packets)
        record(sink, *later_run(form, packets, 30.0))
    return folder


def slices_of(data: bytes) -> bytes:
    """Return the slices of a picture as a camera sends it: what is before them differs between containers."""
    units = re.split(rb"\x00\x00\x00?\x01", data)[1:]
    return b"".join(unit for unit in units if unit[0] & 31 in (1, 5))


def slices_in(path: Path) -> list[bytes]:
    """Return the same of the packets of an MP4 file."""
    found = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            data, slices = bytes(packet), b""
            while data:
                size = int.from_bytes(data[:4], "big")
                slices += data[4 : 4 + size] if data[4] & 31 in (1, 5) else b""
                data = data[4 + size :]
            found += [slices] if slices else []
    return found


def test_a_range_over_two_files(run: Path, material: Material, sightline: Sightline, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    done = sightline(
        "cut",
        run,
        "-s",
        "gate",
        "--from",
        "2027-01-15T08:00:03.5Z",
        "--to",
        "2027-01-15T08:00:08Z",
        "-o",
        out,
    )
    assert (done.code, done.err) == (0, "")
    assert "4.5 s, " in done.out
    assert "not recorded" not in done.out
    times = times_in(out)
    assert times == pytest.approx([number / RATE_HZ for number in range(len(times))], abs=1e-4)
    assert len(times) in (90, 91)  # no picture before, and one that others refer to after it
    packets = material[1]
    sent = [slices_of(packet.data) for packet in packets]
    written = slices_in(out)
    start = sent.index(written[0])
    assert packets[start].moment.pts_s == 3.0  # the key frame before
    assert written == sent[start : start + len(written)]
    assert not list(tmp_path.glob("*.part"))


def test_local_times_and_seconds(run: Path, sightline: Sightline, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    words = ["--from", "2027-01-15 09:00:02", "--to", "+3", "--time-zone", "Europe/Berlin"]
    done = sightline("cut", run / "recordings", "-s", "gate", *words, "-o", out)
    assert (done.code, done.err) == (0, "")
    assert "2027-01-15 09:00:02+01:00" in done.out
    assert len(times_in(out)) in (60, 61)


def test_an_interruption_leaves_no_file(
    run: Path, sightline: Sightline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = FileTarget.write

    def interrupted(self: FileTarget, data: bytes) -> int:
        signal.raise_signal(signal.SIGINT)  # within FFmpeg, which loses what is raised there
        return write(self, data)

    monkeypatch.setattr(FileTarget, "write", interrupted)
    words = ["--from", "2027-01-15T08:00:02", "--to", "+3", "-o", tmp_path / "out.mp4"]
    done = sightline("cut", run, "-s", "gate", *words)
    assert done.code == 130
    assert not list(tmp_path.glob("out*"))


def test_what_was_not_recorded_is_told(run: Path, sightline: Sightline, tmp_path: Path) -> None:
    words = ["cut", run, "-s", "gate", "--from", "2027-01-15T08:00:10", "--to", "2027-01-15T08:00:50"]
    done = sightline(*words, "-o", tmp_path / "out.mp4")
    assert (done.code, done.err) == (0, "")
    told = [line for line in done.out.splitlines() if line.startswith("not recorded")]
    assert "08:00:12+00:00 to 2027-01-15 08:00:30+00:00, 18.0 s; the picture stands still" in told[0]
    assert "08:00:42+00:00 to 2027-01-15 08:00:50+00:00, 8.0 s; in no file" in told[1]
    times = times_in(tmp_path / "out.mp4")
    (pause,) = [place for place in range(1, len(times)) if times[place] - times[place - 1] > 1]
    assert times[pause] == pytest.approx(20.0, abs=0.06)
    assert times[-1] == pytest.approx(32.0, abs=0.06)
    closed = sightline(*words, "--close-gaps", "-o", tmp_path / "closed.mp4")
    assert "18.0 s; left out" in closed.out
    times = times_in(tmp_path / "closed.mp4")
    assert times == pytest.approx([number / RATE_HZ for number in range(len(times))], abs=1e-3)


def test_a_recording_that_was_recorded_twice_is_shown_once(
    material: Material, sightline: Sightline, tmp_path: Path
) -> None:
    for _ in range(2):
        with recording(tmp_path, segment_s=4) as sink:
            record(sink, *material)
    words = ["--from", "2027-01-15T08:00:02", "--to", "+8", "-o", tmp_path / "out.mp4"]
    done = sightline("cut", tmp_path, "-s", "gate", *words)
    assert (done.code, done.err) == (0, "")
    assert len(times_in(tmp_path / "out.mp4")) in (160, 161)


def test_a_clock_that_was_set_back_does_not_mix_up_pictures(
    material: Material, sightline: Sightline, tmp_path: Path
) -> None:
    form, packets = material
    back_ns = 4 * 10**9
    half = next(place for place, packet in enumerate(packets) if packet.moment.pts_s == 6.0)
    moved = [
        replace(packet, moment=replace(packet.moment, time_ns=packet.moment.time_ns - back_ns))
        for packet in packets[half:]
    ]
    with recording(tmp_path, segment_s=1) as sink:
        record(sink, form, [*packets[:half], *moved])
    out = tmp_path / "out.mp4"
    words = ["-s", "gate", "--from", "2027-01-15T08:00:00Z", "--to", "2027-01-15T08:00:08Z", "-o", out]
    done = sightline("cut", tmp_path, *words)
    assert (done.code, done.err) == (0, "")
    assert slices_in(out) == [slices_of(packet.data) for packet in packets]
    assert "240 pictures" in done.out


def test_another_format_is_another_file(material: Material, sightline: Sightline, tmp_path: Path) -> None:
    form, packets = material
    path = write_crossing_video(tmp_path / "other.mp4", 60, codec="mpeg4")
    other, others = packets_of(path, run="run-2", start_s=12.0, start_ns=1_800_000_012_000_000_000)
    with recording(tmp_path, segment_s=60) as sink:
        record(sink, form, packets)
        record(sink, other, others)
    words = ["cut", tmp_path, "-s", "gate", "--from", "2027-01-15T08:00:10", "--to", "+4"]
    done = sightline(*words, "-o", tmp_path / "out.mp4")
    assert (done.code, done.err) == (0, "")
    assert "format changed" in done.out
    assert len(times_in(tmp_path / "out.mp4")) in (40, 41)
    assert len(times_in(tmp_path / "out.2.mp4")) in (40, 41)


def test_while_it_is_recorded(material: Material, sightline: Sightline, tmp_path: Path) -> None:
    form, packets = material
    with recording(tmp_path, segment_s=60, fragment_s=0.5) as sink:
        sink.open_packets(form)
        for packet in packets[:200]:
            sink.on_packet(packet)
        words = ["cut", tmp_path, "-s", "gate", "--from", "2027-01-15T08:00:00", "--to", "+60"]
        done = sightline(*words, "-o", tmp_path / "out.mp4")
    assert (done.code, done.err) == (0, "")
    assert len(times_in(tmp_path / "out.mp4")) >= 180


def test_without_the_index(run: Path, sightline: Sightline, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    for path in (run / "recordings").glob("*/*/*.mp4"):
        copy = bare / path.relative_to(run / "recordings")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    words = ["--from", "2027-01-15T08:00:04", "--to", "+2"]
    done = sightline("cut", bare, "-s", "gate", *words, "-o", tmp_path / "out.mp4")
    assert (done.code, done.err) == (0, "")
    assert len(times_in(tmp_path / "out.mp4")) in (40, 41)


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (["-s", "gaet"], 1, "did you mean 'gate'"),
        (
            ["--from", "2027-01-15T08:00:14", "--to", "+5"],
            1,
            "the last before ends 2027-01-15 08:00:12+00:00",
        ),
        (["--from", "2027-01-15T08:00:14", "--to", "+5"], 1, "the next begins 2027-01-15 08:00:30+00:00"),
        (["--from", "yesterday"], 2, "'yesterday' is no moment"),
        (["--to", "2027-01-15T07:00"], 2, "is not after --from"),
        (["--to", "+1.5h"], 2, "after the + come seconds"),
        (["--time-zone", "Europe/Berlim"], 2, "did you mean Europe/Berlin"),
        (["-o", "out.avi"], 2, "ends in .mp4 or .mkv"),
        (["-o", "nowhere/out.mp4"], 2, "no such folder"),
    ],
)
def test_what_cannot_be_cut(
    run: Path,
    sightline: Sightline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    what: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"-s": "gate", "--from": "2027-01-15T08:00:01", "--to": "+2", "-o": "out.mp4"}
    given |= dict(zip(words[::2], words[1::2], strict=True))
    done = sightline("cut", run, *(word for pair in given.items() for word in pair))
    assert (done.code, len(done.errors)) == (code, 1)
    assert what in done.err
    assert not list(tmp_path.iterdir())


def test_folders_and_files_that_do_not_fit(run: Path, sightline: Sightline, tmp_path: Path) -> None:
    words = ["-s", "gate", "--from", "2027-01-15T08:00:01", "--to", "+2", "-o", tmp_path / "out.mp4"]
    missing = sightline("cut", tmp_path / "nowhere", *words)
    assert (missing.code, len(missing.errors)) == (1, 1)
    assert "no such folder; give the output folder" in missing.err
    (tmp_path / "results").mkdir()
    assert f"did you mean {tmp_path / 'results'}?" in sightline("cut", tmp_path / "result", *words).err
    empty = sightline("cut", tmp_path, *words)
    assert "there are no recordings" in empty.err
    (tmp_path / "out.mp4").write_bytes(b"mine")
    taken = sightline("cut", run, *words)
    assert "is there already" in taken.err
    assert (tmp_path / "out.mp4").read_bytes() == b"mine"


def test_a_recording_that_is_damaged(
    run: Path, material: Material, sightline: Sightline, tmp_path: Path
) -> None:
    form, packets = material
    with recording(tmp_path, segment_s=60) as sink:
        record(sink, replace(form), packets)
    (path,) = tmp_path.glob("recordings/*/*/*.mp4")
    path.write_bytes(b"no video" * 1000)
    words = ["-s", "gate", "--from", "2027-01-15T08:00:01", "--to", "+2", "-o", tmp_path / "out.mp4"]
    done = sightline("cut", tmp_path, *words)
    assert (done.code, len(done.errors)) == (1, 1)
    assert path.name in done.err
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("content", [None, bytes(5000)])
def test_one_of_many_that_is_gone_or_damaged(
    material: Material, sightline: Sightline, tmp_path: Path, content: bytes | None
) -> None:
    with recording(tmp_path, segment_s=3) as sink:
        record(sink, *material)
    path = sorted(tmp_path.glob("recordings/*/*/*.mp4"))[1]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    out = tmp_path / "out.mp4"
    words = ["-s", "gate", "--from", "2027-01-15T08:00:01Z", "--to", "2027-01-15T08:00:11Z", "-o", out]
    done = sightline("cut", tmp_path, *words)
    assert (done.code, done.err) == (0, "")
    assert f"{path.name} cannot be read: " in done.out
    assert "not recorded: 2027-01-15 08:00:03+00:00 to 2027-01-15 08:00:06+00:00, 3.0 s" in done.out
    times = times_in(out)
    assert [second for second in range(10) if second in {int(time + 1e-3) for time in times}] == [
        0, 1, 5, 6, 7, 8, 9,
    ]  # fmt: skip


def test_a_codec_that_mp4_does_not_hold(sightline: Sightline, tmp_path: Path) -> None:
    form, packets = packets_of(write_crossing_video(tmp_path / "source.mkv", 40, codec="libvpx"))
    with recording(tmp_path, container="mkv") as sink:
        record(sink, form, packets)
    words = ["cut", tmp_path, "-s", "gate", "--from", "2027-01-15T08:00:00", "--to", "+2", "-o"]
    refused = sightline(*words, tmp_path / "out.mp4")
    assert (refused.code, len(refused.errors)) == (1, 1)
    assert "do not hold video of the codec vp8; cut into *.mkv" in refused.err
    assert not list(tmp_path.glob("out*.mp4*"))
    assert sightline(*words, tmp_path / "out.mkv").code == 0
    assert len(times_in(tmp_path / "out.mkv")) == 40


def test_a_disk_that_is_full(run: Path, sightline: Sightline, small_disk: Disks) -> None:
    disk = small_disk("200k")
    asked = ["--from", "2027-01-15T08:00:00", "--to", "+12", "-o", disk / "out.mp4"]
    full = sightline("cut", run, "-s", "gate", *asked)
    assert (full.code, len(full.errors)) == (1, 1)
    assert "No space left on device" in full.err
    assert not list(disk.iterdir())
