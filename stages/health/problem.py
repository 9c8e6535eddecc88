"""What can be wrong with a camera, and what one look found of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Problem = Literal["moved", "covered", "dark", "frozen", "blurred"]

PROBLEMS: tuple[Problem, ...] = get_args(Problem)
"""In the order in which they are named when there are several: what makes places wrong comes first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look says of one problem.

    Attributes:
        bad: whether it is there.
        measure: the figure that says so; what it is depends on the problem (docs/health.md).
        threshold: the value of the figure from which on it is bad.
        since_s: media time since which it has been there, if that is known better than from the looks.
        detail: more figures, plain JSON values.
    """

    bad: bool
    measure: float
    threshold: float
    since_s: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


Findings = Mapping[Problem, Finding | None]
"""Of each problem that is watched; None where this look cannot tell (nobody sees in the dark what moved)."""
