import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.draw.paint import (
    Style,
    colour_of,
    draw_box,
    draw_panel,
    draw_tag,
    draw_trail,
    panel_rect,
    tag_size,
)

RED = (0, 0, 255)


def canvas(width: int = 640, height: int = 360) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


def painted(image: np.ndarray) -> np.ndarray:
    """Where a canvas is no longer as it was made."""
    return (image != 90).any(axis=2)


def extent(image: np.ndarray) -> tuple[int, int, int, int]:
    """The (left, top, right, bottom) of what was painted."""
    rows, columns = np.nonzero(painted(image))
    return columns.min(), rows.min(), columns.max(), rows.max()


@pytest.mark.parametrize(
    ("width", "height", "style"),
    [
        (640, 360, Style(stroke=2, cap=7, text_stroke=1, pad=3)),
        (360, 640, Style(stroke=2, cap=7, text_stroke=1, pad=3)),
        (1920, 1080, Style(stroke=3, cap=18, text_stroke=2, pad=4)),
        (3840, 2160, Style(stroke=4, cap=36, text_stroke=3, pad=9)),
        (64, 48, Style(stroke=1, cap=7, text_stroke=1, pad=3)),
    ],
)
def test_sizes_follow_the_shorter_side(width, height, style):
    assert Style.of(canvas(width, height)) == style


def test_colours_are_stable_bright_and_apart():
    colours = [colour_of(number) for number in range(1, 13)]
    assert colours == [colour_of(number) for number in range(1, 13)]
    assert len(set(colours)) == 12
    assert all(max(colour) == 255 for colour in colours)
    steps = np.abs(np.diff(np.array(colours, int), axis=0)).sum(axis=1)
    assert steps.min() > 150, "neighbouring ids look different"


def test_a_box_is_painted_along_its_edges_only():
    image = canvas()
    draw_box(image, np.array([100.0, 80, 200, 160]), RED, Style.of(image))
    changed = painted(image)
    for x, y in ((100, 120), (200, 120), (150, 80), (150, 160)):
        assert image[y, x].tolist() == [0, 0, 255]
    assert not changed[85:155, 105:195].any()
    assert extent(image) >= (97, 77, 0, 0)
    assert not changed[165:].any()
    assert not changed[:, 205:].any()


def test_a_predicted_box_is_dashed():
    solid, dashed = canvas(), canvas()
    box = np.array([100.0, 80, 300, 260])
    draw_box(solid, box, RED, Style.of(solid))
    draw_box(dashed, box, RED, Style.of(dashed), dashed=True)
    top_edge = painted(dashed)[80, 102:298]
    changes = np.count_nonzero(np.diff(top_edge))
    assert changes > 10
    assert painted(solid)[80, 102:298].all()
    assert painted(dashed).sum() < 0.6 * painted(solid).sum()


@pytest.mark.parametrize(
    ("at", "corner"),
    [
        ((100, 80), (100, 65)),  # on top of the box
        ((-30, 80), (0, 65)),  # the box begins left of the picture
        ((100, 4), (100, 0)),  # no room above the box
        ((630, 80), None),  # sticks out to the right
        ((100, 500), None),  # below the picture
    ],
)
def test_a_tag_stays_in_the_picture(at, corner):
    image = canvas()
    draw_tag(image, "#7 car", at, RED, Style.of(image))
    left, top, right, bottom = extent(image)
    assert bottom - top == 14, "all of it is there"
    assert right - left > 40
    if corner:
        assert (left, top) == corner


def test_a_tag_has_the_size_it_says():
    for size in ((640, 360), (1920, 1080)):
        image = canvas(*size)
        draw_tag(image, "Fußgänger", (100, 80), RED, Style.of(image))
        left, top, right, bottom = extent(image)
        assert tag_size("Fußgänger", Style.of(image)) == (right - left + 1, bottom - top + 1)


def test_text_is_readable_on_any_picture():
    for brightness in (0, 128, 255):
        image = np.full((360, 640, 3), brightness, np.uint8)
        draw_tag(image, "MMMM", (100, 80), RED, Style.of(image))
        tag = image[66:79, 106:130]
        assert tag.max() >= 240
        assert tag.min() <= 80


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Fußgänger", "Fu?g?nger"),
        ("車", "?"),
        ("car\n", "car?"),
        ("car\tx", "car?x"),
        ("🚗", "?"),
        ("ok ~", "ok ~"),
    ],
)
def test_letters_that_cannot_be_drawn_show_as_question_marks(text, shown):
    with_unicode, with_ascii = canvas(), canvas()
    draw_tag(with_unicode, text, (100, 80), RED, Style.of(with_unicode))
    draw_tag(with_ascii, shown, (100, 80), RED, Style.of(with_ascii))
    assert np.array_equal(with_unicode, with_ascii)


def test_no_text_no_tag():
    image = canvas()
    draw_tag(image, "", (100, 80), RED, Style.of(image))
    assert not painted(image).any()


def test_a_trail_goes_through_its_points_and_fades():
    image = canvas()
    draw_trail(image, [(x, 100) for x in range(100, 400, 10)], RED, Style.of(image))
    assert image[100, 380].tolist() == [0, 0, 255]
    assert image[100, 120, 2] < 200
    assert extent(image)[0] >= 98
    assert extent(image)[2] <= 394


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_short_trails(count):
    image = canvas()
    draw_trail(image, [(100 + 20 * i, 100) for i in range(count)], RED, Style.of(image))
    assert painted(image)[100, 100 : 100 + 20 * max(0, count - 1)].all()
    assert painted(image).any() == (count > 1)


def test_the_panel_lies_in_the_corner_and_shows_the_numbers():
    image, other = canvas(), canvas()
    rows = [("gate", "down", 3), ("gate", "up", 12)]
    draw_panel(image, rows, Style.of(image))
    left, top, right, bottom = extent(image)
    assert (left, top) == (3, 3)
    assert panel_rect(360, rows, Style.of(image)) == (left, top, right + 1, bottom + 1)
    assert right < 150
    assert bottom < 50
    draw_panel(other, [("gate", "down", 4), ("gate", "up", 12)], Style.of(other))
    assert not np.array_equal(image, other)


def test_a_panel_without_rows_is_none():
    image = canvas()
    draw_panel(image, [], Style.of(image))
    assert not painted(image).any()


def test_rows_without_room_are_summed_up():
    rows = [("line", str(number), number) for number in range(30)]
    small = canvas(640, 100)
    draw_panel(small, rows, Style.of(small))
    assert extent(small)[3] < 100
    longer = canvas(640, 100)
    draw_panel(longer, [*rows, ("line", "30", 30)], Style.of(longer))
    assert not np.array_equal(small, longer), "the number of hidden rows is shown"


anywhere = st.floats(-1e7, 1e7, width=32)
nearby = st.floats(-300, 300)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([(640, 360), (64, 48), (1, 1), (7, 300)]),
    st.lists(st.one_of(anywhere, nearby), min_size=4, max_size=4),
    st.booleans(),
    st.text(max_size=30),
)
def test_nothing_fails_wherever_things_are(size, corners, dashed, text):
    image = canvas(*size)
    style = Style.of(image)
    xs, ys = sorted(corners[:2]), sorted(corners[2:])
    draw_box(image, np.array([xs[0], ys[0], xs[1], ys[1]], np.float32), RED, style, dashed=dashed)
    draw_trail(image, [(xs[0], ys[0]), (xs[1], ys[1])], RED, style)
    draw_tag(image, text, (xs[0], ys[0]), RED, style)
    draw_panel(image, [(text, text, 10**9)] * 3, style)
    assert image.shape == (size[1], size[0], 3)
