"""Whatever anybody saw, everybody has: over kill -9 of every part, at random moments."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storm import ONCE, World

KILLS = 14


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_anybody_saw_everybody_has(tmp_path: Path) -> None:
    with World(tmp_path, seed=11) as world:
        world.rage(KILLS)
        world.settle()
        found = world.found
    assert sum(found.kills.values()) == KILLS
    assert len(world.settled) > 100, "there was something to lose"
    assert found.seen, "somebody looked"
    assert found.lost(world.settled) == {}
    doubles = found.doubles()
    assert {name: doubles[name] for name in ONCE} == dict.fromkeys(ONCE, 0)
