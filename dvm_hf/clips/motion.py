"""The random walk of an image foreground, and the warp that applies it.

Coordinates are (row, column) in px of the composite frame, measured at pixel edges: 0 is the upper (left) edge of the
frame, and the centre of its first pixel is at 0.5. The warp moves the foreground's centre to (row, column).
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.media.pixels import Box, Pixels, Size

Edges: TypeAlias = npt.NDArray[Any]  # coordinates, integers or floats
PlacedTile: TypeAlias = tuple[int, int, tuple[float, float]]  # see `_tiles`

STEPS_BETWEEN_DRAWS = 20
SPEED = (0.5, 2.0)  # px per frame
ANGULAR_SPEED = (-1.0, 1.0)  # degrees per frame
ZOOM_SPEED = (-0.015, 0.015)  # per frame
MAX_ANGLE = 60.0  # degrees, in both directions
ZOOM_RANGE = (0.9, 1.1)
INNER_RANGE = (0.05, 0.95)  # allowed centre of the foreground, as fractions of the frame's side

TILE = 128  # px; see `placed_tiles`
STEP = 64  # px; widths of a warp that give a pixel the same bits: OpenCV computes the rest of a row in another way
CELL = 8  # px; see `VisibleCells`
PROBE = 32  # px; part of a tile that is tested at once
GROUP, SMALL = 2, 4  # tiles; side of the parts of a region that are yielded at once, and of those of a small region
KEPT_PLACEMENTS = 64  # results that are kept: a frame asks for its own several times, and a window for its middle frame

# Numbers of a frame in the column `motion`, by the config field motion: the pose of the foreground, then other layers.
POSE = ("row", "column", "angle", "zoom")
SHAPE = ("stretch", "shear")
WALK_COLUMNS = tuple(f"foreground {name}" for name in POSE)
LAYER_COLUMNS = (
    *WALK_COLUMNS,
    *(f"foreground {name}" for name in (*SHAPE, "mirrored", "source frame")),
    *(f"background {name}" for name in (*POSE, *SHAPE, "mirrored", "source frame")),
    *(f"camera {name}" for name in (*POSE, *SHAPE)),
)
MOTION_COLUMNS = {"dvm": WALK_COLUMNS, "rvm": LAYER_COLUMNS, "none": WALK_COLUMNS}


def motion_columns(motion: str, foregrounds: int = 1) -> tuple[str, ...]:
    """Return the names of the numbers of a frame in the column `motion`.

    With several foregrounds, those of "foreground 1", the rearmost, come first, and then those of "foreground 2" etc.
    """
    columns = MOTION_COLUMNS[motion]
    if foregrounds == 1:
        return columns
    own = [name.removeprefix("foreground") for name in columns if name.startswith("foreground")]
    numbered = [f"foreground {number}{name}" for number in range(1, foregrounds + 1) for name in own]
    return *numbered, *columns[len(own) :]


class RandomSource(Protocol):
    """A source of random numbers, such as `numpy.random.Generator` and `random.Random`."""

    def random(self) -> float: ...

    def uniform(self, low: float, high: float, /) -> float: ...


@dataclass(frozen=True)
class Placement:
    """The pose of a layer in a frame: its centre (px), clockwise angle (degrees), zoom, stretch, shear and mirroring.

    A point q of the layer is shown at p. With cq and cp the centres, t the angle, and m -1 if the layer is mirrored,
    else 1, in coordinates (x, y):

        p = zoom * R(t) * [[stretch, shear], [0, 1 / stretch]] * [[m, 0], [0, 1]] * (q - cq) + cp
    """

    row: float
    column: float
    angle: float = 0.0
    zoom: float = 1.0
    stretch: float = 1.0
    shear: float = 0.0
    mirrored: bool = False

    @property
    def pose(self) -> tuple[float, float, float, float]:
        return self.row, self.column, self.angle, self.zoom

    @property
    def shape(self) -> tuple[float, float]:
        return self.stretch, self.shear

    @property
    def is_similar(self) -> bool:
        """Whether the layer keeps its shape."""
        return self.stretch == 1 and self.shear == 0 and not self.mirrored

    @property
    def least_zoom(self) -> float:
        """The zoom in the direction in which the layer is enlarged least."""
        if self.is_similar:
            return self.zoom
        sizes = np.linalg.svd([[self.stretch, self.shear], [0, 1 / self.stretch]], compute_uv=False)
        return self.zoom * float(sizes[-1])


def random_walk(rng: RandomSource, *, frame: Size, start: tuple[float, float] | None = None) -> Iterator[Placement]:
    """Yield the placement of an image foreground for each frame, without end.

    start: row and column from which the walk starts, px; None: the centre of the frame.

    The published walk: linear motion that bounces off the edges of the frame's inner 90 %, angle within 60 degrees,
    zoom within 0.9 .. 1.1, new speeds every 20 steps. A placement is yielded before angle and zoom are brought back
    into range, so the zoom can exceed its limits by one step, and the angle by two or three if a new speed is drawn
    while it is out of range.
    """
    rows, columns = _inner_range(frame.height), _inner_range(frame.width)
    row, column = start or (float(sum(rows) // 2), float(sum(columns) // 2))
    angle, zoom, count = 0.0, ZOOM_RANGE[0], 1
    row_speed, column_speed, turn, growth = _speeds(rng)
    while True:
        row, row_speed = _bounced(row + row_speed, row_speed, rows)
        column, column_speed = _bounced(column + column_speed, column_speed, columns)
        if not -MAX_ANGLE <= angle <= MAX_ANGLE:
            turn = -turn
            angle += turn
        angle, zoom, count = angle + turn, min(max(zoom, ZOOM_RANGE[0]), ZOOM_RANGE[1]) + growth, count + 1
        if count % STEPS_BETWEEN_DRAWS == 0:
            row_speed, column_speed, turn, growth = _speeds(rng)
        yield Placement(row, column, angle, zoom)


@functools.lru_cache(KEPT_PLACEMENTS)
def frame_to_foreground(placement: Placement, *, foreground: Size) -> npt.NDArray[np.float64]:
    """Return the affine map (2, 3) from pixel indices (x, y) of the frame to pixel indices of the foreground.

    It is read-only, and the inverse of the map of `Placement`, whose points are measured at pixel edges. If the
    foreground keeps its shape:

        p = zoom * R(t) * (q - cq) + cp      =>      q = R(-t) / zoom * (p - cp) + cq
    """
    t = math.radians(placement.angle)
    inverse = np.array([[math.cos(t), math.sin(t)], [-math.sin(t), math.cos(t)]]) / placement.zoom
    if not placement.is_similar:
        side = -1 if placement.mirrored else 1
        inverse = np.array([[side / placement.stretch, -side * placement.shear], [0, placement.stretch]]) @ inverse
    frame_centre = np.array([placement.column, placement.row])
    foreground_centre = np.array([foreground.width, foreground.height]) / 2
    offset = inverse @ (0.5 - frame_centre) + foreground_centre - 0.5  # index = edge - 0.5
    matrix = np.column_stack([inverse, offset])
    matrix.setflags(write=False)  # shared by all callers
    return matrix


@functools.lru_cache(KEPT_PLACEMENTS)
def covered_box(placement: Placement, *, foreground: Size, part: Box) -> Box:
    """Return a box with every frame pixel that `part` of the warped foreground can touch; it may leave the frame."""
    return shown_box(frame_to_foreground(placement, foreground=foreground)[None], part=part)


def shown_box(to_foreground: npt.NDArray[np.float64], *, part: Box) -> Box:
    """Return `covered_box` for maps (n, 2, 3) from the frame to the foreground: of all of them together.

    Bilinear interpolation reads the part where the index in the foreground is less than 1 from one of its pixels.
    """
    left, right, top, bottom = part.left - 1, part.right, part.top - 1, part.bottom  # indices in the foreground
    corners = np.array([[left, right, left, right], [top, top, bottom, bottom]])
    in_frame = np.linalg.solve(to_foreground[..., :2], corners - to_foreground[..., 2:])
    first_column, first_row = np.floor(in_frame.min(axis=(0, 2)))
    last_column, last_row = np.ceil(in_frame.max(axis=(0, 2)))
    return Box(int(first_row), int(first_column), int(last_row) + 1, int(last_column) + 1)


def placed(layers: Pixels, placement: Placement, *, region: Box, part: Box, nearest: bool = False) -> Pixels:
    """Warp the layers (h, w) or (h, w, c) of an image foreground into `region` of the frame; see `placed_tiles`.

    Pixels outside the foreground are 0.
    """
    result = np.zeros((region.height, region.width, *layers.shape[2:]), np.uint8)
    for box, pixels in placed_tiles(layers, placement, region=region, part=part, nearest=nearest):
        result[box.within(region)] = pixels
    return result


class VisibleCells:
    """The cells of an image foreground, `CELL` x `CELL` px each, that have an alpha above 0."""

    def __init__(self, is_visible: npt.NDArray[np.bool_]) -> None:
        self._sums = cv2.integral(is_visible.astype(np.uint8))  # (rows + 1, columns + 1): visible cells up to there

    def are_in(self, left: Edges, top: Edges, right: Edges, bottom: Edges) -> npt.NDArray[np.bool_]:
        """Return whether boxes have a visible cell; their edges are coordinates of the foreground, px."""
        rows, columns = (side - 1 for side in self._sums.shape)
        top, bottom, left, right = (
            np.minimum(np.maximum(edge, 0), last).astype(int)  # half the time of np.clip
            for edge, last in (
                (top / CELL, rows),
                (bottom / CELL + 1, rows),
                (left / CELL, columns),
                (right / CELL + 1, columns),
            )
        )
        sums = self._sums
        return np.asarray(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left] > 0)


def placed_tiles(
    layers: Pixels,
    placement: Placement,
    *,
    region: Box,
    part: Box,
    nearest: bool = False,
    visible: VisibleCells | None = None,
) -> Iterator[tuple[Box, Pixels]]:
    """Warp an image foreground into the frame, a group of tiles at a time: yield boxes and their pixels.

    Layers are (h, w) or (h, w, c). `part` of the foreground touches no pixel of `region` outside the yielded boxes;
    pixels that it does not touch are 0. If `visible` is given, tiles whose alpha is 0 are not warped. Use the pixels
    before you take the next ones.

    One bilinear (or nearest) warp applies rotation, zoom and sub-pixel translation. The tiles form a grid that is fixed
    to the frame, so that a pixel has the same value, bit for bit, in every region. One warp per region cannot guarantee
    that, because float32 coordinates depend on where the region starts. A group, with RGBA of 256 kB, also fits into
    the processor's cache; those of a small region are larger, which saves an eighth of rendering a crop of 320 px. Rows
    below the region are not warped, and columns to its right only up to a multiple of `STEP`.
    """
    to_foreground = frame_to_foreground(placement, foreground=Size(*layers.shape[:2]))
    flags = (cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
    tile_to_foreground = to_foreground.copy()
    for tiles in _groups(_tiles(to_foreground, region, part, visible), region):
        tops, lefts = [tile[0] for tile in tiles], [tile[1] for tile in tiles]
        first, outermost = min(tops), min(lefts)
        bottom, right = min(max(tops) + TILE, region.bottom), max(lefts) + TILE
        width = min(right, outermost + -(-(region.right - outermost) // STEP) * STEP) - outermost
        shape = (bottom - first, width, *layers.shape[2:])
        is_full = len(tiles) == -(-shape[0] // TILE) * -(-width // TILE)
        pixels = (np.empty if is_full else np.zeros)(shape, np.uint8)
        for top, left, first_pixel in tiles:
            tile_to_foreground[:, 2] = first_pixel
            tile = pixels[top - first : top - first + TILE, left - outermost : left - outermost + TILE]
            cv2.warpAffine(layers, tile_to_foreground, tile.shape[1::-1], dst=tile, flags=flags)
        whole = Box(first, outermost, bottom, outermost + width)
        box = whole.intersection(region)
        yield box, pixels[box.within(whole)]


def _groups(tiles: list[PlacedTile], region: Box) -> list[list[PlacedTile]]:
    """Return the tiles in groups of up to `GROUP` x `GROUP`, from the first tile of the region.

    In a region of up to `SMALL` x `SMALL` tiles, groups are of that size.
    """
    top, left = region.top // TILE * TILE, region.left // TILE * TILE
    is_small = max(region.bottom - top, region.right - left) <= SMALL * TILE
    side, groups = (SMALL if is_small else GROUP) * TILE, dict[tuple[int, int], list[PlacedTile]]()
    for tile in tiles:
        groups.setdefault(((tile[0] - top) // side, (tile[1] - left) // side), []).append(tile)
    return list(groups.values())


def _tiles(
    to_foreground: npt.NDArray[np.float64], region: Box, part: Box, visible: VisibleCells | None
) -> list[PlacedTile]:
    """Return top and left of each tile of a region that `part` of the foreground can touch, and the foreground
    coordinates (x, y) of the tile's first pixel.
    """
    if region.is_empty:
        return []
    tops = np.arange(region.top // TILE * TILE, region.bottom, TILE)[:, None]
    lefts = np.arange(region.left // TILE * TILE, region.right, TILE)
    # computed per element, so that a tile gets the same bits in every region
    x, y = (row[0] * lefts + row[1] * tops + row[2] for row in to_foreground)
    reach = TILE * to_foreground[:, :2]
    (x_low, y_low), (x_high, y_high) = np.minimum(reach, 0).sum(axis=1), np.maximum(reach, 0).sum(axis=1)
    touches = (x + x_high > part.left - 1) & (y + y_high > part.top - 1)
    touches &= (x + x_low < part.right) & (y + y_low < part.bottom)
    if visible is not None:
        touches &= _shows(visible, to_foreground, tops, lefts)
    return [
        (int(tops[row, 0]), int(lefts[column]), (x[row, column], y[row, column]))
        for row, column in np.argwhere(touches).tolist()
    ]


def _shows(
    visible: VisibleCells, to_foreground: npt.NDArray[np.float64], tops: Edges, lefts: Edges
) -> npt.NDArray[np.bool_]:
    """Return for each tile (rows, columns) whether it may have an alpha above 0.

    The parts of a tile are tested separately: the box around a rotated tile is up to twice as large as the tile.
    """
    steps = np.arange(0, TILE, PROBE)
    rows, columns = np.add.outer(tops.reshape(-1), steps).reshape(-1, 1), np.add.outer(lefts, steps).reshape(-1)
    x, y = (row[0] * columns + row[1] * rows + row[2] for row in to_foreground)
    reach = PROBE * to_foreground[:, :2]
    (x_low, y_low), (x_high, y_high) = np.minimum(reach, 0).sum(axis=1) - 2, np.maximum(reach, 0).sum(axis=1) + 2
    found = visible.are_in(x + x_low, y + y_low, x + x_high, y + y_high)  # 2: interpolation and rounding
    return np.asarray(found.reshape(len(tops), len(steps), len(lefts), len(steps)).any(axis=(1, 3)))


def _inner_range(side: int) -> tuple[int, int]:
    return int(side * INNER_RANGE[0]), int(side * INNER_RANGE[1])


def _speeds(rng: RandomSource) -> tuple[float, float, float, float]:
    direction = rng.random() * 2 * math.pi
    speed = rng.uniform(*SPEED)
    turn, growth = rng.uniform(*ANGULAR_SPEED), rng.uniform(*ZOOM_SPEED)
    return math.cos(direction) * speed, math.sin(direction) * speed, turn, growth


def _bounced(position: float, speed: float, allowed: tuple[int, int]) -> tuple[float, float]:
    """Return position and speed after a step; a step out of the allowed range is undone and reversed."""
    if allowed[0] <= position <= allowed[1]:
        return position, speed
    return position - speed, -speed
