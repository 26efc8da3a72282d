"""Warp a layer into the frame by any affine map, once, on premultiplied values; or by several, averaged.

Values are 16-bit: an alpha a and a colour F of 8 bits are stored as 255 a and a F, 0 .. 65025, so that the colours of
soft pixels keep their precision. Interpolated, C = sum(w a F) and A = sum(w 255 a) give

    alpha = A / 255      F = 255 C / A, which is any colour where A = 0

so that what a file has under alpha 0 has no influence.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.clips.motion import TILE
from dvm_hf.media.pixels import Box, Layers, Pixels

Premultiplied: TypeAlias = npt.NDArray[np.uint16]  # (h, w, 4), or (h, w) for the alpha alone
Map: TypeAlias = npt.NDArray[np.float64]  # (2, 3), from pixel indices (x, y) of the frame to those of the layer
Read: TypeAlias = Callable[[Box], npt.NDArray[Any]]

WarpedTile: TypeAlias = tuple[Box, npt.NDArray[Any]]  # of the frame, and its pixels

OPAQUE = 255 * 255
REACH = 2  # px around the mapped pixels of a tile: interpolation and rounding
OUTSIDE = {"transparent": cv2.BORDER_CONSTANT, "continued": cv2.BORDER_REPLICATE}


def premultiplied(colour: Pixels, alpha: Pixels) -> Premultiplied:
    """Return colour (h, w, 3) and alpha (h, w) as premultiplied values (h, w, 4)."""
    weights = cv2.merge([alpha] * 3)
    return cv2.merge([*cv2.split(cv2.multiply(colour, weights, dtype=cv2.CV_16U)), weighted(alpha)])  # type: ignore[return-value]


def weighted(alpha: Pixels) -> Premultiplied:
    """Return 255 times the alpha (h, w)."""
    return np.multiply(alpha, 255, dtype=np.uint16)


def straight(values: Premultiplied) -> Layers | None:
    """Return unpremultiplied colours (h, w, 3) and the alpha (h, w) of values (h, w, 4), rounded to nearest.

    Return None if the alpha is 0 everywhere.
    """
    weights: Any = cv2.extractChannel(values, 3)
    lowest, highest, *_ = cv2.minMaxLoc(weights)
    if highest == 0:
        return None
    alpha, colour = straight_alpha(weights), cv2.cvtColor(values, cv2.COLOR_RGBA2RGB)
    if lowest == OPAQUE:
        return Layers(cv2.convertScaleAbs(colour, alpha=1 / 255), alpha)  # type: ignore[arg-type]
    factors = cv2.divide(255.0, np.maximum(weights, 1), dtype=cv2.CV_32F)
    return Layers(cv2.multiply(colour, cv2.merge([factors] * 3), dtype=cv2.CV_8U), alpha)  # type: ignore[arg-type]


def straight_alpha(weights: Premultiplied) -> Pixels:
    """Return the alpha (h, w) of `weighted` values, rounded to nearest."""
    return cv2.convertScaleAbs(weights, alpha=1 / 255)  # type: ignore[return-value]


def warped_tiles(
    read: Read, to_layer: Map, *, region: Box, part: Box, outside: str = "transparent"
) -> Iterator[WarpedTile]:
    """Warp a layer by one map into the tiles of a region; see `mean_tiles`."""
    return mean_tiles(read, (to_layer,), region=region, part=part, outside=outside)


def mean_tiles(
    read: Read, maps: Sequence[Map], *, region: Box, part: Box, outside: str = "transparent", nearest: bool = False
) -> Iterator[WarpedTile]:
    """Warp a layer by some maps into the tiles of a region of the frame that `part` of it can touch, and yield boxes
    and the means of the warped pixels, rounded to nearest.

    read: returns the pixels (h, w) or (h, w, c) in a box of the layer; called once, with a box within `part`.
    outside: what there is around `part`, see `OUTSIDE`.

    As in `motion.placed_tiles`, the tiles are fixed to the frame, so that a pixel has the same bits in every region. So
    that they do not depend on the box that is read, either, a tile is warped from the part of the layer that it needs.
    Use the pixels before you take the next tile.
    """
    grid = ((tile, [(*_needed(tile, to_layer, part), to_layer) for to_layer in maps]) for tile in _grid(region))
    tiles = [(tile, warps) for tile, all_warps in grid if (warps := [one for one in all_warps if not one[0].is_empty])]
    if not tiles:
        return
    tops, lefts, bottoms, rights = zip(*(box for _, warps in tiles for box, _, _ in warps), strict=True)
    whole = Box(min(tops), min(lefts), max(bottoms), max(rights))
    pixels = read(whole)
    result = np.empty((TILE, TILE, *pixels.shape[2:]), pixels.dtype)
    total = np.empty(result.shape, np.float32) if len(maps) > 1 else None
    flags = (cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
    for tile, warps in tiles:
        if total is not None:
            total[:] = 0
        for box, first_pixel, to_layer in warps:
            tile_map, source = to_layer.copy(), pixels[box.within(whole)]
            tile_map[:, 2] = first_pixel
            cv2.warpAffine(source, tile_map, (TILE, TILE), dst=result, flags=flags, borderMode=OUTSIDE[outside])
            if total is not None:
                cv2.accumulate(result, total)
        shown = tile.intersection(region)
        cut = shown.within(tile)
        yield shown, result[cut] if total is None else _mean(total[cut], len(maps), result.dtype)


def _mean(total: npt.NDArray[np.float32], count: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the mean of values from their sum, which is exact: integers below 2^24."""
    mean: npt.NDArray[Any] = np.rint(total / np.float32(count)).astype(dtype)
    return mean


def _needed(tile: Box, to_layer: Map, part: Box) -> tuple[Box, tuple[float, float]]:
    """Return the box of `part` that a tile needs, and the layer's coordinates (x, y) of the tile's first pixel, from
    the first pixel of that box.
    """
    (xx, xy, x0), (yx, yy, y0) = to_layer.tolist()
    x, y, last = xx * tile.left + xy * tile.top + x0, yx * tile.left + yy * tile.top + y0, TILE - 1
    top, left = y + (min(yx, 0) + min(yy, 0)) * last, x + (min(xx, 0) + min(xy, 0)) * last
    bottom, right = y + (max(yx, 0) + max(yy, 0)) * last, x + (max(xx, 0) + max(xy, 0)) * last
    box = Box(math.floor(top), math.floor(left), math.floor(bottom) + 1, math.floor(right) + 1)
    box = box.grown(REACH).intersection(part)
    return box, (x - box.left, y - box.top)


def _grid(region: Box) -> Iterator[Box]:
    """Yield the tiles of a region, which can extend beyond it."""
    if not region.is_empty:
        for top in range(region.top // TILE * TILE, region.bottom, TILE):
            for left in range(region.left // TILE * TILE, region.right, TILE):
                yield Box(top, left, top + TILE, left + TILE)
