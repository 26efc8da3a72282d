"""Noise and colour fields, and the canvas for the demo's mattes.

The canvas is two or three times as large as the result and averaged down, so that a strand covers less than a pixel,
as in a photograph.
"""

import copy
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.media.pixels import Pixels

Field: TypeAlias = npt.NDArray[np.float32]
Array: TypeAlias = npt.NDArray[Any]  # float of either width

TAU = 2 * np.pi


@dataclass(frozen=True)
class Drawing:
    """A foreground frame: unpremultiplied colour (h, w, 3), defined everywhere, and alpha (h, w)."""

    colour: Pixels
    alpha: Pixels


def fractal(rng: np.random.Generator, height: int, width: int, *, cell: float, stretch: float = 1.0) -> Field:
    """Return noise in 0..1 of octaves from `cell` pixels down; `stretch` > 1 elongates it along the rows."""
    field, amplitude = np.zeros((2, 2), np.float32), 1.0
    while True:
        size = (int(width / (cell * stretch)) + 2, int(height / cell) + 2)
        field = np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_CUBIC), np.float32)
        field += np.float32(amplitude) * (rng.random((size[1], size[0]), np.float32) - np.float32(0.5))
        if cell < 4:
            break
        cell, amplitude = cell / 2, amplitude * 0.55
    field = np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    low, high = field.min(), field.max()
    return np.asarray((field - low) / (high - low), np.float32)


def stops(palette: str) -> Field:
    """Parse a palette: `"102030 ffffff"` -> [[16, 32, 48], [255, 255, 255]]."""
    return np.array([list(bytes.fromhex(colour)) for colour in palette.split()], np.float32)


def ramp(palette: str, at: Array) -> Field:
    """Interpolate a palette at positions 0..1; returns shape (..., 3)."""
    colours = stops(palette)
    positions = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(at, positions, colours[:, c]) for c in range(3)], axis=-1).astype(np.float32)


def tinted(field: Array, palette: str) -> Pixels:
    table = np.rint(ramp(palette, np.linspace(0, 1, 256))).astype(np.uint8)
    return np.asarray(np.take(table, as_bytes(field), axis=0), np.uint8)


def as_bytes(field: Array) -> Pixels:
    return np.asarray(np.rint(np.clip(field, 0, 1) * 255), np.uint8)


def grid(height: int, width: int) -> tuple[Field, Field]:
    """Return open row and column coordinates: (h, 1) and (1, w)."""
    return np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]


def bell(distance: Array) -> Array:
    return np.asarray(np.exp(-(distance**2)))


class Canvas:
    """RGBA canvas at `factor` times the final size. Coordinates are (x, y) in final pixels."""

    def __init__(self, texture: Pixels, *, factor: int) -> None:
        self.height, self.width = texture.shape[:2]
        self.factor = factor
        large = enlarged(texture, factor)
        self.pixels = np.dstack([large, np.zeros(large.shape[:2], np.uint8)])

    def copy(self) -> "Canvas":
        twin = copy.copy(self)
        twin.pixels = self.pixels.copy()
        return twin

    def fixed_point(self, points: Array) -> npt.NDArray[np.int32]:
        return np.rint((points * self.factor + (self.factor - 1) / 2) * 16).astype(np.int32)

    def fill(self, outline: Array, palette: str, shade: Array, opacity: Array | None = None) -> None:
        """Fill an outline (k, 2) with `palette` at `shade`. Alpha is raised to `opacity` (default 1), never lowered."""
        low = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 4, 0)
        high = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 5, (self.width, self.height))
        box = (slice(low[1], high[1]), slice(low[0], high[0]))
        texture = enlarged(tinted(shade[box], palette), self.factor)
        mask = np.zeros(texture.shape[:2], np.uint8)
        cv2.fillPoly(mask, [self.fixed_point(outline - low)], 255, cv2.LINE_AA, 4)
        # extend the colour beyond the edge, so that the soft edge has no fringe of another colour
        reach = np.asarray(cv2.dilate(mask, np.ones((4 * self.factor + 1,) * 2, np.uint8)))
        part = self.pixels[low[1] * self.factor : high[1] * self.factor, low[0] * self.factor : high[0] * self.factor]
        coloured = reach > 0
        if opacity is not None:
            veil = enlarged(as_bytes(opacity[box]), self.factor)
            mask = np.asarray(cv2.multiply(mask, veil, scale=1 / 255), np.uint8)
            coloured &= (veil > 127) | (part[..., 3] == 0)  # translucent fills keep the colour below
        np.copyto(part[..., :3], texture, where=coloured[..., None])
        part[..., 3] = np.maximum(part[..., 3], mask)

    def strands(self, paths: Array, colours: Field, opacity: Array, *, thick: float = 0.0) -> None:
        """Draw n paths (n, k, 2), faintest first. The first fraction `thick` of each path has double width."""
        before = self.pixels[..., 3].copy()
        points, root = self.fixed_point(paths), int(paths.shape[1] * thick)
        inks = np.column_stack([colours, 255 * opacity]).tolist()
        for i in np.argsort(opacity, kind="stable"):
            cv2.polylines(self.pixels, [points[i]], False, inks[i], 1, cv2.LINE_AA, 4)
            if root > 1:
                cv2.polylines(self.pixels, [points[i, :root]], False, inks[i], 2, cv2.LINE_AA, 4)
        self.pixels[..., 3] = np.maximum(self.pixels[..., 3], before)

    def drawing(self, light: Array | None = None) -> Drawing:
        small = np.asarray(cv2.resize(self.pixels, (self.width, self.height), interpolation=cv2.INTER_AREA), np.uint8)
        colour = small[..., :3]
        if light is not None:
            colour = np.clip(colour * light.astype(np.float32)[..., None], 0, 255).astype(np.uint8)
        return Drawing(np.ascontiguousarray(colour), np.ascontiguousarray(small[..., 3]))


def enlarged(pixels: Pixels, factor: int) -> Pixels:
    size = (pixels.shape[1] * factor, pixels.shape[0] * factor)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> Array:
    angle = np.linspace(0, TAU, 72, endpoint=False)
    return np.stack([x + radius_x * np.cos(angle), y + radius_y * np.sin(angle)], axis=-1)
