# ruff: noqa: E501 - a mistake and what is said of it stand side by side

import json
import os
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config.builtin import shipped_configs
from pipeline.config.load import MAX_BYTES, load_config
from pipeline.config.problems import ConfigProblems, Problem
from tests.pipeline.config.plugins import CATALOGUE, GOOD, load


def test_a_configuration_is_read_with_its_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    assert config.path == tmp_path / "x.yaml"
    assert config.out == Path("results")
    assert [sink.name for sink in config.sinks] == ["events", "video"]
    assert config.bus is not None
    assert (config.bus.events, config.bus.frames) == ("tcp://127.0.0.1:5577", "ipc:///tmp/frames")
    gate, yard = config.streams
    assert (gate.name, gate.url.reveal(), gate.source.name, gate.policy) == (
        "gate",
        "video.mp4",
        "file",
        None,
    )
    assert [stage.name for stage in gate.stages] == ["motion", "track", "count"]
    assert all(type(stage.options) is stage.plugin.Options for stage in gate.stages)
    assert (yard.source.name, yard.policy) == ("rtsp", "latest")
    assert [stage.name for stage in yard.stages] == ["motion"]


def test_keys_without_a_value_are_as_good_as_absent(tmp_path: Path) -> None:
    text = "streams: {a: {source: x, policy: , stages: }}\nstages: [track]\nsinks:\nbus:\nout:\n"
    config = load(tmp_path, text)
    assert (config.sinks, config.bus, config.out) == ((), None, Path("out"))
    assert [stage.name for stage in config.streams[0].stages] == ["track"]


def test_home_is_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    config = load(tmp_path, "streams: {a: {source: ~/x.mp4}}\nout: ~/out\n")
    assert (config.streams[0].url.reveal(), config.out) == ("/home/me/x.mp4", Path("/home/me/out"))


def test_a_folder_is_read_as_images(tmp_path: Path) -> None:
    (stream,) = load(tmp_path, f"streams: {{a: {{source: '{tmp_path}'}}}}").streams
    assert stream.source.name == "images"


def test_credentials_are_not_in_the_repr(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    assert "secret" in config.streams[1].url.reveal()
    assert "secret" not in repr(config)


def test_later_layers_win(tmp_path: Path) -> None:
    env = {"SIGHTLINE__STREAMS__GATE__SOURCE": "env.mp4", "SIGHTLINE__OUT": "env"}
    sets = ["streams.gate.source=set.mp4", "out=set"]
    layers: list[dict[str, Any]] = [
        {},
        {"env": env},
        {"env": env, "sets": sets},
        {"env": env, "sets": sets, "sources": ["gate=cli.mp4"], "out": Path("cli")},
    ]
    configs = [load(tmp_path, GOOD, **layer) for layer in layers]
    assert [config.streams[0].url.reveal() for config in configs] == [
        "video.mp4",
        "env.mp4",
        "set.mp4",
        "cli.mp4",
    ]
    assert [str(config.out) for config in configs] == ["results", "env", "set", "cli"]


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = """\
streams:
  gate: {source: a.mp4, policy: lates}
  gate: {source: b.mp4}
stages:
  - motion: {width: 1e999}
  - count:
      lines:
        gate: {points: [0, 0, 1, 1], ankor: center}
sinks: [evnts]
"""
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path, text, sets=["stages.trak.confirm=1", "outt=x"], env={"SIGHTLINE__BUS": "5"})
    lines = str(caught.value).replace(f"{tmp_path}/", "").splitlines()
    assert len(lines) == len(caught.value.problems)
    assert lines == [
        "x.yaml:2: streams.gate.policy: expected 'every' or 'latest', found 'lates'; did you mean 'latest'?",
        "x.yaml:3: streams.gate: stream 'gate' is written twice, first in line 2; give one another name",
        "x.yaml:5: stages[0].motion.width: a number too large to be used",
        "x.yaml:8: stages[1].count.lines.gate.ankor: unknown key 'ankor'; did you mean 'anchor'? allowed: points, anchor, band, labels",
        "x.yaml:9: sinks[0]: unknown sink 'evnts'; did you mean 'events'? known: copy, events, video",
        "--set stages.trak.confirm: stages has no 'trak'; known: motion, count",
        "environment variable SIGHTLINE__BUS: bus: expected 'key: value' settings, found 5",
        "--set outt: outt: unknown key 'outt'; did you mean 'out'? allowed: streams, stages, sinks, bus, metrics, journal, out",
    ]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "x.yaml: empty; a configuration needs at least 'streams'"),
        (b"a: 1\nb: caf\xe9\n", "x.yaml:2: not UTF-8 text: byte 0xe9; save the file as UTF-8"),
        (b"\x00\x00\x00\x18ftypmp42", "x.yaml:1: not a text file: it holds the character '\\x00'"),
        (b"#" * (MAX_BYTES + 1), "x.yaml: larger than 1 MiB: is this a configuration?"),
    ],
)
def test_files_that_are_no_configuration(data: bytes, line: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    assert refusal(path) == f"{tmp_path}/{line}"


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeff" + GOOD).hash == load(tmp_path, GOOD).hash


def test_a_missing_file_names_the_shipped_ones(tmp_path: Path) -> None:
    assert refusal(tmp_path / "trafic.yaml") == (
        f"{tmp_path}/trafic.yaml: no such file; did you mean 'traffic'? "
        f"shipped configurations: {', '.join(shipped_configs())}"
    )


def test_a_folder_and_a_locked_file_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: a folder; name the YAML file in it"
    assert refusal(tmp_path / "x.yaml" / "\0").endswith("cannot be read: embedded null byte")


def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(GOOD)
    path.chmod(0)
    user = os.geteuid()
    os.seteuid(user or 65534)  # root may read everything
    try:
        assert refusal(path) == f"{path}: no permission to read it"
    finally:
        os.seteuid(user)


def refusal(path: Path) -> str:
    with pytest.raises(ConfigProblems) as caught:
        load_config(path, env={}, catalogue=CATALOGUE)
    return str(caught.value)


SHUFFLED = """\
# another order, other spellings, the same meaning
sinks: [{events: {}}, {video: {rate_hz: 25.0}}]
bus: {frames: "ipc:///tmp/frames", events: tcp://127.0.0.1:5577}
stages:
  - motion
  - track: {confirm: 3}
  - count: {lines: {door: {labels: [bus, car], points: [0, 0.5, 1.0, 0.5], anchor: bottom_center}}}
streams:
  gate: {source: {url: video.mp4}, policy: }
  yard: {stages: [motion: {shadows: yes}], policy: latest, source: {timeout_s: 2, url: rtsp://user:secret@camera/1}}
out: results
"""


def test_hashes_depend_on_the_meaning_only(tmp_path: Path) -> None:
    one, other = load(tmp_path, GOOD), load(tmp_path, SHUFFLED)
    assert one.hash == other.hash
    assert [stream.config_hash for stream in one.streams] == [stream.config_hash for stream in other.streams]


@pytest.mark.parametrize(
    ("setting", "stream_differs"),
    [
        ("stages.motion.width=480", True),
        ("stages.count.lines.door.band=0.03", True),
        ("stages=[track, motion]", True),
        ("streams.gate.source=b.mp4", False),
        ("streams.gate.policy=every", False),
        ("streams.yard.source.timeout_s=3", False),
        ("sinks=[]", False),
        ("bus.events=tcp://*:1", False),
        ("out=there", False),
    ],
)
def test_what_the_hashes_are_of(setting: str, stream_differs: bool, tmp_path: Path) -> None:
    one, other = load(tmp_path, GOOD), load(tmp_path, GOOD, sets=[setting])
    assert one.hash != other.hash
    assert (one.streams[0].config_hash != other.streams[0].config_hash) == stream_differs


def test_a_stream_has_the_same_hash_alone_and_beside_others(tmp_path: Path) -> None:
    text = "streams: {gate: {source: x.mp4}}\nstages: [motion, track]\n"
    alone = load(tmp_path, text).streams[0].config_hash
    together = load(tmp_path, text, sources=["a.mp4", "b.mp4", "synthetic://street"]).streams
    assert {stream.config_hash for stream in together} == {alone}
    assert len(alone) == 16
    assert int(alone, 16)


def test_hashes_are_the_same_in_every_process(tmp_path: Path) -> None:
    """Sets of strings come in another order in each process."""
    (tmp_path / "x.yaml").write_text(GOOD)
    code = (
        "import sys; from pipeline.config.load import load_config; "
        "from tests.pipeline.config.plugins import CATALOGUE; "
        "print(load_config(sys.argv[1], env={}, catalogue=CATALOGUE).hash)"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "x.yaml")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert hashes == {f"{load(tmp_path, GOOD).hash}\n"}


KEYS = (
    "streams stages sinks bus out gate source url policy motion track count lines points anchor width events "
    "frames video labels size 0"
)
keys = st.sampled_from([*KEYS.split(), "", "x y", "\0"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=8)
    | keys
    | st.sampled_from(["latest", "rtsp://u:p@h", "tcp://*:1", "~root", "~nobody-of-this-name", "width:480"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return (container, key) of everything in a tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in items for place in [(value, key), *places(inner)]]


@st.composite
def mutations(draw: Callable[[st.SearchStrategy[Any]], Any]) -> object:
    tree = deepcopy(yaml.safe_load(GOOD))
    for _ in range(draw(st.integers(1, 3))):
        found = places(tree)
        if not found:
            break
        container, key = draw(st.sampled_from(found))
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                container[key] = draw(values)
            case "remove":
                del container[key]
            case "add" if isinstance(container, dict):
                container[draw(keys)] = draw(values)
            case "add":
                container.append(draw(values))
    return tree


parts = st.lists(keys | st.sampled_from(["1", "99", "stages[0]"]), min_size=1, max_size=5)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tree=mutations() | values,
    sets=st.lists(
        st.builds(lambda path, value: f"{'.'.join(path)}={json.dumps(value)}", parts, values), max_size=3
    ),
    env=st.dictionaries(
        st.builds(lambda path: "SIGHTLINE__" + "__".join(path), parts), st.text(max_size=5), max_size=2
    ),
    sources=st.lists(
        st.text(max_size=8) | st.sampled_from(["a.mp4", "gate=b.mp4", "new=rtsp://u:p@h"]), max_size=3
    ),
)
def test_any_input_is_a_configuration_or_a_list_of_problems(
    tree: object, sets: list[str], env: dict[str, str], sources: list[str], tmp_path: Path
) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        config = load(tmp_path, json.dumps(tree), sets=sets, env=env, sources=sources)
        assert config.streams
    except ConfigProblems as error:
        problems = error.problems
        assert problems
    origins = (f"{tmp_path / 'x.yaml'}", "--set ", "environment variable ", "--source")
    for line in map(str, problems):
        assert line.startswith(origins)
        assert "\n" not in line
        assert "Input should" not in line
