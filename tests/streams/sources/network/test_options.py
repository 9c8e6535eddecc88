"""Options of the network sources, and credentials on their way into the URL."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.secret import SecretUrl
from streams.sources.network.options import NetworkOptions, with_credentials


@pytest.mark.parametrize(
    ("url", "options", "opened"),
    [
        ("rtsp://10.0.0.9/1", {}, "rtsp://10.0.0.9/1"),
        ("rtsp://u:p@10.0.0.9/1", {}, "rtsp://u:p@10.0.0.9/1"),
        ("rtsp://10.0.0.9/1", {"username": "ann", "password": "b c"}, "rtsp://ann:b%20c@10.0.0.9/1"),
        ("rtsp://10.0.0.9:8554", {"username": "ann"}, "rtsp://ann@10.0.0.9:8554"),
        (
            "rtsp://old:pw@[fe80::1]:554/a@b?c=d",
            {"username": "a@b", "password": "p:/?#[]@%"},
            "rtsp://a%40b:p%3A%2F%3F%23%5B%5D%40%25@[fe80::1]:554/a@b?c=d",
        ),
        ("http://cam/", {"username": "ü", "password": "€"}, "http://%C3%BC:%E2%82%AC@cam/"),
    ],
)
def test_credentials_go_into_the_url_percent_encoded(url: str, options: dict[str, Any], opened: str) -> None:
    assert with_credentials(SecretUrl(url), NetworkOptions(**options)).reveal() == opened


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "x"},
        {"headers": {"A": "b\r\nEvil: c"}},
        {"headers": {"": "b"}},
        {"timeout_s": 0},
        {"timeout_s": 61},
        {"transport": "carrier pigeon"},
        {"clock": "sundial"},
        {"hwaccel": "abacus"},
        {"nosuch": 1},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NetworkOptions(**wrong)


def test_secrets_do_not_show() -> None:
    options = NetworkOptions(
        username="ann-user", password="hunter22", headers={"Authorization": "Bearer hunter22"}
    )
    for text in (repr(options), str(options), options.model_dump_json(), repr(options.model_dump())):
        assert "hunter22" not in text
        assert "ann-user" not in text
    assert options.plain_headers() == {"Authorization": "Bearer hunter22"}
