"""Kinds of events: what each plug-in says of those it makes and asks for, and those of the engine itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, ClassVar

NO_EVENTS: Mapping[str, str] = MappingProxyType({})
"""What a plug-in `emits` that makes no events."""

ENGINE: Mapping[str, str] = {
    "stream.gap": "media is missing before this frame",
    "source.state": "a live source began to play, stalled, was lost or refused",
    "sink.state": "a sink of packets or files has failed, is too slow, or works again",
    "journal.overrun": "the journal's bounds took events that a consumer did not have",
}
"""The kinds that the engine makes, each with when it does."""


class Emitter:
    """What sources, stages and sinks say of events, so that a kind which nobody makes is found by the check.

    Attributes:
        emits: class attribute: the kinds of events that it may make, each with when it does, in a few words;
            {} for one that makes none. None: it does not say, and where it runs no kind is taken for wrong.
    """

    emits: ClassVar[Mapping[str, str] | None] = None

    @classmethod
    def emitted(cls, options: Any) -> Collection[str] | None:  # noqa: ARG003
        """Return those of `emits` that it can make with these options, None where it does not say."""
        return cls.emits

    @classmethod
    def asked_kinds(cls, options: Any) -> Mapping[tuple[str, ...], Sequence[str]]:  # noqa: ARG003
        """Return the kinds that its options ask for, `*` allowed, by the path of the option that does."""
        return {}


def doubts_of(prefixes: Iterable[str], emitted: Collection[str]) -> list[str]:
    """Return a line for each beginning of kinds that none has which a run can emit.

    Args:
        prefixes: "line." for all kinds that begin so.
        emitted: the kinds that the run can emit.
    """
    said = []
    for prefix in prefixes:
        if any(kind.startswith(prefix) for kind in emitted):
            continue
        near = get_close_matches(prefix, sorted(emitted), 1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        said.append(f"nothing in the box's run emits events whose kind begins with {prefix[:60]!r}{hint}")
    return said
