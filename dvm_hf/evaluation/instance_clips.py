"""Single foregrounds of clips with several: as a reference, and as a prediction of the clip made of several mattes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import xxhash

from dvm_hf.clips.trimap import TEST_BAND
from dvm_hf.dataset.instances import instance_name
from dvm_hf.evaluation.predicted_clips import PredictedClip, Tolerance, resized
from dvm_hf.evaluation.references import Layers, ReferenceClip
from dvm_hf.media.pixels import Pixels, Size


def instance_title(clip: str, number: int) -> str:
    """Return the name of a foreground of a clip, counted from 0, for tables and messages."""
    return f"{clip}, instance {number}"


@dataclass(frozen=True)
class ReferenceInstance:
    """A foreground of a clip, as a clip: its alpha is the visible part, its trimap that part's published test trimap.

    number: of the foreground, from back to front.
    """

    clip: ReferenceClip
    number: int

    @property
    def name(self) -> str:
        return instance_title(self.clip.name, self.number)

    @property
    def clip_id(self) -> str:
        return self.clip.clip_id

    @property
    def foreground_count(self) -> int:
        return 1

    @property
    def indices(self) -> tuple[int, ...]:
        return self.clip.indices

    @property
    def runs(self) -> tuple[tuple[int, ...], ...]:
        return self.clip.runs

    @property
    def size(self) -> Size:
        return self.clip.size

    @property
    def is_image(self) -> bool:
        return False  # others hide parts of it, which its own motion does not describe

    @property
    def motion(self) -> Mapping[int, Sequence[float]]:
        return {}

    @property
    def columns(self) -> frozenset[str]:
        return (self.clip.columns & {"frames", "foreground"}) | {"alpha", "trimap"}

    def frames(self, wanted: Sequence[int], columns: Sequence[str]) -> Iterator[Layers]:
        own = instance_name(self.number)
        for layers in self.clip.frames(wanted, self._stored(columns)):
            alpha = layers.pop(own)
            found = layers | {"alpha": alpha} | ({"trimap": TEST_BAND.trimap(alpha)} if "trimap" in columns else {})
            yield {column: found[column] for column in columns}

    def digest(self, columns: Sequence[str]) -> str:
        return self.clip.digest(self._stored(columns))

    def _stored(self, columns: Sequence[str]) -> list[str]:
        return [*(column for column in columns if column not in ("alpha", "trimap")), instance_name(self.number)]


@dataclass(frozen=True)
class SeparateInstances:
    """The prediction of a clip as a matte for each foreground. The matte of the clip is their sum."""

    place: str
    instances: tuple[PredictedClip, ...]

    @property
    def stored(self) -> tuple[PredictedClip, ...]:
        return self.instances

    def indices(self, wanted: Sequence[int]) -> set[int]:
        return set.intersection(*(one.indices(wanted) for one in self.instances))

    def repeated(self) -> list[int]:
        return []

    def faults(self, size: Size, tolerance: Tolerance) -> Iterator[str]:
        for one in self.instances:
            yield from one.faults(size, tolerance)

    def mattes(self, wanted: Sequence[int], positions: Sequence[int], tolerance: Tolerance) -> Iterator[Pixels]:
        for first, *others in zip(*(one.mattes(wanted, positions, tolerance) for one in self.instances), strict=True):
            total = first
            for other in others:
                total = np.asarray(cv2.add(total, resized(other, Size(*first.shape))), np.uint8)  # at most 255
            yield total

    def digest(self) -> str:
        return xxhash.xxh3_128_hexdigest(" ".join(one.digest() for one in self.instances).encode())
