"""Ground-truth trajectories through random polygons: the visits are those of whole-number geometry."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from stages.count.zones.presence import Presence, Way, Zone
from stages.count.zones.region import Region
from stages.vision.polygon import crosses_itself
from tests.stages.count.mot import NAMES, Truth, truth_of

Whole = tuple[int, int]


def visits_by_whole_numbers(path: Sequence[Whole], ring: Sequence[Whole]) -> int:
    """How often a path of straight parts comes into a polygon; exact, without a float anywhere."""
    edges = list(zip(ring, [*ring[1:], ring[0]], strict=True))
    inside_before, entries = False, 0
    for number, ((px, py), (qx, qy)) in enumerate(pairwise(path)):
        dx, dy = qx - px, qy - py
        cuts = {Fraction(0), Fraction(1)}
        for (ax, ay), (bx, by) in edges:
            turn = (bx - ax) * dy - (by - ay) * dx
            if turn:
                cut = Fraction((by - ay) * (px - ax) - (bx - ax) * (py - ay), turn)
                if 0 < cut < 1:
                    cuts.add(cut)
        if number == 0:
            inside_before = holds(Fraction(px), Fraction(py), edges)
            entries += inside_before
        ordered = sorted(cuts)
        for low, high in pairwise(ordered):
            middle = (low + high) / 2
            inside = holds(px + middle * dx, py + middle * dy, edges) if dx or dy else inside_before
            entries += inside and not inside_before
            inside_before = inside
    return entries


def holds(x: Fraction, y: Fraction, edges) -> bool:
    within = False
    for (ax, ay), (bx, by) in edges:
        if (ay > y) != (by > y) and (x - ax) * abs(by - ay) < (y - ay) * (bx - ax) * (1 if by > ay else -1):
            within = not within
    return within


def random_polygons(truth: Truth, count: int, seed: int) -> list[list[Whole]]:
    """Polygons of 3 to 7 corners that do not cross themselves, near where somebody walks."""
    random, found = np.random.default_rng(seed), []
    while len(found) < count:
        middle = truth.feet[random.integers(len(truth.feet))]
        corners = (middle + random.normal(0, truth.width / 8, (random.integers(3, 8), 2))).round().astype(int)
        ring = [(int(x), int(y)) for x, y in corners]
        if len(set(ring)) == len(ring) and not crosses_itself(ring):
            found.append(ring)
    return found


def check(name: str, count: int) -> int:
    truth = truth_of(name)
    feet = truth.feet.round().astype(int)
    rings = random_polygons(truth, count, seed=len(name))
    zones = [Zone(Region(tuple((float(x), float(y)) for x, y in ring)), 0.0, 0.0) for ring in rings]
    presence = Presence(zones, forget_s=1e6)
    counted: dict[tuple[int, int], int] = {}
    for frame in range(truth.frame.min(), truth.frame.max() + 1):
        rows = truth.frame == frame
        points = feet[rows].astype(float)[:, None]
        for change in presence.update(frame / truth.rate_hz, truth.id[rows].tolist(), points):
            if change.way in (Way.ENTERED, Way.APPEARED):
                pair = (change.zone, change.object_id)
                counted[pair] = counted.get(pair, 0) + 1
    total = 0
    for object_id in np.unique(truth.id).tolist():
        points = feet[truth.id == object_id]
        path = [(int(x), int(y)) for x, y in points]
        low, high = points.min(axis=0), points.max(axis=0)
        for zone, ring in enumerate(rings):
            corners = np.array(ring)
            apart = (corners.min(axis=0) > high).any() or (corners.max(axis=0) < low).any()
            true = 0 if apart else visits_by_whole_numbers(path, ring)
            assert counted.get((zone, object_id), 0) == true, (object_id, ring)
            total += true
    return total


def test_real_paths_through_a_few_polygons():
    assert check("TUD-Stadtmitte", 3) > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_real_paths_through_many_polygons(name: str):
    assert check(name, 60) > 100
