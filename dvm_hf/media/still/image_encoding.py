"""Encode images: frames with OpenCV (with settings measured on mattes), pictures for people to look at with Pillow."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, features

from dvm_hf.media.formats.png_rows import NONE, UP, encoded_rows
from dvm_hf.media.pixels import Pixels

# PNG, measured on 23 mattes of synthetic and photographed hair at 1080p. For hair, other strategies of zlib give larger
# files than RLE; for smooth mattes, level 9 gives up to 8 % fewer bytes in 50 times the time. PAETH gives 1 % fewer
# bytes than UP, but takes 1.4 times as long to encode and 1.8 times as long to decode; AVG gives 3 % more. A trimap is
# flat and needs no filter. Colours are left to OpenCV: without a filter setting, it tries all of them, in twice the
# time for 4 % fewer bytes.
# JPEG: optimised Huffman tables give 2 % fewer bytes in 3 times the time (12 ms), progressive JPEG 7 % in 8 times.
# Restart markers cost no time, and 0.4 % of the bytes of a 1080p frame (four bytes for each).
FILTER_SAMPLE = 16  # the filter of a matte is chosen from every 16th row: 0.2 ms at 1920 x 1080 px
JPEG_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 95]
MCU_WIDTH = {2: 8, 3: 16}  # px, by the dimensions of an image; OpenCV halves the width and height of chroma
LEAST_INTERVAL = 10  # MCUs between two restart markers; shorter intervals cost more bytes than they save in decoding
AVERAGED_PNG = [
    *(cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG),
]
ENCODINGS: dict[str, Callable[[Pixels], bytes]] = {
    "jpeg": lambda pixels: _by_opencv(pixels, ".jpg", [*JPEG_QUALITY, *_restart_markers(pixels)]),
    "grey_png": lambda alpha: encoded_rows(alpha, _matte_filter(alpha)),
    "flat_png": lambda trimap: encoded_rows(trimap, NONE),
    "colour_png": lambda pixels: _by_opencv(pixels, ".png", AVERAGED_PNG),
    "bmp": lambda pixels: _by_opencv(pixels, ".bmp", []),
}
TO_BGR = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}  # by the number of channels

# Of pictures: format and Pillow's parameters. WebP's "quality" means effort if it is lossless.
PICTURE_ENCODINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "samples_jpeg": ("JPEG", {"quality": 85}),
    "colour_webp": ("WEBP", {"lossless": False, "quality": 84, "method": 2}),
    "grey_webp": ("WEBP", {"lossless": True, "quality": 20, "method": 2}),
    "colour_jpeg": ("JPEG", {"quality": 84}),
    "small_png": ("PNG", {"optimize": True}),
}


def encoded_image(pixels: Pixels, encoding: str) -> bytes:
    """Encode grey (H, W), RGB (H, W, 3) or unpremultiplied RGBA (H, W, 4); `encoding` is a key of `ENCODINGS`.

    `grey_png` and `flat_png` are for grey images only, JPEG is for images without alpha.
    """
    return ENCODINGS[encoding](pixels)


def encoded_picture(picture: Image.Image, encoding: str) -> bytes:
    """Encode a reduced or drawn picture; `encoding` is a key of `PICTURE_ENCODINGS`."""
    file, (form, parameters) = io.BytesIO(), PICTURE_ENCODINGS[encoding]
    picture.save(file, form, **parameters)
    return file.getvalue()


def encoded_for_page(picture: Image.Image, *, is_exact: bool) -> bytes:
    """Encode a picture as WebP, lossless if it must be exact; as PNG or JPEG if Pillow was built without WebP."""
    if features.check("webp"):
        return encoded_picture(picture, "grey_webp" if is_exact else "colour_webp")
    return encoded_picture(picture, "small_png" if is_exact else "colour_jpeg")


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a picture in the format of the path's suffix, with as few bytes as its encoder finds."""
    picture.save(path, optimize=True)


def as_jpeg(frame: Pixels, quality: int) -> Pixels:
    """Return an RGB frame (H, W, 3) as it is after compression as JPEG."""
    data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)  # type: ignore[return-value]


def write_image(path: Path, pixels: Pixels) -> None:
    """Write grey (H, W), RGB (H, W, 3) or unpremultiplied RGBA (H, W, 4) pixels.

    The suffix `.jpg` means JPEG, which has no alpha channel; any other one PNG.
    """
    encoding = "jpeg" if path.suffix == ".jpg" else "grey_png" if pixels.ndim == 2 else "colour_png"
    path.write_bytes(encoded_image(pixels, encoding))


def _by_opencv(pixels: Pixels, suffix: str, parameters: list[int]) -> bytes:
    if pixels.ndim == 3:
        pixels = np.asarray(cv2.cvtColor(pixels, TO_BGR[pixels.shape[2]]), np.uint8)
    return cv2.imencode(suffix, pixels, parameters)[1].tobytes()


def _restart_markers(pixels: Pixels) -> list[int]:
    """Return the parameters for restart markers in a JPEG, so that `jpeg_intervals.picture_part` can divide it.

    The interval divides the MCUs of a row, so that each row of MCUs begins with an interval.
    """
    columns = -(-pixels.shape[1] // MCU_WIDTH[pixels.ndim])
    interval = next((n for n in range(LEAST_INTERVAL, columns) if columns % n == 0), columns)
    return [cv2.IMWRITE_JPEG_RST_INTERVAL, interval]


def _matte_filter(alpha: Pixels) -> int:
    """Return NONE if the differences to the row above have more content than the values, as in fine hair, else UP.

    The choice gave the smaller file for 22 of the 23 mattes above, and 0.3 % more bytes for one. Always using UP gives
    up to 8 % more bytes, always NONE up to 108 %.
    """
    rows, above = alpha[1::FILTER_SAMPLE], alpha[:-1:FILTER_SAMPLE]
    return NONE if _content(rows) < _content(rows - above) else UP


def _content(rows: Pixels) -> float:
    """Return the entropy, in bits, of the values that differ from their left neighbour (what remains after RLE)."""
    counts = np.bincount(rows[:, 1:][rows[:, 1:] != rows[:, :-1]])
    counts = counts[counts > 0]
    total = int(counts.sum())
    return float(total * np.log2(max(total, 1)) - (counts * np.log2(counts)).sum())
