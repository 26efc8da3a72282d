"""The colours of a clip's layers in the first frames of their files.

They do not depend on the window and the crop. A process keeps them, because each file is used in many clips.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np

from dvm_hf.clips.appearance.tone_curves import ColourStatistics, colour_statistics
from dvm_hf.clips.foreground_protocols import OpenedForeground
from dvm_hf.clips.geometry import Geometry
from dvm_hf.clips.motion import Placement
from dvm_hf.clips.moving.playback import ShownFrames
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.media.bounded_memory import BoundedMemory
from dvm_hf.media.pixels import Box, Pixels
from dvm_hf.media.video.frame_sources import Backdrop, FramePicture, source_version

SIDE = 256  # px; of a larger frame, every n-th row and column is measured


class LayerStatistics(NamedTuple):
    """Statistics of a layer; None if its file has no first frame, or one that is transparent."""

    colours: ColourStatistics | None

    @property
    def nbytes(self) -> int:
        return 1024


KEPT = BoundedMemory(2**22)  # about 4,000 files


def foreground_statistics(
    plan: ClipPlan, sizes: Geometry, opened: Callable[[ClipPlan, ExitStack], OpenedForeground]
) -> ColourStatistics | None:
    """Return the statistics of the first frame of a foreground. Raises SourceError if it cannot be used."""
    paths = plan.foreground.colour, plan.foreground.alpha
    key = (*paths, *map(source_version, paths), plan.foreground.colours, sizes.foreground, plan.rendering.motion)
    return _kept(key, lambda: _foreground(plan, sizes, opened))


def background_statistics(plan: ClipPlan, opened: Callable[[ClipPlan], Backdrop]) -> ColourStatistics | None:
    """Return the statistics of the first frame of a background. Raises SourceError if it cannot be used."""
    path = plan.background.path
    return _kept((path, source_version(path)), lambda: _background(plan, opened))


def _kept(key: Hashable, measured: Callable[[], ColourStatistics | None]) -> ColourStatistics | None:
    return KEPT.get(key, lambda: LayerStatistics(measured())).colours


def _foreground(
    plan: ClipPlan, sizes: Geometry, opened: Callable[[ClipPlan, ExitStack], OpenedForeground]
) -> ColourStatistics | None:
    alone = Geometry(sizes.foreground, sizes.foreground, sizes.foreground)
    height, width = sizes.foreground
    with ExitStack() as stack:
        centred = Placement(height / 2, width / 2)
        placed = opened(plan, stack).placed(alone, (centred,), ShownFrames((0,), None))
        whole = Box(0, 0, height, width)
        tiles = placed.tiles(0, placed.covered(0).intersection(whole))
        if tiles is None:
            return None
        colour, alpha = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
        for tile in tiles:
            colour[tile.box.within(whole)], alpha[tile.box.within(whole)] = tile.colour, tile.alpha
    return colour_statistics(_reduced(colour), _reduced(alpha))


def _background(plan: ClipPlan, opened: Callable[[ClipPlan], Backdrop]) -> ColourStatistics | None:
    backdrop = opened(plan)
    try:
        pictures: Iterator[tuple[int, FramePicture]] = backdrop.pictures([0])
        first = next(pictures, None)
        if first is None:
            return None
        colour = _reduced(first[1].rgb(Box(0, 0, *first[1].size)))
    finally:
        backdrop.close()
    return colour_statistics(colour, np.full(colour.shape[:2], 255, np.uint8))


def _reduced(pixels: Pixels) -> Pixels:
    step = -(-max(pixels.shape[:2]) // SIDE)
    return pixels[::step, ::step]
