"""Encode images: PNG settings measured for mattes, JPEG, BMP."""

from pathlib import Path

import cv2
import numpy as np

from dvm_hf.media.pixels import Pixels

# Measured on 23 mattes of drawn and photographed hair, CPU: 5 to 7 ms at 1080p. With no filter named, OpenCV tries them
# all, in twice the time for 4 % fewer bytes. zlib's other strategies make more bytes of hair than RLE does; of smooth
# mattes, at level 9, up to 8 % fewer in 50 times the time. PAETH makes 1 % fewer than UP and takes 1.4 times as long to
# encode, 1.8 times to decode; AVG makes 3 % more. A trimap is flat and needs none: level 9 saves 1 kB of 7 for 12 ms.
# JPEG: optimised Huffman tables make 2 % fewer bytes in 3 times the time (12 ms), progressive ones 7 % in 8 times.
_RLE = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]


FILTER_SAMPLE = 16  # one row in so many is looked at to choose a matte's filter: 0.2 ms at 1920 x 1080 px


ENCODINGS = {
    "jpeg": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
    "grey_png": (".png", _RLE),  # and the filter that suits the picture
    "flat_png": (".png", [*_RLE, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]),
    "colour_png": (".png", [*_RLE, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]),
    "bmp": (".bmp", []),
}


def encoded_image(pixels: Pixels, encoding: str) -> bytes:
    """File bytes of a frame (H, W, 3) RGB or a grey image (H, W); `encoding` is a key of `ENCODINGS`."""
    suffix, parameters = ENCODINGS[encoding]
    if encoding == "grey_png":
        parameters = [*parameters, cv2.IMWRITE_PNG_FILTER, _matte_filter(pixels)]
    bgr = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(suffix, bgr, parameters)[1].tobytes()


def write_image(path: Path, pixels: Pixels) -> None:
    """Write a PNG of a frame (H, W, 3) RGB or a grey image (H, W)."""
    path.write_bytes(encoded_image(pixels, "grey_png" if pixels.ndim == 2 else "colour_png"))


def _matte_filter(alpha: Pixels) -> int:
    """UP, or NONE where differences to the row above hold more than the values themselves, as in fine hair.

    It chose the smaller file of 22 of those 23 mattes and lost 0.3 % with one; UP alone makes up to 8 % more bytes,
    NONE up to 108 %.
    """
    rows, above = alpha[1::FILTER_SAMPLE], alpha[:-1:FILTER_SAMPLE]
    return cv2.IMWRITE_PNG_FILTER_NONE if _content(rows) < _content(rows - above) else cv2.IMWRITE_PNG_FILTER_UP


def _content(rows: Pixels) -> float:
    """Bits of the values that run-length coding leaves: those unlike their left neighbour, by their entropy."""
    counts = np.bincount(rows[:, 1:][rows[:, 1:] != rows[:, :-1]])
    counts = counts[counts > 0]
    total = int(counts.sum())
    return float(total * np.log2(max(total, 1)) - (counts * np.log2(counts)).sum())
