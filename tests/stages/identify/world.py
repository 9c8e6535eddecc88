"""Two cameras with a way between them, and people who may take it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stages.identify.book import Book
from stages.identify.options import IdentifyOptions
from stages.identify.records import Match, Record, Sight

START_NS = 1_714_550_400_000_000_000
S = 1_000_000_000
LENGTH = 32


def options(**changes) -> IdentifyOptions:
    link = {"start": "school", "end": "station", "travel_s": 45, "longest_s": 300} | changes.pop("link", {})
    return IdentifyOptions.model_validate(
        {
            "gates": {
                "school": {"stream": "north", "line": "gate", "direction": "out"},
                "station": {"stream": "south", "line": "gate", "direction": "in"},
            },
            "links": {"walk": link},
        }
        | changes
    )


def unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@dataclass
class World:
    """People leave the north camera; some come to the south one, beside others.

    Attributes:
        noise: of a look, per number, where a person's own numbers have a deviation of 1.
        cast: by how much the second camera changes all looks.
    """

    seed: int = 1
    people: int = 300
    every_s: float = 5.0
    share: float = 0.6
    median_s: float = 45.0
    spread: float = 1.3
    newcomers_s: float = 10.0
    noise: float = 0.5
    cast: float = 0.3
    looks: bool = True
    truth: dict[int, int] = field(default_factory=dict)

    def records(self) -> list[Record]:
        """Return what both cameras hand in, in order; `truth` then says who is who."""
        rng = np.random.default_rng(self.seed)
        cast = self.cast * rng.standard_normal(LENGTH)
        recent: list[np.ndarray] = []
        found, came = [], []

        def sight(stream: str, gate: str, number: int, at_s: float, own: np.ndarray) -> Sight:
            first, second = (own + self.noise * rng.standard_normal(LENGTH) for _ in range(2))
            shift = cast if stream == "south" else 0.0
            look = unit(first + second + 2 * shift)
            others = tuple(float(look @ unit(other + shift)) for other in recent[-3:])
            recent.append(own)
            same = float(unit(first + shift) @ unit(second + shift))
            if not self.looks:
                return Sight(
                    (stream, "r", number), gate, "person", START_NS + round(at_s * S), f"{stream}{number}"
                )
            return Sight(
                (stream, "r", number),
                gate,
                "person",
                START_NS + round(at_s * S),
                f"{stream}{number}",
                look,
                same,
                others,
            )

        at_s = 0.0
        for number in range(self.people):
            at_s += rng.exponential(self.every_s)
            own = rng.standard_normal(LENGTH)
            found.append(sight("north", "school", number, at_s, own))
            if rng.random() < self.share:
                came.append(
                    (
                        at_s + float(np.exp(rng.normal(np.log(self.median_s), np.log(self.spread)))),
                        number,
                        own,
                    )
                )
        when_s = 0.0
        while when_s < at_s:
            when_s += rng.exponential(self.newcomers_s)
            came.append((when_s, -1, rng.standard_normal(LENGTH)))
        for place, (when_s, number, own) in enumerate(sorted(came, key=lambda each: each[0])):
            self.truth[place] = number
            found.append(sight("south", "station", place, when_s, own))
        records = [Record(each.time_ns, number, each) for number, each in enumerate(found)]
        return sorted(records, key=lambda record: record.key)


def matches(book: Book, records: list[Record]) -> list[Match]:
    return [each for record in records for each in book.take(record) if isinstance(each, Match)]


def is_right(match: Match, world: World) -> bool:
    return world.truth[match.came.who[2]] == match.left.who[2]
