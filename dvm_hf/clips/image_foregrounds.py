"""An image foreground: decoded once, then warped to each frame's placement."""

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.clips.foreground_protocols import (
    ForegroundTile,
    PackedTile,
    PlacedForeground,
    require_one_size,
    require_same_orientation,
)
from dvm_hf.clips.geometry import Geometry, foreground_size, occupied_box
from dvm_hf.clips.hidden_colours import RESIZED, WARPED, continued
from dvm_hf.clips.motion import (
    CELL,
    Placement,
    VisibleCells,
    covered_box,
    frame_to_foreground,
    placed,
    placed_tiles,
)
from dvm_hf.clips.moving.playback import ShownFrames
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.straight_colours import decoded_colours, straight_layers
from dvm_hf.clips.trimap import from_provided
from dvm_hf.errors import SourceError
from dvm_hf.media.matte_faults import level_fault, opaque_fault, require_matte
from dvm_hf.media.pixels import Box, Layers, Pixels, Size
from dvm_hf.media.still.still_headers import still_header, still_orientation
from dvm_hf.media.still.still_pictures import STILLS, file_version, read_only
from dvm_hf.media.still.stills import read_colour, read_grey, read_layers


class KeptImage(Protocol):
    """The decoded files of an image foreground.

    file_size: size of the files. turn: EXIF orientation of the alpha. nbytes: size in memory.
    """

    @property
    def file_size(self) -> Size: ...

    @property
    def turn(self) -> int: ...

    @property
    def nbytes(self) -> int: ...


Image = TypeVar("Image", bound=KeptImage)


class ImageFiles(ABC, Generic[Image]):
    """The files of an image foreground, decoded, or kept by this process since they were decoded."""

    frame_count: int | None = None

    def __init__(self, plan: ClipPlan, opened: ExitStack) -> None:
        files = self.colour_path, alpha = plan.foreground.colour, plan.foreground.alpha
        versions = tuple(file_version(path) for path in files)
        key = (type(self), files, versions, plan.foreground.colours, plan.rendering.max_size)
        self.image: Image = STILLS.foregrounds.get(key, lambda: self.decoded(plan))
        self.file_size = self.image.file_size
        self.trimap: Pixels | None = None
        self.shows_all_pixels = "foreground" in plan.rendering.columns or plan.rendering.trimap == "provided"
        if plan.rendering.trimap == "provided" and plan.foreground.trimap is not None:
            self.trimap = from_provided(read_grey(plan.foreground.trimap))
            if self.trimap.shape != self.file_size:
                raise SourceError(
                    f"{plan.foreground.trimap}: is {Size(*self.trimap.shape)}, but its alpha is {self.file_size}; "
                    "both must have the same size; export the trimap again"
                )
            turn = still_orientation(plan.foreground.trimap)
            require_same_orientation(plan.foreground.trimap, alpha, turn, self.image.turn, size=self.file_size)

    @abstractmethod
    def decoded(self, plan: ClipPlan) -> Image:
        """Decode the files, and check that they belong together."""

    @abstractmethod
    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], shown: ShownFrames) -> PlacedForeground:
        """Return the image in the composite's frame, for the frames that are rendered."""


@dataclass(frozen=True)
class DecodedImage:
    """An image at the size that it has in composites; see `KeptImage`."""

    file_size: Size
    turn: int
    still: "Bordered"

    @property
    def nbytes(self) -> int:
        return self.still.rgba.nbytes + self.still.matte.nbytes


class ImageForeground(ImageFiles[DecodedImage]):
    """An image foreground with unpremultiplied colours and an alpha of one channel."""

    def decoded(self, plan: ClipPlan) -> DecodedImage:
        """Return the checked image at the size that it has in composites."""
        layers = read_image(plan)
        file_size, turn = require_pair(plan, layers)
        colour, matte = continued(*layers, RESIZED), layers.alpha
        size = foreground_size(file_size, max_size=plan.rendering.max_size)
        if size != file_size:
            colour, matte = (_resized_still(part, size) for part in (colour, matte))
            colour = continued(colour, matte, WARPED)
        return DecodedImage(file_size, turn, Bordered(colour, matte))

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], shown: ShownFrames) -> PlacedForeground:
        """Return the image at the foreground's size, with a border of 1 px: alpha is 0, colours are replicated.

        With the border, bilinear interpolation fades the alpha to 0 at the image's edge without darkening the colours.
        """
        trimap = self.bordered_trimap(sizes)
        return PlacedImage(self.image.still, trimap, placements, shows_all_pixels=self.shows_all_pixels)

    def bordered_trimap(self, sizes: Geometry) -> Pixels | None:
        """Return the trimap file, if it is needed, at the foreground's size and with the border."""
        trimap = self.trimap
        if trimap is not None and self.file_size != sizes.foreground:
            size = (sizes.foreground.width, sizes.foreground.height)
            trimap = cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST)  # type: ignore[assignment]
        return None if trimap is None else np.pad(trimap, 1)


def read_image(plan: ClipPlan) -> Layers:
    """Read colour and alpha of an image foreground, and return unpremultiplied colours."""
    colour, alpha = plan.foreground.colour, plan.foreground.alpha
    layers = read_layers(colour) if alpha == colour else Layers(read_colour(colour), read_grey(alpha))
    colours = plan.foreground.colours
    if colours == "premultiplied":  # only then does the header matter
        colours = decoded_colours(colours, is_divided=still_header(colour).is_premultiplied)
    return straight_layers(layers, colours=colours)


def require_pair(plan: ClipPlan, layers: Layers) -> tuple[Size, int]:
    """Return the size of the files, and the orientation of the alpha, (H, W) or (H, W, 3).

    Raises SourceError if colour and alpha do not belong together, or if the alpha is not a matte.
    """
    file_size, alpha = Size(*layers.alpha.shape[:2]), plan.foreground.alpha
    require_one_size(plan, Size(*layers.colour.shape[:2]), file_size)
    turns = [still_orientation(path) for path in (plan.foreground.colour, alpha)]
    require_same_orientation(plan.foreground.colour, alpha, *turns, size=file_size)
    levels = int(layers.alpha.min()), int(layers.alpha.max())
    if plan.foreground.has_own_alpha:
        require_matte(alpha, opaque_fault(levels[0]))
    if layers.alpha.ndim == 2:  # the reader of three channels checks its matte itself
        require_matte(alpha, level_fault(*levels))
    return file_size, turns[1]


class Bordered:
    """An image (h, w) with a border of 1 px: `rgba` (h + 2, w + 2, 4), `matte` (h + 2, w + 2), read-only."""

    def __init__(self, colour: Pixels, matte: Pixels) -> None:
        wide = cv2.copyMakeBorder(colour, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        self.matte = read_only(np.pad(matte, 1))
        rgba = np.empty((*self.matte.shape, 4), np.uint8)
        cv2.mixChannels([wide, self.matte], [rgba], [0, 0, 1, 1, 2, 2, 3, 3])
        self.rgba = read_only(rgba)

    @functools.cached_property
    def cell_ranges(self) -> tuple[Pixels, Pixels]:
        """Lowest and highest alpha in each cell of `CELL` x `CELL` px; outside of the image it is 0."""
        rows, columns = (-(-side // CELL) for side in self.matte.shape)
        padded = np.zeros((rows * CELL, columns * CELL), np.uint8)
        padded[: self.matte.shape[0], : self.matte.shape[1]] = self.matte
        strips = padded.reshape(rows, CELL, columns * CELL)
        lowest, highest = strips.min(1), strips.max(1)
        return lowest.reshape(rows, columns, CELL).min(2), highest.reshape(rows, columns, CELL).max(2)

    @functools.cached_property
    def visible_cells(self) -> VisibleCells:
        return VisibleCells(self.cell_ranges[1] > 0)

    def mixed_cells(self, reach: int) -> npt.NDArray[np.int64]:
        """Return top and left (n, 2), px, of the cells with both a pixel that is not opaque and a pixel that is not
        transparent within `reach` px in each direction.
        """
        steps = -(-reach // CELL)
        kernel = np.ones((2 * steps + 1, 2 * steps + 1), np.uint8)
        lowest, highest = (np.pad(part, steps) for part in self.cell_ranges)
        is_not_opaque_near = cv2.erode(lowest, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0) < 255
        return (np.argwhere(is_not_opaque_near & (cv2.dilate(highest, kernel) > 0)) - steps) * CELL


def _resized_still(pixels: Pixels, size: Size) -> Pixels:
    return cv2.resize(pixels, (size.width, size.height), interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]


class PlacedImage:
    """An image in the frame. shows_all_pixels: whether pixels with an alpha of 0 are requested, too."""

    def __init__(
        self, still: Bordered, trimap: Pixels | None, placements: tuple[Placement, ...], *, shows_all_pixels: bool
    ) -> None:
        self._still, self._trimap, self._placements = still, trimap, placements
        self._size = Size(*still.matte.shape)
        self._part = Box(0, 0, *self._size) if shows_all_pixels else occupied_box(still.matte)
        self._visible = None if shows_all_pixels else still.visible_cells

    def covered(self, index: int) -> Box:
        return covered_box(self._placements[index], foreground=self._size, part=self._part)

    def tiles(self, index: int, region: Box) -> Iterator[ForegroundTile | PackedTile]:
        rgba_tiles = placed_tiles(
            self._still.rgba, self._placements[index], region=region, part=self._part, visible=self._visible
        )
        for box, rgba in rgba_tiles:
            yield PackedTile(box, rgba)

    def alpha(self, index: int, region: Box) -> Pixels | None:
        return placed(self._still.matte, self._placements[index], region=region, part=self._part)

    def provided_trimap(self, index: int, region: Box) -> Pixels | None:
        if self._trimap is None:
            return None
        return placed(self._trimap, self._placements[index], region=region, part=self._part, nearest=True)

    def likely_unknown(self, index: int, margin: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
        """Yield random pixels of the cells with mixed alpha nearby, moved like the image."""
        if self._trimap is not None:
            return
        placement = self._placements[index]
        reach = math.ceil(math.sqrt(2) * margin / placement.least_zoom + self._blur(index, margin)) + 3
        cells = self._still.mixed_cells(reach)  # 3: interpolation and rounding
        to_still = frame_to_foreground(placement, foreground=self._size)
        while len(cells):
            corner, inside = cells[rng.integers(len(cells))], rng.uniform(-0.5, CELL - 0.5, 2)
            column, row = np.linalg.solve(to_still[:, :2], (corner + inside)[::-1] - to_still[:, 2])
            yield round(row), round(column)

    def _blur(self, index: int, margin: int) -> float:
        """Return how far a pixel, up to a margin around an unknown one, moves in the image during the exposure, px."""
        return 0.0

    def release(self, before: int) -> None:
        """Do nothing: an image keeps no frames."""
