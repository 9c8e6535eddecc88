"""Keeps a path as short as the lines allow: what was counted live must be counted again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stages.count.history.asked import AskedLine, Follower, Labels
from stages.count.history.compact import FORMS, Compact, compact
from stages.count.history.path import BoolArray, Path
from stages.count.line_counter import Crossing

_MINUTE_NS = 60 * 10**9


class Told(NamedTuple):
    """A crossing, as far as it must be the same again.

    Attributes:
        to_right: its direction.
        label: its class.
        minute: in which minute of UTC it was, as bins of time begin with whole minutes.
    """

    to_right: bool
    label: str
    minute: int


def told(crossing: Crossing, offset_ns: int) -> Told:
    """Return what must be the same again; `offset_ns` is UTC less media time."""
    minute = (round(crossing.time_s * 1e9) + offset_ns) // _MINUTE_NS
    return Told(crossing.to_right, crossing.label, minute)


@dataclass(slots=True)
class Account:
    """What was counted of one object, live and again, and is not yet balanced.

    Attributes:
        live: by line.
        again: by line, over the parts of its path that are kept already.
        followers: by line, after those parts.
    """

    live: dict[str, list[Told]] = field(default_factory=dict)
    again: dict[str, list[Told]] = field(default_factory=dict)
    followers: Mapping[str, Follower] = field(default_factory=dict)


class Verifier:
    """Chooses the form in which a path is kept.

    Args:
        lines: that are counted live.
    """

    def __init__(self, lines: Sequence[AskedLine]) -> None:
        self._lines = lines

    def shortest(
        self,
        whole: Path,
        keep: BoolArray,
        unit_px: float,
        account: Account,
        labels: Labels,
        offset_ns: int,
        *,
        finished: bool,
        continues: bool,
    ) -> tuple[Compact, bool]:
        """Return a path in the shortest form that counts as it was counted, and whether it does.

        Args:
            whole: see `compact`.
            keep: see `compact`.
            unit_px: see `compact`.
            account: of the object; it is brought up to date.
            labels: see `AskedLine.crossings`.
            offset_ns: UTC less media time.
            finished: see `AskedLine.crossings`.
            continues: the path goes on after this part: a crossing may be decided on one side only.
        """
        for form in FORMS:
            chosen = compact(whole, keep, unit_px, form)
            followers = self._followers(chosen.path, account)
            again = {name: list(numbers) for name, numbers in account.again.items()}
            for name, follower in followers.items():
                found = follower.follow(chosen.path, labels)
                found += follower.finish() if finished and not continues else []
                again.setdefault(name, []).extend(told(crossing, offset_ns) for crossing in found)
            if _balance(account.live, again, continues):
                break
        else:
            account.live, account.again, account.followers = {}, {}, followers
            return chosen, False
        account.again = again
        account.followers = followers if continues else {}
        return chosen, True

    def _followers(self, path: Path, account: Account) -> dict[str, Follower]:
        """Return followers of the lines that this path may meet, or that know of earlier parts of it."""
        bounds = path.bounds()
        found = {}
        for line in self._lines:
            earlier = account.followers.get(line.name)
            if earlier is not None:
                found[line.name] = earlier.copy()
            elif line.may_be_crossed_by(bounds):
                found[line.name] = Follower(line)
        return found


def _balance(live: dict[str, list[Told]], again: dict[str, list[Told]], continues: bool) -> bool:
    """Take away what stands on both sides; return False, and take nothing, if they contradict each other."""
    left = 1 if continues else 0
    for name in live.keys() | again.keys():
        a, b = live.get(name, []), again.get(name, [])
        both = min(len(a), len(b))
        if a[:both] != b[:both] or max(len(a), len(b)) - both > left:
            return False
    for name in live.keys() & again.keys():
        both = min(len(live[name]), len(again[name]))
        del live[name][:both], again[name][:both]
    return True
