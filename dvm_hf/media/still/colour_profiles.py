"""Convert stills with an ICC profile to sRGB, if the conversion changes their colours."""

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from dvm_hf.media.pixels import Pixels

STEPS = 9  # per channel, in the table of colours that is compared with sRGB
MODES = {"RGB": "RGB", "GRAY": "L"}  # ICC colour space: Pillow mode
SAME = 1  # level; sRGB profiles from different vendors differ by this much


class UnreadableProfile(ValueError):
    """LittleCMS cannot use the profile."""


@lru_cache(maxsize=64)
def to_srgb(profile: bytes, *, is_grey: bool = False) -> Any:
    """Return a relative colorimetric transform to sRGB.

    Return None if the profile is sRGB itself or does not fit the picture, such as a CMYK profile. A grey profile is
    used only if `is_grey`. Raises UnreadableProfile.
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
            # LittleCMS's optimised grey table is so coarse that dark values of linear light are off by 10 levels
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
    """Return the colours (H, W, 3) in sRGB."""
    given = pixels[..., 0] if transform.input_mode == "L" else pixels
    image = ImageCms.applyTransform(Image.fromarray(np.ascontiguousarray(given)), transform)
    return np.asarray(image)
