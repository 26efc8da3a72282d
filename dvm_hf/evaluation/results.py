"""What was measured: numbers for each clip and their means, as JSON."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dvm_hf.metrics.clip_sums import ClipSums
from dvm_hf.metrics.convention import Metrics
from dvm_hf.metrics.means import MetricMeans


@dataclass(frozen=True)
class Results:
    """The results of one method.

    name: of the method. clips: sums by clip_id. skipped: clips and frames that were not measured, as texts.
    """

    name: str
    convention: str
    clips: Mapping[str, ClipSums]
    skipped: tuple[str, ...] = ()

    @property
    def means(self) -> MetricMeans:
        return MetricMeans(self.convention, self.clips.values())

    @property
    def flow(self) -> str | None:
        """The names of the clips' flows, joined by "+"."""
        return self.means.flow

    @property
    def frames(self) -> int:
        return sum(sums.frames for sums in self.clips.values())

    def to_json(self) -> dict[str, Any]:
        """Return the results for `json.dumps`; NaN is None."""
        found = {
            "convention": self.convention,
            "flow": self.flow,
            "clips": {name: without_nan(sums.metrics()) for name, sums in self.clips.items()},
            "mean": without_nan(self.means.metrics()),
        }
        return found | ({"left_out": list(self.skipped)} if self.skipped else {})


def without_nan(metrics: Metrics) -> dict[str, dict[str, float | None]]:
    """Return metrics with None for NaN, which JSON lacks."""
    return {
        region: {name: None if math.isnan(value) else value for name, value in of_region.items()}
        for region, of_region in metrics.items()
    }
