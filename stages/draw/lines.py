"""Counting lines: where their arrows and tags go, and painting them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, hypot
from typing import NamedTuple

import cv2

from stages.draw.paint import (
    AMBER,
    BLACK,
    WHITE,
    Bgr,
    Style,
    U8Array,
    draw_path,
    draw_tag,
    shortened,
    tag_size,
)
from stages.draw.place import Point, Rect, Segment, place

_ARROWS_AT = (1 / 3, 2 / 3)  # share of the line's length: to the right, to the left
_HEAD = 0.35  # length of an arrow's head, share of the arrow


class CountingLine(NamedTuple):
    """What is shown of a line.

    Attributes:
        name: written at its start.
        points: (x, y) px of its start, of its bends if it has any, and of its end.
        directions: the names of "to the right" and "to the left" for a person who stands at the start and
            walks to the end. May be empty.
    """

    name: str
    points: tuple[Point, ...]
    directions: tuple[str, ...]

    @property
    def parts(self) -> list[Segment]:
        """Its straight parts."""
        return list(pairwise(self.points))

    def part_at(self, share: float) -> tuple[Segment, float]:
        """Return the straight part at this share of its length, and the share of that part."""
        lengths = [hypot(bx - ax, by - ay) for (ax, ay), (bx, by) in self.parts]
        left = share * sum(lengths)
        last = len(lengths) - 1
        for number, (part, length) in enumerate(zip(self.parts, lengths, strict=True)):
            if left <= length or number == last:
                return part, min(1.0, left / max(length, 1e-9))
            left -= length
        raise ValueError("a line has at least two points")


class Tag(NamedTuple):
    """A text and its place."""

    text: str
    rect: Rect
    colour: Bgr


@dataclass(frozen=True, slots=True)
class Layout:
    """Arrows (foot, tip) and tags of all lines."""

    arrows: tuple[Segment, ...]
    tags: tuple[Tag, ...]


def lay_out(
    lines: Sequence[CountingLine], picture: tuple[int, int], style: Style, keep_free: Sequence[Rect] = ()
) -> Layout:
    """Find places for the arrows and tags of all lines, so that one can read them all.

    Each direction has an arrow that leads across the line, and at its tip the direction's name; the line's
    name is beyond its start. Where that is not free or not in the picture, the nearest free place is taken.

    Args:
        lines: with coordinates in pixels of the picture.
        picture: (width, height), px.
        style: sizes.
        keep_free: where no tag may be.
    """
    segments = [part for line in lines for part in line.parts]
    ends = [point for line in lines for point in (line.points[0], line.points[-1])]
    arrows = [_arrows(line, picture, style) for line in lines]
    taken = [*keep_free, *(_around([end], 2 * style.stroke + 1) for end in ends)]
    taken += [_around(_outline(arrow), style.stroke + 1) for pair in arrows for arrow in pair]
    tags: list[Tag] = []

    def add(text: str, beyond: Segment, colour: Bgr, right_of: Segment | None = None) -> None:
        """Place a tag beyond the end of a segment."""
        shown = shortened(text)
        size = tag_size(shown, style)
        rect = place(size, _beyond(beyond, size, style.pad), picture, taken, segments, right_of)
        taken.append(rect)
        tags.append(Tag(shown, rect, colour))

    for line, pair in zip(lines, arrows, strict=True):
        for number, (direction, arrow) in enumerate(zip(line.directions, pair, strict=False)):
            (start, end), _ = line.part_at(_ARROWS_AT[number])
            add(direction, arrow, WHITE, (end, start) if number else (start, end))
    for line in lines:
        add(line.name, (line.points[1], line.points[0]), AMBER)
    return Layout(tuple(arrow for pair in arrows for arrow in pair), tuple(tags))


def draw_lines(canvas: U8Array, lines: Sequence[CountingLine], layout: Layout, style: Style) -> None:
    """Draw counting lines with their arrows and tags onto `canvas`, (H, W, 3) uint8 BGR."""
    for line in lines:
        for colour, extra in ((BLACK, 2), (AMBER, 0)):
            draw_path(canvas, line.points, colour, style.stroke + extra)
        for point in (line.points[0], line.points[-1]):
            cv2.circle(canvas, _whole(point), 2 * style.stroke, AMBER, cv2.FILLED, cv2.LINE_AA)
    for foot, tip in layout.arrows:
        for colour, extra in ((BLACK, 2), (AMBER, 0)):
            thickness = style.stroke + extra
            cv2.arrowedLine(canvas, _whole(foot), _whole(tip), colour, thickness, cv2.LINE_AA, 0, _HEAD)
    for text, rect, colour in layout.tags:
        draw_tag(canvas, text, (rect.left, rect.bottom), AMBER, style, colour)


def _arrows(line: CountingLine, picture: tuple[int, int], style: Style) -> list[Segment]:
    """Return the arrows to the right and to the left, moved into the picture where they stick out of it.

    They start at different places along the line, so that their tags keep apart also at the border.
    """
    reach = 2.6 * style.cap
    arrows = []
    for side, at in list(zip((1, -1), _ARROWS_AT, strict=True))[: len(line.directions)]:
        ((ax, ay), (bx, by)), share = line.part_at(at)
        length = max(hypot(bx - ax, by - ay), 1e-9)
        x, y = ax + share * (bx - ax), ay + share * (by - ay)
        dx, dy = -(by - ay) / length * side * reach, (bx - ax) / length * side * reach
        x += _shift(x, x + dx, picture[0], style.stroke)
        y += _shift(y, y + dy, picture[1], style.stroke)
        arrows.append(((x, y), (x + dx, y + dy)))
    return arrows


def _shift(a: float, b: float, size: int, margin: int) -> float:
    """Return how far to move what reaches from a to b to have it within 0..size."""
    return max(0.0, margin - min(a, b)) + min(0.0, size - 1 - margin - max(a, b))


def _outline(arrow: Segment) -> list[Point]:
    (ax, ay), (bx, by) = arrow
    dx, dy = (bx - ax) * _HEAD * 0.7, (by - ay) * _HEAD * 0.7  # its wings stand at 45 degrees
    return [(ax, ay), (bx, by), (bx - dx - dy, by - dy + dx), (bx - dx + dy, by - dy - dx)]


def _around(points: Sequence[Point], margin: int) -> Rect:
    xs, ys = zip(*points, strict=True)
    return Rect(
        floor(min(xs)) - margin,
        floor(min(ys)) - margin,
        ceil(max(xs)) + margin + 1,
        ceil(max(ys)) + margin + 1,
    )


def _beyond(segment: Segment, size: tuple[int, int], gap: int) -> Point:
    """Return the left top corner of a rectangle that continues a segment beyond its end."""
    (ax, ay), (bx, by) = segment
    length = max(hypot(bx - ax, by - ay), 1e-9)
    dx, dy = (bx - ax) / length, (by - ay) / length
    return bx + gap * dx + (dx - 1) * size[0] / 2, by + gap * dy + (dy - 1) * size[1] / 2


def _whole(point: Point) -> tuple[int, int]:
    return round(point[0]), round(point[1])
