from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq
from typer.testing import CliRunner

import sightline
from pipeline.bus import Bus
from pipeline.cli.app import app
from pipeline.config.load import load_config
from pipeline.curve import CurveOptions, make_keys, read_keys, read_public_key
from pipeline.errors import ConfigError
from pipeline.journal import Journal
from pipeline.reliable import ReliableServer
from tests.pipeline.messages import FREE, make_event

PATIENCE_S = 20.0


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The box's pair, that of a known program, and that of a stranger."""
    make_keys(tmp_path / "keys", "box")
    make_keys(tmp_path / "clients", "shop")
    make_keys(tmp_path / "elsewhere", "stranger")
    return tmp_path


def options(keys: Path) -> CurveOptions:
    return CurveOptions(key=keys / "keys/box.key_secret", clients=keys / "clients")


@contextmanager
def served(folder: Path, curve: CurveOptions) -> Iterator[str]:
    journal = Journal(folder / "journal.sqlite3", keep_s=1e6, keep_bytes=10**8)
    journal.append([make_event(1)])
    server = ReliableServer(journal, FREE, curve)
    try:
        yield server.endpoint
    finally:
        server.close()
        journal.close()


def test_a_known_program_gets_reliable_events(keys: Path) -> None:
    pair = {"server_key": keys / "keys/box.key", "key": keys / "clients/shop.key_secret"}
    with (
        served(keys, options(keys)) as endpoint,
        sightline.subscribe(endpoint, name="shop", start="oldest", **pair) as listener,
    ):
        found = listener.receive(PATIENCE_S)
    assert found is not None
    assert found.event.track_id == 1


@pytest.mark.parametrize("pair", [(), ("server_key",), ("server_key", "key")])
def test_strangers_get_nothing(keys: Path, pair: tuple[str, ...]) -> None:
    """Without encryption, with a key of the moment, with a key that the box does not know."""
    files = {"server_key": keys / "keys/box.key", "key": keys / "elsewhere/stranger.key_secret"}
    given = {name: files[name] for name in pair}
    known = {**files, "key": keys / "clients/shop.key_secret"}
    with (
        served(keys, options(keys)) as endpoint,
        sightline.subscribe(endpoint, name="shop", start="oldest", **given) as stranger,
        sightline.subscribe(endpoint, name="shop", start="oldest", **known) as listener,
    ):
        assert stranger.receive(0.3) is None
        assert listener.receive(PATIENCE_S) is not None
        assert stranger.receive(0.1) is None


def test_events_and_frames_are_encrypted_too(keys: Path) -> None:
    known = {"server_key": keys / "keys/box.key", "key": keys / "clients/shop.key_secret"}
    with Bus(FREE, FREE, curve=options(keys)) as bus:
        with (
            sightline.subscribe(bus.endpoints["events"]) as stranger,
            sightline.subscribe(bus.endpoints["frames"], ["frame/"]) as peeping,
            sightline.subscribe(bus.endpoints["events"], **known) as listener,
        ):
            received = None
            while received is None:
                bus.publish_event(make_event(1))
                received = listener.receive(0.05)
            assert stranger.receive(0.1) is None
            assert peeping.receive(0.0) is None
        assert bus.statistics()["frames_subscriptions"] == 0, "a stranger's wish makes nobody draw"


def test_without_a_folder_whoever_has_the_public_key_may_come(keys: Path) -> None:
    with (
        served(keys, CurveOptions(key=keys / "keys/box.key_secret")) as endpoint,
        sightline.subscribe(
            endpoint, name="any", start="oldest", server_key=keys / "keys/box.key"
        ) as listener,
    ):
        assert listener.receive(PATIENCE_S) is not None


def test_keys_from_the_command_line(tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["keys", "box", "--folder", str(tmp_path)])
    assert run.exit_code == 0
    assert "to be kept secret" in run.output
    assert stat.S_IMODE((tmp_path / "box.key_secret").stat().st_mode) == 0o600
    pair = read_keys(tmp_path / "box.key_secret")
    assert read_public_key(tmp_path / "box.key") == pair.public
    assert pair.secret.decode() not in repr(pair)
    assert zmq.curve_public(pair.secret) == pair.public
    again = CliRunner().invoke(app, ["keys", "box", "--folder", str(tmp_path)])
    assert "is there already" in str(again.exception)
    assert CliRunner().invoke(app, ["keys", "../box"]).exit_code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: no such file"),
        (b"", "no key file of ZeroMQ"),
        (b"\xff\xfe\x00", "no key file of ZeroMQ"),
        (b'curve\n    public-key = "short"\n', "a key has 40 characters, not 5"),
    ],
)
def test_what_is_no_key_is_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.key_secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as raised:
        read_keys(path)
    assert "\n" not in str(raised.value)


def test_a_secret_that_others_can_read_and_a_public_key_in_its_place(keys: Path) -> None:
    secret = keys / "keys/box.key_secret"
    with pytest.raises(ConfigError, match="holds no secret key"):
        read_keys(keys / "keys/box.key")
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others; run: chmod 600"):
        read_keys(secret)


def test_the_configuration_says_where_a_key_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "streams: {a: {source: a.mp4}}\nbus:\n  reliable: tcp://127.0.0.1:5579\n  curve:\n    key: no.key\n"
    )
    with pytest.raises(ConfigError, match=r"a\.yaml:\d+: bus\.curve.*no\.key: the key cannot be read"):
        load_config(path)
    with pytest.raises(ConfigError, match="of no use without the box's"):
        sightline.subscribe("tcp://127.0.0.1:1", key="a.key_secret")
