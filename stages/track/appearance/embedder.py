"""One face for all that describes the boxes of a picture: the built-in embedding, or a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.picture import Picture
from stages.track.appearance import builtin
from stages.track.appearance.reid import ReidModel
from stages.track.gallery import F32Array

Look = Callable[[F32Array], F32Array]
"""Takes (K, 4) boxes in px of the full picture, returns (K, D) unit rows."""

# From this width on the built-in embedding looks at a picture of half the size: the boxes have pixels enough,
# and making it takes half the time of a full BGR picture (0.29 against 0.6 ms at 1080p).
_HALVED_FROM_PX = 1280


class Embedder:
    """Describes boxes by their pixels.

    Args:
        model: the network; None for the built-in embedding.

    Attributes:
        limit: the cosine distance up to which two looks may be one object; None when nobody knows.
    """

    def __init__(self, model: ReidModel | None) -> None:
        self._model = model
        self.limit = builtin.MAX_COSINE_DISTANCE if model is None else model.limit

    def of(self, picture: Picture) -> Look:
        """Return what looks at this picture; its pixels are converted at the first look."""
        if self._model is not None:
            model = self._model
            return lambda xyxy: model.embed(picture.bgr(), xyxy)
        return lambda xyxy: _builtin(picture, xyxy)


def embedder_of(appearance: Literal["builtin", "none"] | Path) -> Embedder | None:
    """Return the embedder that a configuration names.

    Raises:
        ModelError: if the file is missing or no re-identification network.
    """
    if appearance == "none":
        return None
    return Embedder(None if appearance == "builtin" else ReidModel(Path(appearance)))


def _builtin(picture: Picture, xyxy: F32Array) -> F32Array:
    halved = picture.width >= _HALVED_FROM_PX
    bgr = picture.fit(picture.width // 2, picture.height // 2) if halved else picture.bgr()
    scale = np.array([bgr.shape[1] / picture.width, bgr.shape[0] / picture.height] * 2, np.float32)
    return builtin.embed(bgr, xyxy * scale)
