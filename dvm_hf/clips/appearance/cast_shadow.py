"""The shadow that a foreground casts on the background.

Pose and blur are those of BGMv2's augmentation, which subtracts the shadow. Here it multiplies the background, so that
dark parts keep their hue and detail.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np

from dvm_hf.clips.appearance.random_appearance import Shadow
from dvm_hf.clips.moving.eased_motion import affine_maps
from dvm_hf.clips.moving.layer_warp import warped_tiles
from dvm_hf.media.pixels import Box, Pixels, Size


def cast_shadow(
    alpha_in: Callable[[Box], Pixels | None], shadow: Shadow, *, covered: Box, frame: Size, view: Box
) -> Pixels:
    """Return the shadow (h, w) in `view`, 0 to 255.

        S = darkness * box(warp(alpha))        B' = (1 - S) * B

    alpha_in: returns the alpha (h, w) of a box within `covered`, which may extend beyond the frame; None: there is no
    alpha. covered: a box outside of which the alpha is 0. frame: size of the composite.
    """
    side = box_side(shadow.box, frame)
    wide = view.grown(side // 2)
    to_alpha = np.linalg.inv(affine_maps(np.array([shadow.pose]), frame)[0])[:2]  # at pixel edges
    to_alpha[:, 2] += to_alpha[:, :2] @ [0.5, 0.5] - 0.5  # of pixel indices

    def read(box: Box) -> Pixels:
        alpha = alpha_in(box)
        return np.zeros((box.height, box.width), np.uint8) if alpha is None else alpha

    warped = np.zeros((wide.height, wide.width), np.uint8)
    for box, pixels in warped_tiles(read, to_alpha, region=wide, part=covered):
        warped[box.within(wide)] = pixels
    blurred = cv2.blur(warped, (side, side))[view.within(wide)]
    return cv2.convertScaleAbs(blurred, alpha=shadow.darkness)  # type: ignore[return-value]


def darkened(background: Pixels, shadow: Pixels) -> Pixels:
    """Return a background (h, w, 3) under a shadow (h, w)."""
    light = cv2.merge([cv2.bitwise_not(shadow)] * 3)
    return cv2.multiply(background, light, scale=1 / 255)  # type: ignore[return-value]


def box_side(part: float, frame: Size) -> int:
    """Return the odd side in px of a box that is a part of the frame's shorter side."""
    return 2 * math.floor(part * min(frame) / 2) + 1
