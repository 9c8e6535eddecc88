"""Names of classes: from the configuration or a file, and which of them are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import ConfigError

BoolArray = npt.NDArray[np.bool_]

VOC_NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable"),
    *("dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""The 20 classes of PASCAL VOC (Everingham et al. 2010) in the order that detectors number them."""

_MOST_BYTES = 1 << 20


def read_names(path: Path) -> tuple[str, ...]:
    """Read a file with one class name per line (Darknet's `.names`).

    Raises:
        ConfigError: if it cannot be read, is no text, or is empty.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode()
    except OSError as error:
        raise ConfigError(f"classes: cannot read '{path}' ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"classes: '{path}' is no text file; it needs one name per line") from error
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not names:
        raise ConfigError(f"classes: '{path}' has no names; it needs one per line")
    return names


def wanted(labels: Sequence[str] | None, names: Sequence[str]) -> BoolArray:
    """Return which class numbers are wanted, (len(names),) bool; all when `labels` is None.

    A number without a name ("") is one that the model does not use.

    Raises:
        ConfigError: if a label is none of the model's names.
    """
    if labels is None:
        return np.ones(len(names), np.bool_)
    known = [name for name in names if name]
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise ConfigError(f"labels: the model has no class '{unknown[0]}'; it has: {', '.join(known)}")
    return np.array([name in labels for name in names], np.bool_)
