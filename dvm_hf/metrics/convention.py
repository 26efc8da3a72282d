"""What a convention is: which regions and metrics it reports, and how it scales and averages the primitives.

A convention only computes with sums (see `primitives`); it never touches pixels.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from dvm_hf.metrics.flow import Flow
from dvm_hf.metrics.primitives import COLOUR_PRIMITIVES, FLOW_PRIMITIVES

Values: TypeAlias = npt.NDArray[np.float64]
Columns: TypeAlias = Mapping[str, Values]  # a primitive of each frame
Metrics: TypeAlias = dict[str, dict[str, float]]  # by region and metric


@dataclass(frozen=True)
class Rule:
    """A metric: the primitives it needs, and the values of which it is the mean (for each frame, pair or clip)."""

    primitives: frozenset[str]
    values: Callable[[Columns], Values]


class Convention:
    """A convention, by name in `CONVENTIONS`.

    rules: by region and metric. needs_trimap: whether it cannot measure without one. soft_is_unknown: whether
    0 < g < 1 is the unknown region if there is no trimap. own_flow: the motion that its MESSDdt estimates, whatever
    flow is passed. mean: over all clips, of the values of `clips`, of all `frames` of all clips together, or of
    `columns`: over the clips for each frame's index, then over the indices. skips_undefined: whether means skip NaN.
    """

    name: ClassVar[str]
    rules: ClassVar[Mapping[str, Mapping[str, Rule]]]
    mean: ClassVar[Literal["clips", "frames", "columns"]] = "clips"
    needs_trimap: ClassVar[bool] = False
    soft_is_unknown: ClassVar[bool] = False
    skips_undefined: ClassVar[bool] = False
    own_flow: ClassVar[Flow | None] = None

    def needs(self, *, colours: bool) -> dict[str, frozenset[str]]:
        """Return the primitives that the metrics of each region need, those of foreground colours only if asked for."""
        wanted = {
            region: [rule.primitives for rule in rules.values() if colours or not rule.primitives & COLOUR_PRIMITIVES]
            for region, rules in self.rules.items()
        }
        return {region: frozenset().union(*primitives) for region, primitives in wanted.items()}

    @property
    def uses_flow(self) -> bool:
        return any(primitives & FLOW_PRIMITIVES for primitives in self.needs(colours=False).values())

    def clip_value(self, values: Values) -> float:
        """Return a clip's metric: the mean of its values, NaN if there is none."""
        if self.skips_undefined:
            values = values[~np.isnan(values)]
        return float(values.mean()) if values.size else math.nan


def rule(names: str, values: Callable[..., Values]) -> Rule:
    """Return the rule that passes the columns of the named primitives to a function."""
    return Rule(frozenset(names.split()), lambda columns: values(*(columns[name] for name in names.split())))


def ratio(sums: Values, divisor: Values) -> Values:
    """Return sums / divisor; NaN where a region is empty."""
    quotients: Values = np.divide(sums, divisor, out=np.full(sums.shape, np.nan), where=divisor > 0)
    return quotients


def scaled(name: str, factor: float) -> Rule:
    """factor * sum"""
    return rule(name, lambda sums: factor * sums)


def mean_of(name: str, factor: float = 1.0) -> Rule:
    """factor * sum / pixels; NaN where the region is empty"""
    return rule(f"{name} pixels", lambda sums, pixels: factor * ratio(sums, pixels))


def of_pairs(values: Values) -> Values:
    """Return the values of real pairs. A clip's first frame is no pair, nor is one without a known motion."""
    return values[~np.isnan(values)]


def mean_colour(name: str) -> Rule:
    """1e3 * sum / values; NaN where no foreground is visible"""
    return rule(f"{name} colour_values", lambda sums, number: 1e3 * ratio(sums, number))
