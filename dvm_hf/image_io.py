"""Read stills, encode images. With frame_io, the only file that knows image codecs and BGR.

What leaves this module is RGB or grey, uint8, height x width (x 3). A file that cannot be used raises `SourceError`
naming it.
"""

import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dvm_hf.compositing import Pixels
from dvm_hf.errors import SourceError

IMAGE_FORMATS = ("PNG", "JPEG")
IMAGE_MODES = ("1", "L", "LA", "P", "PA", "I", "I;16", "I;16B", "RGB", "RGBA")  # CMYK, YCbCr, Lab, float are refused
ORIENTATION = 0x112  # EXIF
# Measured on 1360 x 880 px, CPU: a hair matte 6 ms and 346 kB, colours 33 ms and 1,551 kB. With no filter named, OpenCV
# tries them all: 12 ms and 332 kB, 66 ms and 1,535 kB. A trimap is flat and needs none. For the demo's eleven mattes UP
# makes 9 % fewer bytes than SUB, AVG 7 %, PAETH 10 % in 1.4 times the time.
_RLE = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
ENCODINGS = {
    "jpeg": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
    "grey_png": (".png", [*_RLE, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]),
    "flat_png": (".png", [*_RLE, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]),
    "colour_png": (".png", [*_RLE, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]),
    "bmp": (".bmp", []),
}


def read_colour(path: Path) -> Pixels:
    """Colours (H, W, 3) of a still; an alpha channel in the file is dropped, grey is repeated."""
    pixels = _still(path)
    if pixels.ndim == 2 or pixels.shape[2] == 2:
        return cv2.cvtColor(pixels if pixels.ndim == 2 else pixels[..., 0].copy(), cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]
    return np.ascontiguousarray(pixels[..., :3])


def read_grey(path: Path) -> Pixels:
    """Alpha or trimap (H, W) of a still: grey or 1 bit as it is, colours as their luma (BT.601: equal channels keep
    their value), and where the file's own alpha channel is not all opaque, that channel.
    """
    pixels = _still(path)
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] in (2, 4) and (pixels[..., -1] < 255).any():
        return np.ascontiguousarray(pixels[..., -1])
    if pixels.shape[2] == 2:
        return np.ascontiguousarray(pixels[..., 0])
    return cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]


def encoded_image(pixels: Pixels, encoding: str) -> bytes:
    """File bytes of a frame (H, W, 3) RGB or a grey image (H, W); `encoding` is a key of `ENCODINGS`."""
    suffix, parameters = ENCODINGS[encoding]
    bgr = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(suffix, bgr, parameters)[1].tobytes()


def write_image(path: Path, pixels: Pixels) -> None:
    """Write a PNG of a frame (H, W, 3) RGB or a grey image (H, W)."""
    path.write_bytes(encoded_image(pixels, "grey_png" if pixels.ndim == 2 else "colour_png"))


def _still(path: Path) -> Pixels:
    """(H, W), or (H, W, 2..4) with channels grey + alpha, RGB or RGBA; upright, 16 bit scaled to 8."""
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            if image.mode not in IMAGE_MODES:
                raise SourceError(f"{path}: its colours are {image.mode}; allowed are grey and RGB; convert the file")
            image.load()
            if image.format == "PNG" and image.mode in ("LA", "RGB", "RGBA"):
                data = path.read_bytes()
                if data[24] == 16:  # IHDR's bits a channel; Pillow would cut off the lower 8
                    return _deep_png(data, image.getexif().get(ORIENTATION, 1))
            return _eight_bit(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{path}: cannot be read as an image ({fault(path, error)}); replace the file") from error


def _eight_bit(image: Image.Image) -> Pixels:
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    if image.mode == "1":
        image = image.convert("L")
    pixels = np.asarray(image)
    if image.mode.startswith("I"):
        return scaled_to_8_bit(pixels)
    return pixels.astype(np.uint8, copy=False)


def _deep_png(data: bytes, orientation: int) -> Pixels:
    """A PNG with 16 bits in each of several channels; raises ValueError where OpenCV cannot read it."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("image file is truncated")
    rgb = scaled_to_8_bit(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA))
    has_alpha = data[25] in (4, 6)  # IHDR's colour type; a mere colour key is no alpha
    image = Image.fromarray(np.ascontiguousarray(rgb if has_alpha else rgb[..., :3]))
    image.getexif()[ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def scaled_to_8_bit(pixels: np.ndarray) -> Pixels:
    """Rounded from 0 .. 65535 to 0 .. 255."""
    return ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def fault(path: Path, error: Exception) -> str:
    """Why a file could not be read, in a few words."""
    if not path.exists():
        return "no such file"
    if path.stat().st_size == 0:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return "neither PNG nor JPEG"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
