"""A predicted and a reference matte of one frame, checked, with the masks of its regions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.errors import MetricsError
from dvm_hf.media.pixels import Pixels, Size

Mask: TypeAlias = npt.NDArray[np.uint8]  # not 0 in the region
Errors: TypeAlias = npt.NDArray[np.int16]

REGIONS = ("whole", "unknown", "foreground", "background")
LEVEL_OF = {"unknown": 128, "foreground": 255, "background": 0}  # in a trimap


@dataclass(frozen=True)
class Colours:
    """Foreground colours of a frame: RGB, uint8 (H, W, 3), not premultiplied. predicted: None if only alpha is."""

    predicted: Pixels | None
    reference: Pixels


@dataclass(frozen=True)
class Frame:
    """A frame to measure.

    index: position in its clip. predicted, reference: alpha (H, W) in levels 0 .. 255. trimap: (H, W) or None.
    masks: the mask of each region with known pixels; None as a mask is the whole frame.
    """

    index: int
    predicted: Pixels
    reference: Pixels
    trimap: Pixels | None
    masks: Mapping[str, Mask | None]
    colours: Colours | None = None

    @property
    def size(self) -> Size:
        return Size(*self.reference.shape)

    @property
    def has_both_colours(self) -> bool:
        return self.colours is not None and self.colours.predicted is not None

    @cached_property
    def error(self) -> Errors:
        """predicted - reference, in levels."""
        return cv2.subtract(self.predicted, self.reference, dtype=cv2.CV_16S)  # type: ignore[return-value]


def masks(
    reference: Pixels, trimap: Pixels | None, regions: Iterable[str], *, soft_is_unknown: bool = False
) -> dict[str, Mask | None]:
    """Return the masks of those regions that are known.

    Without a trimap, these are the whole frame and, with soft_is_unknown, the unknown region 0 < reference < 255.
    """
    found: dict[str, Mask | None] = {}
    for region in regions:
        if region == "whole":
            found[region] = None
        elif trimap is not None:
            found[region] = (trimap == LEVEL_OF[region]).view(np.uint8)
        elif region == "unknown" and soft_is_unknown:
            found[region] = ((reference > 0) & (reference < 255)).view(np.uint8)
    return found


def require_pixels(name: str, value: Any, shape: tuple[int, ...]) -> Pixels:
    """Return a copy of a frame, which its owner may reuse. Raises MetricsError if it is not uint8 of this shape."""
    require_shape(name, value, shape)
    return np.array(value, order="C")


def require_shape(name: str, value: Any, shape: tuple[int, ...]) -> None:
    """Raise MetricsError if a value is not a uint8 array of this shape."""
    require_uint8(name, value)
    if value.shape != shape:
        raise MetricsError(f"{name}: has the shape {value.shape}, but the reference requires {shape}; pass equal sizes")


def require_uint8(name: str, value: Any) -> None:
    """Raise MetricsError if a value is not a NumPy array of levels 0 .. 255."""
    if not isinstance(value, np.ndarray):
        raise MetricsError(
            f"{name}: is a {type(value).__name__}, but must be a NumPy array; pass a tensor as tensor.cpu().numpy()"
        )
    if value.dtype != np.uint8:
        raise MetricsError(
            f"{name}: has the dtype {value.dtype}, but metrics compare levels 0 to 255; pass uint8 "
            "(alpha in 0 .. 1 as np.rint(alpha * 255).astype(np.uint8))"
        )


def require_trimap(value: Any, shape: tuple[int, ...]) -> Pixels:
    """Return a trimap frame. Raises MetricsError if it has other levels than 0, 128 and 255."""
    trimap = require_pixels("trimap", value, shape)
    known = sum(np.count_nonzero(trimap == level) for level in LEVEL_OF.values())
    if known != trimap.size:
        other = int(trimap[~np.isin(trimap, [*LEVEL_OF.values()])][0])
        raise MetricsError(
            f"trimap: has a pixel of level {other}; allowed are 0 (background), 128 (unknown) and 255 (foreground); "
            "store trimaps without lossy compression, and do not resize them"
        )
    return trimap
