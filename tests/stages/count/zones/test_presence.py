"""All objects and zones at once are told the same as each pair by itself, however finely it is sampled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.count.zones.presence import Presence, Way, Zone
from stages.count.zones.region import Region
from stages.count.zones.stay import Stayed, stays

SQUARE = Region(((100.0, 100.0), (200.0, 100.0), (200.0, 200.0), (100.0, 200.0)))
RING = Region(SQUARE.outer, (((130.0, 130.0), (170.0, 130.0), (170.0, 170.0), (130.0, 170.0)),))
LOW = Region(((0.0, 90.0), (300.0, 90.0), (300.0, 110.0), (0.0, 110.0)))
STAR = Region(((150.0, 20.0), (180.0, 140.0), (290.0, 150.0), (180.0, 170.0), (150.0, 280.0), (120.0, 160.0)))


def visits_of(presence: Presence, times_s, ids, tracks: np.ndarray) -> dict[tuple[int, int], list[Stayed]]:
    """What all changes together say, by (object, zone); tracks (T, N, 2), NaN where an object is not seen."""
    told: dict[tuple[int, int], list[Stayed]] = {}
    inside: dict[tuple[int, int], tuple[float, bool]] = {}
    changes = []
    for time_s, row in zip(times_s, tracks, strict=True):
        seen = ~np.isnan(row[:, 0])
        changes += presence.update(
            time_s, [i for i, s in zip(ids, seen, strict=True) if s], row[seen][:, None]
        )
    for change in [*changes, *presence.finish()]:
        pair = (change.object_id, change.zone)
        if change.way in (Way.ENTERED, Way.APPEARED):
            assert pair not in inside
            inside[pair] = (change.time_s, change.way is Way.APPEARED)
        else:
            entered_s, appeared = inside.pop(pair)
            told.setdefault(pair, []).append(
                Stayed(entered_s, change.time_s, appeared, change.way is Way.LOST)
            )
    assert not inside
    return told


@pytest.mark.parametrize("band_px", [0.0, 6.0, 40.0])
@pytest.mark.parametrize("hold_s", [0.0, 0.15, 1.0])
def test_all_at_once_is_each_by_itself(band_px: float, hold_s: float):
    random = np.random.default_rng(7)
    times_s = np.cumsum(random.uniform(0.02, 0.2, 120))
    tracks = random.uniform(0, 300, (1, 30, 2)) + np.cumsum(random.normal(0, 12, (120, 30, 2)), axis=0)
    tracks[:, 0] = 150, 150  # stands
    tracks[:, 1] = 200, 150  # stands on an edge
    tracks[random.random((120, 30)) < 0.2] = np.nan
    regions = [SQUARE, RING, LOW, STAR]
    ids = list(range(100, 130))
    presence = Presence([Zone(region, band_px, hold_s) for region in regions], forget_s=100.0)
    told = visits_of(presence, times_s, ids, tracks)
    assert len(presence) == 0
    total = 0
    for row, object_id in enumerate(ids):
        seen = ~np.isnan(tracks[:, row, 0])
        for zone, region in enumerate(regions):
            alone = stays(region, times_s[seen], tracks[seen, row], band_px=band_px, hold_s=hold_s)
            assert told.get((object_id, zone), []) == alone
            total += len(alone)
    assert total > 10


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_how_finely_a_path_is_sampled_changes_nothing(data: st.DataObject):
    coordinate = st.floats(0, 300, width=32)
    corners = np.array(data.draw(st.lists(st.tuples(coordinate, coordinate), min_size=2, max_size=7)))
    steps_s = data.draw(st.lists(st.floats(0.05, 2.0), min_size=len(corners), max_size=len(corners)))
    times_s = np.cumsum(steps_s)
    region = data.draw(st.sampled_from([SQUARE, RING, LOW, STAR]))
    band_px, hold_s = (
        data.draw(st.sampled_from([0.0, 5.0, 30.0])),
        data.draw(st.sampled_from([0.0, 0.2, 1.0])),
    )
    finely = np.unique(np.concatenate([times_s, np.linspace(times_s[0], times_s[-1], 200)]))
    points = np.column_stack([np.interp(finely, times_s, corners[:, k]) for k in (0, 1)])
    sparse = stays(region, times_s, corners, band_px=band_px, hold_s=hold_s)
    dense = stays(region, finely, points, band_px=band_px, hold_s=hold_s)
    # A stretch that lasts exactly as long as the hold time may fall to either side by rounding.
    longer = stays(region, times_s, corners, band_px=band_px, hold_s=hold_s * (1 + 1e-6) + 1e-9)
    if sparse == longer or hold_s == 0:
        keep = [s for s in sparse if s.left_s - s.entered_s > 1e-6]
        fine = [s for s in dense if s.left_s - s.entered_s > 1e-6]
        assert [(s.appeared, s.lost) for s in keep] == [(s.appeared, s.lost) for s in fine]
        assert np.allclose([s[:2] for s in keep], [s[:2] for s in fine], atol=1e-4)


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_stretches_are_what_points_along_the_path_say(data: st.DataObject):
    coordinate = st.floats(0, 300, width=32)
    start, end = data.draw(st.tuples(coordinate, coordinate)), data.draw(st.tuples(coordinate, coordinate))
    region = data.draw(st.sampled_from([SQUARE, RING, LOW, STAR]))
    band_px = data.draw(st.sampled_from([0.0, 5.0, 30.0]))
    if start == end:
        return
    parts = region.stretches(start, end, band_px)
    assert [part.start for part in parts[1:]] == [part.end for part in parts[:-1]]
    assert (parts[0].start, parts[-1].end) == (0.0, 1.0)
    shares = np.random.default_rng(1).random(200)
    points = np.array(start) + shares[:, None] * (np.array(end) - np.array(start))
    inside, apart_px = region.inside(points), region.distances_px(points)
    for share, is_in, px in zip(shares, inside, apart_px, strict=True):
        (part,) = [part for part in parts if part.start <= share < part.end]
        if px > 1e-3:
            assert part.inside == is_in
        if abs(px - band_px) > 1e-3:
            assert part.beyond == (not is_in and px > band_px)
