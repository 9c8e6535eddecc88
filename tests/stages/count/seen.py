"""Hand-made frames for the counting parts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.picture import BgrPicture
from stages.count.seen import Seen

WIDTH, HEIGHT = 640, 360
PICTURE = BgrPicture(np.zeros((HEIGHT, WIDTH, 3), np.uint8))


def frame_at(time_s: float, **fields: Any) -> Frame:
    """Return a frame at this media time, numbered at 10 Hz."""
    moment = Moment(time_s, round(time_s * 1e9), Clock.FILE)
    return Frame("cam", "run", round(time_s * 10), moment, PICTURE, model_hash="m0de1", **fields)


def seen_at(frame: Frame | float, *rows: Sequence[Any], **fields: Any) -> Seen:
    """Return the objects `rows`, each (id, x, y) or (id, x, y, label), seen at a frame or a time.

    They have boxes of 20 x 30 px whose bottom centres are at (x, y).
    """
    made = frame_at(frame) if isinstance(frame, int | float) else frame
    ids = [row[0] for row in rows]
    boxes = np.array([[x - 10, y - 30, x + 10, y] for _, x, y, *_ in rows], float).reshape(-1, 4)
    labels = [row[3] if len(row) > 3 else "car" for row in rows]
    numbers = list(range(len(rows)))
    return Seen(made, made.moment.pts_s, ids, list(ids), numbers, boxes, labels, **fields)
