from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.errors import SinkError
from streams.sinks.credentials import reveal
from streams.sinks.needed import need


def test_where_a_secret_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "from the environment")
    (tmp_path / "secret").write_bytes(b" from a file \r\n")
    assert reveal(SecretStr("env:A_SECRET")) == "from the environment"
    assert reveal(SecretStr(f"file:{tmp_path / 'secret'}")) == " from a file "
    assert reveal(SecretStr("pass:word")) == "pass:word"


def test_what_is_missing_is_named_without_the_secret(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="variable NO_SUCH_VARIABLE, which holds a secret, is not set"):
        reveal(SecretStr("env:NO_SUCH_VARIABLE"))
    with pytest.raises(SinkError, match="cannot be read: No such file"):
        reveal(SecretStr(f"file:{tmp_path / 'none'}"))
    (tmp_path / "raw").write_bytes(b"\xff\xfe")
    with pytest.raises(SinkError, match="it is no text"):
        reveal(SecretStr(f"file:{tmp_path / 'raw'}"))


def test_a_missing_package_says_what_to_install() -> None:
    need("json", "json", "mqtt")
    with pytest.raises(SinkError, match=r'paho-mqtt: pip install "sightline\[mqtt\]"'):
        need("no_such_module", "paho-mqtt", "mqtt")
