"""The stage `health`: tells when a camera cannot be believed, and makes lines and zones pause meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from pipeline.errors import ConfigError
from pipeline.event import Event, Producer, event_id
from pipeline.frame import Frame
from pipeline.moment import Moment
from pipeline.plugin import Options, Stage, StageContext, StreamInfo
from stages.health.measure import Glance, Measure
from stages.health.options import HealthOptions
from stages.health.problem import Finding, Problem
from stages.health.store import Store, read_reference
from stages.health.view import Known, Learner, View
from stages.health.watch import Change, Watch

logger = logging.getLogger(__name__)

KIND = "camera.health"
Reason = Literal["recovered", "accepted", "end"]

# Somebody who deletes the reference wants the present view: looked for while the camera counts as moved.
_CAN_BE_ACCEPTED: frozenset[Problem] = frozenset({"moved", "covered", "blurred"})


class HealthStage(Stage):
    """Appends `camera.health` events, and sets `frame.suspended` while places cannot be trusted.

    Each problem has two events, `state` "begin" and "end". Their moments are when it began and ended, which
    is some time before it was certain. Put it first: what comes after it reads `frame.suspended`.
    """

    Options: ClassVar[type[Options]] = HealthOptions
    emits: ClassVar[Mapping[str, str]] = {
        KIND: "a camera is moved, covered, dark, frozen or blurred; and when that ends"
    }
    gives = frozenset({"suspended"})
    options: HealthOptions

    def __init__(self, options: HealthOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self._store = Store(context.folder, context.stream)
        self._measure = Measure(options)
        self._learner = Learner(options.learn_s)
        self._watch = Watch(options.after_s, options.clear_s)
        self._view: View | None = None
        self._size = (0, 0)
        self._live = False
        self._latest: Frame | None = None
        self._looked_s: float | None = None
        self._suspended: str | None = None
        self._begins: dict[Problem, str] = {}
        self._looks = 0
        self._last: dict[str, float] = {}

    def open(self, info: StreamInfo) -> None:
        """Take the reference that is given, or the one that was kept of a live stream.

        A recording begins without: its events must be the same whenever it is processed.

        Raises:
            ConfigError: if the reference is no picture, has another shape, or shows nothing to recognise.
        """
        self._begin()
        self._size, self._live = (info.width, info.height), info.live
        self._view = None
        if (path := self.options.reference) is not None:
            self._view = View([read_reference(path, *self._size)])
            if not self._view.recognisable:
                raise ConfigError(
                    f"health: reference {path} shows too little to be recognised (a plain or dark picture); "
                    "take one by day"
                )
        elif info.live and (known := self._store.load(*self._size)):
            self._view = View(known)

    def process(self, frame: Frame) -> None:
        """Look at the picture, if it is time to; tell what has begun and ended."""
        latest = self._latest
        if latest is not None and not frame.follows(latest):
            frame.events.extend(self._ended(latest, "end"))  # media time begins anew
            self._begin()
        self._latest = frame
        time_s = frame.moment.pts_s
        # A time stamp is rounded: a picture that comes a hair too early is not left out.
        if self._looked_s is None or time_s - self._looked_s >= self.options.every_s - 1e-3:
            self._looked_s = time_s
            self._look(frame, time_s)
        if frame.suspended is None:
            frame.suspended = self._suspended

    def finish(self) -> Sequence[Event]:
        """Return the ends of the problems that are still there."""
        frame = self._latest
        events = [] if frame is None else self._ended(frame, "end")
        self._begin()
        return events

    def statistics(self) -> Mapping[str, Any]:
        """Return what is wrong now, how often and how long each problem was there, and the latest figures."""
        latest = self._latest
        time_s = 0.0 if latest is None else latest.moment.pts_s
        return {
            "now": list(self._watch.active),
            "problems": self._watch.summary(time_s),
            "looks": self._looks,
            "view": "unknown" if self._view is None else "known",
            "measures": dict(self._last),
        }

    def _begin(self) -> None:
        """Forget what was sent and suspected; the view stays what it is."""
        self._measure.restart()
        self._learner.restart()
        self._watch.end(0.0)
        self._latest, self._looked_s, self._suspended = None, None, None
        self._begins = {}

    def _look(self, frame: Frame, time_s: float) -> None:
        self._looks += 1
        luma = frame.picture.luma()
        findings: dict[Problem, Finding | None] = {"frozen": self._measure.frozen(luma, time_s)}
        glance = self._measure.glance(luma)
        findings["dark"] = dark = self._measure.dark(glance)
        if dark is not None and dark.bad:
            findings.update({"moved": None, "covered": None, "blurred": None})
        elif self._view is None:
            self._learn(glance, time_s)
        else:
            findings.update(self._compared(self._view, glance, time_s))
        self._last = {problem: found.measure for problem, found in findings.items() if found is not None}
        frame.events.extend(self._told(self._watch.update(time_s, findings), frame))
        if self._view is not None and _CAN_BE_ACCEPTED.intersection(self._watch.active):
            self._accept(frame)
        causes = [problem for problem in self._watch.active if problem in self.options.suspend]
        self._suspended = causes[0] if causes else None

    def _learn(self, glance: Glance, time_s: float) -> None:
        known = self._learner.update(glance.view, glance.sharpness, time_s)
        if known is not None:
            self._view = View([known])
            self._save(self._view.known)

    def _compared(self, view: View, glance: Glance, time_s: float) -> Mapping[Problem, Finding | None]:
        if (glance.view.height, glance.view.width) != view.shape:
            return {}
        sight = view.look(glance.view, time_s)
        findings = self._measure.against(glance, sight)
        if not self._watch.active and not any(found is not None and found.bad for found in findings.values()):
            view.learn(sight, glance.view, glance.sharpness, time_s)
            if view.changed:
                view.changed = False
                self._save(view.known)
        return findings

    def _save(self, known: list[Known]) -> None:
        self._store.save(known, *self._size)

    def _accept(self, frame: Frame) -> None:
        """Learn the present view where the reference has been deleted."""
        if not self._store.withdrawn():
            return
        self._store.forget()
        self._view = None
        self._learner.restart()
        frame.events.extend(self._ended(frame, "accepted"))

    def _ended(self, frame: Frame, reason: Reason) -> list[Event]:
        return self._told(self._watch.end(frame.moment.pts_s), frame, reason)

    def _told(self, changes: Iterable[Change], frame: Frame, reason: Reason = "recovered") -> list[Event]:
        return [self._event(change, frame, reason) for change in changes]

    def _event(self, change: Change, frame: Frame, reason: Reason) -> Event:
        problem, finding = change.problem, change.finding
        moment = frame.moment.shifted(change.at_s - frame.moment.pts_s)
        state = "begin" if change.begins else "end"
        key = f"{problem}:{change.number}:{state}"
        data: dict[str, Any] = {
            "state": state,
            "problem": problem,
            "measure": finding.measure,
            "threshold": finding.threshold,
            "suspends": problem in self.options.suspend,
            **finding.detail,
        }
        if change.begins:
            self._begins[problem] = str(event_id(moment, frame.stream, frame.run, KIND, key))
        else:
            data["began"] = self._begins.pop(problem, None)
            data["lasted_s"] = round(change.at_s - change.began_s, 3)
            data["reason"] = reason
        return frame.event(
            KIND,
            key,
            Producer("health", problem, self.context.config_hash),
            moment=moment,
            data=data,
            evidence=self._evidence(frame, moment, problem) if change.begins else None,
        )

    def _evidence(self, frame: Frame, moment: Moment, problem: Problem) -> dict[str, str]:
        pictures: dict[str, str | None] = {}
        if self.context.privacy is None:  # nothing has been detected yet that could be hidden
            pictures["snapshot"] = self._store.snapshot(frame.picture, moment, problem)
        if self._view is not None and self.options.reference is None:
            pictures["reference"] = self._store.reference
        return {name: path for name, path in pictures.items() if path is not None}
