"""Encryption and admission for the bus: CurveZMQ (ZeroMQ RFC 26), with the key files of ZeroMQ's own tools.

A key pair is two files: NAME.key, which may be given away, and NAME.key_secret, which may not. The box has
one; programs need the box's public key, and one of their own, whose public part lies in the box's folder of
clients.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq
import zmq.auth
from pydantic import model_validator
from zmq.auth.thread import ThreadAuthenticator

from pipeline.errors import ConfigError
from pipeline.plugin import Options

PUBLIC, SECRET = ".key", ".key_secret"


class CurveOptions(Options):
    """Who may connect to the bus, and with which key of ours.

    Attributes:
        key: our secret key, NAME.key_secret.
        clients: folder of the public keys (*.key) of programs that may connect. None: every program that has
            our public key may.
        hub: public key of the hub that we connect to; needed for that, and for nothing else.
    """

    key: Path
    clients: Path | None = None
    hub: Path | None = None

    @model_validator(mode="after")
    def _there(self) -> CurveOptions:
        try:
            read_keys(self.key)
            if self.hub is not None:
                read_public_key(self.hub)
        except ConfigError as error:  # pydantic adds where it was written to a ValueError only
            raise ValueError(str(error)) from None
        if self.clients is not None and not self.clients.is_dir():
            raise ValueError(f"{self.clients} is no folder; make it and put the programs' *.key files there")
        return self


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """A key pair, Z85; never printed."""

    public: bytes
    secret: bytes


def make_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a new pair to folder/NAME.key and folder/NAME.key_secret (readable by its owner only).

    Returns:
        The paths of the public and of the secret key.

    Raises:
        ConfigError: if one of them is there already, or they cannot be written.
    """
    public, secret = (folder / f"{name}{suffix}" for suffix in (PUBLIC, SECRET))
    for path in (public, secret):
        if path.exists():
            raise ConfigError(f"{path} is there already; choose another name, or delete it first")
    before = os.umask(0o077)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        zmq.auth.create_certificates(folder, name)
        public.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)
    except OSError as error:
        raise ConfigError(f"{folder}: keys cannot be written: {error.strerror}") from error
    finally:
        os.umask(before)
    return public, secret


def read_keys(path: Path) -> Keys:
    """Read a secret key file, which holds both keys.

    Raises:
        ConfigError: if it is missing, no such file, holds no secret key, or others can read it.
    """
    public, secret = _read(path)
    if secret is None:
        raise ConfigError(f"{path} holds no secret key; name the file *{SECRET}")
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        raise ConfigError(f"{path} can be read by others; run: chmod 600 {path}")
    return Keys(public, secret)


def read_public_key(path: Path) -> bytes:
    """Read a public key file, Z85.

    Raises:
        ConfigError: if it is missing or no such file.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[bytes, bytes | None]:
    if not path.is_file():
        raise ConfigError(f"{path}: the key cannot be read: no such file; `sightline keys` makes one")
    try:
        public, secret = zmq.auth.load_certificate(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: the key cannot be read: {error.strerror or error}; `sightline keys` makes one"
        ) from None
    except ValueError as error:
        raise ConfigError(f"{path} is no key file of ZeroMQ ({error}); `sightline keys` makes one") from None
    for key in (public, secret):
        if key is not None and len(key) != 40:
            raise ConfigError(f"{path} is no key file of ZeroMQ: a key has 40 characters, not {len(key)}")
    return public, secret


class Guard:
    """Keeps strangers out of the sockets of one context.

    Args:
        context: of the sockets.
        options: who may connect; None for everybody, unencrypted.
    """

    def __init__(self, context: zmq.Context[Any], options: CurveOptions | None) -> None:
        self._keys = None if options is None else read_keys(options.key)
        self._hub = None if options is None or options.hub is None else read_public_key(options.hub)
        self._authenticator: ThreadAuthenticator | None = None
        if options is not None:
            self._authenticator = ThreadAuthenticator(context)
            self._authenticator.start()
            location = zmq.auth.CURVE_ALLOW_ANY if options.clients is None else options.clients
            self._authenticator.configure_curve(domain="*", location=location)

    def protect(self, socket: zmq.Socket[Any], *, connects: bool = False) -> None:
        """Set a socket up before it is bound, or `connects` to a hub.

        Raises:
            ConfigError: if the hub's key is not known.
        """
        if self._keys is None:
            return
        if connects:
            if self._hub is None:
                raise ConfigError(
                    "the hub's public key is missing; write `hub: hub.key` beside the own `key`"
                )
            Credentials(self._hub, self._keys).show(socket)
        else:
            socket.curve_secretkey = self._keys.secret
            socket.curve_publickey = self._keys.public
            socket.curve_server = True

    def close(self) -> None:
        """End the authenticator's thread; safe more than once."""
        authenticator, self._authenticator = self._authenticator, None
        if authenticator is not None:
            authenticator.stop()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a program shows to a box.

    Attributes:
        server: the box's public key, Z85.
        keys: its own pair.
    """

    server: bytes
    keys: Keys

    @classmethod
    def read(cls, server: Path, key: Path | None) -> Credentials:
        """Read the box's public key and the program's own secret key; None: a pair for this time only."""
        if key is not None:
            return cls(read_public_key(server), read_keys(key))
        return cls(read_public_key(server), Keys(*zmq.curve_keypair()))

    def show(self, socket: zmq.Socket[Any]) -> None:
        """Set a socket up before it is connected."""
        socket.curve_serverkey = self.server
        socket.curve_publickey = self.keys.public
        socket.curve_secretkey = self.keys.secret
