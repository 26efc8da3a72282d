"""All that chance decides for a clip, drawn before any frame is made."""

from dataclasses import dataclass

from dvm_hf.clips.motion import Placement
from dvm_hf.clips.trimap import Band


@dataclass(frozen=True)
class RandomParameters:
    """background_corner: row and column of the frame in the resized background, px. placements, and bands of
    the training trimap: one a frame.
    """

    background_corner: tuple[int, int]
    placements: tuple[Placement, ...]
    bands: tuple[Band, ...]
