"""What docs/sinks.md shows can be run: every example is a configuration that is accepted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.config import load_config
from pipeline.registry import plugin_names

PAGE = (Path(__file__).parents[2] / "docs" / "sinks.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```yaml\n(sinks:\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SECRET = re.compile(r"\b(?:env|file):[^\s#]+")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split()[2].rstrip(":"))
def test_an_example_is_accepted(example: str, tmp_path: Path) -> None:
    for package in ("confluent_kafka", "boto3", "pyarrow", "psycopg"):
        pytest.importorskip(package)
    path = tmp_path / "page.yaml"
    text = SECRET.sub("postgresql://user:secret@host/name", example)
    path.write_text(f"streams: {{gate: {{source: 'synthetic://street'}}}}\nstages: [motion]\n{text}")
    (sink,) = load_config(path, env={}).sinks
    assert sink.name in plugin_names("sink")


def test_each_sink_of_the_journal_has_an_example() -> None:
    shown = {example.split()[2].rstrip(":") for example in EXAMPLES}
    assert shown >= {
        "csv",
        "jsonl",
        "kafka",
        "mqtt",
        "parquet",
        "postgres",
        "redis",
        "s3",
        "sqlite",
        "webhook",
    }
