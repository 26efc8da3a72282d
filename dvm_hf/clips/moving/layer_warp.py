"""Warp a layer into the frame by any affine map, once, on premultiplied values.

Values are 16-bit: an alpha a and a colour F of 8 bits are stored as 255 a and a F, 0 .. 65025, so that the colours of
soft pixels keep their precision. Interpolated, C = sum(w a F) and A = sum(w 255 a) give

    alpha = A / 255      F = 255 C / A, which is any colour where A = 0

so that what a file has under alpha 0 has no influence.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

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
    read: Read, maps: Sequence[Map], *, region: Box, part: Box, outside: str = "transparent"
) -> Iterator[WarpedTile]:
    """Warp a layer into the tiles of a region of the frame that `part` of it can touch: yield boxes and pixels.

    read: returns the pixels (h, w) or (h, w, c) in a box of the layer; called once, with a box within `part`.
    maps: the mean of the layer warped by each of them is yielded.
    outside: what there is around `part`, see `OUTSIDE`.

    As in `motion.placed_tiles`, the tiles are fixed to the frame, so that a pixel has the same bits in every region. So
    that they do not depend on the box that is read, either, a tile is warped from the part of the layer that it needs.
    Use the pixels before you take the next tile.
    """
    tiles = [found for tile in _grid(region) if not (found := _TileSource.of(tile, maps, part)).box.is_empty]
    if not tiles:
        return
    tops, lefts, bottoms, rights = zip(*(tile.box for tile in tiles), strict=True)
    needed = Box(min(tops), min(lefts), max(bottoms), max(rights))
    pixels = read(needed)
    result = np.empty((TILE, TILE, *pixels.shape[2:]), pixels.dtype)
    for tile in tiles:
        source, shown = pixels[tile.box.within(needed)], tile.tile.intersection(region)
        tile.warp(source, result, maps, OUTSIDE[outside])
        yield shown, result[shown.within(tile.tile)]


class _TileSource(NamedTuple):
    """A tile of the frame. box: what it needs of the layer. origins: by map, the layer's (x, y) of its first pixel."""

    tile: Box
    box: Box
    origins: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, tile: Box, maps: Sequence[Map], part: Box) -> "_TileSource":
        origins, boxes, last = [], [], TILE - 1
        for to_layer in maps:
            (xx, xy, x0), (yx, yy, y0) = to_layer.tolist()
            x, y = xx * tile.left + xy * tile.top + x0, yx * tile.left + yy * tile.top + y0
            origins.append((x, y))
            low = y + (min(yx, 0) + min(yy, 0)) * last, x + (min(xx, 0) + min(xy, 0)) * last
            high = y + (max(yx, 0) + max(yy, 0)) * last, x + (max(xx, 0) + max(xy, 0)) * last
            boxes.append([math.floor(edge) - REACH for edge in low] + [math.floor(edge) + REACH + 1 for edge in high])
        tops, lefts, bottoms, rights = zip(*boxes, strict=True)
        box = Box(min(tops), min(lefts), max(bottoms), max(rights)).intersection(part)
        return cls(tile, box, tuple(origins))

    def warp(self, source: npt.NDArray[Any], result: npt.NDArray[Any], maps: Sequence[Map], border: int) -> None:
        """Write the mean of the warps into the result."""
        total = np.zeros(result.shape, np.float32) if len(maps) > 1 else None
        for to_layer, (x, y) in zip(maps, self.origins, strict=True):
            moved = np.column_stack([to_layer[:, :2], (x - self.box.left, y - self.box.top)])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            cv2.warpAffine(source, moved, (TILE, TILE), dst=result, flags=flags, borderMode=border)
            if total is not None:
                cv2.accumulate(result, total)
        if total is not None:
            np.rint(total / len(maps), out=result, casting="unsafe")


def _grid(region: Box) -> Iterator[Box]:
    """Yield the tiles of a region, which can extend beyond it."""
    if not region.is_empty:
        for top in range(region.top // TILE * TILE, region.bottom, TILE):
            for left in range(region.left // TILE * TILE, region.right, TILE):
                yield Box(top, left, top + TILE, left + TILE)
