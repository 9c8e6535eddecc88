# ruff: noqa: E501 - a mistake and what is said of it stand side by side

from pathlib import Path

import pytest

from pipeline.config.problems import ConfigProblems
from pipeline.config.sources import name_of, split_source
from tests.pipeline.config.plugins import load

ONE = "streams: {gate: {source: video.mp4, policy: every, stages: [motion]}}\nstages: [track]\n"
TWO = "streams: {gate: {source: a.mp4}, yard: {source: b.mp4, stages: [motion]}}\nstages: [track]\n"
NONE = "stages: [track]\n"

Streams = dict[str, tuple[str, list[str]]]


@pytest.mark.parametrize(
    ("text", "sources", "streams"),
    [
        (ONE, [], {"gate": ("video.mp4", ["motion"])}),
        (ONE, ["x.mp4"], {"gate": ("x.mp4", ["motion"])}),
        (ONE, ["gate=x.mp4"], {"gate": ("x.mp4", ["motion"])}),
        (ONE, ["door=x.mp4"], {"door": ("x.mp4", ["motion"])}),
        (ONE, ["x.mp4", "y.mp4"], {"x": ("x.mp4", ["motion"]), "y": ("y.mp4", ["motion"])}),
        (ONE, ["b=x.mp4", "a=x.mp4"], {"b": ("x.mp4", ["motion"]), "a": ("x.mp4", ["motion"])}),
        (ONE, ["gate=x.mp4", "y.mp4"], {"gate": ("x.mp4", ["motion"]), "y": ("y.mp4", ["motion"])}),
        (ONE, ["synthetic://street?seed=1"], {"gate": ("synthetic://street?seed=1", ["motion"])}),
        (TWO, ["yard=x.mp4"], {"gate": ("a.mp4", ["track"]), "yard": ("x.mp4", ["motion"])}),
        (
            TWO,
            ["door=x.mp4"],
            {"gate": ("a.mp4", ["track"]), "yard": ("b.mp4", ["motion"]), "door": ("x.mp4", ["track"])},
        ),
        (NONE, ["clips/x.mp4"], {"x": ("clips/x.mp4", ["track"])}),
        (NONE, ["gate=x.mp4"], {"gate": ("x.mp4", ["track"])}),
    ],
)
def test_what_is_read(text: str, sources: list[str], streams: Streams, tmp_path: Path) -> None:
    config = load(tmp_path, text, sources=sources)
    got = {
        stream.name: (stream.url.reveal(), [stage.name for stage in stream.stages])
        for stream in config.streams
    }
    assert got == streams
    assert list(got) == list(streams)


def test_copies_of_the_template_keep_its_other_settings(tmp_path: Path) -> None:
    config = load(tmp_path, ONE, sources=["x.mp4", "y.mp4"])
    assert [stream.policy for stream in config.streams] == ["every", "every"]


@pytest.mark.parametrize(("url", "timeout_s"), [("rtsp://other/1", 2.0), ("x.mp4", None)])
@pytest.mark.parametrize("name", ["", "gate=", "new="])
def test_source_options_stay_while_the_scheme_does(
    url: str, timeout_s: float | None, name: str, tmp_path: Path
) -> None:
    text = "streams: {gate: {source: {url: 'rtsp://cam/1', timeout_s: 2}}}\n"
    (stream,) = load(tmp_path, text, sources=[name + url]).streams
    assert stream.url.reveal() == url
    assert getattr(stream.source.options, "timeout_s", None) == timeout_s


@pytest.mark.parametrize(
    ("text", "sources", "lines"),
    [
        (ONE, ["a/x.mp4", "b/x.mp4"], ["--source b/x.mp4: a second source for the stream 'x'; give each its own name: NAME=URL"]),
        (TWO, ["x.mp4"], ["--source x.mp4: say whose source it is: NAME=URL; streams: gate, yard"]),
        (TWO, ["gate=x.mp4", "gate=y.mp4"], ["--source gate=y.mp4: a second source for the stream 'gate'; give each its own name: NAME=URL"]),
        (
            TWO.replace("stages: [track]", ""),
            ["gaet=x.mp4"],
            ["--source gaet=x.mp4: no stream 'gaet', and no common stages for a new one; did you mean 'gate'? streams: gate, yard"],
        ),
        (ONE, ["rtps://u:pw@cam/1"], ["--source rtps://***@cam/1: streams.gate.source: no source reads 'rtps://'; did you mean 'rtsp'? known: file, images, rtsp, synthetic"]),
        (ONE, [""], ["--source : streams.gate.source: must not be empty, nor hold a NUL character; found ''"]),
    ],
)  # fmt: skip
def test_what_cannot_be_read(text: str, sources: list[str], lines: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path, text, sources=sources)
    assert str(caught.value).splitlines() == lines


@pytest.mark.parametrize(
    ("text", "name", "url"),
    [
        ("gate=x.mp4", "gate", "x.mp4"),
        ("gate=x=1.mp4", "gate", "x=1.mp4"),
        ("x.mp4", None, "x.mp4"),
        ("synthetic://street?seed=1", None, "synthetic://street?seed=1"),
        ("./a=b.mp4", None, "./a=b.mp4"),
        ("my gate=x.mp4", None, "my gate=x.mp4"),
        ("gate=", None, "gate="),
        ("=x.mp4", None, "=x.mp4"),
        (f"{'n' * 65}=x.mp4", None, f"{'n' * 65}=x.mp4"),
    ],
)
def test_a_name_is_told_from_a_url(text: str, name: str | None, url: str) -> None:
    assert split_source(text) == (name, url)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("car-detection.mp4", "car-detection"),
        ("/data/clips/Gate 2 (north).v1.mkv", "Gate-2-north-v1"),
        ("frames/", "frames"),
        ("synthetic://street?seed=1", "street"),
        ("rtsp://user:pw@10.0.0.5:554/Streaming/Channels/101", "101"),
        ("rtsp://user:p@ss@10.0.0.5:554", "10-0-0-5"),
        ("http://host/a/b.m3u8?token=x/y", "b"),
        ("видео.mp4", "stream"),
        ("x" * 100 + ".mp4", "x" * 64),
        ("", "stream"),
    ],
)
def test_a_stream_is_named_after_its_file(url: str, name: str) -> None:
    assert name_of(url) == name
