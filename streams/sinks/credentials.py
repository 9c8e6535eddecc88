"""Secrets of a sink's options: written down, or where they are to be found."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from pipeline.errors import SinkError

_MOST_BYTES = 65536


def reveal(secret: SecretStr) -> str:
    """Return a secret, read anew at each call, so that one that was changed is found.

    `env:NAME` stands for an environment variable, `file:PATH` for a file (its line ends cut off), anything
    else for itself.

    Raises:
        SinkError: if the variable or the file is not there; the message holds no secret.
    """
    text = secret.get_secret_value()
    source, _, name = text.partition(":")
    if source == "env":
        if name not in os.environ:
            raise SinkError(f"the environment variable {name}, which holds a secret, is not set")
        return os.environ[name]
    if source == "file":
        try:
            with Path(name).open("rb") as file:
                return file.read(_MOST_BYTES).decode().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise SinkError(f"{name}, which holds a secret, cannot be read: {reason}") from None
    return text


def _is_there(secret: SecretStr) -> SecretStr:
    try:
        found = reveal(secret)
    except SinkError as error:
        raise ValueError(str(error)) from None
    if not found:
        raise ValueError("is empty")
    return secret


Credential = Annotated[SecretStr, AfterValidator(_is_there)]
"""A secret, or `env:NAME` or `file:PATH`, which must be there when the configuration is checked."""


def tls_context(ca_file: Path | None, *, verify: bool) -> ssl.SSLContext:
    """Return how TLS is spoken with a server.

    Raises:
        ValueError: if `ca_file` holds no certificates.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # also ssl.SSLError
        raise ValueError(f"ca_file: {ca_file} holds no certificates: {error.strerror or error}") from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def check_certificates(*, tls: bool, **files: Path | None) -> None:
    """Check a sink's PEM files, by the names of the options that they are given in.

    Raises:
        ValueError: if one is not there, or given although nothing is encrypted.
    """
    for name, path in files.items():
        if path and not tls:
            raise ValueError(f"{name} needs `tls: true`")
        if path and not path.is_file():
            raise ValueError(f"{name}: there is no file {path}")
