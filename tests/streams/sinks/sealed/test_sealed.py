"""Sealed files: what age and another implementation of it read and write, cut off, changed, for others."""

from __future__ import annotations

import io
import subprocess
from contextlib import closing
from pathlib import Path

import pyrage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, SourceError
from streams.sinks.sealed import bech32
from streams.sinks.sealed.files import create, open_to_read
from streams.sinks.sealed.keys import make_pair, read_public, read_secret
from streams.sinks.sealed.payload import CHUNK_BYTES
from tests.servers.daemons import binary

CONTENT = bytes(range(251)) * 700  # more than two chunks


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    return make_pair(tmp_path_factory.mktemp("keys"), "owner")


def sealed(path: Path, public: str, content: bytes, step: int = 10_000) -> Path:
    path.unlink(missing_ok=True)
    with closing(create(path, read_public([public]))) as file:
        for start in range(0, len(content), step):
            file.write(content[start : start + step])
    return path


def test_pyrage_reads_what_we_write(pair: tuple[Path, Path, str], tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.from_str(pair[1].read_text().splitlines()[-1])
    for size in (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, len(CONTENT)):
        path = sealed(tmp_path / "file.age", pair[2], CONTENT[:size])
        assert pyrage.decrypt(path.read_bytes(), [identity]) == CONTENT[:size]
        with open_to_read(path, read_secret(pair[1])) as file:
            assert file.read() == CONTENT[:size]


def test_we_read_what_pyrage_writes(pair: tuple[Path, Path, str], tmp_path: Path) -> None:
    other = pyrage.x25519.Identity.generate().to_public()
    ours = pyrage.x25519.Recipient.from_str(pair[2])
    path = tmp_path / "file.age"
    path.write_bytes(pyrage.encrypt(CONTENT, [other, ours]))
    with open_to_read(path, read_secret(pair[1])) as file:
        assert file.read() == CONTENT
        assert file.seek(-5, io.SEEK_END) == len(CONTENT) - 5
        assert file.read() == CONTENT[-5:]


def test_the_tool_of_age_reads_it_with_our_key_file(pair: tuple[Path, Path, str], tmp_path: Path) -> None:
    tool = binary("age", "age")
    path = sealed(tmp_path / "file.age", pair[2], CONTENT)
    done = subprocess.run([tool, "-d", "-i", pair[1], path], capture_output=True, check=True)
    assert done.stdout == CONTENT


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=60), st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20))
def test_bech32_returns(data: bytes, prefix: str) -> None:
    text = bech32.encode(prefix, data)
    assert bech32.decode(text) == bech32.decode(text.upper()) == (prefix, data)
    place = len(text) - 3
    with pytest.raises(ValueError, match=r"checksum|character"):
        bech32.decode(text[:place] + ("q" if text[place] != "q" else "p") + text[place + 1 :])


def test_one_that_was_cut_off_is_read_to_its_last_whole_chunk(
    pair: tuple[Path, Path, str], tmp_path: Path
) -> None:
    path = sealed(tmp_path / "file.age", pair[2], CONTENT)
    whole = path.read_bytes()
    for lost in (1, 16, 17, 50_000):
        path.write_bytes(whole[:-lost])
        with open_to_read(path, read_secret(pair[1])) as file:
            plain = file.read()
        # The last chunk is 44,628 bytes.
        assert plain == CONTENT[: (2 if lost < 44_644 else 1) * CHUNK_BYTES]


def test_one_that_is_written_can_be_read_meanwhile(pair: tuple[Path, Path, str], tmp_path: Path) -> None:
    path = tmp_path / "file.age"
    with closing(create(path, read_public([pair[2]]))) as file:
        file.write(CONTENT)
        with open_to_read(path, read_secret(pair[1])) as reader:
            assert reader.read() == CONTENT[: 2 * CHUNK_BYTES]


def test_neither_content_nor_keys_are_in_it_in_clear(pair: tuple[Path, Path, str], tmp_path: Path) -> None:
    data = sealed(tmp_path / "file.age", pair[2], CONTENT).read_bytes()
    assert CONTENT[:32] not in data
    assert pair[2].encode() not in data


@pytest.mark.parametrize("place", [30, 60, 150, 300, 70_000])
def test_one_that_was_changed_is_refused(pair: tuple[Path, Path, str], tmp_path: Path, place: int) -> None:
    path = sealed(tmp_path / "file.age", pair[2], CONTENT)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises((SourceError, ValueError)), open_to_read(path, read_secret(pair[1])) as file:
        file.read()


def test_another_key_does_not_open_it(pair: tuple[Path, Path, str], tmp_path: Path) -> None:
    path = sealed(tmp_path / "file.age", pair[2], CONTENT)
    _, secret, _ = make_pair(tmp_path, "stranger")
    with pytest.raises(SourceError, match="for another key"):
        open_to_read(path, read_secret(secret))
    with pytest.raises(SourceError, match="--key"):
        open_to_read(path)


def test_keys_that_are_none(pair: tuple[Path, Path, str], tmp_path: Path) -> None:
    secret = pair[1].read_text().splitlines()[-1]
    with pytest.raises(ConfigError, match="is the secret key"):
        read_public([str(pair[1])])
    with pytest.raises(ConfigError, match="checksum"):
        read_public([pair[2][:-1] + ("q" if pair[2][-1] != "q" else "p")])
    with pytest.raises(ConfigError, match="archive keys"):
        read_public([str(tmp_path / "none.age_public")])
    wrong = tmp_path / "wrong.age_public"
    wrong.write_text(secret + "\n")
    with pytest.raises(ConfigError, match="secret one") as caught:
        read_public([str(wrong)])
    assert secret not in str(caught.value)
    pair[1].chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_secret(pair[1])
    with pytest.raises(ConfigError, match="is the public key"):  # and not "can be read by others"
        read_secret(pair[0])
    pair[1].chmod(0o600)
    with pytest.raises(ConfigError, match="is there already"):
        make_pair(pair[0].parent, "owner")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_file_is_more_than_one_line_of_error(
    pair: tuple[Path, Path, str], tmp_path: Path, data: st.DataObject
) -> None:
    whole = sealed(tmp_path / "whole.age", pair[2], b"content" * 20).read_bytes()
    place = data.draw(st.integers(0, len(whole)))
    changed = (
        whole[:place] + data.draw(st.binary(max_size=80)) + whole[data.draw(st.integers(0, len(whole))) :]
    )
    path = tmp_path / "changed.age"
    path.write_bytes(changed)
    plain, complaint = b"", ""
    try:
        with open_to_read(path, read_secret(pair[1])) as file:
            plain = file.read()
    except (SourceError, ValueError) as error:
        complaint = str(error)
    assert plain in (b"content" * 20, b"")
    assert "\n" not in complaint
