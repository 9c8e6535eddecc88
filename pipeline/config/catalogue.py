"""Which plug-ins a configuration may name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.plugin import Kind
from pipeline.registry import load_plugin, plugin_names


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Where plug-ins are found; by default those that are installed.

    Attributes:
        names: returns the known names of a kind.
        load: returns the class of a known name, or raises ConfigError.
    """

    names: Callable[[Kind], list[str]] = plugin_names
    load: Callable[[Kind, str], type[Any]] = load_plugin


INSTALLED = Catalogue()
