"""Methods over sequences, and the scores of what they say; usable without the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from stages.track.appearance.embedder import Embedder, embedder_of
from stages.track.boxes import FloatArray
from stages.track.evaluate import scoring
from stages.track.evaluate.choices import Appearance
from stages.track.evaluate.motchallenge import MotSequence
from stages.track.evaluate.scoring import Scores
from stages.track.evaluate.settings import require_settings
from stages.track.evaluate.tracking import (
    Looking,
    Progress,
    TrackerRun,
    knows_camera,
    looking_of,
    run_trackers,
)
from stages.track.methods import Tracker, make_tracker, settings_for_looks

MakeTracker = Callable[[Embedder | None], Tracker]
"""Makes a fresh tracker; told what will describe its boxes, None when nothing will."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The scores of one method.

    Attributes:
        scores: by sequence.
        combined: of all sequences as one, by their pooled counts.
        runs: by sequence; empty where results of another tool were scored.
        embedder: "builtin" or the network's file name: what described boxes in those runs that have `looks`.
    """

    scores: dict[str, Scores]
    combined: Scores
    runs: dict[str, TrackerRun]
    embedder: str = "none"


def evaluate_sequences(
    sequences: Sequence[MotSequence],
    methods: Mapping[str, MakeTracker],
    *,
    appearance: Appearance | None = None,
    camera_motion: bool = False,
    min_score: float = 0.0,
    progress: Progress | None = None,
) -> dict[str, Evaluation]:
    """Run each method over all sequences with their true frame times, and score it.

    Args:
        sequences: from `read_sequences`, with detections.
        methods: name -> what makes its tracker, a fresh one for each sequence; see `named_methods`.
        appearance: what describes boxes for the methods that can look at them. None is the built-in embedding
            where there are pictures, and leaves methods alone that look on request only, `botsort`.
        camera_motion: measures the camera's motion from the pictures for the methods that know it.
        min_score: detections below are left out.
        progress: called with each frame that was tracked, and with all frames of a sequence once scored: each
            frame counts twice for each method.

    Raises:
        ConfigError: if trackeval is missing, a sequence has no pictures where they were asked for, or no
            method knows a camera's motion.
        ModelError: if the network of `appearance` is missing or none.
        SourceError: if pictures cannot be read.
        StageError: if a tracker refuses its detections.
    """
    scoring.require_trackeval()
    require_pictures(sequences, appearance, camera_motion)
    pictured = any(sequence.pictures is not None for sequence in sequences)
    embedder = embedder_of("builtin" if appearance is None else appearance) if pictured else None
    requested = appearance is not None
    runs: dict[str, dict[str, TrackerRun]] = {name: {} for name in methods}
    for sequence in sequences:
        describes = None if sequence.pictures is None else embedder
        trackers = {name: make(describes) for name, make in methods.items()}
        if camera_motion and not any(map(knows_camera, trackers.values())):
            raise ConfigError(f"no camera motion is known to {', '.join(methods)}: leave out --camera-motion")
        for group in _groups(trackers, describes, requested, camera_motion):
            found = run_trackers(
                sequence,
                group,
                embedder=describes,
                requested=requested,
                camera_motion=camera_motion,
                min_score=min_score,
                progress=progress,
            )
            for name, run in found.items():
                runs[name][sequence.name] = run
    used = appearance.name if isinstance(appearance, Path) else appearance or "builtin"
    return {
        name: score_runs(sequences, runs[name], progress=progress, method=name, embedder=used)
        for name in methods
    }


def _groups(
    trackers: Mapping[str, Tracker], embedder: Embedder | None, requested: bool, camera_motion: bool
) -> list[dict[str, Tracker]]:
    """Return which trackers run side by side.

    Decoding and describing once serves all that need the pictures; the others run alone, so that none cools
    the caches of another.
    """
    together: dict[str, Tracker] = {}
    alone: list[dict[str, Tracker]] = []
    for name, tracker in trackers.items():
        looks = looking_of(tracker, embedder, requested) is not Looking.NEVER
        if looks or (camera_motion and knows_camera(tracker)):
            together[name] = tracker
        else:
            alone.append({name: tracker})
    return [together, *alone] if together else alone


def named_methods(names: Sequence[str], settings: Mapping[str, Any] | None = None) -> dict[str, MakeTracker]:
    """Return what makes the trackers of these methods, as the stage `track` would make them.

    Args:
        names: of the methods.
        settings: that differ from the methods' defaults; all methods must know them.

    Raises:
        ConfigError: if there is no such method or setting, or a method refuses a value.
    """
    chosen = dict(settings or {})
    for name in names:
        require_settings(name, chosen)
        try:
            make_tracker(name, **chosen)
        except ValueError as error:
            raise ConfigError(f"method '{name}': {error}") from error
    return {name: _maker(name, chosen) for name in names}


def _maker(name: str, settings: Mapping[str, Any]) -> MakeTracker:
    def make(embedder: Embedder | None) -> Tracker:
        limit = None if embedder is None else embedder.limit
        return make_tracker(name, **(settings_for_looks(name, limit) | dict(settings)))

    return make


def require_pictures(
    sequences: Sequence[MotSequence], appearance: Appearance | None, camera_motion: bool
) -> None:
    """Raise a ConfigError if a sequence has no pictures where they were asked for."""
    asks = [f"--appearance {appearance}"] if appearance not in (None, "none") else []
    asks += ["--camera-motion"] if camera_motion else []
    for sequence in sequences:
        if asks and sequence.pictures is None:
            raise ConfigError(
                f"{sequence.name}: no pictures (img1/ or a video) in {sequence.folder}, which {asks[0]} "
                "needs; leave it out, or choose sequences that have some by --sequence"
            )


def score_runs(
    sequences: Sequence[MotSequence],
    runs: Mapping[str, TrackerRun],
    *,
    progress: Progress | None = None,
    method: str = "",
    embedder: str = "none",
) -> Evaluation:
    """Score what one method said of the sequences."""
    rows = {name: run.rows for name, run in runs.items()}
    scored = score_rows(sequences, rows, progress=progress, method=method)
    return Evaluation(scored.scores, scored.combined, dict(runs), embedder)


def score_rows(
    sequences: Sequence[MotSequence],
    rows: Mapping[str, FloatArray],
    *,
    progress: Progress | None = None,
    method: str = "",
) -> Evaluation:
    """Score results of any origin, by sequence: (N, >= 6) frame, id, left, top, width, height."""
    raw = {}
    for sequence in sequences:
        raw[sequence.name] = scoring.score(sequence, rows[sequence.name])
        if progress:
            progress(f"scoring {method}: {sequence.name}", sequence.frames)
    scores = {name: scoring.summary(found) for name, found in raw.items()}
    return Evaluation(scores, scoring.summary(scoring.combine(raw)), {})
