"""The random parameters of a clip, drawn before any frame is rendered."""

from dataclasses import dataclass

from dvm_hf.clips.motion import Placement
from dvm_hf.clips.trimap import Band


@dataclass(frozen=True)
class RandomParameters:
    """background_corner: row and column of the frame in the resized background, px. placements, bands (of the training
    trimap): one per frame.
    """

    background_corner: tuple[int, int]
    placements: tuple[Placement, ...]
    bands: tuple[Band, ...]
