from __future__ import annotations

import pytest

from streams.sinks.restream.srt_options import srt_options
from streams.sinks.restream.target import target_of


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("srt://media:9", {}),
        ("srt://media:9?mode=caller&latency=200000", {"latency": "200000"}),
        (
            "srt://media:9?streamid=#!::r=live/gate,m=publish&passphrase=a%26b+c%3Dd/ef",
            {"streamid": "#!::r=live/gate,m=publish", "passphrase": "a&b c=d/ef"},
        ),
    ],
)
def test_what_a_query_says(url: str, options: dict[str, str]) -> None:
    assert srt_options(url) == options


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("mode=listener", "push calls, the receiver listens"),
        ("mode=rendezvous", "can only be caller"),
        ("passphrase=pa55", "passphrase must have 10 to 79"),
        (f"passphrase={'pa55' * 20}", "passphrase must have 10 to 79"),
        ("streamid=", "streamid must have 1 to 512"),
        ("streamid=pa55%0Avf=movie%3Dx", "printable"),
        ("latency=pa55", "latency must be a whole number"),
        ("latency=%D9%A3", "latency must be a whole number"),
        ("vf=pa55", "no option 'vf'; those of a caller are connect_timeout"),
    ],
)
def test_what_a_caller_cannot_have_is_refused_without_showing_it(query: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        target_of(f"srt://media:9?{query}", "gate")
    assert "pa55" not in str(caught.value)
