"""What a user reads for each kind of mistake, word for word."""

# ruff: noqa: E501 - a mistake and what is said of it stand side by side

from pathlib import Path

import pytest

from pipeline.config.problems import ConfigProblems
from tests.pipeline.config.plugins import load

SOURCE = "streams: {gate: {source: a.mp4}}"
LINE = "allowed: points, anchor, band, labels"
FOUR = "points: [0, 0, 1, 1]"


def lines(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigProblems) as caught:
        load(folder, text)
    start = f"{folder / 'x.yaml'}:"
    assert all(line.startswith(start) for line in str(caught.value).splitlines())
    return [line.removeprefix(start) for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        ("motoin", ": unknown stage 'motoin'; did you mean 'motion'? known: broken, count, motion, track"),
        ("xyz", ": unknown stage 'xyz'; known: broken, count, motion, track"),
        ("broken", ": stage 'broken' (its.module:Class) cannot be imported: No module named 'its'"),
        ("motion:320", ": unknown stage 'motion:320'; a space is missing after the colon; write 'motion: ...'; did you mean 'motion'? known: broken, count, motion, track"),
        ("5", ": expected the name of a stage, or {NAME: {options}}, found 5"),
        ("", ": expected the name of a stage, or {NAME: {options}}, found nothing"),
        ("{motion: , width: 3}", ": one stage with the keys 'motion', 'width'; begin each stage with '- ' and indent its options deeper"),
        ("motion: [1]", ".motion: expected 'key: value' settings, found [1]"),
        ("motion: {widht: 320}", ".motion.widht: unknown key 'widht'; did you mean 'width'? allowed: width, shadows, shade, sigma, size, name"),
        ("motion: width:320", ".motion: expected 'key: value' settings, found 'width:320'; a space is missing after the colon; write 'width: ...'"),
        ("motion: {width:320}", ".motion['width:320']: a space is missing after the colon; write 'width: ...'"),
        ("motion: {width: 5}", ".motion.width: expected a value of at least 16, found 5"),
        ("motion: {width: 5000}", ".motion.width: expected a value of at most 4096, found 5000"),
        ("motion: {width: wide}", ".motion.width: expected a whole number, found 'wide'"),
        ("motion: {width: 1.5}", ".motion.width: expected a whole number, found 1.5"),
        ("motion: {width: }", ".motion.width: expected a whole number, found nothing"),
        ("motion: {width: 321}", ".motion.width: an odd width of 321 cannot be halved"),
        ("motion: {shadows: perhaps}", ".motion.shadows: expected true or false, found 'perhaps'"),
        ("motion: {shade: drak}", ".motion.shade: expected 'dark' or 'light', found 'drak'; did you mean 'dark'?"),
        ("motion: {sigma: 0}", ".motion.sigma: expected a value above 0, found 0"),
        ("motion: {sigma: big}", ".motion.sigma: expected a number, found 'big'"),
        ("motion: {size: 5}", ".motion.size: expected text or a list, found 5; put it in quotes"),
        ("motion: {size: [1, a]}", ".motion.size[1]: expected a whole number, found 'a'"),
        ("motion: {name: 7}", ".motion.name: expected text, found 7; put it in quotes"),
        ("motion: {name: x}", ".motion.name: expected 2 or more characters, found 'x'"),
        ("track: {weights: 5}", ".track.weights: expected a path, found 5"),
        ("track: {weights: broken}", ".track: broken: these are no weights; download them again"),
        ("track: {confirm: 60}", ".track: confirm is longer than any visit"),
        ("track: {ages: []}", ".track.ages: expected 1 or more entries, found []"),
        ("track: {ages: [1, 2, 3, 4]}", ".track.ages: expected 3 or fewer entries, found [1, 2, 3, 4]"),
        ("count: {lines: [1]}", ".count.lines: expected 'key: value' settings, found [1]"),
        ("count: {every: fram}", ".count.every: expected a whole number or 'frame', found 'fram'; did you mean 'frame'?"),
        ("count: {lines: {a: {}}}", ".count.lines.a.points: missing; it must be given"),
        ("count: {lines: {a: {points: [1, 2]}}}", ".count.lines.a.points: expected 4 entries, found [1, 2]"),
        ("count: {lines: {a: {points: [1, 2, 3, 4, 5]}}}", ".count.lines.a.points: expected 4 or fewer entries, found [1, 2, 3, 4, 5]"),
        (f"count: {{lines: {{a: {{{FOUR}, ankor: center}}}}}}", f".count.lines.a.ankor: unknown key 'ankor'; did you mean 'anchor'? {LINE}"),
        (f"count: {{lines: {{anchor: {{{FOUR}, foo: 1}}}}}}", f".count.lines.anchor.foo: unknown key 'foo'; {LINE}"),
        (f"count: {{lines: {{a: {{{FOUR}, labels: car}}}}}}", ".count.lines.a.labels: expected a list, found 'car'; write [car]"),
        (f"count: {{lines: {{a: {{{FOUR}, band: 1}}}}}}", ".count.lines.a.band: expected a value below 1, found 1"),
    ],
)  # fmt: skip
def test_stages(stage: str, line: str, tmp_path: Path) -> None:
    assert lines(tmp_path, f"{SOURCE}\nstages:\n  - {stage}\n") == [f"3: stages[0]{line}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("stages: []", "1: streams: missing; it must be given"),
        ("streams: {}", "1: streams: expected 1 or more entries, found {}"),
        ("streams:", "1: streams: missing; it must be given"),
        ("streams: [a]", "1: streams: expected 'key: value' settings, found ['a']"),
        ("streams: {gate: a.mp4}", "1: streams.gate: expected 'key: value' settings, found 'a.mp4'"),
        ("streams:\n  gate: {}", "2: streams.gate.source: missing; it must be given"),
        ("streams:\n  gate: {source: 0}", "2: streams.gate.source: expected a URL, a path, or {url: ..., options}, found 0"),
        ("streams:\n  gate: {sorce: a.mp4}", "2: streams.gate.sorce: unknown key 'sorce'; did you mean 'source'? allowed: source, policy, keeper, stages"),
        ("streams:\n  gate: {source: 'webcam://0'}", "2: streams.gate.source: no source reads 'webcam://'; known: file, images, rtsp, synthetic"),
        *(
            (
                f"streams:\n  gate: {{source: {{url: 'rtsp://x', start_time: {wrong}}}}}",
                f"2: streams.gate.source.start_time: expected a time with its zone, such as 2024-05-01T08:00:00+02:00, found {wrong!r}",
            )
            for wrong in ("yesterday", "2024-01-01 10:00", "2024-01-01", "2024-13-01T00:00:00Z")
        ),
        ("streams:\n  gate: {source: {}}", "2: streams.gate.source.url: missing; it must be given"),
        ("streams:\n  gate: {source: ' '}", "2: streams.gate.source: must not be empty, nor hold a NUL character; found ' '"),
        ("streams:\n  gate: {source: 'rtps://u:pw@x'}", "2: streams.gate.source: no source reads 'rtps://'; did you mean 'rtsp'? known: file, images, rtsp, synthetic"),
        ("streams:\n  gate: {source: {url: 'rtsp://u:pw@x', timeout: 3}}", "2: streams.gate.source.timeout: unknown key 'timeout'; did you mean 'timeout_s'? allowed: timeout_s, start_time"),
        ("streams:\n  gate: {source: {url: a.mp4, x: 3}}", "2: streams.gate.source.x: unknown key 'x'; allowed: (none)"),
        ("streams:\n  gate: {source: ~nobody-of-this-name/a}", "2: streams.gate.source: there is no home folder for '~nobody-of-this-name/a'"),
        ("streams:\n  gate: {source: a, policy: lates}", "2: streams.gate.policy: expected 'every' or 'latest', found 'lates'; did you mean 'latest'?"),
        ("streams:\n  gate: {source: a, stages: {a: 1}}", "2: streams.gate.stages: expected a list, found {'a': 1}"),
        ("streams:\n  gate: {source: a, stages: [xyz]}", "2: streams.gate.stages[0]: unknown stage 'xyz'; known: broken, count, motion, track"),
        ("streams:\n  my gate: {source: a}", "2: streams['my gate']: a stream's name is 1 to 64 letters, digits, '_' or '-', not 'my gate'"),
        (f"{SOURCE}\nsinks: events", "2: sinks: expected a list, found 'events'; write [events]"),
        (f"{SOURCE}\nsinks: [evnts]", "2: sinks[0]: unknown sink 'evnts'; did you mean 'events'? known: copy, events, video"),
        (f"{SOURCE}\nsinks: [events: {{streams: [gaet]}}]", "2: sinks[0].events.streams: there is no stream 'gaet'; did you mean 'gate'?"),
        (f"{SOURCE}\nsinks: [copy]", "2: sinks[0].copy: copies what the source sends, and the source 'file' of stream 'gate' has nothing to copy; leave this stream out by `streams`, or take the sink 'video'"),
        (f"{SOURCE}\nsinks: [events: {{streams: []}}]", "2: sinks[0].events.streams: expected 1 or more entries, found []"),
        (f"{SOURCE}\nmetrics: nowhere", "2: metrics: 'nowhere' is no address; write HOST:PORT with a port up to 65535, e.g. 127.0.0.1:9464"),
        (f"{SOURCE}\nbuss: 3", "2: buss: unknown key 'buss'; did you mean 'bus'? allowed: streams, stages, sinks, bus, metrics, journal, out"),
        (f"{SOURCE}\nout: 5", "2: out: expected text, found 5; put it in quotes"),
        (f"{SOURCE}\nbus: {{event: x}}", "2: bus.event: unknown key 'event'; did you mean 'events'? allowed: events, frames, reliable, curve"),
        (f"{SOURCE}\nbus: {{events: 'ipc://a', frames: 'ipc://a'}}", "2: bus: events and frames both go to ipc://a; each needs its own endpoint"),
    ],
)  # fmt: skip
def test_the_rest(text: str, line: str, tmp_path: Path) -> None:
    assert lines(tmp_path, text) == [line]


@pytest.mark.parametrize("endpoint", ["tcp://x", "tcp://x:99999", "ipc://", "http://x:1", "5577"])
def test_bus_endpoints_are_checked(endpoint: str, tmp_path: Path) -> None:
    (line,) = lines(tmp_path, f"{SOURCE}\nbus: {{events: '{endpoint}'}}")
    assert line.startswith(f"2: bus.events: '{endpoint}' is no address")


def test_a_path_too_long_for_the_system_is_a_problem_too(tmp_path: Path) -> None:
    (line,) = lines(tmp_path, f"streams: {{gate: {{source: {'x' * 5000}}}}}")
    assert line.startswith("1: streams.gate.source: 'xxx")
    assert "cannot be looked at" in line
