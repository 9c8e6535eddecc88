"""What can be said of routes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from pipeline.plugin import Options
from stages.count.fields import Name

MAX_GATES = 50


def _by_name(value: Any) -> Any:
    """Take a list of names for gates that do not tell in from out."""
    return dict.fromkeys(value) if isinstance(value, list | tuple) else value


Gates = Annotated[
    dict[Name, Name | None], BeforeValidator(_by_name), Field(min_length=2, max_length=MAX_GATES)
]
FromTo = tuple[Name, Name]


class RouteOptions(Options):
    """From where to where objects go: a matrix between gates, which are lines or zones of the same stage.

    Attributes:
        gates: names of lines and zones. For lines best with the name of the direction that leads in:
            `{north: southbound, east: westbound}`; then who is first seen inside is not taken for one that
            came in. A zone is reached when it is entered, and a route begins when one leaves it.
        legs: for journeys through more than two gates: each destination is the origin of what follows.
        u_turns: going out where one came in is a route too.
        within_s: a route that takes longer is given up; never when left out.
        movements: names for pairs of gates, `{left turn: [[north, east], [east, south]]}`; others are called
            "north > east".
    """

    gates: Gates
    legs: bool = False
    u_turns: bool = True
    within_s: Annotated[float, Field(gt=0)] | None = None
    movements: dict[Name, tuple[FromTo, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_gates(self) -> Self:
        named: dict[FromTo, str] = {}
        for movement, pairs in self.movements.items():
            for pair in pairs:
                for gate in pair:
                    if gate not in self.gates:
                        raise ValueError(
                            f"movements.{movement}: '{gate}' is none of the gates{nearest(gate, self.gates)}"
                        )
                if named.setdefault(pair, movement) != movement:
                    raise ValueError(
                        f"movements: {pair[0]} > {pair[1]} is called both '{named[pair]}' and '{movement}'"
                    )
        return self

    def movement(self, origin: str, destination: str) -> str:
        """Return what going from one gate to another is called."""
        for name, pairs in self.movements.items():
            if (origin, destination) in pairs:
                return name
        return f"{origin} > {destination}"

    def check(self, name: str, lines: Mapping[str, Collection[str]], zones: Collection[str]) -> None:
        """Refuse gates that there are not.

        Args:
            name: of the routes.
            lines: names of the stage's lines, each with those of its directions.
            zones: names of the stage's zones.

        Raises:
            ValueError: naming the nearest name that there is.
        """
        for gate, inward in self.gates.items():
            where = f"routes.{name}: gate '{gate}'"
            if gate in lines and gate in zones:
                raise ValueError(f"{where} is both a line and a zone; give one of them another name")
            if gate in zones:
                if inward is not None:
                    raise ValueError(f"{where} is a zone, which has no direction '{inward}'; leave it out")
            elif gate not in lines:
                raise ValueError(
                    f"{where} is neither a line nor a zone of this stage{nearest(gate, [*lines, *zones])}"
                )
            elif inward is not None and inward not in lines[gate]:
                raise ValueError(
                    f"{where}: its line has no direction '{inward}', only "
                    + " and ".join(f"'{direction}'" for direction in lines[gate])
                )


def nearest(name: str, known: Collection[str]) -> str:
    """Return the ending of an error: the known name that is meant, or those that there are."""
    close = get_close_matches(name, known, 1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; there are {', '.join(sorted(known)) or 'none'}"
