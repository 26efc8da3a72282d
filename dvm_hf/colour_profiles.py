"""Colour profiles of stills: what converts their colours to sRGB, where that makes a difference."""

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from dvm_hf.compositing import Pixels

STEPS = 9  # of each channel, in the table of colours that decides
SAME = 1  # level; sRGB profiles of different makers differ by so much


class UnreadableProfile(ValueError):
    """A profile that LittleCMS cannot use."""


@lru_cache(maxsize=64)
def to_srgb(profile: bytes) -> Any:
    """A transform of RGB colours to sRGB, relative colorimetric; None where the profile is sRGB's own, or not of RGB.

    Raises UnreadableProfile.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != "RGB":
            return None
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise UnreadableProfile(str(error)) from error
    levels = np.linspace(0, 255, STEPS).round().astype(np.uint8)
    table = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    difference = np.abs(converted(table, transform).astype(int) - table)
    return transform if difference.max() > SAME else None


def converted(pixels: Pixels, transform: Any) -> Pixels:
    """Colours (H, W, 3) in sRGB."""
    image = ImageCms.applyTransform(Image.fromarray(np.ascontiguousarray(pixels)), transform)
    return np.asarray(image)
