"""The tracker's hot functions, compiled: one twin for each numpy function that is marked `@replaceable`.

See `pipeline.twins`. A twin's last bits may differ. Twins hold the GIL: each runs for microseconds, and to
give it up so often would cost more than it frees.
"""

from pathlib import Path

from pipeline.twins import Twins

_twins = Twins("stages.track.kernels", Path(__file__).parent, "numpy")
REFERENCE = _twins.reference
replaceable = _twins.replaceable
are_compiled = _twins.are_compiled
describe = _twins.describe
