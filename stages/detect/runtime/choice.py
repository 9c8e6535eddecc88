"""The fastest runtime of this box for a network: measured once, then remembered."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import ModelError
from stages.detect.runtime.base import Runtime
from stages.detect.runtime.cache import remember, remembered
from stages.detect.runtime.opening import Network, open_plan, sample
from stages.detect.runtime.options import RuntimeOptions
from stages.detect.runtime.plans import Plan, plans

logger = logging.getLogger(__name__)

_CLEARLY = 0.9
"""Another plan is taken before the plainest only if it needs at most this share of its time: noise must not
decide a tie, since the last bits of the results differ."""
_TRIAL_S = 0.5
_FEWEST_RUNS, _MOST_RUNS = 3, 30
_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "openvino")

Open = Callable[[Network, Plan, RuntimeOptions], Runtime]


def open_runtime(
    network: Network,
    options: RuntimeOptions,
    *,
    open_one: Open = open_plan,
    clock: Callable[[], float] = time.perf_counter,
) -> Runtime:
    """Open a network as the options want it.

    Where several ways are left (`runtime: auto`, `precision: auto`), each is tried for half a second and the
    fastest taken; what was found is kept for the same file, versions, processor and options. A way that fails
    is left out, which the log tells, as long as another one works.

    Args:
        network: what to open.
        options: with what.
        open_one: opens it in one way.
        clock: seconds.

    Raises:
        MissingRuntimeError: if what is named is not on this box.
        ModelError: if the network does not run.
    """
    key = _key(network, options)
    # Before anything is imported: what lost the measurement should cost nothing.
    known = _known(key)
    if known is not None:
        try:
            runtime = open_one(network, known, options)
        except ModelError as error:
            logger.warning("'%s': %s worked before and does not now: %s", network.path.name, known, error)
        else:
            _tell(network, known, options)
            return runtime
    possible = plans(network.graph, options, network.path.suffix.lower())
    if len(possible) > 1:
        return _measured(network, options, possible, key, open_one, clock)
    runtime = open_one(network, possible[0], options)
    _tell(network, possible[0], options)
    return runtime


def time_of(runtime: Runtime, network: Network, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds of one picture: the shortest of some runs, which other work disturbs least."""
    inputs = sample(network)
    runtime.run(inputs)
    best = float("inf")
    begun_s = clock()
    for count in range(_MOST_RUNS):
        start_s = clock()
        runtime.run(inputs)
        end_s = clock()
        best = min(best, end_s - start_s)
        if count + 1 >= _FEWEST_RUNS and end_s - begun_s > _TRIAL_S:
            break
    return best


def _measured(
    network: Network,
    options: RuntimeOptions,
    possible: list[Plan],
    key: str,
    open_one: Open,
    clock: Callable[[], float],
) -> Runtime:
    best: tuple[Plan, Runtime, float] | None = None
    times: dict[str, float] = {}
    failures: list[ModelError] = []
    for plan in possible:
        runtime: Runtime | None = None
        try:
            runtime = open_one(network, plan, options)
            seconds = time_of(runtime, network, clock)
        except ModelError as error:
            if runtime is not None:
                runtime.close()
            failures.append(error)
            logger.warning("'%s': %s is left out: %s", network.path.name, plan, error)
            continue
        times[str(plan)] = round(seconds * 1e3, 3)
        if best is None or seconds < best[2] * _CLEARLY:
            if best is not None:
                best[1].close()
            best = plan, runtime, seconds
        else:
            runtime.close()
    if best is None:
        raise failures[0]
    if not failures:  # what failed may work at the next start: a GPU that was full, a driver that was missing
        remember(key, _entry(network, options, best[0], times))
    logger.info("'%s': measured %s", network.path.name, _table(times))
    _tell(network, best[0], options)
    return best[1]


def _tell(network: Network, plan: Plan, options: RuntimeOptions) -> None:
    logger.info("'%s' runs on %s", network.path.name, plan)
    if options.precision == "auto" and not plan.full:
        logger.warning(
            "'%s' is calculated in %s, not as the file has it: faster, and the boxes differ a little; "
            "'precision: full' avoids it",
            network.path.name,
            plan.precision,
        )


def _table(times: dict[str, float]) -> str:
    return "; ".join(f"{plan} {spent:.1f} ms" for plan, spent in times.items())


def _known(key: str) -> Plan | None:
    kept = remembered().get(key, {}).get("plan")
    try:
        return TypeAdapter(Plan).validate_python(kept)
    except ValidationError:
        return None


def _entry(network: Network, options: RuntimeOptions, plan: Plan, times: dict[str, float]) -> dict[str, Any]:
    return {
        "plan": asdict(plan),
        "chosen": str(plan),
        "model": network.path.name,
        "input": "x".join(map(str, network.shapes[0])),
        "threads": options.threads,
        "ms": times,
    }


def _key(network: Network, options: RuntimeOptions) -> str:
    """Return a digest of all that the measurement depends on."""
    facts = [
        network.model_hash,
        network.shapes,
        options.runtime,
        options.device,
        options.precision,
        options.threads,
        _versions(),
        _processor(),
        _accelerators(),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


def _versions() -> list[str]:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found


def _accelerators() -> list[str]:
    """Return the system's names of GPUs and NPUs, so that one that was added is tried."""
    found = (Path("/dev").glob(pattern) for pattern in ("nvidia[0-9]*", "dri/render*", "accel/*"))
    return sorted(str(path) for paths in found for path in paths)


def _processor() -> str:
    """Return the processor's name and abilities, as far as the system tells them."""
    import platform

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    told = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return " ".join(sorted(set(told))) or platform.processor() or platform.machine()
