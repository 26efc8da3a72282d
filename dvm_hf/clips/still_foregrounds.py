"""An image foreground: decoded once, placed by the motion of each frame."""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.clips.foregrounds import ForegroundTile, PlacedForeground, require_one_size, require_same_orientation
from dvm_hf.clips.geometry import Geometry, occupied_box
from dvm_hf.clips.motion import Placement, covered_box, frame_to_foreground, placed, placed_tiles
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.trimap import from_provided
from dvm_hf.errors import SourceError
from dvm_hf.media.mattes import level_fault, require_matte
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.still_headers import still_orientation
from dvm_hf.media.stills import read_colour, read_grey


class ImageForeground:
    """A still foreground's files, decoded."""

    frame_count: int | None = None

    def __init__(self, plan: ClipPlan, opened: ExitStack) -> None:
        files = self.colour_path, _ = plan.foreground.colour, plan.foreground.alpha
        self.pixels = self.decoded(files, tuple(_version(path) for path in files))
        self.file_size = Size(*self.pixels.matte.shape[:2])
        require_one_size(plan, Size(*self.pixels.colour.shape[:2]), self.file_size)
        turns = [still_orientation(path) for path in files]
        require_same_orientation(*files, *turns, size=self.file_size)
        if self.pixels.matte.ndim == 2:  # else the reader of three channels has judged
            require_matte(files[1], level_fault(*self.pixels.levels))
        self.drawn: Pixels | None = None
        self.is_shown_whole = "foreground" in plan.rendering.columns or plan.rendering.trimap == "provided"
        if plan.rendering.trimap == "provided" and plan.foreground.trimap is not None:
            self.drawn = from_provided(read_grey(plan.foreground.trimap))
            if self.drawn.shape != self.file_size:
                raise SourceError(
                    f"{plan.foreground.trimap}: is {Size(*self.drawn.shape)}, but its alpha is {self.file_size}; "
                    "both must have the same size; export the trimap again"
                )
            turn = still_orientation(plan.foreground.trimap)
            require_same_orientation(plan.foreground.trimap, files[1], turn, turns[1], size=self.file_size)

    @staticmethod
    def decoded(files: "Files", versions: "Versions") -> "DecodedImage":
        """The still's pixels, alpha (H, W)."""
        return latest_still(files, versions, read=(read_colour, read_grey))

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], wanted: Iterable[int]) -> PlacedForeground:
        """The still at the foreground's size, with a border of 1 px in which alpha is 0 and the colours go on.

        So bilinear interpolation lets the alpha fall to 0 over the still's edge, without darkening the colours.
        """
        still, drawn = self.pixels.bordered(sizes.foreground), self.drawn
        if drawn is not None and self.file_size != sizes.foreground:
            size = (sizes.foreground.width, sizes.foreground.height)
            drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_NEAREST)  # type: ignore[assignment]
        part = Box(0, 0, *still.matte.shape) if self.is_shown_whole else occupied_box(still.matte)
        return PlacedStill(still, None if drawn is None else np.pad(drawn, 1), placements, part)


class DecodedImage:
    """Colour (H, W, 3) and alpha (H, W) or (H, W, 3) of a still, not to be written to."""

    def __init__(self, colour: Pixels, matte: Pixels) -> None:
        self.colour, self.matte = _fixed(colour), _fixed(matte)
        self.levels = int(matte.min()), int(matte.max())
        self._bordered: tuple[Size, Bordered] | None = None

    def bordered(self, size: Size) -> "Bordered":
        """The still at a size, in a border of alpha 0."""
        if self._bordered is None or self._bordered[0] != size:
            colour, matte = (_resized_still(part, size) for part in (self.colour, self.matte))
            self._bordered = size, Bordered(colour, matte)
        return self._bordered[1]


class Bordered:
    """A still (h, w) in a border of 1 px: `rgba` (h + 2, w + 2, 4), `matte` (h + 2, w + 2), not to be written to."""

    def __init__(self, colour: Pixels, matte: Pixels) -> None:
        wide = cv2.copyMakeBorder(colour, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        self.matte = _fixed(np.pad(matte, 1))
        rgba = np.empty((*self.matte.shape, 4), np.uint8)
        cv2.mixChannels([wide, self.matte], [rgba], [0, 0, 1, 1, 2, 2, 3, 3])
        self.rgba = _fixed(rgba)

    @functools.cached_property
    def cell_ranges(self) -> tuple[Pixels, Pixels]:
        """Lowest and highest alpha in each cell of `CELL` px a side; beyond the still it is 0."""
        rows, columns = (-(-side // CELL) for side in self.matte.shape)
        padded = np.zeros((rows * CELL, columns * CELL), np.uint8)
        padded[: self.matte.shape[0], : self.matte.shape[1]] = self.matte
        strips = padded.reshape(rows, CELL, columns * CELL)
        lowest, highest = strips.min(1), strips.max(1)
        return lowest.reshape(rows, columns, CELL).min(2), highest.reshape(rows, columns, CELL).max(2)

    def mixed_cells(self, reach: int) -> npt.NDArray[np.int64]:
        """Top and left (n, 2), px, of the cells from which something not opaque and something not clear lies within
        `reach` px, in each direction.
        """
        steps = -(-reach // CELL)
        kernel = np.ones((2 * steps + 1, 2 * steps + 1), np.uint8)
        lowest, highest = (np.pad(part, steps) for part in self.cell_ranges)
        is_clear_near = cv2.erode(lowest, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0) < 255
        return (np.argwhere(is_clear_near & (cv2.dilate(highest, kernel) > 0)) - steps) * CELL


CELL = 8  # px


Files: TypeAlias = tuple[Path, Path]


Versions: TypeAlias = tuple[tuple[int, ...] | None, ...]


Readers: TypeAlias = tuple[Callable[[Path], Pixels], Callable[[Path], Pixels]]


def _version(path: Path) -> tuple[int, ...] | None:
    """Which file it is, its size and times, to tell one state of a path from another; None where nothing is there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


# The clips of a foreground follow one another: what is read and resized for the first serves the others.
_LATEST: dict[tuple[Readers, Files, Versions], DecodedImage] = {}


def latest_still(files: Files, versions: Versions, *, read: Readers) -> DecodedImage:
    """The still of these files, by what reads its colour and its alpha; the latest one is kept, and let go before
    another is read: large ones would not fit into the memory together.
    """
    key = (read, files, versions)
    found = _LATEST.get(key)
    if found is None:
        _LATEST.clear()
        found = _LATEST[key] = DecodedImage(*(of(path) for of, path in zip(read, files, strict=True)))
    return found


def _resized_still(pixels: Pixels, size: Size) -> Pixels:
    if pixels.shape[:2] == size:
        return pixels
    return cv2.resize(pixels, (size.width, size.height), interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]


def _fixed(pixels: Pixels) -> Pixels:
    pixels.setflags(write=False)
    return pixels


class PlacedStill:
    """`part` is the box of the still that matters: where its alpha is not 0, or all where its colours are wanted."""

    def __init__(self, still: Bordered, drawn: Pixels | None, placements: tuple[Placement, ...], part: Box) -> None:
        self._still, self._drawn, self._placements, self._part = still, drawn, placements, part
        self._size = Size(*still.matte.shape)

    def covered(self, index: int) -> Box:
        return covered_box(self._placements[index], foreground=self._size, part=self._part)

    def pieces(self, index: int, region: Box) -> Iterator[ForegroundTile]:
        for box, rgba in placed_tiles(self._still.rgba, self._placements[index], region=region, part=self._part):
            yield ForegroundTile(box, cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), cv2.extractChannel(rgba, 3))  # type: ignore[arg-type]

    def alpha(self, index: int, region: Box) -> Pixels | None:
        return placed(self._still.matte, self._placements[index], region=region, part=self._part)

    def provided_trimap(self, index: int, region: Box) -> Pixels | None:
        if self._drawn is None:
            return None
        return placed(self._drawn, self._placements[index], region=region, part=self._part, nearest=True)

    def likely_unknown(self, index: int, margin: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
        """Drawn from the cells of the still around which its alpha is mixed, and moved with it."""
        if self._drawn is not None:
            return
        placement = self._placements[index]
        reach = math.ceil(math.sqrt(2) * margin / placement.zoom) + 3  # 3: of interpolation and rounding
        cells = self._still.mixed_cells(reach)
        to_still = frame_to_foreground(placement, foreground=self._size)
        while len(cells):
            corner, inside = cells[rng.integers(len(cells))], rng.uniform(-0.5, CELL - 0.5, 2)
            column, row = np.linalg.solve(to_still[:, :2], (corner + inside)[::-1] - to_still[:, 2])
            yield round(row), round(column)

    def let_go(self, before: int) -> None:
        """A still holds no frames."""
