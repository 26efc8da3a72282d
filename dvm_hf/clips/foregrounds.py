"""A still or a moving foreground, opened and placed in the composite's frame."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from dvm_hf.clips.geometry import Geometry
from dvm_hf.clips.motion import Placement
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.errors import SourceError
from dvm_hf.media.frame_geometry import SIDEWAYS, turned_apart
from dvm_hf.media.pixels import Box, Pixels, Size


class ForegroundTile(NamedTuple):
    """Part of a placed foreground: a box of the frame, colour (h, w, 3), and alpha.

    The alpha is (h, w), or (h, w, 3) where the recipe keeps the three decoded channels of an alpha video.
    """

    box: Box
    colour: Pixels
    alpha: Pixels


class PlacedForeground(Protocol):
    """A foreground in the composite's frame."""

    def covered(self, index: int) -> Box:
        """Box outside of which the alpha of a frame is 0; may leave the frame."""

    def pieces(self, index: int, region: Box) -> Iterable[ForegroundTile] | None:
        """What lies in a region inside the covered box, elsewhere nothing; None: the video has ended.

        A piece is to be used, or copied, before the next one comes.
        """

    def alpha(self, index: int, region: Box) -> Pixels | None:
        """Alpha alone, which may be asked for ahead of the colours."""

    def provided_trimap(self, index: int, region: Box) -> Pixels | None:
        """The trimap that came with the foreground, in place; None where none did."""

    def likely_unknown(self, index: int, margin: int, rng: np.random.Generator) -> Iterable[tuple[int, int]]:
        """Pixels (row, column), drawn evenly and without end from an area that holds all those of the frame that a
        trimap of this margin can call unknown; none where no such area is cheap to find.
        """

    def let_go(self, before: int) -> None:
        """No frame before this one will be asked for again."""


class OpenedForeground(Protocol):
    """A foreground's files, opened; its size in them, upright, and its number of frames, None for a still."""

    file_size: Size
    frame_count: int | None

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], wanted: Iterable[int]) -> PlacedForeground:
        """The foreground in the frame, for the frames with the wanted indices."""


def require_one_size(plan: ClipPlan, colour: Size, alpha: Size) -> None:
    if colour != alpha:
        raise SourceError(
            f"{plan.foreground.colour}: is {colour}, but its alpha {plan.foreground.alpha} is {alpha}; "
            "both must have the same size; re-export one of them"
        )


def require_same_orientation(
    path: Path, alpha: Path, turn: int, alpha_turn: int, *, size: Size, names: Mapping[int, str] | None = None
) -> None:
    if turned_apart(turn, alpha_turn, sideways=SIDEWAYS, size=size):
        told, alpha_told = (str(one) if names is None else names[one] for one in (turn, alpha_turn))
        raise SourceError(
            f"{path}: has the orientation tag {told}, but its alpha {alpha} has {alpha_told}; both must match, because "
            "sizes do not show which picture is upright; save both upright and without a tag"
        )
