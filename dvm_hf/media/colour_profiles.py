"""Colour profiles of stills: what converts their colours to sRGB, where that makes a difference."""

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from dvm_hf.media.pixels import Pixels

STEPS = 9  # of each channel, in the table of colours that decides
MODES = {"RGB": "RGB", "GRAY": "L"}  # Pillow's, by ICC's colour space
SAME = 1  # level; sRGB profiles of different makers differ by so much


class UnreadableProfile(ValueError):
    """A profile that LittleCMS cannot use."""


@lru_cache(maxsize=64)
def to_srgb(profile: bytes, *, is_grey: bool = False) -> Any:
    """A transform of RGB colours to sRGB, relative colorimetric; None if the profile is sRGB's own, or of other colours
    than the picture's. is_grey: whether the picture may have a profile of grey.

    Raises UnreadableProfile.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = MODES.get(source.profile.xcolor_space.strip())
        if mode is None or (mode == "L" and not is_grey):
            return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            # LittleCMS's table for grey has so few steps that dark values of linear light are off by 10 levels
            ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE,
        )
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise UnreadableProfile(str(error)) from error
    levels = np.linspace(0, 255, STEPS).round().astype(np.uint8)
    table = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    if mode == "L":
        table = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, -1, 3)
    difference = np.abs(converted(table, transform).astype(int) - table)
    return transform if difference.max() > SAME else None


def converted(pixels: Pixels, transform: Any) -> Pixels:
    """Colours (H, W, 3) in sRGB."""
    given = pixels[..., 0] if transform.input_mode == "L" else pixels
    image = ImageCms.applyTransform(Image.fromarray(np.ascontiguousarray(given)), transform)
    return np.asarray(image)
