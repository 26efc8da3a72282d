"""A box of a picture that is enlarged, without computing the rest of it."""

import math

import cv2
import numpy as np

from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.video.frame_sources import FramePicture


def resized_up_to(source: FramePicture, size: Size, box: Box) -> Pixels:
    """Resize the source to `size`, bilinear, and crop `box`; nothing below or to the right of the box is computed."""
    scale_y, scale_x = size.height / source.size.height, size.width / source.size.width
    reach = Box(0, 0, math.ceil(box.bottom / scale_y) + 2, math.ceil(box.right / scale_x) + 2)  # 2: interpolation
    part = reach.intersection(Box(0, 0, *source.size))
    if (round(part.height * scale_y), round(part.width * scale_x)) == (part.height, part.width):
        part = Box(0, 0, *source.size)  # OpenCV copies instead of resizing if the size does not change
    enlarged = cv2.resize(source.rgb(part), None, fx=scale_x, fy=scale_y, interpolation=cv2.INTER_LINEAR)
    pixels: Pixels = enlarged[box.top : box.bottom, box.left : box.right]  # type: ignore[assignment]
    return pixels.copy() if 2 * pixels.size < enlarged.size else pixels  # a small view would keep the rest in memory


def resized_part(source: Pixels, size: Size, box: Box) -> Pixels:
    """Return `box` of the source as if resized to `size`, bilinear, without computing the rest."""
    scale_y, scale_x = source.shape[0] / size.height, source.shape[1] / size.width
    matrix = np.array(
        [
            [scale_x, 0, (box.left + 0.5) * scale_x - 0.5],
            [0, scale_y, (box.top + 0.5) * scale_y - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(source, matrix, (box.width, box.height), flags=flags, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]
