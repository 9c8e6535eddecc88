"""A server that speaks S3 on loopback, in this process: moto's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

REGION = "us-east-1"


@contextmanager
def s3_server() -> Iterator[int]:
    """Run it within the block; yields its port."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    try:
        yield server.get_host_and_port()[1]
    finally:
        server.stop()


def client(port: int) -> Any:
    """Return one that sees everything."""
    boto3 = pytest.importorskip("boto3")
    return boto3.session.Session().client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="owner",
        aws_secret_access_key="owner",
        region_name=REGION,
    )


def stored(port: int, bucket: str) -> dict[str, bytes]:
    """Return all objects of a bucket."""
    asked = client(port)
    pages = asked.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    found = {key: asked.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
    asked.close()
    return found
