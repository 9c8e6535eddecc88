from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.count.history.follow import Batch, Found, Gate
from stages.count.history.path import BoolArray, F64Array

SOURCE: int

def path_crossings(
    gate: Gate, hold_s: float, times_s: F64Array, points: F64Array, vanished: BoolArray, finished: bool
) -> Found: ...
def batch_crossings(
    gate: Gate, hold_s: float, anchor: tuple[float, float], batch: Batch, others: Sequence[Gate]
) -> tuple[Found, NDArray[np.intp], NDArray[np.intp]]: ...
