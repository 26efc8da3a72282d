"""A still or a moving foreground, opened and placed in the composite's frame."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Protocol

import cv2
import numpy as np

from dvm_hf.compositing import Pixels
from dvm_hf.errors import SourceError
from dvm_hf.frame_io import FrameBuffer, Video
from dvm_hf.geometry import Box, Geometry, Size, occupied_box
from dvm_hf.image_io import read_colour, read_grey
from dvm_hf.motion import Placement, covered_box, placed
from dvm_hf.plan import ClipPlan
from dvm_hf.trimap import from_provided


class PlacedForeground(Protocol):
    """A foreground in the composite's frame."""

    def covered(self, index: int) -> Box:
        """Box outside of which the alpha of a frame is 0; may leave the frame."""

    def layers(self, index: int, region: Box) -> tuple[Pixels, Pixels] | None:
        """Colour (h, w, 3) and alpha in a region inside the covered box; None: the video has ended.

        The alpha is (h, w), or (h, w, 3) where the recipe keeps the three decoded channels of an alpha video.
        """

    def alpha(self, index: int, region: Box) -> Pixels | None:
        """Alpha alone, which may be asked for ahead of the colours."""

    def provided_trimap(self, index: int, region: Box) -> Pixels | None:
        """The trimap that came with the foreground, in place; None where none did."""

    def let_go(self, before: int) -> None:
        """No frame before this one will be asked for again."""


class OpenedForeground(Protocol):
    """A foreground's files, opened; its size in them, upright, and its number of frames, None for a still."""

    file_size: Size
    frame_count: int | None

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], wanted: Iterable[int]) -> PlacedForeground:
        """The foreground in the frame, for the frames with the wanted indices."""


class Still:
    """A still foreground's files, decoded."""

    frame_count: int | None = None

    def __init__(self, plan: ClipPlan, opened: ExitStack) -> None:
        self.colour, self.matte = read_colour(plan.foreground.colour), read_grey(plan.foreground.alpha)
        _require_one_size(plan, Size(*self.colour.shape[:2]), Size(*self.matte.shape[:2]))
        self.file_size = Size(*self.matte.shape)
        self.drawn: Pixels | None = None
        self.is_shown_whole = "foreground" in plan.rendering.columns or plan.rendering.trimap == "provided"
        if plan.rendering.trimap == "provided" and plan.foreground.trimap is not None:
            self.drawn = from_provided(read_grey(plan.foreground.trimap))
            if self.drawn.shape != self.matte.shape:
                raise SourceError(
                    f"{plan.foreground.trimap}: is {Size(*self.drawn.shape)}, its alpha {self.file_size}; "
                    "both must have one size; export the trimap again"
                )

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], wanted: Iterable[int]) -> PlacedForeground:
        """The still at the foreground's size, with a border of 1 px in which alpha is 0 and the colours go on.

        So bilinear interpolation lets the alpha fall to 0 over the still's edge, without darkening the colours.
        """
        size = (sizes.foreground.width, sizes.foreground.height)
        colour, matte, drawn = self.colour, self.matte, self.drawn
        if self.file_size != sizes.foreground:
            colour, matte = (cv2.resize(part, size, interpolation=cv2.INTER_CUBIC) for part in (colour, matte))  # type: ignore[assignment]
            drawn = drawn if drawn is None else cv2.resize(drawn, size, interpolation=cv2.INTER_NEAREST)  # type: ignore[assignment]
        wide = cv2.copyMakeBorder(colour, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        layers = np.dstack([wide, np.pad(matte, 1)])
        part = Box(0, 0, *layers.shape[:2]) if self.is_shown_whole else occupied_box(np.pad(matte, 1))
        return PlacedStill(layers, None if drawn is None else np.pad(drawn, 1), placements, part)


class PlacedStill:
    """`part` is the box of the still that matters: where its alpha is not 0, or all where its colours are wanted."""

    def __init__(self, rgba: Pixels, drawn: Pixels | None, placements: tuple[Placement, ...], part: Box) -> None:
        self._rgba, self._drawn, self._placements, self._part = rgba, drawn, placements, part
        self._matte = np.ascontiguousarray(rgba[..., 3])
        self._size = Size(*rgba.shape[:2])

    def covered(self, index: int) -> Box:
        return covered_box(self._placements[index], foreground=self._size, part=self._part)

    def layers(self, index: int, region: Box) -> tuple[Pixels, Pixels] | None:
        if region.is_empty:
            return _nothing(region)
        moved = placed(self._rgba, self._placements[index], region=region, part=self._part)
        return cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB), cv2.extractChannel(moved, 3)  # type: ignore[return-value]

    def alpha(self, index: int, region: Box) -> Pixels | None:
        return placed(self._matte, self._placements[index], region=region, part=self._part)

    def provided_trimap(self, index: int, region: Box) -> Pixels | None:
        if self._drawn is None:
            return None
        return placed(self._drawn, self._placements[index], region=region, part=self._part, nearest=True)

    def let_go(self, before: int) -> None:
        """A still holds no frames."""


class Moving:
    """A moving foreground's two videos."""

    def __init__(self, plan: ClipPlan, opened: ExitStack) -> None:
        self.colour = opened.enter_context(Video(plan.foreground.colour, most=plan.max_frames))
        self.matte = opened.enter_context(Video(plan.foreground.alpha, most=plan.max_frames))
        _require_one_size(plan, self.colour.size, self.matte.size)
        self.file_size = self.colour.size
        self.frame_count: int | None = self.colour.frame_count
        if self.colour.frame_count != self.matte.frame_count:  # an edit list may hide frames of one: count
            counts = self.colour.decoded_frame_count(), self.matte.decoded_frame_count()
            if counts[0] != counts[1]:
                raise SourceError(
                    f"{plan.foreground.colour.parent}: {plan.foreground.colour.name} has {counts[0]} frames but "
                    f"{plan.foreground.alpha.name} has {counts[1]}; both must match; re-export one of them"
                )
            self.frame_count = counts[0]

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], wanted: Iterable[int]) -> PlacedForeground:
        """The videos' frames at the foreground's size, whole, in the middle of the frame."""
        colours, alphas = self.colour.colours(wanted), self.matte.alphas(wanted)
        return PlacedVideo(resized(colours, sizes.foreground), resized(alphas, sizes.foreground), centred_in(sizes))


class PlacedVideo:
    def __init__(self, colours: FrameBuffer[Pixels], alphas: FrameBuffer[Pixels], box: Box) -> None:
        self._colours, self._alphas, self._box = colours, alphas, box

    def covered(self, index: int) -> Box:
        return self._box

    def layers(self, index: int, region: Box) -> tuple[Pixels, Pixels] | None:
        colour, alpha = self._colours.get(index), self._alphas.get(index)
        if colour is None or alpha is None:
            return None
        cut = region.within(self._box)
        return colour[cut], alpha[cut]

    def alpha(self, index: int, region: Box) -> Pixels | None:
        alpha = self._alphas.get(index)
        return None if alpha is None else alpha[region.within(self._box)]

    def provided_trimap(self, index: int, region: Box) -> Pixels | None:
        return None

    def let_go(self, before: int) -> None:
        self._colours.let_go(before)
        self._alphas.let_go(before)


def resized(frames: Iterator[tuple[int, Pixels]], size: Size) -> FrameBuffer[Pixels]:
    """The frames at a size, by cubic interpolation where it is not theirs."""

    def fitted(frame: Pixels) -> Pixels:
        if frame.shape[:2] == size:
            return frame
        return cv2.resize(frame, (size.width, size.height), interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]

    return FrameBuffer((index, fitted(frame)) for index, frame in frames)


def centred_in(sizes: Geometry) -> Box:
    """Where a moving foreground lies: its middle pixel on the frame's."""
    top = sizes.frame.height // 2 - sizes.foreground.height // 2
    left = sizes.frame.width // 2 - sizes.foreground.width // 2
    return Box(top, left, top + sizes.foreground.height, left + sizes.foreground.width)


def _nothing(region: Box) -> tuple[Pixels, Pixels]:
    shape = (region.height, region.width)
    return np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)


def _require_one_size(plan: ClipPlan, colour: Size, alpha: Size) -> None:
    if colour != alpha:
        raise SourceError(
            f"{plan.foreground.colour}: is {colour.height} x {colour.width} px but its alpha {plan.foreground.alpha} "
            f"is {alpha.height} x {alpha.width}; both must match; re-export one of them"
        )
