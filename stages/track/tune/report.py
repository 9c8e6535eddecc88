"""What a sweep says to a person: a table, what it means, and settings to paste."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from stages.track.stage import TrackOptions
from stages.track.tune.judge import WEIGHTS, Figures
from stages.track.tune.knobs import Method, Value
from stages.track.tune.sweep import LEAST_GAIN, Sweep, Try
from stages.track.tune.trial_judge import TrialJudged
from stages.track.tune.truth import TruthJudged


def table(found: Sweep, lengths_s: Sequence[float]) -> str:
    """Return all that was tried, a line each, the figure first."""
    tries = [found.base, *found.singles, *([found.together] if found.together else [])]
    by_trials = isinstance(found.base.judged, TrialJudged)
    away = [f"{length:g} s" for length in lengths_s]
    heading = (
        ["setting", "figure", "gain", "+-", *away, "own", "steady", "found", "brief/min"]
        if by_trials
        else ["setting", "figure", "gain", "+-", "HOTA", "IDF1", "IDSW", "FP", "FN"]
    )
    lines = [heading, *(_line(each, first=each is found.base) for each in tries)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heading))]
    text = [
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    ]
    if by_trials:
        back = "  ".join(cell.rjust(w) for cell, w in zip(away, widths[4:], strict=False))
        text.insert(0, " " * (sum(widths[:4]) + 8) + "back after".ljust(len(back)))
    return "".join(line.rstrip() + "\n" for line in text)


def legend(found: Sweep) -> list[str]:
    """Return what the columns mean."""
    sure = "gain +- its standard error; better counts from twice that and "
    sure += f"{LEAST_GAIN:g} point on"
    if not isinstance(found.base.judged, TrialJudged):
        return ["figure: mean of HOTA and IDF1", sure]
    return [
        "back after: objects that were hidden for so long and then had their id again",
        "own: times an object was hidden and no other one got its id",
        "steady: 1 / ids of an object when 10 to 30 % of all detections are missing",
        "found: detections that last for 0.6 s and more, as real objects do, and bear an id",
        "brief/min: ids in a minute, seen for less than 1 s away from the picture's edges: false or broken",
        "figure: "
        + " + ".join(f"{weight:g} {name}" for name, weight in WEIGHTS.items())
        + "; lasting is the share of ids that are not brief",
        sure,
    ]


def verdict(found: Sweep, method: Method) -> list[str]:
    """Return which settings to use, and why, in words."""
    if found.chosen is None or not found.recommended:
        if found.confirmed is not None and not found.confirmed.holds and found.chosen is not None:
            looked = f"{_named(found.chosen)} looked better ({_gain(found.chosen)})"
            return [f"keep the defaults: {looked}, but not when tried again ({_gain(found.confirmed)})"]
        best = max(found.singles, key=lambda each: each.gain, default=None)
        near = f"; the best, {_named(best)}, has {_gain(best)}" if best is not None and best.gain > 0 else ""
        return [f"keep the defaults: nothing is better by more than chance explains{near}"]
    defaults = {knob.name: knob.default for knob in method.knobs}
    was = ", ".join(f"{key} {defaults[key]:g}" for key in found.recommended)
    lines = [f"use {_named(found.chosen)} instead of {was}: {_gain(found.chosen)}"]
    if found.confirmed is not None:
        lines.append(f"tried again with other draws: {_gain(found.confirmed)}")
    if isinstance(found.chosen.judged, TrialJudged) and isinstance(found.base.judged, TrialJudged):
        lines += _differences(found.base.judged.figures, found.chosen.judged.figures)
        if any(found.recommended.get(key, 0) > defaults.get(key, 0) for key in ("n_init", "min_score")):
            lines.append("look at an annotated video: objects that are hard to see may now be missed")
    return lines


def fragment(method: str, changes: dict[str, Value], appearance: str | None = None) -> str:
    """Return the stage `track` for a configuration's `stages`, ready to paste."""
    said = {} if method == TrackOptions.model_fields["method"].default else {"method": method}
    if appearance is not None:
        said["appearance"] = _quoted(appearance)
    settings = said | {key: _plain(value) for key, value in changes.items()}
    if not settings:
        return "  - track\n"
    return "  - track:\n" + "".join(f"      {key}: {text}\n" for key, text in settings.items())


def to_json(found: Sweep, lengths_s: Sequence[float]) -> dict[str, Any]:
    """Return everything that was tried, for machines; shares are 0..1, None where nothing could be tried."""
    return {
        "defaults": _entry(found.base),
        "tried": [_entry(each) for each in found.singles],
        "together": _entry(found.together),
        "chosen": _entry(found.chosen),
        "confirmed": _entry(found.confirmed),
        "recommended": found.recommended,
        "absences_s": list(lengths_s),
    }


def _entry(one: Try | None) -> dict[str, Any] | None:
    if one is None:
        return None
    entry: dict[str, Any] = {
        "settings": one.changes,
        "figure": round(one.judged.total, 2),
        "gain": round(one.gain, 2),
        "noise": _finite(one.noise),
    }
    if isinstance(one.judged, TrialJudged):
        shares = asdict(one.judged.figures)
        entry |= {
            key: [*map(_finite, x)] if isinstance(x, tuple) else _finite(x) for key, x in shares.items()
        }
    elif isinstance(one.judged, TruthJudged):
        entry |= {key: round(x, 2) for key, x in asdict(one.judged.scores).items()}
    return entry


def _finite(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def _line(one: Try, *, first: bool) -> list[str]:
    gain = ["", ""] if first else [f"{one.gain:+.1f}", _noise(one.noise)]
    cells = ["defaults" if first else _named(one), f"{one.judged.total:.1f}", *gain]
    if isinstance(one.judged, TrialJudged):
        figures = one.judged.figures
        shares = [*figures.back, figures.own, figures.steady, figures.found]
        return [*cells, *map(_percent, shares), f"{figures.brief_per_minute:.1f}"]
    if isinstance(one.judged, TruthJudged):
        scores = one.judged.scores
        counts = (scores.idsw, scores.fp, scores.fn)
        return [*cells, f"{scores.hota:.1f}", f"{scores.idf1:.1f}", *map(str, counts)]
    return cells


def _differences(before: Figures, after: Figures) -> Iterable[str]:
    """Say which parts change by a point or more."""
    names = {"own": "no other object gets the id", "steady": "steady under flicker", "found": "found"}
    names["lasting"] = "ids that are not brief"
    for key, name in names.items():
        old, new = getattr(before, key), getattr(after, key)
        if abs(new - old) >= 0.01:
            yield f"{'better' if new > old else 'worse'}: {name} {_percent(old)} -> {_percent(new)}"
    old, new = float(np.nanmean(before.back)), float(np.nanmean(after.back))
    if abs(new - old) >= 0.01:
        which = "better" if new > old else "worse"
        yield f"{which}: back after an absence {_percent(old)} -> {_percent(new)}"


def _named(one: Try) -> str:
    return ", ".join(f"{key} {value:g}" for key, value in one.changes.items())


def _gain(one: Try) -> str:
    return f"{one.gain:+.1f} +- {_noise(one.noise)} points"


def _noise(noise: float) -> str:
    return f"{noise:.1f}" if np.isfinite(noise) else "?"


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.0f} %"


def _quoted(text: str) -> str:
    """Return a text as YAML takes it: in quotes, unless it is a plain word or path."""
    plain = text[:1].isalpha() and all(sign.isalnum() or sign in "_-./" for sign in text)
    return text if plain else "'" + text.replace("'", "''") + "'"


def _plain(value: Value) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"
