"""Who is who, in a world where that is known."""

import numpy as np
import pytest

from stages.identify.book import Book
from stages.identify.options import IdentifyOptions
from stages.identify.records import Alert, Record, Repeat, Sight
from tests.stages.identify.world import START_NS, S, World, is_right, matches, options


def run(world: World, **changes):
    records = world.records()
    found = matches(Book(options(min_score=0.01, **changes)), records)
    scores = np.array([match.score for match in found])
    right = np.array([is_right(match, world) for match in found])
    journeys = sum(number >= 0 for number in world.truth.values())
    return scores, right, journeys


@pytest.mark.parametrize(
    ("world", "link", "precision", "recall"),
    [
        (World(noise=0.5), {}, 0.95, 0.97),
        (World(noise=1.0), {}, 0.9, 0.93),
        (World(noise=0.5, cast=1.0), {}, 0.93, 0.93),  # the second camera has other colours
        (World(noise=0.5), {"travel_s": None}, 0.93, 0.96),  # nobody said how long the way takes
        (World(noise=0.5, median_s=90), {}, 0.92, 0.8),  # somebody was wrong about it
    ],
    ids=["clear", "middling", "cast", "way unknown", "way wrong"],
)
def test_matches_of_a_score_of_one_half_and_more(world, link, precision, recall):
    scores, right, journeys = run(world, link=link)
    told = scores >= 0.5
    assert right[told].mean() >= precision
    assert right[told].sum() / journeys >= recall


@pytest.mark.parametrize(
    ("noise", "off"),
    [
        (1.0, 0.05),
        pytest.param(2.0, 0.06, marks=pytest.mark.slow),
        pytest.param(0.5, 0.09, marks=pytest.mark.slow),
    ],
)
def test_a_score_is_a_probability(noise, off):
    """Over all best candidates, as many are right as their scores say, and so in each third of the scores.

    Where looks are very clear, scores are cautious, as looks may say 100 to 1 at most.
    """
    runs = [run(World(seed, noise=noise)) for seed in range(2)]
    scores, right = np.concatenate([each[0] for each in runs]), np.concatenate([each[1] for each in runs])
    assert scores.mean() == pytest.approx(right.mean(), abs=off)
    for low in (0.0, 1 / 3, 2 / 3):
        within = (scores >= low) & (scores <= low + 1 / 3)
        if within.sum() >= 50:
            assert scores[within].mean() == pytest.approx(right[within].mean(), abs=0.12)


def test_without_looks_a_busy_place_gives_no_match():
    scores, _, _ = run(World(looks=False))
    assert not (scores >= 0.5).any()


def sight(stream, gate, number, at_s, label="person"):
    return Sight((stream, "r", number), gate, label, START_NS + round(at_s * S), f"{stream}{number}")


def take(book, *sights):
    return [
        outcome
        for number, each in enumerate(sights)
        for outcome in book.take(Record(each.time_ns, number, each))
    ]


def test_the_score_by_hand():
    """One candidate, 45 s ago: w = 0.5 f(45); newcomers: 1 / (60 + 45) a second."""
    (match,) = take(
        Book(options(min_score=0.01)), sight("north", "school", 1, 0), sight("south", "station", 9, 45)
    )
    weight = 0.5 / (45 * np.log(1.5) * np.sqrt(2 * np.pi))
    assert match.score == pytest.approx(weight / (weight + 1 / 105))
    assert (match.travel_s, match.candidates, match.left.who[2], match.came.who[2]) == (45.0, 1, 1, 9)
    assert match.identity == Book(options()).identity(("north", "r", 1))


@pytest.mark.parametrize(
    "came",
    [
        sight("south", "station", 9, -1),  # before anybody left
        sight("south", "station", 9, 301),  # after the longest time
        sight("south", "station", 9, 45, "car"),
        sight("north", "school", 9, 45),  # another gate
    ],
)
def test_what_cannot_be_the_same(came):
    sights = sorted([sight("north", "school", 1, 0), came], key=lambda each: each.time_ns)
    assert take(Book(options(min_score=0.01)), *sights) == []


def test_one_does_not_come_twice():
    book = Book(options(min_score=0.001, link={"spread": 1.05}))
    first, second = take(
        book,
        sight("north", "school", 1, 0),
        sight("south", "station", 8, 45),
        sight("south", "station", 9, 45.5),
    )
    assert first.score > 0.9
    assert second.score < 0.5


def test_nobody_comes_by_two_ways_at_once():
    two = options(min_score=0.01).model_dump()
    two["links"]["bus"] = {**two["links"]["walk"], "travel_s": 20.0}
    book = Book(IdentifyOptions.model_validate(two))
    found = take(book, sight("north", "school", 1, 0), sight("south", "station", 9, 22))
    assert [match.link for match in found] == ["bus"]


def test_who_has_not_come_is_forgotten_and_what_is_remembered_is_bounded():
    book = Book(options(most=50))
    for number in range(2000):
        take(book, sight("north", "school", number, number * 0.1))
    assert len(book) == 50
    take(book, sight("south", "station", 1, 1000))
    assert len(book) == 0


def alert(stream, number, at_s, kind="zone.loitering"):
    return Alert((stream, "r", number), kind, START_NS + round(at_s * S), f"{stream}-{kind}-{at_s}")


ALERTS = {"alerts": {"kinds": ["zone.loitering", "zone.queue"], "within_s": 100}}


def test_an_alert_of_a_matched_object_repeats_the_first_one():
    book = Book(options(link={"spread": 1.05}, **ALERTS))
    here, there = alert("north", 1, 0), alert("south", 9, 50)
    other, late = alert("south", 9, 51, "zone.queue"), alert("south", 9, 120)
    found = take(
        book, here, sight("north", "school", 1, 1), sight("south", "station", 9, 46), there, other, late
    )
    (repeat,) = [each for each in found if isinstance(each, Repeat)]
    assert repeat == Repeat(there, here.event, book.identity(("north", "r", 1)))
    assert book.statistics()["alerts"] == 4


def test_alerts_of_objects_that_are_not_matched_are_all_told():
    assert take(Book(options(**ALERTS)), alert("north", 1, 0), alert("south", 9, 1)) == []


def test_alerts_of_one_object_repeat_each_other_too():
    (repeat,) = take(Book(options(**ALERTS)), alert("north", 1, 0), alert("north", 1, 60))
    assert repeat.first == "north-zone.loitering-0"


def test_pseudonyms_and_alerts_are_bounded():
    book = Book(options(most=10, **ALERTS))
    take(book, *(alert("north", number, number * 1e-3) for number in range(1000)))
    assert len(book._told) <= 10
    book.forget()
    assert (len(book), len(book._told), len(book._identities)) == (0, 0, 0)
