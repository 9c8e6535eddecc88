"""Which kinds of events the stage `count` makes, and with which options."""

from __future__ import annotations

from collections.abc import Mapping

from stages.count.options import CountOptions

_SITUATIONS = {
    "occupancy": "more objects than allowed are in a zone; it goes on; it ended",
    "dwell": "an object stays long in a zone; it goes on; it ended",
    "queue": "objects wait in a zone; it goes on; it ended",
    "loitering": "an object hangs about in a zone; it goes on; it ended",
    "wrong_way": "an object goes against a zone's direction; it goes on; it ended",
    "stopped": "an object stands still in a zone; it goes on; it ended",
    "tailgating": "an object follows another too closely in a zone; it goes on; it ended",
    "crowd": "a zone is too dense; it goes on; it ended",
}
"""By the option of a zone that asks for it."""

EMITS: Mapping[str, str] = {
    "line.crossing": "an object was counted",
    "zone.entered": "an object came into a zone",
    "zone.left": "an object left a zone",
    **{f"zone.{name}": when for name, when in _SITUATIONS.items()},
    "route.completed": "an object went from one gate to another",
    "route.partial": "of a route only one end was seen",
    "route.matrix": "the stream ended: how many went from where to where",
    "object.speeding": "an object surely exceeds the limit; and when that ends",
}


def emitted(options: CountOptions) -> set[str]:
    """Return the kinds of `EMITS` that can come about with these options."""
    found = {
        f"zone.{name}"
        for zone in options.zones.values()
        for name in _SITUATIONS
        if getattr(zone, name) is not None
    }
    if options.lines:
        found.add("line.crossing")
    if any(zone.visits for zone in options.zones.values()):
        found |= {"zone.entered", "zone.left"}
    if options.routes:
        found |= {"route.completed", "route.partial", "route.matrix"}
    if options.ground is not None and options.ground.limit_kmh is not None:
        found.add("object.speeding")
    return found
