"""Which routes follow from which passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.count.routes.follow import Cause, Pass, Route, RouteFollower, Side
from stages.count.routes.matrix import MAX_LABELS, Matrix

SIDES = {"+": Side.IN, "-": Side.OUT, "|": Side.EITHER, ">": Side.REACHED, "<": Side.GONE}


def shown(route: Route) -> str:
    ends = [end.gate if end else "?" for end in (route.origin, route.destination)]
    return "".join(ends) + (f" {route.cause}" if route.cause else "")


def follow(passes: str, **options) -> list[str]:
    """Routes of one object through gates like "N+ E-", each at the next second; then it is lost."""
    follower = RouteFollower(**options)
    routes = []
    for time_s, word in enumerate(passes.split()):
        routes += follower.update(time_s, [Pass(7, word[0], SIDES[word[1]], time_s, "car")])
    routes += follower.drop([7], Cause.LOST)
    assert len(follower) == 0
    return [shown(route) for route in routes]


@pytest.mark.parametrize(
    ("passes", "options", "routes"),
    [
        ("N+ E-", {}, ["NE"]),
        ("N+ N-", {}, ["NN"]),
        ("N+ N-", {"u_turns": False}, []),
        ("N+", {}, ["N? lost"]),
        ("E-", {}, ["?E appeared"]),
        ("N+ E- E+ S-", {}, ["NE", "ES"]),
        ("N+ E+ S-", {}, ["N? again", "ES"]),
        ("N+ E- S-", {}, ["NE", "?S appeared"]),
        # gates that do not tell in from out
        ("N| E|", {}, ["NE"]),
        ("N| N|", {}, ["NN"]),
        ("N| N| E|", {"u_turns": False}, ["NE"]),
        ("N| E| S| W|", {}, ["NE"]),
        ("N| E| S|", {"legs": True}, ["NE", "ES", "S? lost"]),
        ("N|", {}, ["N? lost"]),
        # zones: left, reached
        ("A<", {}, ["A? lost"]),
        ("A> A< B>", {}, ["AB"]),
        ("A< B> B< C>", {}, ["AB"]),
        ("A< B> B< C>", {"legs": True}, ["AB", "BC"]),
        ("A< A> A< B>", {}, ["AA"]),
        ("A< A> A< B>", {"u_turns": False}, ["AB"]),
        ("A<  A> A< B>", {"legs": True}, ["AA", "AB"]),
        ("B>", {}, []),
        # a line and a zone
        ("N+ B>", {}, ["NB"]),
        ("A< E-", {}, ["AE"]),
        # within two seconds
        ("N+ A> E-", {"within_s": 2}, ["NA", "?E appeared"]),
    ],
)
def test_routes(passes: str, options: dict, routes: list[str]):
    assert follow(passes, **options) == routes


def test_what_takes_too_long_is_given_up():
    follower = RouteFollower(within_s=60)
    assert follower.update(0, [Pass(7, "N", Side.IN, 0, "car"), Pass(8, "N", Side.IN, 0, "car")]) == []
    assert follower.update(60, []) == []
    assert [shown(route) for route in follower.update(60.1, [])] == ["N? late", "N? late"]
    assert [shown(route) for route in follower.update(70, [Pass(7, "E", Side.OUT, 70, "car")])] == [
        "?E appeared"
    ]


def test_passes_of_one_frame_are_put_in_order():
    follower = RouteFollower()
    (route,) = follower.update(
        9, [Pass(7, "E", Side.OUT, 8.5, "bus", (3, 4)), Pass(7, "N", Side.IN, 8.0, "car", (1, 2))]
    )
    assert (route.origin, route.destination) == (("N", 8.0, (1, 2)), ("E", 8.5, (3, 4)))
    assert route.label == "bus", "the class at its end"


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("NESW"), st.sampled_from("+-")), max_size=60))
def test_every_pass_is_in_one_route(words: list[tuple[int, str, str]]):
    follower, matrix, routes = RouteFollower(), Matrix(), []
    for time_s, (object_id, gate, side) in enumerate(words):
        routes += follower.update(time_s, [Pass(object_id, gate, SIDES[side], time_s, "car")])
    routes += follower.drop_all(Cause.END)
    ends = [end for route in routes for end in (route.origin, route.destination) if end]
    assert sorted(end.time_s for end in ends) == list(range(len(words)))
    assert all(
        route.cause is None or (route.origin is None) != (route.destination is None) for route in routes
    )
    for route in routes:
        matrix.add(route)
    figures = matrix.figures()
    whole = sum(n for row in figures["completed"].values() for cell in row.values() for n in cell.values())
    parts = sum(
        n
        for key in ("entered_lost", "appeared_left")
        for cell in figures[key].values()
        for n in cell.values()
    )
    assert (whole, parts) == (
        sum(route.cause is None for route in routes),
        sum(route.cause is not None for route in routes),
    )


def test_a_matrix_is_bounded():
    follower, matrix = RouteFollower(), Matrix()
    for number in range(2 * MAX_LABELS):
        passes = [
            Pass(number, "N", Side.IN, number, f"class {number}"),
            Pass(number, "E", Side.OUT, number + 2, f"class {number}"),
        ]
        for route in follower.update(number + 2, passes):
            matrix.add(route)
    figures = matrix.figures()
    assert len(figures["completed"]["N"]["E"]) == MAX_LABELS + 1
    assert figures["completed"]["N"]["E"]["other"] == MAX_LABELS
    assert figures["mean_travel_s"] == {"N": {"E": 2.0}}
    assert len(follower) == 0
