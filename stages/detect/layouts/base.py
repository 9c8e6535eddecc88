"""The contract between a family of networks and the stage that runs them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stages.detect.layouts.spec import InputSpec

Array = npt.NDArray[Any]
F32Array = npt.NDArray[np.float32]
I64Array = npt.NDArray[np.int64]
Outlines = Callable[[I64Array], list[F32Array]]


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a network says of one picture, best guesses first or in any order.

    Attributes:
        xyxy: (N, 4) float32, px of the input.
        score: (N,) float32 in 0..1.
        number: (N,) int64, the class, from 0.
        suppress: whether one object may still have several boxes, so that suppression is to be done.
        keypoints: (N, K, 3) float32: x, y in px of the input, and a score.
        rotated: (N, 5) float32: centre x, centre y, width, height in px of the input, and the angle in
            radians by which the width turns clockwise (y points down) from the x axis.
        outlines: makes the outlines (P, 2), float32 px of the input, of the rows that are kept: masks cost
            too much to make for all.
    """

    xyxy: F32Array
    score: F32Array
    number: I64Array
    suppress: bool
    keypoints: F32Array | None = None
    rotated: F32Array | None = None
    outlines: Outlines | None = None

    def __len__(self) -> int:
        return len(self.xyxy)

    @classmethod
    def of(cls, xyxy: Array, score: Array, number: Array, *, suppress: bool, **more: Any) -> Self:
        """Make them from columns of any numeric type."""
        return cls(
            np.ascontiguousarray(xyxy, dtype=np.float32).reshape(-1, 4),
            np.ascontiguousarray(score, dtype=np.float32),
            np.ascontiguousarray(number, dtype=np.int64),
            suppress,
            **more,
        )


@dataclass(frozen=True, slots=True)
class Hints:
    """What the user has said of the network.

    Attributes:
        classes: how many classes the configuration names; None when it names none.
        named: True when the configuration names this layout, so that only what cannot be is refused.
    """

    classes: int | None = None
    named: bool = False


class Layout(ABC):
    """What the input and the outputs of one network mean. Immutable: any thread may use it.

    Attributes:
        name: as in the configuration.
        spec: the input; its size may be open.
        classes: how many classes it has, None when the file does not tell.
        names: of the classes, from the file, or by the family's convention; None when unknown.
    """

    def __init__(
        self, name: str, spec: InputSpec, classes: int | None, names: tuple[str, ...] | None = None
    ) -> None:
        self.name = name
        self.spec = spec
        self.classes = classes
        self.names = names

    def feed(self, tensor: Array, spec: InputSpec) -> list[Array]:  # noqa: ARG002
        """Return the tensors of all inputs of the network; most have one only."""
        return [tensor]

    @abstractmethod
    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:
        """Read the outputs of a batch.

        Args:
            outputs: as the network gives them.
            spec: the input with its size.
            confidence: smallest score that matters.

        Returns:
            The candidates of each picture in the batch.
        """
