import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.draw.lines import CountingLine, draw_lines, lay_out
from stages.draw.paint import Style
from stages.draw.place import Rect, place

SIZES = [(640, 360), (1920, 1080), (360, 640)]
PANEL = Rect(3, 3, 120, 70)


def canvas(size: tuple[int, int]) -> np.ndarray:
    return np.full((size[1], size[0], 3), 90, np.uint8)


def drawn(line: CountingLine, size: tuple[int, int] = (640, 360)) -> np.ndarray:
    """Where a picture with this line is no longer as it was."""
    image = canvas(size)
    style = Style.of(image)
    draw_lines(image, [line], lay_out([line], size, style), style)
    return (image != 90).any(axis=2)


def overlap(a: Rect, b: Rect) -> bool:
    return a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom


def inside(rect: Rect, size: tuple[int, int]) -> bool:
    return rect.left >= 0 and rect.top >= 0 and rect.right <= size[0] and rect.bottom <= size[1]


shares = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.001, 0.5, 0.999, 1.0]))
names = st.sampled_from(["a", "pavement", "northbound cars, lane 2", "Fußgänger"])
diagonal = st.tuples(shares, shares, shares, shares)
vertical = st.tuples(shares, shares, shares).map(lambda s: (s[0], s[1], s[0], s[2]))
horizontal = st.tuples(shares, shares, shares).map(lambda s: (s[1], s[0], s[2], s[0]))
short = st.tuples(shares, shares, st.floats(-0.02, 0.02), st.floats(-0.02, 0.02)).map(
    lambda s: (s[0], s[1], min(1, max(0, s[0] + s[2])), min(1, max(0, s[1] + s[3])))
)


@st.composite
def counting_lines(draw: st.DrawFn, size: tuple[int, int]) -> CountingLine:
    ax, ay, bx, by = draw(st.one_of(diagonal, vertical, horizontal, short))
    (width, height), words = size, draw(st.tuples(names, names, names))
    return CountingLine(words[0], ((ax * width, ay * height), (bx * width, by * height)), words[1:])


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(SIZES), st.booleans())
@pytest.mark.slow
def test_tags_of_lines_are_in_the_picture_and_hide_nothing(data, size, with_panel):
    lines = data.draw(st.lists(counting_lines(size), min_size=1, max_size=3))
    style = Style.of(canvas(size))
    keep_free = [PANEL] if with_panel else []
    layout = lay_out(lines, size, style, keep_free)
    rects = [tag.rect for tag in layout.tags]
    assert len(rects) == 3 * len(lines)
    assert all(inside(rect, size) for rect in rects)
    apart = [*rects, *keep_free]
    assert not any(overlap(a, b) for i, a in enumerate(apart) for b in apart[:i])
    for rect in rects:
        for x, y in (point for arrow in layout.arrows for point in arrow):
            assert not (rect.left <= x < rect.right and rect.top <= y < rect.bottom), "on an arrow's end"
        for x, y in (point for line in lines for point in line.points):
            assert not (rect.left <= x < rect.right and rect.top <= y < rect.bottom), "on a line's end"
    assert lay_out(lines, size, style, keep_free) == layout


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(SIZES))
def test_arrows_are_in_the_picture_and_lead_to_their_side(data, size):
    line = data.draw(counting_lines(size).filter(lambda line: line.points[0] != line.points[1]))
    (ax, ay), (bx, by) = line.points
    arrows = lay_out([line], size, Style.of(canvas(size))).arrows
    for sign, (foot, tip) in zip((1, -1), arrows, strict=True):
        assert all(0 <= x < size[0] and 0 <= y < size[1] for x, y in (foot, tip))
        turn = (bx - ax) * (tip[1] - foot[1]) - (by - ay) * (tip[0] - foot[0])
        assert sign * turn >= 0


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(st.floats(0.25, 0.75), st.floats(0.25, 0.75)),
    st.floats(0, 6.3),
    st.floats(0.04, 0.2),
    st.sampled_from(SIZES),
)
def test_with_room_around_a_direction_is_written_on_the_side_it_leads_to(centre, angle, reach, size):
    x, y = centre[0] * size[0], centre[1] * size[1]
    dx, dy = np.cos(angle) * reach * min(size), np.sin(angle) * reach * min(size)
    line = CountingLine("gate", ((x - dx, y - dy), (x + dx, y + dy)), ("in", "out"))
    layout = lay_out([line], size, Style.of(canvas(size)))
    for sign, tag, (_, tip) in zip((1, -1), layout.tags, layout.arrows, strict=False):
        left, top, right, bottom = tag.rect
        corners = [(px - x, py - y) for px in (left, right) for py in (top, bottom)]
        assert all(sign * (dx * py - dy * px) > 0 for px, py in corners), "all of it"
        away = np.hypot(max(left - tip[0], 0, tip[0] - right), max(top - tip[1], 0, tip[1] - bottom))
        assert away < 3 * (bottom - top), "next to its arrow"


@pytest.mark.parametrize(
    ("start", "end", "right", "left"),
    [
        ((100, 180), (540, 180), (247, 192), (393, 168)),  # drawn to the right: right is down
        ((540, 180), (100, 180), (393, 168), (247, 192)),  # drawn to the left: right is up
        ((320, 30), (320, 330), (308, 130), (332, 230)),  # drawn down: right is left in the picture
    ],
)
def test_an_arrow_shows_which_direction_leads_where(start, end, right, left):
    plain = drawn(CountingLine("gate", (start, end), ()))
    right_only = drawn(CountingLine("gate", (start, end), ("in",)))
    both = drawn(CountingLine("gate", (start, end), ("in", "out")))
    assert not plain[right[1], right[0]]
    assert right_only[right[1], right[0]]
    assert not right_only[left[1], left[0]]
    assert both[left[1], left[0]]


def test_what_is_painted_lies_where_the_layout_says():
    line = CountingLine("pavement", ((64, 360), (64, 300)), ("right", "left"))  # from the demo
    without = drawn(line._replace(name="", directions=("", "")))
    extra = drawn(line) & ~without
    for tag in lay_out([line], (640, 360), Style.of(canvas((640, 360)))).tags:
        left, top, right, bottom = tag.rect
        assert extra[top:bottom, left:right].mean() > 0.95, "but for edges of letters as grey as the picture"
        extra[top:bottom, left:right] = False
    assert not extra.any()


@pytest.mark.parametrize("size", [(1, 1), (64, 48), (7, 300)])
def test_pictures_without_room_are_no_error(size):
    line = CountingLine("northbound", ((0, 0), size), ("in", "out"))
    assert drawn(line, size).any()


@pytest.mark.parametrize(
    ("wanted", "taken", "corner"),
    [
        ((40, 50), [], (40, 50)),
        ((-5, 95), [], (0, 90)),  # moved into the picture
        ((40, 50), [(30, 45, 70, 55)], (40, 55)),  # below is nearer than above
        ((40, 48), [(30, 50, 70, 60)], (40, 40)),
        ((40, 50), [(30, 0, 61, 100)], (61, 50)),  # to the right is nearer
        ((40, 50), [(30, 45, 70, 55), (30, 55, 70, 66)], (40, 35)),
        ((40, 50), [(0, 0, 100, 50), (0, 55, 100, 100)], (40, 50)),  # nowhere free: hides the least
    ],
)
def test_the_nearest_free_place(wanted, taken, corner):
    rect = place((20, 10), wanted, (100, 100), [Rect(*numbers) for numbers in taken])
    assert rect == (*corner, corner[0] + 20, corner[1] + 10)


def test_lines_are_not_hidden_where_there_is_room_beside_them():
    line = ((45.0, 0.0), (45.0, 100.0))
    dots = [Rect(43, 40, 48, 70)]
    assert place((20, 10), (40, 30), (100, 100), dots).left == 40
    assert place((20, 10), (40, 30), (100, 100), dots, [line]).left == 48
    left_of = (line[1], line[0])
    assert place((20, 10), (40, 30), (100, 100), dots, [line], line).left == 23
    assert place((20, 10), (40, 30), (100, 100), dots, [line], left_of).left == 48


def test_a_line_with_bends_is_drawn_along_them_with_arrows_across_its_parts():
    line = CountingLine("road", ((100, 100), (300, 100), (300, 300)), ("in", "out"))
    painted = drawn(line)
    assert painted[100, 110:200:10].all()
    assert painted[210:290:10, 300].all()
    assert not painted[190:210, 190:210].any(), "nothing on the straight way from end to end"
    (right, left) = lay_out([line], (640, 360), Style.of(canvas((640, 360)))).arrows
    assert right[0][1] < right[1][1], "across the first part to its right: down"
    assert left[0][0] < left[1][0], "across the second part to its left: to the right of the picture"
