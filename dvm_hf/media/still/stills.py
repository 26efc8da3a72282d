"""Decode stills as upright uint8 arrays: RGB (H, W, 3) or grey (H, W).

A file that cannot be used raises `SourceError`, which names the file.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dvm_hf.errors import SourceError
from dvm_hf.media.formats.png_checksums import without_chunks
from dvm_hf.media.formats.png_colours import expanded_levels
from dvm_hf.media.frame_geometry import UPRIGHT
from dvm_hf.media.pixels import BAND, Layers, Pixels, scaled_to_8_bit
from dvm_hf.media.still.alpha_colours import SplitChannels, SplitMatte
from dvm_hf.media.still.colour_profiles import UnreadableProfile, converted, to_srgb
from dvm_hf.media.still.still_files import (
    GREYS,
    DamagedStill,
    bit_depth,
    colour_profile,
    declared_colours,
    opened_still,
    require_valid_checksums,
)
from dvm_hf.media.still.still_headers import IS_COMPLETE, damaged_chunks, still_format, stored_orientation

NO_ALPHA_CHANNEL = (
    "has no alpha channel, and the foreground has no other file for its alpha; add that file, or save the picture with "
    "an alpha channel"
)

DROP_OPAQUE = (".webp",)  # suffixes of formats that store no alpha channel if it is opaque


class NoAlphaChannel(SourceError):
    """A still has no alpha channel, although its alpha is needed."""


def read_colour(path: Path) -> Pixels:
    """Read the colours (H, W, 3) of a still in sRGB. An alpha channel is dropped, and grey is repeated.

    Colours with another RGB or grey profile are converted to sRGB in 8 bits; a damaged profile is ignored. Limited
    range is expanded. Raises SourceError if the file cannot be used or is HDR.
    """
    srgb = _srgb(path)
    return _still(path, lambda bands: map(srgb, bands))


def _srgb(path: Path) -> Callable[[Pixels], Pixels]:
    """Return a function that converts a row band of a still to sRGB (h, w, 3)."""
    profile, is_grey, levels = b"", False, None
    with opened_still(path) as image, suppress(UnreadableProfile):
        is_grey = image.mode in GREYS
        stored = declared_colours(image, path)
        levels = expanded_levels(bit_depth(image, path)) if stored.is_limited_range else None
        profile = colour_profile(image, path, stored)
    transform = None
    with suppress(UnreadableProfile):
        transform = to_srgb(profile, is_grey=is_grey) if profile else None

    def srgb(band: Pixels) -> Pixels:
        rgb: Pixels = _rgb(band) if levels is None else cv2.LUT(_rgb(band), levels)  # type: ignore[assignment]
        return rgb if transform is None else converted(rgb, transform)

    return srgb


def read_grey(path: Path, *, reads_channel: bool = True) -> Pixels:
    """Read the alpha or trimap (H, W) of a still.

    An alpha channel that is not fully opaque takes precedence. Otherwise grey and 1-bit values are unchanged, and
    colours are converted to luma (BT.601, so equal channels keep their value). Raises SourceError if the file cannot
    be used, if only some of its colour channels vary, or if its alpha channel is not opaque and not `reads_channel`.
    """

    def greys(bands: Iterable[Pixels]) -> Iterator[Pixels]:
        with_alpha = (band for band in bands if band.ndim == 3 and band.shape[2] in (2, 4))
        is_transparent = any((band[..., -1] < 255).any() for band in with_alpha)
        if is_transparent and not reads_channel:
            raise SourceError(
                f"{path}: its alpha channel is not opaque, but that of the first frame is opaque or missing, so either "
                "the channel or the luma may be the alpha; save the alpha as grey pictures"
            )
        channels = SplitChannels()
        for band in bands:
            if band.ndim == 3 and band.shape[2] > 2 and not is_transparent:
                channels.add(band[..., :3])
            yield _grey(band, is_transparent=is_transparent)
        if channels.fault:
            raise SplitMatte(f"{path}: {channels.fault}")

    return _still(path, greys)


def read_layers(path: Path) -> Layers:
    """Read the colours and the alpha channel of a still, decoding it once.

    The colours are those of `read_colour`. A WebP without an alpha channel is opaque. Raises NoAlphaChannel, and
    SourceError if the file cannot be used.
    """
    srgb = _srgb(path)

    def rgba(bands: Iterable[Pixels]) -> Iterator[Pixels]:
        for band in bands:
            has_channel = band.ndim == 3 and band.shape[2] in (2, 4)
            if not has_channel and path.suffix.lower() not in DROP_OPAQUE:
                raise NoAlphaChannel(f"{path}: {NO_ALPHA_CHANNEL}")
            yield np.dstack([srgb(band), band[..., -1] if has_channel else np.full(band.shape[:2], 255, np.uint8)])

    pixels = _still(path, rgba)
    return Layers(np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3]))


def _rgb(pixels: Pixels) -> Pixels:
    if pixels.ndim == 2 or pixels.shape[2] == 2:
        return cv2.cvtColor(pixels if pixels.ndim == 2 else pixels[..., 0].copy(), cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]
    return pixels[..., :3]


def _grey(pixels: Pixels, *, is_transparent: bool) -> Pixels:
    if pixels.ndim == 2:
        return pixels
    if is_transparent:
        return pixels[..., -1]
    if pixels.shape[2] == 2:
        return pixels[..., 0]
    return cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]


def read_as_opencv(path: Path) -> Pixels:
    """Read a still as OpenCV's `imread` does, but in RGB (H, W, 3).

    Grey is repeated, an alpha channel is dropped, and 16 bits are truncated to 8. Raises SourceError for the files that
    `read_colour` rejects, because OpenCV reads some of them in part.
    """
    read_colour(path)
    bgr = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise SourceError(f"{path}: OpenCV cannot read this image; convert the file")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def _still(path: Path, convert: Callable[[Iterable[Pixels]], Iterator[Pixels]]) -> Pixels:
    """Return the upright result of `convert`, which maps the row bands of a still and may iterate over them twice."""
    pixels, orientation = _stored(path, convert)
    return np.ascontiguousarray(UPRIGHT[orientation](pixels)) if orientation in UPRIGHT else pixels


def _stored(path: Path, convert: Callable[[Iterable[Pixels]], Iterator[Pixels]]) -> tuple[Pixels, int]:
    """Return the result of `_still` before rotation, and the orientation.

    The picture is converted in bands of rows, because Pillow may hold 2^28 bytes and a full copy would double that.
    """
    require_valid_checksums(path)
    with opened_still(path) as image:
        form = still_format(image)
        if form != "PNG" and not IS_COMPLETE[form](path):
            raise DamagedStill(f"{path}: is truncated, or still being copied; copy it again")
        orientation, height = stored_orientation(image, path), image.height
        bands: Iterable[Pixels] = _Bands(image)
        if bit_depth(image, path) == 16 and image.mode in ("LA", "RGB", "RGBA"):  # Pillow drops the low 8 bits
            has_alpha = image.mode != "RGB"  # a colour key or an unspecified fourth channel is not an alpha
            image.close()  # so that its pixels are not decoded twice
            data = path.read_bytes()
            data = without_chunks(data, damaged_chunks(path)) if form == "PNG" else data
            decoded = _decoded_16_bits(data, has_alpha=has_alpha)
            bands = [decoded[top : top + BAND] for top in range(0, height, BAND)]
        else:
            image.load()
        result, top = np.empty(0, np.uint8), 0
        for band in convert(bands):
            if not top:
                result = np.empty((height, *band.shape[1:]), np.uint8)
            result[top : top + len(band)] = band
            top += len(band)
        return result, orientation


class _Bands:
    """Row bands of an image in 8 bits: (h, w), or (h, w, 2..4) for grey + alpha, RGB and RGBA.

    Each iteration converts the bands again.
    """

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


def _decoded_16_bits(data: bytes, *, has_alpha: bool) -> Pixels:
    """Decode a PNG or TIFF with several 16-bit channels to 8 bits, (H, W, 3), or (H, W, 4) if it has an alpha.

    Raises ValueError if OpenCV cannot read it.
    """
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("image file is truncated")
    pixels = scaled_to_8_bit(pixels)
    cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA, dst=pixels)
    return pixels if has_alpha else pixels[..., :3]
