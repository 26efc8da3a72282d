"""A video foreground: videos or folders of numbered pictures, centred in the frame."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

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
from dvm_hf.clips.moving.playback import ShownFrames
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.straight_colours import BY_PIXEL, decoded_colours, straight_layers, unchanged
from dvm_hf.media.frame_geometry import ORIENTATION_NAMES
from dvm_hf.media.matte_faults import require_matte, video_fault
from dvm_hf.media.pixels import Box, Layers, Pixels, Size
from dvm_hf.media.still.still_pictures import StillPicture
from dvm_hf.media.video.frame_folder import FrameFolder
from dvm_hf.media.video.frame_pairing import require_pair
from dvm_hf.media.video.frame_sources import FramePicture, FrameSource, opened_frames
from dvm_hf.media.video.held_frames import ReadablePictures
from dvm_hf.media.video.video_tags import Role


class VideoForeground:
    """The two videos, or folders of numbered pictures, of a video foreground, or the one that has its own alpha.

    colour_frames, alpha_frames: what the frames are read from, the same object for a source with its own alpha. They
    can be replaced by frames of the sources that are already decoded.
    """

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
        self.colour_frames: ReadablePictures = self.colour
        self.alpha_frames: ReadablePictures = source

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

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], shown: ShownFrames) -> PlacedForeground:
        """Return the video frames at the foreground's size, at the centre of the composite's frame."""
        return self.placed_in(centred_in(sizes), sizes.foreground, shown)

    def placed_in(self, box: Box, size: Size, shown: ShownFrames) -> "PlacedVideo":
        """Return the video frames at a size, in a box of that size."""
        if size != self.file_size or self._colours not in BY_PIXEL:
            resized = FrameBuffer(self._resized_pictures(shown, size))
            return PlacedVideo(resized, resized, box)
        if self.matte is not None and self._colours == "straight":  # the alpha can be read before the colours
            colours: FrameBuffer[FramePicture] = FrameBuffer(shown.pictures(self.colour_frames))
            return PlacedVideo(colours, FrameBuffer(shown.pictures(self.alpha_frames)), box)
        both = FrameBuffer(self._pictures(shown))
        return PlacedVideo(both, both, box, straight=BY_PIXEL[self._colours])

    def _pictures(self, shown: ShownFrames) -> Iterator[tuple[int, FramePicture]]:
        """Yield (index, picture) of the frames that have both colour and alpha."""
        if self.matte is None:
            pictures: Iterator[tuple[int, FramePicture]] = shown.pictures(self.colour_frames)
            yield from pictures
        else:
            yield from _joined(shown.pictures(self.colour_frames), shown.pictures(self.alpha_frames))

    def _resized_pictures(self, shown: ShownFrames, size: Size) -> Iterator[tuple[int, FramePicture]]:
        """Yield (index, picture with unpremultiplied colour and alpha at a size) of the frames that have both."""
        whole = Box(0, 0, *self.file_size)
        for index, picture in self._pictures(shown):
            layers = Layers(picture.rgb(whole), picture.alpha(whole))
            straight = straight_layers(layers, colours=self._colours)
            if straight.alpha.shape != size:  # what the file has where alpha is 0 is not blended into the edge
                straight = Layers(continued(*straight, RESIZED), straight.alpha)
            yield index, StillPicture(fitted(straight.colour, size), fitted(straight.alpha, size))


class _JoinedPicture:
    """A frame of two videos."""

    def __init__(self, colour: FramePicture, matte: FramePicture) -> None:
        self._colour, self._matte, self.size = colour, matte, colour.size

    @property
    def nbytes(self) -> int:
        return self._colour.nbytes + self._matte.nbytes

    def rgb(self, box: Box) -> Pixels:
        return self._colour.rgb(box)

    def alpha(self, box: Box) -> Pixels:
        return self._matte.alpha(box)


class PlacedVideo:
    """The frames of a video foreground, at their position in the composite's frame.

    straight: maps colour (h, w, 3) and alpha (h, w) of a part to unpremultiplied colours.
    """

    def __init__(
        self,
        colours: FrameBuffer[FramePicture],
        alphas: FrameBuffer[FramePicture],
        box: Box,
        *,
        straight: Callable[[Pixels, Pixels], Pixels] = unchanged,
    ) -> None:
        self.colours, self.alphas, self._box, self._straight = colours, alphas, box, straight

    def covered(self, index: int) -> Box:
        return self._box

    def tiles(self, index: int, region: Box) -> Iterable[ForegroundTile] | None:
        colour, alpha = self.colours.get(index), self.alpha(index, region)
        if colour is None or alpha is None:
            return None
        return [ForegroundTile(region, self._straight(colour.rgb(self.stored(region)), alpha), alpha)]

    def alpha(self, index: int, region: Box) -> Pixels | None:
        picture = self.alphas.get(index)
        return None if picture is None else picture.alpha(self.stored(region))

    def stored(self, region: Box) -> Box:
        """Return a region of the composite's frame as a box of the video's frame."""
        top, left = self._box.top, self._box.left
        return Box(region.top - top, region.left - left, region.bottom - top, region.right - left)

    def provided_trimap(self, index: int, region: Box) -> Pixels | None:
        return None

    def likely_unknown(self, index: int, margin: int, rng: np.random.Generator) -> Iterable[tuple[int, int]]:
        return ()

    def release(self, before: int) -> None:
        self.colours.release(before)
        self.alphas.release(before)


def fitted(frame: Pixels, size: Size) -> Pixels:
    """Return a frame at a size, by cubic interpolation if it has another one."""
    if frame.shape[:2] == size:
        return frame
    return cv2.resize(frame, (size.width, size.height), interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]


def _joined(
    colours: Iterator[tuple[int, FramePicture]], mattes: Iterator[tuple[int, FramePicture]]
) -> Iterator[tuple[int, _JoinedPicture]]:
    """Yield (index, picture) of the frames that both iterators have; their indices increase."""
    colour, matte = next(colours, None), next(mattes, None)
    while colour is not None and matte is not None:
        if colour[0] == matte[0]:
            yield colour[0], _JoinedPicture(colour[1], matte[1])
        first, second = colour[0], matte[0]
        colour = next(colours, None) if first <= second else colour
        matte = next(mattes, None) if second <= first else matte


def centred_in(sizes: Geometry) -> Box:
    """Return the box of a video foreground, whose centre pixel is at the centre pixel of the frame."""
    top = sizes.frame.height // 2 - sizes.foreground.height // 2
    left = sizes.frame.width // 2 - sizes.foreground.width // 2
    return Box(top, left, top + sizes.foreground.height, left + sizes.foreground.width)
