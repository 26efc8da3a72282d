"""The published blur fusion: Forte, Approximate Fast Foreground Colour Estimation, ICIP 2021."""

import cv2
import numpy as np

from dvm_hf.media.pixels import Pixels

SIDES = (90, 6)  # px, of the boxes of the two steps


def blur_fusion(picture: Pixels, alpha: Pixels) -> Pixels:
    """Return the estimated foreground (H, W, 3), rounded:

    F <- bF + a (I - a bF - (1 - a) bB),  bF = box(F a) / box(a),  bB = box(B (1 - a)) / (1 - box(a))
    """
    image, a = picture.astype(np.float32), alpha[..., None].astype(np.float32) / 255
    foreground = background = image
    for side in SIDES:
        mean_alpha = cv2.blur(a, (side, side))[..., None]
        near = cv2.blur(foreground * a, (side, side)) / (mean_alpha + 1e-5)
        background = cv2.blur(background * (1 - a), (side, side)) / (1 - mean_alpha + 1e-5)
        foreground = near + a * (image - a * near - (1 - a) * background)
    rounded: Pixels = np.rint(np.clip(foreground, 0, 255)).astype(np.uint8)
    return rounded
