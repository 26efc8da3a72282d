"""Read stills.

Returns RGB or grey arrays, uint8, (H, W, 3) or (H, W). Raises SourceError, naming the file, if it cannot be used.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dvm_hf.errors import SourceError
from dvm_hf.media.alpha_colours import SplitChannels, SplitMatte
from dvm_hf.media.colour_profiles import UnreadableProfile, converted, to_srgb
from dvm_hf.media.formats.png import without_parts
from dvm_hf.media.frame_geometry import UPRIGHT
from dvm_hf.media.pixels import BAND, Pixels, scaled_to_8_bit
from dvm_hf.media.still_files import GREYS, bit_depth, colour_profile, opened_still, require_valid_checksums
from dvm_hf.media.still_headers import HAS_END, damaged_parts, stored_orientation


def read_colour(path: Path) -> Pixels:
    """Colours (H, W, 3) of a still, in sRGB; an alpha channel in the file is dropped, grey is repeated.

    Colours with the profile of another RGB space or grey are converted, in 8 bits; a damaged profile is ignored. Raises
    SourceError if they are HDR.
    """
    profile, is_grey = b"", False

    def colours(bands: Iterable[Pixels]) -> Iterator[Pixels]:
        try:
            transform = to_srgb(profile, is_grey=is_grey) if profile else None
        except UnreadableProfile:
            transform = None
        return (_rgb(band) if transform is None else converted(_rgb(band), transform) for band in bands)

    with opened_still(path) as image, suppress(UnreadableProfile):
        is_grey = image.mode in GREYS
        profile = colour_profile(image, path)
    return _still(path, colours)


def read_grey(path: Path) -> Pixels:
    """Alpha or trimap (H, W) of a still: grey or 1 bit as it is, colours as their luma (BT.601: equal channels keep
    their value), and where the file's own alpha channel is not all opaque, that channel. Raises SourceError if some of
    the colours vary and others do not.
    """

    def greys(bands: Iterable[Pixels]) -> Iterator[Pixels]:
        is_clear = any(band.ndim == 3 and band.shape[2] in (2, 4) and (band[..., -1] < 255).any() for band in bands)
        channels = SplitChannels()
        for band in bands:
            if band.ndim == 3 and band.shape[2] > 2 and not is_clear:
                channels.take(band[..., :3])
            yield _grey(band, is_clear=is_clear)
        if channels.fault:
            raise SplitMatte(f"{path}: {channels.fault}")

    return _still(path, greys)


def _rgb(pixels: Pixels) -> Pixels:
    if pixels.ndim == 2 or pixels.shape[2] == 2:
        return cv2.cvtColor(pixels if pixels.ndim == 2 else pixels[..., 0].copy(), cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]
    return pixels[..., :3]


def _grey(pixels: Pixels, *, is_clear: bool) -> Pixels:
    if pixels.ndim == 2:
        return pixels
    if is_clear:
        return pixels[..., -1]
    if pixels.shape[2] == 2:
        return pixels[..., 0]
    return cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]


def read_as_opencv(path: Path) -> Pixels:
    """What OpenCV's `imread` makes of a still, in RGB (H, W, 3): grey repeated, an alpha channel dropped, 16 bit cut to
    8. Refuses the files that `read_colour` refuses; OpenCV itself reads some of them in part.
    """
    read_colour(path)
    bgr = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise SourceError(f"{path}: OpenCV cannot read this image; convert the file")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def _still(path: Path, made: Callable[[Iterable[Pixels]], Iterator[Pixels]]) -> Pixels:
    """Of a still, upright, what `made` makes of the bands of its rows, which it may go through more than once."""
    pixels, turn = _stored(path, made)
    return np.ascontiguousarray(UPRIGHT[turn](pixels)) if turn in UPRIGHT else pixels


def _stored(path: Path, made: Callable[[Iterable[Pixels]], Iterator[Pixels]]) -> tuple[Pixels, int]:
    """As `_still`, as it is stored, and its orientation. Pillow holds up to 2^28 bytes, beside which another whole copy
    would be too much.
    """
    require_valid_checksums(path)
    with opened_still(path) as image:
        if image.format != "PNG" and not HAS_END["JPEG"](path):
            raise SourceError(f"{path}: has no end: it was cut short, or is being copied still; copy it again")
        turn, height = stored_orientation(image, path), image.height
        bands: Iterable[Pixels] = _Bands(image)
        if bit_depth(image, path) == 16 and image.mode in ("LA", "RGB", "RGBA"):  # Pillow cuts off the lower 8
            image.close()  # its pixels are not decoded twice
            deep = _deep_png(without_parts(path.read_bytes(), damaged_parts(path)))
            bands = [deep[top : top + BAND] for top in range(0, height, BAND)]
        else:
            image.load()
        result, top = np.empty(0, np.uint8), 0
        for band in made(bands):
            if not top:
                result = np.empty((height, *band.shape[1:]), np.uint8)
            result[top : top + len(band)] = band
            top += len(band)
        return result, turn


class _Bands:
    """(h, w), or (h, w, 2..4) with channels grey + alpha, RGB or RGBA: 8 bit, each band converted anew."""

    def __init__(self, image: Image.Image) -> None:
        self._image = image

    def __iter__(self) -> Iterator[Pixels]:
        width, height = self._image.size
        for top in range(0, height, BAND):
            yield _eight_bit(self._image.crop((0, top, width, min(top + BAND, height))))


def _eight_bit(image: Image.Image) -> Pixels:
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    if image.mode == "1":
        image = image.convert("L")
    pixels = np.asarray(image)
    if image.mode.startswith("I"):
        return scaled_to_8_bit(pixels)
    return pixels.astype(np.uint8, copy=False)


def _deep_png(data: bytes) -> Pixels:
    """A PNG with 16 bits in each of several channels, (H, W, 3..4); raises ValueError where OpenCV cannot read it."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("image file is truncated")
    pixels = scaled_to_8_bit(pixels)
    cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA, dst=pixels)
    has_alpha = data[25] in (4, 6)  # IHDR's colour type; a mere colour key is no alpha
    return pixels if has_alpha else pixels[..., :3]
