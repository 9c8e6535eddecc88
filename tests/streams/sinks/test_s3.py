from __future__ import annotations

import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.errors import EventsRefused, SinkError
from pipeline.event import Event
from pipeline.plugin import SinkContext
from streams.sinks.s3.keys import MOST_BYTES, cleaned, key_of
from streams.sinks.s3.options import S3Options
from streams.sinks.s3.sink import S3Sink
from tests.pipeline.messages import make_event
from tests.servers.daemons import free_port
from tests.servers.footprint import until
from tests.servers.proxy import FaultProxy
from tests.servers.s3 import client, s3_server, stored
from tests.streams.sinks.feeding import QUICK, failures_of, feeding, wait_delivered

NUMBERS = count()


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with s3_server() as port:
        yield port


@pytest.fixture
def bucket(server: int) -> str:
    name = f"box-{next(NUMBERS)}"
    asked = client(server)
    asked.create_bucket(Bucket=name)
    asked.close()
    return name


def made(folder: Path, port: int, bucket: str, **options: Any) -> S3Sink:
    given_options = {
        "bucket": bucket,
        "endpoint": f"http://127.0.0.1:{port}",
        "access_key": "box",
        "secret_key": "geheim",
        "timeout_s": 5,
        "events_every_s": 0,
        **options,
    }
    return S3Sink(S3Options(**given_options), SinkContext(folder))


def with_snapshot(folder: Path, number: int, content: bytes = b"", **fields: Any) -> Event:
    event = make_event(number, **fields)
    name = f"evidence/gate/2026-03-01T08/crop-{event.id}.jpg"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content or f"picture {number}".encode())
    return make_event(number, evidence={"snapshot": name}, **fields)


def naming(number: int, path: str, role: str = "snapshot") -> Event:
    return make_event(number, evidence={role: path})


def delivering(sink: S3Sink, event: Event) -> tuple[list[Exception], threading.Thread]:
    failed: list[Exception] = []

    def work() -> None:
        try:
            sink.deliver([event])
        except SinkError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return failed, thread


def test_what_events_name_is_uploaded_and_nothing_else(tmp_path: Path, server: int, bucket: str) -> None:
    first = with_snapshot(tmp_path, 1)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "gate.mp4").write_bytes(b"film")
    (tmp_path / "journal.sqlite3").write_bytes(b"secret")
    clip = make_event(2, "Nord/Süd", evidence={"clip": {"stream": "Nord/Süd", "path": "clips/gate.mp4"}})
    later = make_event(3, evidence={"clip": {"stream": "gate", "from_s": 1.0}})  # a clip that nobody made
    sink = made(tmp_path, server, bucket)
    sink.deliver([first, make_event(9), clip, later])
    sink.close()
    assert stored(server, bucket) == {
        f"gate/2026-03-01/line.crossing/crop-{first.id}.jpg": b"picture 1",
        "Nord_Süd/2026-03-01/line.crossing/gate.mp4": b"film",
    }
    asked = client(server)
    found = asked.head_object(Bucket=bucket, Key="Nord_Süd/2026-03-01/line.crossing/gate.mp4")
    asked.close()
    assert found["ContentType"] == "video/mp4"
    assert found["Metadata"] == {"event": str(clip.id), "stream": "Nord/S%C3%BCd", "kind": "line.crossing"}


def test_a_sealed_clip_with_the_longest_name(tmp_path: Path, server: int, bucket: str) -> None:
    stream, kind, number = "s" * 64, "k" * 40, "018f3a2b-0000-7000-8000-0123456789ab"
    name = f"{stream}_20260301T080000.040Z_{kind}_{number}.mp4.age"
    (tmp_path / name).write_bytes(b"sealed")
    sink = made(tmp_path, server, bucket)
    sink.deliver([make_event(1, evidence={"clip": {"path": name}})])
    sink.close()
    assert stored(server, bucket) == {f"gate/2026-03-01/line.crossing/{name}": b"sealed"}


@pytest.mark.slow
def test_a_large_file_goes_in_parts(tmp_path: Path, server: int, bucket: str) -> None:
    content = random.Random(1).randbytes(12_000_000)
    sink = made(tmp_path, server, bucket, part_mb=5, key="{name}")
    sink.deliver([with_snapshot(tmp_path, 1, content)])
    sink.close()
    ((key, found),) = stored(server, bucket).items()
    assert found == content
    asked = client(server)
    assert asked.head_object(Bucket=bucket, Key=key)["ETag"].endswith('-3"'), "three parts"
    assert "Uploads" not in asked.list_multipart_uploads(Bucket=bucket)
    asked.close()


def test_events_are_uploaded_as_lines_of_json(tmp_path: Path, server: int, bucket: str) -> None:
    events = [make_event(number) for number in range(5)]
    sink = made(tmp_path, server, bucket, events=True, upload=[])
    sink.deliver(events[:2])
    sink.deliver(events[2:])
    sink.close()
    again = made(tmp_path, server, bucket, events=True, upload=[])
    again.deliver(events[2:])  # killed before the journal knew: the same object
    again.close()
    found = stored(server, bucket)
    assert sorted(found) == [
        f"events/2026-03-01/20260301T080000.{n:03d}Z-{events[k].id}.jsonl" for n, k in ((0, 0), (80, 2))
    ]
    lines = b"".join(found[key] for key in sorted(found)).splitlines()
    assert [json.loads(line) for line in lines] == [event.to_dict() for event in events]


@pytest.mark.slow
def test_events_gather_between_two_objects(tmp_path: Path, server: int, bucket: str) -> None:
    sink = made(tmp_path, server, bucket, events=True, events_every_s=0.3)
    begun_s = time.monotonic()
    sink.deliver([make_event(1)])
    sink.deliver([make_event(2)])
    assert time.monotonic() - begun_s > 0.25
    sink.close()
    assert len(stored(server, bucket)) == 2


def test_outside_the_output_folder_nothing_is_read(tmp_path: Path, server: int, bucket: str) -> None:
    folder = tmp_path / "out"
    (folder / "evidence").mkdir(parents=True)
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"secret")
    (folder / "evidence" / "link.jpg").symlink_to(secret)
    (folder / "evidence" / "circle.jpg").symlink_to("circle.jpg")
    (folder / "away").symlink_to(tmp_path)
    (folder / "notes.txt").write_text("private")
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    names = {
        "../secret.jpg": "outside the output folder",
        str(secret): "outside the output folder",
        "evidence/../../secret.jpg": "outside the output folder",
        "evidence/link.jpg": "outside the output folder",
        "away/secret.jpg": "outside the output folder",
        "evidence/circle.jpg": "no plain file",
        "notes.txt": "is none of .jpg",
        "folder.jpg": "no plain file",
        "pipe.jpg": "no plain file",
        "a\0.jpg": "no name of a file",
        "x" * 300 + ".jpg": "no name of a file",
        "gone.jpg": "is gone",
    }
    sink = made(folder, server, bucket)
    right = with_snapshot(folder, 99)
    with pytest.raises(EventsRefused) as refusal:
        sink.deliver([right, *(naming(number, name) for number, name in enumerate(names))])
    assert list(refusal.value.reasons) == list(range(1, len(names) + 1))
    for reason, what in zip(refusal.value.reasons.values(), names.values(), strict=True):
        assert what in reason
    sink.deliver([right])
    sink.close()
    assert list(stored(server, bucket).values()) == [b"picture 99"]


@pytest.mark.slow
def test_an_event_whose_file_is_gone_still_is_among_the_events(
    tmp_path: Path, server: int, bucket: str
) -> None:
    events = [make_event(1), naming(2, "gone.jpg"), make_event(3)]
    sink = made(tmp_path, server, bucket, events=True)
    with feeding(tmp_path, sink) as (journal, feeder):
        journal.append(events)
        wait_delivered(feeder, 3)
    assert feeder.status.refused == 1
    (lines,) = stored(server, bucket).values()
    assert [json.loads(line)["id"] for line in lines.splitlines()] == [str(event.id) for event in events]


def test_a_folder_that_is_away_is_waited_for(tmp_path: Path, server: int, bucket: str) -> None:
    folder = tmp_path / "out"
    event = with_snapshot(folder, 1)
    folder.rename(tmp_path / "unplugged")
    sink = made(folder, server, bucket)
    with pytest.raises(SinkError, match="No such file"):
        sink.deliver([event])
    (tmp_path / "unplugged").rename(folder)
    sink.deliver([event])
    sink.close()
    assert len(stored(server, bucket)) == 1


@pytest.mark.slow
def test_what_goes_wrong_is_one_line(tmp_path: Path, server: int) -> None:
    event = with_snapshot(tmp_path, 1)
    for port, what in ((server, "there is no such bucket; make it"), (free_port(), "nothing answers there")):
        sink = made(tmp_path, port, "nobody-has-it")
        with pytest.raises(
            SinkError, match=rf"^bucket nobody-has-it at http://127.0.0.1:{port}: {what}"
        ) as error:
            sink.deliver([event])
        assert "geheim" not in str(error.value)
        sink.close()


@pytest.mark.slow
def test_a_server_that_breaks_off_gets_everything_in_the_end(
    tmp_path: Path, server: int, bucket: str
) -> None:
    content = random.Random(2).randbytes(6_000_000)
    event = with_snapshot(tmp_path, 1, content)
    with FaultProxy(("127.0.0.1", server)) as proxy:
        sink = made(tmp_path, proxy.port, bucket, part_mb=5)
        proxy.delay(0.02)  # for each 64 KB
        failed, thread = delivering(sink, event)
        until(lambda: proxy.connections > 0, 10, "it does not connect")
        proxy.refuse()
        proxy.cut()
        thread.join(30)
        assert re.match(r"bucket box-\d+ at .*: (nothing answers there|it ended)", str(failed[0]))
        assert stored(server, bucket) == {}
        proxy.delay(0)
        proxy.accept()
        sink.deliver([event])
        sink.close()
    assert list(stored(server, bucket).values()) == [content]


@pytest.mark.slow
def test_closing_breaks_off_an_upload(tmp_path: Path, server: int, bucket: str) -> None:
    event = with_snapshot(tmp_path, 1, bytes(4_000_000))
    with FaultProxy(("127.0.0.1", server)) as proxy:
        proxy.delay(0.05)
        sink = made(tmp_path, proxy.port, bucket)
        failed, thread = delivering(sink, event)
        until(lambda: proxy.connections > 0, 10, "it does not connect")
        begun_s = time.monotonic()
        sink.close()
        thread.join(10)
    assert "closed" in str(failed[0])
    assert time.monotonic() - begun_s < 4
    assert stored(server, bucket) == {}


@settings(max_examples=40, deadline=None)
@given(
    stream=st.text(st.characters(exclude_categories=["Cs"])),
    kind=st.text(st.characters(exclude_categories=["Cs"])),
    name=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_a_key_has_the_levels_of_its_template_whatever_names_are(stream: str, kind: str, name: str) -> None:
    event = make_event(1, stream, label=kind, data={"line": name})
    key = key_of("a/{stream}/{label}/{line}/{name}", event, name=name)
    levels = key.split("/")
    assert len(levels) == 5
    assert all(level.strip(".") for level in levels)
    assert key.isprintable()
    assert "\\" not in key
    assert len(levels[1].encode()) <= MOST_BYTES


def test_names_are_cleaned() -> None:
    assert [cleaned(name) for name in ("..", "", "a/b\\c", "Straße 7", "a.jpg", "x" * 999)] == [
        "__", "_", "a_b_c", "Straße_7", "a.jpg", "x" * 255,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"bucket": "A/b"}, "pattern"),
        ({"endpoint": "ftp://x"}, "expected http://HOST:PORT"),
        ({"endpoint": "http://user:pass@host"}, "without a user"),
        ({"access_key": "x"}, "belong together"),
        ({"session_token": "x"}, "belongs to an access_key"),
        ({"key": "{stream}"}, "it needs {name}"),
        ({"key": "{colour}/{name}"}, "{colour} is unknown; known: {host}, {stream}"),
        ({"key": "../{name}"}, "each level needs a name"),
        ({"key": "/{name}"}, "each level needs a name"),
        ({"key": "{name!r}"}, "without formats"),
        ({"key": "{name"}, "key: "),
        ({"events_key": "{stream}/{id}"}, "events_key: {stream} is unknown"),
        ({"ca_file": "/x.pem"}, "no file /x.pem"),
        ({"suffixes": ["*"]}, "pattern"),
    ],
)
def test_wrong_options_are_one_clear_line(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError) as error:
        S3Options(**{"bucket": "box", **options})
    assert what in str(error.value.errors()[0]["msg"])
    assert "pass@" not in str(error.value.errors()[0]["msg"])


@pytest.mark.slow
def test_a_storm_of_outages_loses_nothing(
    tmp_path: Path, server: int, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert QUICK.retry_most_s < 1
    rng = random.Random(6)
    with FaultProxy(("127.0.0.1", server)) as proxy:
        sink = made(tmp_path, proxy.port, bucket, events=True, timeout_s=1)
        failures = failures_of(sink, monkeypatch)
        harm: list[Callable[[], None]] = [proxy.cut, proxy.refuse]
        with feeding(tmp_path, sink) as (journal, feeder):
            sent = {}
            for batch in range(10):
                events = [with_snapshot(tmp_path, batch * 10 + number) for number in range(10)]
                journal.append(events)
                sent |= {
                    str(event.id): f"picture {batch * 10 + n}".encode() for n, event in enumerate(events)
                }
                time.sleep(rng.uniform(0, 0.2))
                for one in rng.sample(harm, 2):
                    one()
                time.sleep(rng.uniform(0, 0.3))
                proxy.accept()
            wait_delivered(feeder, len(sent))
    found = stored(server, bucket)
    pictures = {
        Path(key).stem.removeprefix("crop-"): body for key, body in found.items() if key.endswith(".jpg")
    }
    lines = [
        json.loads(line)["id"]
        for key, body in found.items()
        if key.endswith("l")
        for line in body.splitlines()
    ]
    assert failures
    assert pictures == sent
    assert set(lines) == set(sent)
