"""Foregrounds that are warped by any affine map, on premultiplied values: motion="rvm", and images with a shutter."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np

from dvm_hf.clips.foreground_protocols import ForegroundTile, PlacedForeground
from dvm_hf.clips.geometry import Geometry, occupied_box
from dvm_hf.clips.image_foregrounds import DecodedImage, ImageForeground, PlacedImage
from dvm_hf.clips.motion import Placement
from dvm_hf.clips.moving.exposure import exposed_box, sampled_maps
from dvm_hf.clips.moving.layer_warp import (
    Map,
    Premultiplied,
    WarpedTile,
    mean_tiles,
    premultiplied,
    straight,
    straight_alpha,
    weighted,
)
from dvm_hf.clips.moving.playback import ShownFrames
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.trimap import UNKNOWN
from dvm_hf.clips.video_foregrounds import PlacedVideo, VideoForeground
from dvm_hf.media.pixels import Box, Pixels, Size

EMPTY = Box(0, 0, 0, 0)


@dataclass(frozen=True)
class WarpedImageFiles(DecodedImage):
    """A decoded image with its premultiplied values (h + 2, w + 2, 4), which also have the border."""

    values: Premultiplied

    @property
    def nbytes(self) -> int:
        return super().nbytes + self.values.nbytes


class WarpedImageForeground(ImageForeground):
    """An image foreground that can be warped by any affine map."""

    def decoded(self, plan: ClipPlan) -> WarpedImageFiles:
        image = super().decoded(plan)
        rgba = image.still.rgba
        values = premultiplied(np.ascontiguousarray(rgba[..., :3]), image.still.matte)
        values.setflags(write=False)
        return WarpedImageFiles(image.file_size, image.turn, image.still, values)

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], shown: ShownFrames) -> PlacedForeground:
        """Return the image at the foreground's size, with a transparent border of 1 px."""
        image, trimap = cast(WarpedImageFiles, self.image), self.bordered_trimap(sizes)
        return WarpedImage(image, trimap, placements, shows_all_pixels=self.shows_all_pixels)


class WarpedImage(PlacedImage):
    """An image in the frame, by an affine map in each frame, or by several while the shutter is open."""

    def __init__(
        self,
        image: WarpedImageFiles,
        trimap: Pixels | None,
        placements: tuple[Placement, ...],
        *,
        shows_all_pixels: bool,
    ) -> None:
        super().__init__(image.still, trimap, placements, shows_all_pixels=shows_all_pixels)
        self._values, self._occupied = image.values, occupied_box(image.still.matte)

    def covered(self, index: int) -> Box:
        return exposed_box(self._maps(index), part=self._part)

    def tiles(self, index: int, region: Box) -> Iterator[ForegroundTile]:
        yield from _foreground_tiles(self._warped(self._values, index, region))

    def alpha(self, index: int, region: Box) -> Pixels | None:
        return _joined_alpha(self._warped(self._values[..., 3], index, region), region)

    def provided_trimap(self, index: int, region: Box) -> Pixels | None:
        """Return the trimap file, moved like the alpha: where samples of the exposure differ, pixels are unknown."""
        trimap, maps = self._trimap, self._maps(index)
        if trimap is None or len(maps) == 1:
            return super().provided_trimap(index, region)
        whole, known = Box(0, 0, *self._size), np.zeros((len(maps), region.height, region.width), np.uint8)
        for moved, to_image in zip(known, maps, strict=True):
            for box, pixels in mean_tiles(
                lambda box: trimap[box.within(whole)], (to_image,), region=region, part=self._part, nearest=True
            ):
                moved[box.within(region)] = pixels
        return np.where((known == known[0]).all(axis=0), known[0], np.uint8(UNKNOWN))

    def _blur(self, index: int, margin: int) -> float:
        maps, around = self._maps(index), self.covered(index).grown(2 * margin)
        corners = np.array([[around.left, around.right] * 2, [around.top, around.top, around.bottom, around.bottom]])
        moved = [one[:, :2] @ corners + one[:, 2:] for one in maps]
        return float(np.ptp(moved, axis=0).max() * math.sqrt(2))

    def _maps(self, index: int) -> tuple[Map, ...]:
        return sampled_maps(self._placements[index], layer=self._size)

    def _warped(self, values: Premultiplied, index: int, region: Box) -> Iterator[WarpedTile]:
        whole = Box(0, 0, *self._size)
        return mean_tiles(lambda box: values[box.within(whole)], self._maps(index), region=region, part=self._occupied)


class WarpedVideoForeground(VideoForeground):
    """A video foreground that can be warped by any affine map."""

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], shown: ShownFrames) -> PlacedForeground:
        """Return the video frames at the foreground's size, each moved by an affine map."""
        layer = Box(0, 0, *sizes.foreground)
        return WarpedVideo(self.placed_in(layer, sizes.foreground, shown), sizes.foreground, placements)


class WarpedVideo:
    """The frames of a video foreground in the frame, by an affine map in each, or by several while the shutter is open.

    layers: the frames, not moved. The motion inside of the video is not known, so its pixels blur only as it is moved.
    """

    def __init__(self, layers: PlacedVideo, size: Size, placements: tuple[Placement, ...]) -> None:
        self._layers, self._size, self._placements = layers, size, placements
        self._whole = Box(0, 0, *size)

    def covered(self, index: int) -> Box:
        return exposed_box(sampled_maps(self._placements[index], layer=self._size), part=self._whole)

    def tiles(self, index: int, region: Box) -> Iterable[ForegroundTile] | None:
        if self._layers.tiles(index, EMPTY) is None:
            return None
        return _foreground_tiles(self._warped(self._values, index, region))

    def alpha(self, index: int, region: Box) -> Pixels | None:
        if self._layers.alpha(index, EMPTY) is None:
            return None
        return _joined_alpha(self._warped(self._weights, index, region), region)

    def _warped(self, read: Callable[[int, Box], Premultiplied], index: int, region: Box) -> Iterator[WarpedTile]:
        maps = sampled_maps(self._placements[index], layer=self._size)
        return mean_tiles(lambda box: read(index, box), maps, region=region, part=self._whole)

    def _values(self, index: int, box: Box) -> Premultiplied:
        (tile,) = self._layers.tiles(index, box) or ()
        return premultiplied(tile.colour, tile.alpha)

    def _weights(self, index: int, box: Box) -> Premultiplied:
        alpha = self._layers.alpha(index, box)
        assert alpha is not None  # of this frame, at least its empty part was read
        return weighted(alpha)

    def provided_trimap(self, index: int, region: Box) -> Pixels | None:
        return None

    def likely_unknown(self, index: int, margin: int, rng: np.random.Generator) -> Iterable[tuple[int, int]]:
        return ()

    def release(self, before: int) -> None:
        self._layers.release(before)


def _foreground_tiles(tiles: Iterable[WarpedTile]) -> Iterator[ForegroundTile]:
    """Yield the tiles that are not transparent, with unpremultiplied colours."""
    for box, values in tiles:
        layers = straight(values)
        if layers is not None:
            yield ForegroundTile(box, *layers)


def _joined_alpha(tiles: Iterable[WarpedTile], region: Box) -> Pixels:
    """Return the alpha of a region from its warped tiles, 0 elsewhere."""
    alpha = np.zeros((region.height, region.width), np.uint8)
    for box, weights in tiles:
        alpha[box.within(region)] = straight_alpha(weights)
    return alpha
