"""The type of a measurement: a function from a region's mask to a sum over that region."""

from collections.abc import Callable
from typing import TypeAlias

from dvm_hf.metrics.frames import Mask

RegionSum: TypeAlias = Callable[[Mask | None], float]
