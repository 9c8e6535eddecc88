"""Key pairs of sealed files: a public key that lies on the box, and a secret one that does not.

Both are those of age (https://c2sp.org/age): what `age-keygen` makes can be used here, and the other way.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from pydantic import Field, field_validator

from pipeline.errors import ConfigError
from pipeline.plugin import Options
from streams.sinks.sealed import bech32

PUBLIC, SECRET = ".age_public", ".age_secret"
_PUBLIC_PREFIX, _SECRET_PREFIX = "age", "age-secret-key-"
_KEY_BYTES = 32
_EXTRA = "sealed"


def need_cryptography() -> None:
    """Make sure that the package is there.

    Raises:
        ConfigError: if it is not; says what to install.
    """
    if find_spec("cryptography") is None:
        raise ConfigError(f'sealed files need the package cryptography: pip install "sightline[{_EXTRA}]"')


def make_pair(folder: Path, name: str) -> tuple[Path, Path, str]:
    """Write a new pair to folder/NAME.age_public and folder/NAME.age_secret (readable by its owner only).

    Returns:
        The paths of the public and of the secret key, and the public key.

    Raises:
        ConfigError: if one of them is there already, they cannot be written, or `cryptography` is missing.
    """
    need_cryptography()
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    public_path, secret_path = (folder / f"{name}{suffix}" for suffix in (PUBLIC, SECRET))
    for path in (public_path, secret_path):
        if path.exists():
            raise ConfigError(f"{path} is there already; choose another name, or delete it first")
    key = X25519PrivateKey.generate()
    public = bech32.encode(_PUBLIC_PREFIX, key.public_key().public_bytes_raw())
    secret = bech32.encode(_SECRET_PREFIX, key.private_bytes_raw()).upper()
    made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(secret_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"# created: {made}\n# public key: {public}\n{secret}\n")
        public_path.write_text(f"{public}\n", encoding="ascii")
    except OSError as error:
        raise ConfigError(f"{folder}: keys cannot be written: {error.strerror}") from error
    return public_path, secret_path, public


def read_public(keys: Sequence[str]) -> tuple[bytes, ...]:
    """Return the public keys, 32 bytes each, of those written down (`age1...`) and those in files.

    Raises:
        ConfigError: if one is no such key, or a file has none or cannot be read.
    """
    found: list[bytes] = []
    for text in keys:
        if text.startswith(f"{_PUBLIC_PREFIX}1"):
            found.append(_decoded(text, _PUBLIC_PREFIX, "the public key"))
            continue
        path = Path(text)
        if path.suffix == SECRET:
            raise ConfigError(
                f"{path} is the secret key: whoever has it can read the archive, so it is kept elsewhere; "
                f"name the public one (*{PUBLIC})"
            )
        found += [_decoded(line, _PUBLIC_PREFIX, f"{path}: the public key") for line in _lines(path)]
    return tuple(dict.fromkeys(found))


def read_secret(path: Path) -> tuple[bytes, ...]:
    """Return the secret keys in a file, 32 bytes each.

    Raises:
        ConfigError: if it has none, cannot be read, or others can read it.
    """
    lines = _lines(path)
    if lines[0].startswith(f"{_PUBLIC_PREFIX}1"):
        raise ConfigError(f"{path} is the public key, which opens nothing; name the secret one (*{SECRET})")
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        raise ConfigError(f"{path} can be read by others; run: chmod 600 {path}")
    return tuple(_decoded(line, _SECRET_PREFIX, f"{path}: the secret key") for line in lines)


def _lines(path: Path) -> list[str]:
    """Return what is no comment."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigError(
            f"{path}: the key cannot be read: {error.strerror}; `sightline archive keys` makes one"
        ) from None
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise ConfigError(f"{path} holds no key; `sightline archive keys` makes one")
    return lines


def _decoded(text: str, wanted: str, what: str) -> bytes:
    """Return the key; the text of a secret one is not repeated."""
    try:
        prefix, data = bech32.decode(text)
    except ValueError as error:
        raise ConfigError(f"{what} is no key of age: {error}") from None
    if prefix != wanted:
        is_secret = prefix == _SECRET_PREFIX
        hint = f"it is a secret one, keep it elsewhere and name *{PUBLIC}" if is_secret else f"name *{SECRET}"
        raise ConfigError(f"{what} is not of the kind that is needed here: {hint}")
    if len(data) != _KEY_BYTES:
        raise ConfigError(f"{what} has {len(data)} bytes, not {_KEY_BYTES}")
    return data


class Sealing(Options):
    """An option `seal_for` of sinks that write archives.

    Attributes:
        seal_for: public keys (`age1...`, or files that have some, *.age_public) of those who may read what is
            written; this box cannot. None: it is written in clear.
    """

    seal_for: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=16)

    @field_validator("seal_for")
    @classmethod
    def _keys(cls, given: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if given is None:
            return None
        try:
            need_cryptography()
            read_public(given)
        except ConfigError as error:  # pydantic adds where it was written to a ValueError only
            raise ValueError(str(error)) from None
        return given

    def public_keys(self) -> tuple[bytes, ...]:
        """Return the keys, 32 bytes each; none where nothing is sealed.

        Raises:
            ConfigError: if a file of theirs has gone meanwhile.
        """
        return read_public(self.seal_for or ())
