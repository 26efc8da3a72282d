"""Lay a foreground over a background through its alpha."""

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]


def composite(foreground: Pixels, alpha: Pixels, background: Pixels) -> Pixels:
    """Composite of straight colours, each value rounded to the nearest level.

    Parameters are uint8: foreground and background (H, W, 3), alpha (H, W). Returns a new array (H, W, 3).

        I = a * F + (1 - a) * B,   a = alpha / 255

    `blendLinear` computes (F * w1 + B * w2) / (w1 + w2 + 1e-5) in float32. A multiple of 1/255 is never closer than
    1/510 to a half, the float error is below 1e-4: so the rounding is exact.
    """
    weight = alpha.astype(np.float32)
    return cv2.blendLinear(foreground, background, weight, 255.0 - weight)  # type: ignore[return-value]
