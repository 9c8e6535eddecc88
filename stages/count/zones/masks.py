"""Parts of the picture in which objects do not exist."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.plugin import StreamInfo
from stages.count.geometry import F64Array, anchor_points
from stages.count.zones.options import MaskOptions
from stages.count.zones.region import BoolArray, Region


class Masks:
    """Tells which objects lie in a mask, by their anchors: a reflecting window, a poster, the road next door.

    Args:
        options: by name.
    """

    def __init__(self, options: Mapping[str, MaskOptions]) -> None:
        self._options = options
        self._regions: list[tuple[MaskOptions, Region]] = []

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self._options)

    def open(self, info: StreamInfo) -> None:
        """Lay the masks into the picture.

        Raises:
            ConfigError: if one lies outside of it.
        """
        self._regions = [
            (options, options.laid(f"mask '{name}'", info)) for name, options in self._options.items()
        ]

    def hide(self, xyxy: F64Array) -> BoolArray:
        """Return (N,) which of the boxes (N, 4) px lie in a mask."""
        hidden = np.zeros(len(xyxy), np.bool_)
        if len(xyxy):
            for options, region in self._regions:
                hidden |= region.inside(anchor_points(xyxy, options.anchor))
        return hidden
