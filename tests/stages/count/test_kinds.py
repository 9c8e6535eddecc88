"""What the stage says it emits with which options."""

from __future__ import annotations

from typing import Any

import pytest

from stages.count.kinds import EMITS
from stages.count.options import CountOptions
from stages.count.stage import CountStage

SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1]]
DOOR = {"lines": {"door": {"start": [0, 0.5], "end": [1, 0.5]}}}
GROUND = [{"at": [x, y], "metres": [x, y]} for x, y in ([0, 0], [1, 0], [1, 1], [0, 1])]


def zone(**options: Any) -> dict[str, Any]:
    return {"zones": {"hall": {"polygon": SQUARE, **options}}}


@pytest.mark.parametrize(
    ("options", "emitted"),
    [
        (DOOR, {"line.crossing"}),
        (zone(), {"zone.entered", "zone.left"}),
        (zone(visits=False, queue={}), {"zone.queue"}),
        (zone(visits=False, wrong_way={"way": [[0, 0], [1, 1]]}), {"zone.wrong_way"}),
        ({"ground": {"points": GROUND}}, set()),
        ({"ground": {"points": GROUND, "limit_kmh": 30}}, {"object.speeding"}),
        ({"maps": {}}, set()),
        (
            {**DOOR, **zone(visits=False), "routes": {"ways": {"gates": ["door", "hall"]}}},
            {"line.crossing", "route.completed", "route.partial", "route.matrix"},
        ),
    ],
)
def test_it_is_what_the_options_ask_for(options: dict[str, Any], emitted: set[str]) -> None:
    assert CountStage.emitted(CountOptions.model_validate(options)) == emitted


def test_all_together_are_what_it_declares() -> None:
    situations = {kind.removeprefix("zone."): {} for kind in EMITS if kind.startswith("zone.")}
    situations["wrong_way"] = {"way": [[0, 0], [1, 1]]}
    situations["crowd"] = {"per_percent": 1}
    asked = {name: options for name, options in situations.items() if name not in ("entered", "left")}
    routes = {"routes": {"ways": {"gates": ["door", "hall"]}}}
    ground = {"ground": {"points": GROUND, "limit_kmh": 30}}
    options = CountOptions.model_validate({**DOOR, **zone(**asked), **routes, **ground})
    assert CountStage.emitted(options) == EMITS.keys()
