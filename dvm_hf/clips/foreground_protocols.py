"""Interfaces of image and video foregrounds: opened, then positioned in the composite's frame."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from dvm_hf.clips.geometry import Geometry
from dvm_hf.clips.motion import Placement
from dvm_hf.clips.moving.playback import ShownFrames
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.errors import SourceError
from dvm_hf.media.frame_geometry import SIDEWAYS, orientations_conflict
from dvm_hf.media.pixels import Box, Pixels, Size


class ForegroundTile(NamedTuple):
    """Part of a foreground in the frame: its box, colour (h, w, 3), and alpha.

    The alpha is (h, w), or (h, w, 3) if the recipe keeps the three decoded channels of an alpha file.
    """

    box: Box
    colour: Pixels
    alpha: Pixels


class PackedTile(NamedTuple):
    """Part of a foreground in the frame: its box, and colour and alpha in one array, RGBA (h, w, 4)."""

    box: Box
    rgba: Pixels

    @property
    def colour(self) -> Pixels:
        return self.split().colour

    @property
    def alpha(self) -> Pixels:
        return self.split().alpha

    def split(self, *, colour: Pixels | None = None, alpha: Pixels | None = None) -> ForegroundTile:
        """Return colour and alpha, written to the given arrays (h, w, 3) and (h, w) if there are any."""
        rgb = cv2.cvtColor(self.rgba, cv2.COLOR_RGBA2RGB, dst=colour)
        return ForegroundTile(self.box, rgb, cv2.extractChannel(self.rgba, 3, dst=alpha))  # type: ignore[arg-type]


class PlacedForeground(Protocol):
    """A foreground in the composite's frame."""

    def covered(self, index: int) -> Box:
        """Return a box outside of which the alpha of a frame is 0; it may extend beyond the frame."""

    def tiles(self, index: int, region: Box) -> Iterable[ForegroundTile | PackedTile] | None:
        """Return the tiles of a region inside the covered box; None if the video has ended.

        Alpha is 0 outside of the tiles. Use or copy each tile before you take the next one.
        """

    def alpha(self, index: int, region: Box) -> Pixels | None:
        """Return only the alpha of a region; it can be read before the colours of the same frame."""

    def provided_trimap(self, index: int, region: Box) -> Pixels | None:
        """Return the trimap file, moved like the alpha; None if the foreground has no trimap file."""

    def likely_unknown(self, index: int, margin: int, rng: np.random.Generator) -> Iterable[tuple[int, int]]:
        """Yield random pixels (row, column) without end, uniformly from an area that contains every unknown pixel of a
        trimap with this margin; none if such an area is expensive to find.
        """

    def release(self, before: int) -> None:
        """Release the frames before this one, which are no longer needed."""


class OpenedForeground(Protocol):
    """The opened files of a foreground. file_size: its upright size. frame_count: None for an image."""

    file_size: Size
    frame_count: int | None

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], shown: ShownFrames) -> PlacedForeground:
        """Return the foreground in the composite's frame, for the frames that are rendered."""


def require_one_size(plan: ClipPlan, colour: Size, alpha: Size) -> None:
    if colour != alpha:
        raise SourceError(
            f"{plan.foreground.colour}: is {colour}, but its alpha {plan.foreground.alpha} is {alpha}; "
            "both must have the same size; re-export one of them"
        )


def require_same_orientation(
    path: Path, alpha: Path, turn: int, alpha_turn: int, *, size: Size, names: Mapping[int, str] | None = None
) -> None:
    if orientations_conflict(turn, alpha_turn, sideways=SIDEWAYS, size=size):
        tag, alpha_tag = (str(one) if names is None else names[one] for one in (turn, alpha_turn))
        raise SourceError(
            f"{path}: has the orientation tag {tag}, but its alpha {alpha} has {alpha_tag}; both must match, because "
            "sizes do not show which picture is upright; save both upright and without a tag"
        )
