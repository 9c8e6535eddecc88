"""Keeps a path as short as the lines allow: what was counted live must be counted again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import NamedTuple

from stages.count.history.asked import AskedLine, Crossed, Kind, LineFollower
from stages.count.history.compact import FORMS, Compact, compact
from stages.count.history.path import BoolArray, Path

_MINUTE_NS = 60 * 10**9


class Told(NamedTuple):
    """A crossing, as far as it must be the same again.

    Attributes:
        minute: in which minute of UTC it was, as bins of time begin with whole minutes.
        to_right: its direction.
        label: its class.
    """

    minute: int
    to_right: bool
    label: str


def told(time_s: float, to_right: bool, label: str, offset_ns: int) -> Told:
    """Return what must be the same again; `offset_ns` is UTC less media time."""
    return Told((round(time_s * 1e9) + offset_ns) // _MINUTE_NS, to_right, label)


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
    followers: Mapping[str, LineFollower] = field(default_factory=dict)


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
        kinds: Sequence[Kind],
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
            kinds: see `AskedLine.crossings`.
            offset_ns: UTC less media time.
            finished: see `AskedLine.crossings`.
            continues: the path goes on after this part: a crossing may be decided on one side only.
        """
        is_long = continues or bool(account.followers)
        for form in FORMS:
            chosen = compact(whole, keep, unit_px, form)
            again = {name: list(those) for name, those in account.again.items()}
            followers = self._followers(account) if is_long else {}
            for line, crossed in self._counted(chosen.path, kinds, finished and not continues, followers):
                again.setdefault(line.name, []).append(
                    told(crossed.time_s, crossed.to_right, crossed.kind.label, offset_ns)
                )
            if _balance(account.live, again, continues):
                account.again = again
                account.followers = followers
                return chosen, True
        account.live, account.again, account.followers = {}, {}, followers
        return chosen, False

    def _counted(
        self, path: Path, kinds: Sequence[Kind], finished: bool, followers: Mapping[str, LineFollower]
    ) -> list[tuple[AskedLine, Crossed]]:
        if followers:
            return [
                (follower.line, crossed)
                for follower in followers.values()
                for crossed in follower.follow(path, kinds, finished)
            ]
        bounds = path.bounds()
        return [
            (line, crossed)
            for line in self._lines
            if line.may_be_crossed_within(bounds)
            for crossed in line.crossings(path, kinds, finished)
        ]

    def _followers(self, account: Account) -> dict[str, LineFollower]:
        """Return followers of the lines that know what came before this part."""
        return {
            line.name: deepcopy(account.followers[line.name])
            if line.name in account.followers
            else line.follower()
            for line in self._lines
        }


def _balance(live: dict[str, list[Told]], again: dict[str, list[Told]], continues: bool) -> bool:
    """Take away what stands on both sides; return False, and take nothing, if they contradict each other.

    In what order gates of one line tell of their crossings does not matter.
    """
    pairs = []
    for name in live.keys() | again.keys():
        a, b = sorted(live.get(name, [])), sorted(again.get(name, []))
        both = min(len(a), len(b)) if continues else max(len(a), len(b))
        if a[:both] != b[:both] or max(len(a), len(b)) - both > 1:
            return False
        pairs.append((name, a[both:], b[both:]))
    for name, a, b in pairs:
        live[name], again[name] = a, b
    return True
