"""What was measured: numbers for each clip and their means, as JSON."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dvm_hf.evaluation.instance_clips import instance_title
from dvm_hf.metrics.clip_sums import ClipSums
from dvm_hf.metrics.convention import Metrics
from dvm_hf.metrics.means import MetricMeans


@dataclass(frozen=True)
class InstanceResults:
    """The results of single foregrounds.

    match: how their predictions were found, a name of `MATCHES`. clips: by clip_id, the sums of each foreground, from
    back to front. predicted: by clip_id, the number of the prediction of each.
    """

    match: str
    clips: Mapping[str, tuple[ClipSums, ...]]
    predicted: Mapping[str, tuple[int, ...]]

    @property
    def sums(self) -> dict[str, ClipSums]:
        """The sums of all foregrounds by title."""
        return {title: sums for name in self.clips for title, sums in self.titled(name).items()}

    def titled(self, name: str) -> dict[str, ClipSums]:
        """Return the sums of the foregrounds of a clip by title; {} if they were not measured."""
        return {instance_title(name, number): sums for number, sums in enumerate(self.clips.get(name, ()))}

    def to_json(self, convention: str) -> dict[str, Any]:
        return {
            "match": self.match,
            "clips": {name: [without_nan(sums.metrics()) for sums in of_clip] for name, of_clip in self.clips.items()},
            "predicted": {name: list(numbers) for name, numbers in self.predicted.items()},
            "mean": without_nan(MetricMeans(convention, self.sums.values()).metrics()),
        }


@dataclass(frozen=True)
class Results:
    """The results of one method.

    name: of the method. clips: sums by clip_id. skipped: clips and frames that were not measured, as texts. instances:
    results of single foregrounds, or None.
    """

    name: str
    convention: str
    clips: Mapping[str, ClipSums]
    skipped: tuple[str, ...] = ()
    instances: InstanceResults | None = None

    @property
    def means(self) -> MetricMeans:
        return MetricMeans(self.convention, self.clips.values())

    @property
    def instance_sums(self) -> dict[str, ClipSums]:
        """The sums of single foregrounds by title."""
        return {} if self.instances is None else self.instances.sums

    @property
    def all_sums(self) -> dict[str, ClipSums]:
        """The sums of all clips by clip_id, each followed by those of its foregrounds by title."""
        found: dict[str, ClipSums] = {}
        for name, sums in self.clips.items():
            found |= {name: sums} | (self.instances.titled(name) if self.instances is not None else {})
        return found

    @property
    def instance_means(self) -> MetricMeans:
        """The means over all foregrounds that were measured by themselves."""
        return MetricMeans(self.convention, self.instance_sums.values())

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
        if self.instances is not None:
            found["instances"] = self.instances.to_json(self.convention)
        return found | ({"left_out": list(self.skipped)} if self.skipped else {})


def without_nan(metrics: Metrics) -> dict[str, dict[str, float | None]]:
    """Return metrics with None for NaN, which JSON lacks."""
    return {
        region: {name: None if math.isnan(value) else value for name, value in of_region.items()}
        for region, of_region in metrics.items()
    }
