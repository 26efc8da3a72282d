"""Random colour jitter: brightness, contrast, gamma, saturation, hue. Without PyTorch."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from dvm_hf.dataset.field_rules import require_range
from dvm_hf.media.pixels import Pixels

Range: TypeAlias = tuple[float, float]

LUMA = np.array([0.299, 0.587, 0.114])  # BT.601
LIMITS = {  # minimum and maximum of each range
    "brightness": (0, 100),
    "contrast": (0, 100),
    "gamma": (0.01, 100),
    "saturation": (0, 100),
    "hue": (-360, 360),
}


@dataclass(frozen=True)
class ColourJitter:
    """Ranges of uniformly distributed random colour changes. (1, 1), and for hue (0, 0), changes nothing.

        v' = clip((brightness * v - 1/2) * contrast + 1/2) ** gamma,   v in [0, 1]

    Then saturation scales the difference from the luma (BT.601), and hue rotates it around the grey axis, in degrees.
    """

    brightness: Range = (1, 1)
    contrast: Range = (1, 1)
    gamma: Range = (1, 1)
    saturation: Range = (1, 1)
    hue: Range = (0, 0)

    def __post_init__(self) -> None:
        for name, limits in LIMITS.items():
            require_range(name, getattr(self, name), limits)

    def drawn(self, rng: np.random.Generator) -> Callable[[Pixels], Pixels]:
        """Return a random colour change, a function of a frame (H, W, 3)."""
        brightness, contrast, gamma, saturation, hue = (rng.uniform(*dataclasses.astuple(self)[i]) for i in range(5))
        values = np.clip((brightness * np.arange(256) / 255 - 0.5) * contrast + 0.5, 0, 1) ** gamma
        levels = np.round(values * 255).astype(np.uint8)
        matrix = _colour_matrix(saturation, hue)
        if np.allclose(matrix, np.eye(3)):
            return lambda frame: cv2.LUT(frame, levels)  # type: ignore[return-value]
        return lambda frame: cv2.transform(cv2.LUT(frame, levels), matrix)  # type: ignore[return-value]


def _colour_matrix(saturation: float, degrees: float) -> np.ndarray:
    """Return the matrix (3, 3) on RGB that keeps the luma, and scales and rotates the difference from it.

    Y = LUMA . (R, G, B);   C = RGB - Y;   C' = saturation * (R C - luma of R C)
    R rotates around (1, 1, 1), with e1, e2 an orthonormal basis of the plane perpendicular to it.
    """
    e1, e2 = np.array([2, -1, -1]) / math.sqrt(6), np.array([0, 1, -1]) / math.sqrt(2)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    grey = np.full((3, 3), 1 / 3)
    rotation = cos * (np.outer(e1, e1) + np.outer(e2, e2)) + sin * (np.outer(e2, e1) - np.outer(e1, e2)) + grey
    luma = np.outer(np.ones(3), LUMA)
    result: np.ndarray = luma + saturation * (rotation - luma @ rotation) @ (np.eye(3) - luma)
    return result
