"""Packages that only some sinks need."""

from __future__ import annotations

from importlib.util import find_spec

from pipeline.errors import SinkError


def need(module: str, package: str, sink: str, extra: str | None = None) -> None:
    """Make sure that a package is installed, without importing it.

    Args:
        module: what would be imported.
        package: its name in the registry.
        sink: who needs it.
        extra: of sightline, which brings it; the sink's name when None.

    Raises:
        SinkError: if it is not; says what to install.
    """
    if find_spec(module) is None:
        raise SinkError(
            f'the sink {sink} needs the package {package}: pip install "sightline[{extra or sink}]"'
        )
