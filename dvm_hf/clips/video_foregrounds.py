"""A video foreground: colour and alpha videos, centred in the frame."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack

import cv2
import numpy as np

from dvm_hf.clips.foregrounds import ForegroundTile, PlacedForeground, require_one_size, require_same_orientation
from dvm_hf.clips.frame_buffer import FrameBuffer
from dvm_hf.clips.geometry import Geometry
from dvm_hf.clips.motion import Placement
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.media.frame_geometry import TURNS
from dvm_hf.media.frame_pairing import require_pair
from dvm_hf.media.mattes import require_matte, video_fault
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.videos import Video


class VideoForeground:
    """The two videos of a video foreground."""

    def __init__(self, plan: ClipPlan, opened: ExitStack) -> None:
        self.colour = opened.enter_context(Video(plan.foreground.colour, most=plan.max_frames))
        self.matte = opened.enter_context(Video(plan.foreground.alpha, most=plan.max_frames, role="alpha"))
        require_one_size(plan, self.colour.size, self.matte.size)
        paths, turns = (self.colour.path, self.matte.path), (self.colour.orientation, self.matte.orientation)
        require_same_orientation(*paths, *turns, size=self.colour.size, names=TURNS)
        require_pair(self.colour, self.matte)
        require_matte(self.matte.path, video_fault(self.matte.path))
        self.file_size = self.colour.size
        self.frame_count: int | None = self.colour.frame_count

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], wanted: Iterable[int]) -> PlacedForeground:
        """Return the complete video frames at the foreground's size, at the centre of the composite's frame."""
        colours, alphas = self.colour.colours(wanted), self.matte.alphas(wanted)
        return PlacedVideo(resized(colours, sizes.foreground), resized(alphas, sizes.foreground), centred_in(sizes))


class PlacedVideo:
    """The frames of a video foreground, at their position in the composite's frame."""

    def __init__(self, colours: FrameBuffer[Pixels], alphas: FrameBuffer[Pixels], box: Box) -> None:
        self._colours, self._alphas, self._box = colours, alphas, box

    def covered(self, index: int) -> Box:
        return self._box

    def tiles(self, index: int, region: Box) -> Iterable[ForegroundTile] | None:
        colour, alpha = self._colours.get(index), self._alphas.get(index)
        if colour is None or alpha is None:
            return None
        return [ForegroundTile(region, self._cut(colour, region), self._cut(alpha, region))]

    def alpha(self, index: int, region: Box) -> Pixels | None:
        alpha = self._alphas.get(index)
        return None if alpha is None else self._cut(alpha, region)

    def _cut(self, pixels: Pixels, region: Box) -> Pixels:
        """Copy a region, so that a caller that keeps it does not keep the complete frame."""
        return pixels if region == self._box else pixels[region.within(self._box)].copy()

    def provided_trimap(self, index: int, region: Box) -> Pixels | None:
        return None

    def likely_unknown(self, index: int, margin: int, rng: np.random.Generator) -> Iterable[tuple[int, int]]:
        return ()

    def release(self, before: int) -> None:
        self._colours.release(before)
        self._alphas.release(before)


def resized(frames: Iterator[tuple[int, Pixels]], size: Size) -> FrameBuffer[Pixels]:
    """Return the frames at a size, by cubic interpolation if they have another one."""

    def fitted(frame: Pixels) -> Pixels:
        if frame.shape[:2] == size:
            return frame
        return cv2.resize(frame, (size.width, size.height), interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]

    return FrameBuffer((index, fitted(frame)) for index, frame in frames)


def centred_in(sizes: Geometry) -> Box:
    """Return the box of a video foreground, whose centre pixel is at the centre pixel of the frame."""
    top = sizes.frame.height // 2 - sizes.foreground.height // 2
    left = sizes.frame.width // 2 - sizes.foreground.width // 2
    return Box(top, left, top + sizes.foreground.height, left + sizes.foreground.width)
