"""The sums of a clip, frame by frame: what a convention needs to compute its metrics, and what can be stored."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dvm_hf.errors import MetricsError
from dvm_hf.metrics.convention import Metrics, Values
from dvm_hf.metrics.conventions import convention_named

FIELDS = ("convention", "flow", "frames", "sums")


@dataclass(frozen=True)
class ClipSums:
    """Sums over the regions of a clip's frames.

    convention, flow: names; flow is None without one. frames: number of frames. sums: by region and primitive (see
    docs/metrics.md), one number for each frame. Sums of two frames stand at the second one. NaN: not measured.
    """

    convention: str
    flow: str | None
    frames: int
    sums: Mapping[str, Mapping[str, Sequence[float]]]

    def metrics(self) -> Metrics:
        """Return the metrics of the clip, by region and name; NaN where a region is empty or not known."""
        convention = convention_named(self.convention)
        values = self.values()
        return {
            region: {name: convention.clip_value(found) for name, found in of_region.items()}
            for region, of_region in values.items()
        }

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of values (frames, pairs of frames) of which each metric is the mean."""
        return {
            region: {name: int(np.isfinite(found).sum()) for name, found in of_region.items()}
            for region, of_region in self.values().items()
        }

    def values(self) -> dict[str, dict[str, Values]]:
        """Return the values of which each metric is the mean: one for each frame, or pair, or one for the clip."""
        columns = {
            region: {name: np.asarray(column, np.float64) for name, column in primitives.items()}
            for region, primitives in self.sums.items()
        }
        return {
            region: {
                name: rule.values(columns[region])
                for name, rule in rules.items()
                if rule.primitives <= columns[region].keys()
            }
            for region, rules in convention_named(self.convention).rules.items()
        }

    def __add__(self, other: "ClipSums") -> "ClipSums":
        """Return the sums of a clip that was measured in two parts. There is no pair across the cut."""
        if (self.convention, self.flow) != (other.convention, other.flow):
            raise MetricsError(
                f"these parts were measured differently: {self.convention} with the flow {self.flow}, and "
                f"{other.convention} with the flow {other.flow}; measure all parts of a clip in the same way"
            )
        sums = {
            region: {name: [*column, *other.sums[region][name]] for name, column in primitives.items()}
            for region, primitives in self.sums.items()
        }
        return ClipSums(self.convention, self.flow, self.frames + other.frames, sums)

    def to_json(self) -> dict[str, Any]:
        """Return a dict for `json.dumps`; NaN is None."""
        sums = {
            region: {
                name: [None if math.isnan(number) else number for number in column] for name, column in columns.items()
            }
            for region, columns in self.sums.items()
        }
        return {"convention": self.convention, "flow": self.flow, "frames": self.frames, "sums": sums}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "ClipSums":
        """Return the sums that `to_json` stored. Raises MetricsError for other content."""
        if not isinstance(stored, Mapping) or {*stored} != {*FIELDS}:
            raise MetricsError(f"stored sums: have the fields {sorted(stored)}, but must have {', '.join(FIELDS)}")
        sums = {
            region: {
                name: [math.nan if number is None else float(number) for number in column]
                for name, column in columns.items()
            }
            for region, columns in stored["sums"].items()
        }
        return cls(stored["convention"], stored["flow"], stored["frames"], sums)
