"""A random change of colour: brightness, contrast, gamma, saturation, hue. No torch."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from dvm_hf.dataset.config import require_range
from dvm_hf.media.pixels import Pixels

Range: TypeAlias = tuple[float, float]

LUMA = np.array([0.299, 0.587, 0.114])  # BT.601
LIMITS = {  # what a range may reach
    "brightness": (0, 100),
    "contrast": (0, 100),
    "gamma": (0.01, 100),
    "saturation": (0, 100),
    "hue": (-360, 360),
}


@dataclass(frozen=True)
class ColourJitter:
    """Ranges that a change of colour is drawn from, evenly; (1, 1), and (0, 0) for hue, change nothing.

        v' = clip((brightness * v - 1/2) * contrast + 1/2) ** gamma,   v in [0, 1]

    then saturation scales what differs from the luma (BT.601), and hue turns it, in degrees, about the grey axis.
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
        """One change of colour, for frames (H, W, 3)."""
        brightness, contrast, gamma, saturation, hue = (rng.uniform(*dataclasses.astuple(self)[i]) for i in range(5))
        values = np.clip((brightness * np.arange(256) / 255 - 0.5) * contrast + 0.5, 0, 1) ** gamma
        levels = np.round(values * 255).astype(np.uint8)
        turn = _colour_turn(saturation, hue)
        if np.allclose(turn, np.eye(3)):
            return lambda frame: cv2.LUT(frame, levels)  # type: ignore[return-value]
        return lambda frame: cv2.transform(cv2.LUT(frame, levels), turn)  # type: ignore[return-value]


def _colour_turn(saturation: float, degrees: float) -> np.ndarray:
    """Matrix (3, 3) on RGB that keeps the luma, and scales and turns what differs from it.

    Y = LUMA . (R, G, B). In the plane of constant luma, with an orthonormal basis e1, e2 of what is at right angles to
    (1, 1, 1):   C = RGB - Y;   C' = saturation * (turned C, less its own luma)
    """
    e1, e2 = np.array([2, -1, -1]) / math.sqrt(6), np.array([0, 1, -1]) / math.sqrt(2)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    grey = np.full((3, 3), 1 / 3)
    turn = cos * (np.outer(e1, e1) + np.outer(e2, e2)) + sin * (np.outer(e2, e1) - np.outer(e1, e2)) + grey
    luma = np.outer(np.ones(3), LUMA)
    result: np.ndarray = luma + saturation * (turn - luma @ turn) @ (np.eye(3) - luma)
    return result
