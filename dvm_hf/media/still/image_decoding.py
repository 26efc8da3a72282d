"""Decode the images of rows, or a crop of one at a part of the cost. `image_encoding.py` is the counterpart."""

import cv2
import numpy as np

from dvm_hf.media.formats.jpeg_intervals import picture_part
from dvm_hf.media.formats.png_rows import decoded_rows
from dvm_hf.media.pixels import Box, Pixels


def decoded_image(data: bytes | memoryview, *, is_grey: bool) -> Pixels | None:
    """Decode an image as grey (H, W) or RGB (H, W, 3) with the pixels of OpenCV's decoder; None if it is damaged."""
    pixels = decoded_rows(data) if is_grey else None
    return pixels if pixels is not None else _decoded(data, is_grey=is_grey)


def decoded_crop(data: bytes | memoryview, box: Box, *, is_grey: bool, most: float = 1) -> Pixels | None:
    """Decode the part of an image in a box, with the same pixels as `decoded_image`.

    most: part of the area of a JPEG that may be decoded, from 0 to 1. With few markers, a crop needs complete rows.
    None if the image must be decoded completely, as is everything but mattes and trimaps in the form of `png_rows.py`
    and JPEGs in the form of `jpeg_intervals.py`; if a JPEG needs more than `most`; if it is damaged; or if the box is
    not within it.
    """
    if is_grey and (pixels := decoded_rows(data, box)) is not None:
        return pixels
    found = picture_part(data, box, most=most)
    part = None if found is None else _decoded(found[0], is_grey=is_grey)
    if found is None or part is None:
        return None
    _, place = found
    return part[place.top : place.bottom, place.left : place.right]


def _decoded(data: bytes | memoryview, *, is_grey: bool) -> Pixels | None:
    flag = cv2.IMREAD_GRAYSCALE if is_grey else cv2.IMREAD_COLOR_RGB
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flag) if len(data) else None
    return None if decoded is None else np.asarray(decoded, np.uint8)
