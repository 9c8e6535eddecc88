"""The counting of stored paths, compiled: twins of functions in `stages.count.history`.

See `pipeline.twins`. Twins of whole batches give up the GIL.
"""

from pathlib import Path

from pipeline.twins import Twins

_twins = Twins("stages.count.kernels", Path(__file__).parent, "Python")
REFERENCE = _twins.reference
replaceable = _twins.replaceable
are_compiled = _twins.are_compiled
describe = _twins.describe
