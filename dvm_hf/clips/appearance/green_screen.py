"""A green or blue backing: a clean plate with uneven light, folds and shade, and its spill into the foreground."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.clips.appearance.random_appearance import Fold, Screen
from dvm_hf.clips.compositing import composite_over
from dvm_hf.media.pixels import Pixels, Size
from dvm_hf.media.still.still_pictures import StillPicture

LONGER_SIDE = 768  # px of the plate, which has no finer detail
GAINS = (0.3, 1.6)  # lowest and highest brightness


def clean_plate(screen: Screen, size: Size) -> StillPicture:
    """Return the backing with the aspect of a background of `size`; the plate is enlarged like a background."""
    scale = min(1.0, LONGER_SIDE / max(size))
    height, width = (max(1, round(side * scale)) for side in size)
    longer = max(height, width)
    y, x = np.mgrid[:height, :width].astype(np.float32) / longer
    gain = _lamps(screen, x, y) * _cloth(screen, x, y)
    levels = np.asarray(screen.colour, np.float32) / 255
    light = gain.clip(*GAINS)[..., None] ** (1 / 2.2) * levels  # the gain is one of linear light
    return StillPicture(np.rint(light.clip(0, 1) * 255).astype(np.uint8))


def spilled(colour: Pixels, alpha: Pixels, screen: Screen, *, side: int) -> Pixels:
    """Return the foreground's colours with the light of the backing, which leaks in from its edges.

        w = spill * (1 - box(alpha))        F' = (1 - w) * F + w * K,   K the colour of the backing

    colour: (h, w, 3). alpha: (h + side - 1, w + side - 1), 0 to 255, with a border of side // 2 px.
    """
    border = side // 2
    height, width = colour.shape[:2]
    near = cv2.blur(alpha, (side, side))[border : border + height, border : border + width]
    weights: Pixels = cv2.convertScaleAbs(cv2.bitwise_not(near), alpha=screen.spill)  # type: ignore[assignment]
    result = colour.copy()
    composite_over(result, np.full_like(colour, np.rint(screen.colour)), weights)
    return result


def _lamps(screen: Screen, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the brightness of the light: a gradient, a bright spot, and a soft shade."""
    (change, direction), (left, top, radius, gain) = screen.gradient, screen.spot
    angle = math.radians(direction)
    across = (x - x.mean()) * math.cos(angle) + (y - y.mean()) * math.sin(angle)
    spot = gain * np.exp(-((x - left) ** 2 + (y - top) ** 2) / radius**2)
    left, top, radius, depth = screen.shade
    shade = depth * np.exp(-((x - left) ** 2 + (y - top) ** 2) / radius**2)
    return np.asarray((1 + change * across + spot) * (1 - shade), np.float32)


def _cloth(screen: Screen, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the brightness of the cloth, whose folds are lit from one side."""
    angle = math.radians(screen.tilt)
    across, along = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    gain = np.ones_like(x)
    for fold in screen.folds:
        gain += _relief(fold, across, along)
    return gain


def _relief(fold: Fold, across: npt.NDArray[np.float32], along: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    bent = fold.position + fold.bend * np.sin(2 * math.pi * (fold.turns * along + fold.phase))
    u = (across - bent) / fold.width
    fading = np.exp(-(((along - fold.centre) / fold.length) ** 2))
    return np.asarray(fold.depth * fading * (u * math.sqrt(math.e) - 0.4) * np.exp(-(u**2) / 2), np.float32)
