"""In all tests of stages each event is held against what its maker declares."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from pipeline.event import Event, Producer
from pipeline.frame import Frame
from pipeline.kinds import ENGINE
from pipeline.registry import load_plugin


@pytest.fixture(autouse=True)
def _only_declared_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Frame.event

    def event(self: Frame, kind: str, key: str, producer: Producer, **fields: Any) -> Event:
        assert kind in declared(producer.stage), f"{producer.stage} does not declare {kind}"
        return made(self, kind, key, producer, **fields)

    monkeypatch.setattr(Frame, "event", event)


@cache
def declared(maker: str) -> Mapping[str, str]:
    emits: Mapping[str, str] = ENGINE if maker == "engine" else load_plugin("stage", maker).emits
    return emits
