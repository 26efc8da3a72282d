"""Sizes and boxes of one composite; all rules are those of the published pipeline.

Sizes are (height, width) in px, integers. A `Box` contains the pixels of rows [top, bottom) x columns [left, right).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.media.pixels import Box, Size


def occupied_box(alpha: npt.NDArray[np.uint8]) -> Box:
    """Return the smallest box that contains every nonzero pixel of an alpha (H, W); empty if all pixels are 0."""
    left, top, width, height = cv2.boundingRect(alpha)
    return Box(top, left, top + height, left + width)


@dataclass(frozen=True)
class Geometry:
    """Sizes of one composite: the foreground and the background after resizing, and the frame."""

    foreground: Size
    background: Size
    frame: Size

    @property
    def frame_box(self) -> Box:
        return Box(0, 0, *self.frame)


def geometry(foreground: Size, background: Size, *, max_size: int) -> Geometry:
    """Return the sizes of a composite, given the sizes of the foreground and background files.

    fr = min(max_size / fw0, max_size / fh0); if fr < 1, the foreground is scaled by it.
    br = max(fw / bw0, fh / bh0);             if br > 1, the background is scaled by it.
    k  = min(1.2 * f, b, max_size, 2 * f) in each direction; every product is truncated to an integer.
    """
    fh, fw = foreground_size(foreground, max_size=max_size)
    bh, bw = _scaled(background, max(1.0, max(fw / background.width, fh / background.height)))
    kh = min(int(fh * 1.2), bh, max_size, fh * 2)
    kw = min(int(fw * 1.2), bw, max_size, fw * 2)
    return Geometry(Size(fh, fw), Size(bh, bw), Size(kh, kw))


def shared_geometry(foregrounds: Sequence[Size], background: Size, *, max_size: int) -> Geometry:
    """Return the sizes of a composite of several foregrounds, given the sizes of the files; `foreground`: the first.

    The background is enlarged, if needed, to the height of the highest foreground and the width of the widest. With f_h
    the height of the highest and f_w the sum of the widths, so that the frame has room for the foregrounds side by
    side, k = min(1.2 * f, b, max_size) in each direction.
    """
    sizes = [foreground_size(size, max_size=max_size) for size in foregrounds]
    height, width = max(size.height for size in sizes), max(size.width for size in sizes)
    bh, bw = _scaled(background, max(1.0, max(width / background.width, height / background.height)))
    kh, kw = min(int(height * 1.2), bh, max_size), min(int(sum(size.width for size in sizes) * 1.2), bw, max_size)
    return Geometry(sizes[0], Size(bh, bw), Size(kh, kw))


def foreground_size(size: Size, *, max_size: int) -> Size:
    """Return the size in the composite of a foreground, given that of its files; backgrounds do not change it."""
    return _scaled(size, min(1.0, min(max_size / size.width, max_size / size.height)))


def centred_box(row: int, column: int, *, side: int, frame: Size) -> Box:
    """Return the square box of `side` px around a pixel, moved inwards if it would leave the frame.

    The frame must be at least `side` px high and wide.
    """
    top = min(max(row - side // 2, 0), frame.height - side)
    left = min(max(column - side // 2, 0), frame.width - side)
    return Box(top, left, top + side, left + side)


def _scaled(size: Size, ratio: float) -> Size:
    return size if ratio == 1.0 else Size(max(1, int(size.height * ratio)), max(1, int(size.width * ratio)))
