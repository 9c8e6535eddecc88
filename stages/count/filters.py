"""Which objects count: by class, and by attributes such as a colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pipeline.plugin import Options
from stages.count.fields import Name


def _several(value: Any) -> Any:
    """Take one name for a list of one."""
    return [value] if isinstance(value, str) else value


Names = Annotated[frozenset[Name], Field(min_length=1), BeforeValidator(_several)]


class FilterOptions(Options):
    """Base of what counts only some objects.

    Attributes:
        labels: only these classes; all when left out.
        where: only objects with these attributes, which a stage or the detector gives (`colours` names
            colours): `{colour: [red, white]}`. One without the attribute does not count.
    """

    labels: Names | None = None
    where: dict[Name, Names] = Field(default_factory=dict)

    def wants(self, label: str, attributes: Mapping[str, str]) -> bool:
        """Return whether an object of this class and with these attributes counts."""
        if self.labels is not None and label not in self.labels:
            return False
        return all(attributes.get(name) in values for name, values in self.where.items())

    def in_words(self) -> str:
        """Return what counts, for a person; "" when everything does."""
        words = [] if self.labels is None else [" or ".join(sorted(self.labels))]
        words += [f"{name} {' or '.join(sorted(values))}" for name, values in self.where.items()]
        return " with ".join(words)

    def names_one_of(self, labels: Iterable[str]) -> bool:
        """Return whether one of these classes counts."""
        return self.labels is None or not self.labels.isdisjoint(labels)
