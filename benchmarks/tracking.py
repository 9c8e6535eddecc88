"""The tables and the picture of docs/tracking.md: speed, identities under stress, accuracy on real boxes.

    python -m benchmarks.tracking [--only speed stress mot] [--sizes 10 100] [--seeds 0 1] [--json FILE]

Speed and stress are measured by the harness in the shared bench folder, which measured the peers, and
accuracy on the shared MOTChallenge sequences; SIGHTLINE_SHARED names the folder of both. Speed wants a quiet
machine: each method runs in a process of its own, on one thread, one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.tracker_candidate import CANDIDATES
from benchmarks.tracking_plot import plot_speed
from benchmarks.tracking_tables import Times, mot_table, speed_table, stress_table

PROJECT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("SIGHTLINE_SHARED", PROJECT.parent / "shared"))
BENCH = SHARED / "bench"
PICTURE = PROJECT / "docs/tracking_speed.png"
SIZES = (10, 50, 100, 500, 1000)
_PEERS_SEEDS = [0, 1]
"""Those that the measured peers' stress table is of."""


def main() -> None:
    """Measure what was asked for and print tables in markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(_SECTIONS), default=list(_SECTIONS))
    parser.add_argument("--methods", nargs="+", choices=list(CANDIDATES), default=list(CANDIDATES))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), metavar="N")
    parser.add_argument("--seeds", nargs="+", type=int, default=_PEERS_SEEDS, metavar="SEED")
    parser.add_argument("--jobs", type=int, default=1, help="processes of the stress test")
    parser.add_argument("--picture", type=Path, default=PICTURE, metavar="FILE")
    parser.add_argument(
        "--from", dest="saved", type=Path, metavar="FILE", help="speed and stress of an earlier --json"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw results")
    arguments = parser.parse_args()
    saved = json.loads(arguments.saved.read_text()) if arguments.saved else {}
    results: dict[str, Any] = {}
    for name in arguments.only:
        results[name] = _SECTIONS[name](arguments, saved.get(name))
        if arguments.json:  # after each section: the next one may take an hour
            arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def speed(arguments: argparse.Namespace, saved: Times | None) -> Times:
    """Time our methods on the crowd scene; print the table beside the peers', and draw both."""
    sizes = [str(size) for size in sorted(arguments.sizes)]
    ours = saved or _harness("tracker_speed.py", arguments.methods, ["--n", *sizes])
    peers, limit = _stored("speed.json"), _stored("limit.json")
    print("### Speed\n\nms a frame, median / p99\n")
    print(speed_table(ours, peers, limit, sizes))
    plot_speed(arguments.picture, ours, peers, limit)
    print(f"\n{arguments.picture}", file=sys.stderr)
    return ours


def stress(arguments: argparse.Namespace, saved: Mapping[str, Any] | None) -> dict[str, Any]:
    """Score our methods on the identity scenes; print the table, with the peers' if the seeds are theirs."""
    seeds = arguments.seeds if saved is None else saved["seeds"]
    if saved is None:
        options = ["--seeds", *map(str, seeds), "--jobs", str(arguments.jobs)]
        ours = _harness("identity_stress.py", arguments.methods, options)
    else:
        ours = saved["scores"]
    peers = _stored("identity_default.json") if sorted(seeds) == _PEERS_SEEDS else {}
    print(f"\n### Identity under stress\n\nIDF1, seeds {' '.join(map(str, seeds))}\n")
    print(stress_table(ours, peers))
    return {"seeds": seeds, "scores": ours}


def mot(arguments: argparse.Namespace, saved: object) -> dict[str, Any]:  # noqa: ARG001 - a minute's work
    """Score our methods on MOT15: all sequences by boxes alone, and those with pictures with looks."""
    from stages.track.evaluate.motchallenge import read_sequences
    from stages.track.evaluate.run import evaluate_sequences, named_methods

    folder = SHARED / "data/mot15"
    if not folder.is_dir():
        sys.exit(f"{folder}: no such folder; the section 'mot' needs it (set SIGHTLINE_SHARED)")
    names = list(dict.fromkeys(CANDIDATES[name].method for name in arguments.methods))
    sequences = read_sequences([folder])
    boxes = evaluate_sequences(sequences, named_methods(names), appearance="none")
    print("\n### MOT15, boxes alone\n\nAll sequences pooled\n")
    print(mot_table(boxes, _stored("dev_mot15_peers.json", required=False)))
    found = {"boxes": {name: vars(each.combined) for name, each in boxes.items()}}
    pictured = [each for each in sequences if each.pictures is not None]
    networks = sorted((SHARED / "data/weights").glob("osnet*.onnx"))
    looking = [name for name in names if name in ("sightline", "deepsort", "botsort")]
    for appearance in ("builtin", *networks) if pictured and looking else ():
        scored = evaluate_sequences(pictured, named_methods(looking), appearance=appearance)
        title = "the built-in embedding" if appearance == "builtin" else appearance.name
        print(f"\n### {', '.join(each.name for each in pictured)}, with {title}\n")
        print(mot_table(scored, {}))
        found[str(title)] = {name: vars(each.combined) for name, each in scored.items()}
    return found


_SECTIONS = {"speed": speed, "stress": stress, "mot": mot}


def _harness(script: str, methods: Sequence[str], options: Sequence[str]) -> dict[str, Any]:
    """Run a script of the bench with our methods as candidates; return its results by our methods' names."""
    path = BENCH / script
    if not path.is_file():
        sys.exit(f"{path}: no such file; this section needs the bench harness (set SIGHTLINE_SHARED)")
    classes = {CANDIDATES[name].__name__: name for name in methods}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "results.json"
        words = [sys.executable, "-B", str(path), "--trackers", "none", "--json", str(target), *options]
        for name in classes:
            words += ["--candidate", f"benchmarks.tracker_candidate:{name}"]
        paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        done = subprocess.run(
            words,
            env={**os.environ, **one, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=sys.stderr,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{script} ended with code {done.returncode}")
        results = json.loads(target.read_text())
    missing = classes.keys() - results.keys()
    if missing:
        sys.exit(f"{script} has no results of {', '.join(sorted(missing))}; see above")
    return {classes.get(name, name): found for name, found in results.items()}


def _stored(name: str, *, required: bool = True) -> dict[str, Any]:
    path = BENCH / "results" / name
    if not path.is_file():
        if required:
            sys.exit(f"{path}: no such file; the peers' figures are read from it")
        return {}
    return dict(json.loads(path.read_text()))


if __name__ == "__main__":
    main()
