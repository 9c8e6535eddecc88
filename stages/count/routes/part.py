"""The part of the stage `count` that tells from which gate to which objects go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.event import Event, Producer
from pipeline.frame import Frame
from pipeline.plugin import StageContext, StreamInfo
from stages.count.kept import KeptTotals, Totals, place_key
from stages.count.routes.follow import Cause, Known, Pass, Route, RouteFollower, Side
from stages.count.routes.matrix import Matrix
from stages.count.routes.options import RouteOptions
from stages.count.seen import Seen


class _Followed:
    """One set of routes of the configuration."""

    def __init__(self, name: str, options: RouteOptions) -> None:
        self.name, self.options = name, options
        self.follower = RouteFollower(legs=options.legs, u_turns=options.u_turns, within_s=options.within_s)
        self.matrix = Matrix()
        self.number = 0

    def passes(self, seen: Seen) -> list[Pass]:
        """Return who went through its gates at this frame."""
        gates = self.options.gates
        found = []
        for one in seen.crossings:
            if one.line in gates:
                inward, crossing = gates[one.line], one.crossing
                side = Side.EITHER if inward is None else Side.IN if one.direction == inward else Side.OUT
                found.append(
                    Pass(
                        crossing.track_id,
                        one.line,
                        side,
                        crossing.time_s,
                        crossing.label,
                        crossing.position,
                    )
                )
        for visit in seen.visits:
            if visit.zone in gates and not visit.lost:
                side = Side.REACHED if visit.entered else Side.GONE
                found.append(Pass(visit.object_id, visit.zone, side, visit.time_s, visit.label))
        return found


class Routes:
    """Makes `route.completed` and `route.partial` events, and a `route.matrix` at the end.

    Args:
        routes: by name.
        places: what makes each line and zone what it is, by name, JSON values and sets: the totals of a live
            stream go on after a restart as long as those of its gates stay the same.
        context: of the stage.
    """

    def __init__(
        self, routes: Mapping[str, RouteOptions], places: Mapping[str, Any], context: StageContext
    ) -> None:
        self._context = context
        self._places = places
        self._kept: KeptTotals | None = None
        self._snapshot: Mapping[str, Totals] = {}
        self._routes = [_Followed(name, options) for name, options in routes.items()]
        self._suspended = False

    def open(self, info: StreamInfo) -> None:
        """Forget the objects; what was counted stays counted, of a live stream also before a restart."""
        for routes in self._routes:
            routes.follower.drop_all(Cause.END)
        if self._kept is not None:
            return
        folder = self._context.folder if info.live else None
        self._kept = KeptTotals.of(folder, self._context.stream, "routes")
        totals = self._kept.restored({routes.name: self._key(routes.options) for routes in self._routes})
        for routes in self._routes:
            routes.matrix.restore(totals.get(routes.name, {}))

    def update(self, seen: Seen) -> list[Event]:
        """Find out who came in, and who went out."""
        events: list[Event] = []
        begins, self._suspended = (
            seen.suspended is not None and not self._suspended,
            seen.suspended is not None,
        )
        for routes in self._routes:
            found = routes.follower.update(seen.time_s, routes.passes(seen))
            found += routes.follower.drop(seen.ended, Cause.LOST)
            if begins:
                found += routes.follower.drop_all(Cause.SUSPENDED)
            events += self._told(routes, found, seen.frame)
        self._keep(seen.frame, changed=bool(events))
        return events

    def finish(self, seen: Seen) -> list[Event]:
        """Return what is left of the routes, and the matrix so far; forget all objects."""
        events: list[Event] = []
        for routes in self._routes:
            found = routes.follower.update(seen.time_s, routes.passes(seen))
            found += routes.follower.drop_all(Cause.END)
            events += self._told(routes, found, seen.frame)
            routes.number += 1
            events.append(
                seen.frame.event(
                    "route.matrix",
                    f"{routes.name}:{routes.number}",
                    self._producer(routes, seen.frame),
                    data={"route": routes.name, **routes.matrix.figures()},
                )
            )
        self._keep(seen.frame, changed=True)
        return events

    def statistics(self) -> Mapping[str, Any]:
        """Return the matrix of each set of routes, of a live stream with since when it counts."""
        since = {} if self._kept is None else self._kept.since
        return {
            routes.name: {
                **({"since": since[routes.name]} if routes.name in since else {}),
                **routes.matrix.figures(),
            }
            for routes in self._routes
        }

    def close(self) -> None:
        """Forget all objects."""
        for routes in self._routes:
            routes.follower.drop_all(Cause.END)
        if self._kept is not None:
            self._kept.save()

    def _keep(self, frame: Frame, *, changed: bool) -> None:
        if changed or not self._snapshot:
            self._snapshot = {routes.name: routes.matrix.snapshot() for routes in self._routes}
        if self._kept is not None:
            self._kept.note(frame.moment, self._snapshot)

    def _key(self, options: RouteOptions) -> str:
        rules = options.model_dump(exclude={"movements"})
        return place_key(rules=rules, places={gate: self._places.get(gate) for gate in options.gates})

    def _told(self, routes: _Followed, found: Iterable[Route], frame: Frame) -> list[Event]:
        events = []
        for route in found:
            routes.matrix.add(route)
            routes.number += 1
            events.append(self._event(routes, route, frame))
        return events

    def _event(self, routes: _Followed, route: Route, frame: Frame) -> Event:
        origin, destination = route.origin, route.destination
        last = destination or origin
        if last is None:
            raise ValueError("a route has an origin or a destination")
        data: dict[str, Any] = {
            "route": routes.name,
            "origin": origin and origin.gate,
            "destination": destination and destination.gate,
            "label": route.label,
        }
        if origin is not None and destination is not None:
            data["movement"] = routes.options.movement(origin.gate, destination.gate)
            data["u_turn"] = origin.gate == destination.gate
            data["travel_s"] = round(destination.time_s - origin.time_s, 3)
        else:
            data["reason"] = None if route.cause is None else route.cause.value
        return frame.event(
            "route.completed" if route.cause is None else "route.partial",
            f"{routes.name}:{route.object_id}:{routes.number}",
            self._producer(routes, frame),
            moment=frame.moment.shifted(last.time_s - frame.moment.pts_s),
            track_id=route.object_id,
            label=route.label,
            position=last.position,
            data=data,
            evidence={"gates": [_plain(known) for known in (origin, destination) if known is not None]},
        )

    def _producer(self, routes: _Followed, frame: Frame) -> Producer:
        return Producer("count", routes.name, self._context.config_hash, frame.model_hash)


def _plain(known: Known) -> dict[str, Any]:
    position = None if known.position is None else [round(value, 2) for value in known.position]
    return {"gate": known.gate, "pts_s": round(known.time_s, 6), "position": position}
