from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.servers.daemons import binary


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost, signed by itself, and its key, in one file."""
    folder = tmp_path_factory.mktemp("certificate")
    path = folder / "both.pem"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [binary("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-keyout", path, "-out", folder / "only.pem", *name],
        check=True,
        capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + (folder / "only.pem").read_text())
    return path
