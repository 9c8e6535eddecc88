"""What can be chosen about a training; imports nothing else, as the command line's help shows it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LossName(StrEnum):
    """What training makes small."""

    TRIPLET = "triplet"
    COSINE_SOFTMAX = "cosine-softmax"


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        loss: what is made small.
        epochs: how often as many crops as there are for training are looked at; None when only time counts.
        minutes: after so long training ends, None for no such end. Where time ends it, two trainings differ.
        seed: of weights, batches, augmentation and of who is held out.
        identities_per_batch: P of the P x K crops of a batch.
        crops_per_identity: K.
        learning_rate: of Adam at the start; it falls along half a cosine to a hundredth.
        held_out: share of the identities that training never sees.
        validations: how often in all the held-out identities are looked at.

    Raises:
        ValueError: if a value is out of its range, or nothing ends the training.
    """

    loss: LossName = LossName.TRIPLET
    epochs: int | None = 60
    minutes: float | None = None
    seed: int = 0
    identities_per_batch: int = 16
    crops_per_identity: int = 4
    learning_rate: float = 1e-3
    held_out: float = 0.2
    validations: int = 20

    def __post_init__(self) -> None:
        if self.epochs is None and self.minutes is None:
            raise ValueError("a training needs a number of epochs or of minutes to end")
        positive = {
            "epochs": self.epochs,
            "minutes": self.minutes,
            "learning_rate": self.learning_rate,
            "validations": self.validations,
        }
        for name, value in positive.items():
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be above 0 and finite, got {value}")
        if self.identities_per_batch < 2 or self.crops_per_identity < 2:
            raise ValueError("a batch needs at least 2 identities with 2 crops each")
        if not 0 <= self.held_out <= 0.9:
            raise ValueError(f"held_out must be within 0..0.9, got {self.held_out}")
