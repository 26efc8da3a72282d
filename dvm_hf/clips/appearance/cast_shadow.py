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
from dvm_hf.media.pixels import Box, Pixels, Size

REACH = 2  # px around the mapped region: interpolation and rounding


def cast_shadow(alpha_in: Callable[[Box], Pixels | None], shadow: Shadow, *, frame: Size, view: Box) -> Pixels | None:
    """Return the shadow (h, w) in `view`, 0 to 255; None if there is no alpha.

        S = darkness * box(warp(alpha))        B' = (1 - S) * B

    alpha_in: returns the alpha (h, w) of a box, which may extend beyond the frame. frame: size of the composite.
    """
    side = box_side(shadow.box, frame)
    wide = view.grown(side // 2)
    to_frame = np.linalg.inv(affine_maps(np.array([shadow.pose]), frame)[0])  # from the shadow to the alpha, at edges
    corners = np.array([(x, y, 1) for x in (wide.left, wide.right) for y in (wide.top, wide.bottom)]) @ to_frame[:2].T
    (left, top), (right, bottom) = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    region = Box(int(top), int(left), int(bottom), int(right)).grown(REACH)
    alpha = alpha_in(region)
    if alpha is None:
        return None
    matrix = to_frame[:2].copy()  # from pixels of `wide` to those of `region`, at their centres
    matrix[:, 2] += matrix[:, :2] @ [wide.left + 0.5, wide.top + 0.5] - [region.left + 0.5, region.top + 0.5]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(alpha, matrix, (wide.width, wide.height), flags=flags)
    blurred = cv2.blur(warped, (side, side), borderType=cv2.BORDER_CONSTANT)
    return cv2.convertScaleAbs(blurred[view.within(wide)], alpha=shadow.darkness)  # type: ignore[return-value]


def darkened(background: Pixels, shadow: Pixels) -> Pixels:
    """Return a background (h, w, 3) under a shadow (h, w)."""
    light = cv2.merge([cv2.bitwise_not(shadow)] * 3)
    return cv2.multiply(background, light, scale=1 / 255)  # type: ignore[return-value]


def box_side(part: float, frame: Size) -> int:
    """Return the odd side in px of a box that is a part of the frame's shorter side."""
    return 2 * math.floor(part * min(frame) / 2) + 1
