"""A video foreground: videos or folders of numbered pictures, centred in the frame."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from dvm_hf.clips.foreground_protocols import (
    ForegroundTile,
    PlacedForeground,
    require_one_size,
    require_same_orientation,
)
from dvm_hf.clips.frame_buffer import FrameBuffer
from dvm_hf.clips.geometry import Geometry
from dvm_hf.clips.hidden_colours import RESIZED, continued
from dvm_hf.clips.motion import Placement
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.straight_colours import decoded_colours, straight_layers
from dvm_hf.media.frame_geometry import ORIENTATION_NAMES
from dvm_hf.media.matte_faults import require_matte, video_fault
from dvm_hf.media.pixels import Box, Layers, Pixels, Size
from dvm_hf.media.video.frame_folder import FrameFolder
from dvm_hf.media.video.frame_pairing import require_pair
from dvm_hf.media.video.frame_sources import FrameSource, opened_frames
from dvm_hf.media.video.video_tags import Role


class VideoForeground:
    """The two videos, or folders of numbered pictures, of a video foreground, or the one that has its own alpha."""

    uses_container_tags = True  # of `Video`

    def __init__(self, plan: ClipPlan, opened: ExitStack) -> None:
        own_alpha = plan.foreground.has_own_alpha
        self.colour = self._opened(plan, opened, plan.foreground.colour, "both" if own_alpha else "colour")
        is_divided = isinstance(self.colour, FrameFolder) and self.colour.divides_colours
        self._colours = decoded_colours(plan.foreground.colours, is_divided=is_divided)
        self.matte: FrameSource | None = None
        if not own_alpha:
            self.matte = self._opened(plan, opened, plan.foreground.alpha, "alpha")
            self._require_pair(plan, self.matte)
        source = self.source_of_alpha
        require_matte(source.path, video_fault(source.path, role=source.role))
        self.file_size = self.colour.size
        self.frame_count: int | None = self.colour.frame_count

    @property
    def source_of_alpha(self) -> FrameSource:
        return self.colour if self.matte is None else self.matte

    def _opened(self, plan: ClipPlan, opened: ExitStack, path: Path, role: Role) -> FrameSource:
        tags = self.uses_container_tags
        source = opened_frames(path, max_frames=plan.max_frames, role=role, uses_container_tags=tags)
        opened.callback(source.close)
        return source

    def _require_pair(self, plan: ClipPlan, matte: FrameSource) -> None:
        require_one_size(plan, self.colour.size, matte.size)
        paths, turns = (self.colour.path, matte.path), (self.colour.orientation, matte.orientation)
        require_same_orientation(*paths, *turns, size=self.colour.size, names=ORIENTATION_NAMES)
        require_pair(self.colour, matte)

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], wanted: Iterable[int]) -> PlacedForeground:
        """Return the complete video frames at the foreground's size, at the centre of the composite's frame."""
        size, box = sizes.foreground, centred_in(sizes)
        if self.matte is not None and self._colours == "straight" and size == self.file_size:
            colours, alphas = self.colour.colours(wanted), self.matte.alphas(wanted)
            return PlacedVideo(resized(colours, size), resized(alphas, size), box)
        layers = FrameBuffer(self._resized_layers(wanted, size))
        return PlacedVideo(_LayerBuffer(layers, 0), _LayerBuffer(layers, 1), box)

    def _resized_layers(self, wanted: Iterable[int], size: Size) -> Iterator[tuple[int, Layers]]:
        """Yield (index, unpremultiplied colour and alpha at a size) of the frames that have both."""
        if self.matte is None:
            frames = self.colour.layers(wanted)
        else:
            frames = _joined(self.colour.colours(wanted), self.matte.alphas(wanted))
        for index, layers in frames:
            straight = straight_layers(layers, colours=self._colours)
            if straight.alpha.shape != size:  # what the file has where alpha is 0 is not blended into the edge
                straight = Layers(continued(*straight, RESIZED), straight.alpha)
            yield index, Layers(_fitted(straight.colour, size), _fitted(straight.alpha, size))


class PixelFrames(Protocol):
    """One layer of the frames of a video foreground; see `FrameBuffer`."""

    def get(self, index: int) -> Pixels | None: ...

    def release(self, before: int) -> None: ...


class _LayerBuffer:
    """One layer, by its position in `Layers`, of frames that are held once for both layers."""

    def __init__(self, layers: FrameBuffer[Layers], position: int) -> None:
        self._layers, self._position = layers, position

    def get(self, index: int) -> Pixels | None:
        found = self._layers.get(index)
        return None if found is None else found[self._position]

    def release(self, before: int) -> None:
        self._layers.release(before)


class PlacedVideo:
    """The frames of a video foreground, at their position in the composite's frame."""

    def __init__(self, colours: PixelFrames, alphas: PixelFrames, box: Box) -> None:
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
    return FrameBuffer((index, _fitted(frame, size)) for index, frame in frames)


def _fitted(frame: Pixels, size: Size) -> Pixels:
    if frame.shape[:2] == size:
        return frame
    return cv2.resize(frame, (size.width, size.height), interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]


def _joined(
    colours: Iterator[tuple[int, Pixels]], alphas: Iterator[tuple[int, Pixels]]
) -> Iterator[tuple[int, Layers]]:
    """Yield (index, layers) of the frames that both iterators have; their indices increase."""
    colour, alpha = next(colours, None), next(alphas, None)
    while colour is not None and alpha is not None:
        if colour[0] == alpha[0]:
            yield colour[0], Layers(colour[1], alpha[1])
        first, second = colour[0], alpha[0]
        colour = next(colours, None) if first <= second else colour
        alpha = next(alphas, None) if second <= first else alpha


def centred_in(sizes: Geometry) -> Box:
    """Return the box of a video foreground, whose centre pixel is at the centre pixel of the frame."""
    top = sizes.frame.height // 2 - sizes.foreground.height // 2
    left = sizes.frame.width // 2 - sizes.foreground.width // 2
    return Box(top, left, top + sizes.foreground.height, left + sizes.foreground.width)
