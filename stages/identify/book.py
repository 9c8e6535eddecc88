"""Decides who is who, from sights in the order of time. Pure: no threads, no frames, no clock of its own.

Who comes through the gate at the end of a link is either one of those who left by its start, or somebody new.
For candidate j, who left t_j seconds ago,

    w_j = a_j * share * f(t_j) * L_j        w_0 = rate of newcomers        P(j) = w_j / (w_0 + sum of all w)

with f the density of the travel time (1/s), the share of those who leave by the start and come to the end,
L_j the likelihood ratio of the looks, and a_j the probability that j has not come already. This is Bayes'
rule for a Poisson stream of newcomers beside the candidates, each on his own way.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

from stages.identify.likeness import Likeness, separation
from stages.identify.options import IdentifyOptions, LinkOptions
from stages.identify.records import Alert, Match, Outcome, Record, Repeat, Sight, Who
from stages.identify.travel import TravelTime

_S = 1_000_000_000
_NEWCOMERS, _NEWCOMERS_S = 1.0, 60.0
"""First guess of the rate of newcomers: one a minute."""
_SHARE_WEIGHT = 4.0


@dataclass(slots=True, eq=False)
class _Left:
    """One who left by the start of a link: `free` is the probability that he has not come yet."""

    sight: Sight
    free: float = 1.0


@dataclass(slots=True, eq=False)
class _Link:
    """What is known of one link."""

    name: str
    options: LinkOptions
    travel: TravelTime
    share: float
    left: deque[_Left]
    came: float = 0.0  # of those whose time is over, by probability
    gone: float = 0.0  # how many of them there were
    new: float = 0.0
    first_ns: int | None = None
    matches: int = 0

    def share_now(self) -> float:
        """Return the share of those who leave by the start that comes to the end."""
        return (self.came + _SHARE_WEIGHT * self.share) / (self.gone + _SHARE_WEIGHT)

    def newcomers_hz(self, now_ns: int) -> float:
        """Return how many others come to the end, 1/s."""
        seconds = (now_ns - self.first_ns) / _S if self.first_ns is not None else 0.0
        return (self.new + _NEWCOMERS) / (max(0.0, seconds) + _NEWCOMERS_S)


@dataclass(slots=True, eq=False)
class Book:
    """Remembers who left where, for as long as he may still come.

    Args:
        options: of the stage.
    """

    options: IdentifyOptions
    _links: list[_Link] = field(init=False)
    _likeness: dict[tuple[str, str], Likeness] = field(default_factory=dict)
    _identities: OrderedDict[Who, str] = field(default_factory=OrderedDict)
    _told: OrderedDict[tuple[str, str], tuple[int, str]] = field(default_factory=OrderedDict)
    _alerts: int = 0
    _repeats: int = 0

    def __post_init__(self) -> None:
        self._links = [
            _Link(
                name,
                link,
                TravelTime(link.travel_s, link.spread, link.longest_s),
                link.share,
                deque(maxlen=self.options.most),
            )
            for name, link in self.options.links.items()
        ]

    def __len__(self) -> int:
        """Return how many objects are remembered that may still come."""
        return sum(len(link.left) for link in self._links)

    def take(self, record: Record) -> list[Outcome]:
        """Decide on the next one; records come in the order of their keys."""
        if isinstance(record.content, Alert):
            return self._alert(record.content)
        sight = record.content
        matches = [
            match
            for link in self._links
            if link.options.end == sight.gate
            for match in self._came(link, sight)
        ]
        outcomes: list[Outcome] = []
        if matches:  # nobody comes by two ways at once
            best = max(matches, key=lambda match: match.score)
            outcomes.append(best)
            self._name(best.left.who, best.identity)
            self._name(sight.who, best.identity)
            for link in self._links:
                link.matches += link.name == best.link
        for link in self._links:
            if link.options.start == sight.gate:
                self._within(link, sight)
                link.left.append(_Left(sight))
                link.first_ns = sight.time_ns if link.first_ns is None else link.first_ns
        return outcomes

    def forget(self) -> None:
        """Forget everybody; what was learned of the ways stays."""
        for link in self._links:
            link.left.clear()
        self._identities.clear()
        self._told.clear()

    def statistics(self) -> dict[str, Any]:
        """Return what was learned, as plain values."""
        links = {
            link.name: {
                "matches": link.matches,
                "travel_s": round(link.travel.median_s, 2),
                "spread": round(link.travel.spread, 3),
                "share": round(link.share_now(), 3),
                "looks_apart": _rounded(separation(self._looks(link))),
                "remembered": len(link.left),
            }
            for link in self._links
        }
        return {"links": links, "alerts": self._alerts, "repeats": self._repeats}

    def _came(self, link: _Link, sight: Sight) -> list[Match]:
        """Decide who it is that came to the end of a link."""
        self._within(link, sight)
        self._expire(link, sight.time_ns)
        link.first_ns = sight.time_ns if link.first_ns is None else link.first_ns
        looks, share = self._looks(link), link.share_now()
        candidates = []
        for left in link.left:
            seconds = (sight.time_ns - left.sight.time_ns) / _S
            density = link.travel.density(seconds)
            if density <= 0 or left.sight.label != sight.label or left.sight.who == sight.who:
                continue
            cosine = _cosine(left.sight, sight)
            weight = left.free * share * density * looks.ratio(cosine)
            candidates.append((weight, left, seconds, cosine))
        new = link.newcomers_hz(sight.time_ns)
        total = new + sum(weight for weight, *_ in candidates)
        link.new += new / total
        best = None
        for weight, left, seconds, cosine in candidates:
            probability = weight / total
            left.free *= 1.0 - probability
            link.travel.learn(seconds, probability)
            if cosine is not None:
                looks.learn(cosine, probability)
            if best is None or probability > best[0]:
                best = probability, left, seconds, cosine
        if best is None or best[0] < self.options.min_score:
            return []
        score, left, seconds, cosine = best
        identity = self.identity(left.sight.who)
        return [Match(link.name, left.sight, sight, score, identity, seconds, cosine, len(candidates))]

    def identity(self, who: Who) -> str:
        """Return what an object is called: its own pseudonym, or that of the one it was matched with."""
        known = self._identities.get(who)
        if known is not None:
            return known
        return hashlib.blake2b("\0".join(map(str, who)).encode(), digest_size=8).hexdigest()

    def _name(self, who: Who, identity: str) -> None:
        self._identities.pop(who, None)
        self._identities[who] = identity
        while len(self._identities) > 2 * self.options.most:
            self._identities.popitem(last=False)

    def _within(self, link: _Link, sight: Sight) -> None:
        self._looks(link).see_within(sight.same, sight.others)

    def _looks(self, link: _Link) -> Likeness:
        """Return the likeness of the pair of cameras that a link connects."""
        gates = self.options.gates
        pair = gates[link.options.start].stream, gates[link.options.end].stream
        return self._likeness.setdefault(pair, Likeness())

    def _expire(self, link: _Link, now_ns: int) -> None:
        """Forget those who will not come any more."""
        oldest_ns = now_ns - round(link.options.longest_s * _S)
        while link.left and link.left[0].sight.time_ns < oldest_ns:
            link.gone += 1.0
            link.came += 1.0 - link.left.popleft().free

    def _alert(self, alert: Alert) -> list[Outcome]:
        self._alerts += 1
        within_ns = round((self.options.alerts.within_s if self.options.alerts else 0.0) * _S)
        while self._told and next(iter(self._told.values()))[0] < alert.time_ns - within_ns:
            self._told.popitem(last=False)
        identity = self.identity(alert.who)
        first = self._told.get((alert.kind, identity))
        if first is None or first[0] < alert.time_ns - within_ns:
            self._told.pop((alert.kind, identity), None)
            self._told[alert.kind, identity] = alert.time_ns, alert.event
            while len(self._told) > self.options.most:
                self._told.popitem(last=False)
            return []
        self._repeats += 1
        return [Repeat(alert, first[1], identity)]


def _cosine(one: Sight, other: Sight) -> float | None:
    if one.look is None or other.look is None or len(one.look) != len(other.look):
        return None
    return float(one.look @ other.look)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
