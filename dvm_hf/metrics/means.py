"""Means over clips, from states that add up: clips can be measured in any number of processes."""

import math
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from dvm_hf.errors import MetricsError
from dvm_hf.metrics.clip_sums import ClipSums
from dvm_hf.metrics.convention import Metrics, Values
from dvm_hf.metrics.conventions import convention_named

TABLE_COLUMNS = 700  # of RVM's table

Key: TypeAlias = tuple[str, str]  # region and metric


class MetricMeans:
    """The mean of each metric over clips, as a convention averages.

        means = MetricMeans("default", clips)
        means.metrics()

    convention: a name of `CONVENTIONS`. clips: their sums. Add more with `add`, and the means of another process with
    `+`: the state is the total and the number of values of each metric. flow: the names of all clips' flows, joined by
    "+", or None. Raises MetricsError for sums of another convention.
    """

    def __init__(self, convention: str = "default", clips: Iterable[ClipSums] = ()) -> None:
        self.convention = convention_named(convention)
        self.clips = 0
        self._flows: set[str] = set()
        self._columns = TABLE_COLUMNS
        self._totals: dict[Key, Values] = {}  # one number, or one for each frame's index
        self._numbers: dict[Key, Values] = {}
        for clip in clips:
            self.add(clip)

    @property
    def flow(self) -> str | None:
        return "+".join(sorted(self._flows)) or None

    def add(self, clip: ClipSums) -> None:
        """Add a clip."""
        if clip.convention != self.convention.name:
            raise MetricsError(
                f"a clip was measured with the convention {clip.convention!r}, but these means are of "
                f"{self.convention.name!r}; measure all clips with the same one"
            )
        if not self.clips:
            self._columns = min(clip.frames, TABLE_COLUMNS)
        self.clips += 1
        if clip.flow is not None:
            self._flows.add(clip.flow)
        for region, metrics in clip.values().items():
            for name, values in metrics.items():
                counted = self._counted(values)
                self._count((region, name), *counted)

    def metrics(self) -> Metrics:
        """Return the mean of each metric by region and name; NaN if no clip has it."""
        found: Metrics = {}
        for (region, name), totals in self._totals.items():
            numbers = self._numbers[region, name]
            means = totals[numbers > 0] / numbers[numbers > 0]
            found.setdefault(region, {})[name] = float(means.mean()) if means.size else math.nan
        return found

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of clips, or frames, of which each metric is the mean."""
        found: dict[str, dict[str, int]] = {}
        for (region, name), numbers in self._numbers.items():
            found.setdefault(region, {})[name] = int(numbers.sum())
        return found

    def __add__(self, other: "MetricMeans") -> "MetricMeans":
        """Return the means over the clips of both."""
        if self.convention.name != other.convention.name:
            raise MetricsError(
                f"means of the conventions {self.convention.name!r} and {other.convention.name!r} cannot be added; "
                "measure all clips with the same one"
            )
        first, second = (self, other) if self.clips else (other, self)
        both = MetricMeans(first.convention.name)
        both.clips, both._flows, both._columns = (
            first.clips + second.clips,
            first._flows | second._flows,
            first._columns,
        )
        for means in (first, second):
            for key, totals in means._totals.items():
                both._count(key, totals, means._numbers[key])
        return both

    def _counted(self, values: Values) -> tuple[Values, Values]:
        """Return the totals and the numbers that a clip's values add."""
        if self.convention.mean == "frames":
            return values.sum(keepdims=True), np.array([len(values)], np.float64)
        if self.convention.mean == "columns":
            return values, np.ones(values.shape)
        value = np.array([self.convention.clip_value(values)])
        is_counted = ~(np.isnan(value) & self.convention.skips_undefined)
        return np.where(is_counted, value, 0), is_counted.astype(np.float64)

    def _count(self, key: Key, totals: Values, numbers: Values) -> None:
        for state, values in ((self._totals, totals), (self._numbers, numbers)):
            state[key] = _sum(state.get(key, values[:0]), values[: self._columns])


def _sum(first: Values, second: Values) -> Values:
    """Return the sum of arrays, of which the shorter one is continued with zeros."""
    longest = max(len(first), len(second))
    return sum((np.pad(values, (0, longest - len(values))) for values in (first, second)), np.zeros(longest))
