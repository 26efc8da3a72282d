"""Several foregrounds of a clip as one foreground of its scene: the union of their alphas, and their mixed colours."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from dvm_hf.clips.foreground_protocols import ForegroundTile, PlacedForeground
from dvm_hf.clips.geometry import Geometry, foreground_size, shared_geometry
from dvm_hf.clips.image_foregrounds import ImageForeground
from dvm_hf.clips.moving.playback import ShownFrames
from dvm_hf.clips.moving.warped_foregrounds import WarpedImageForeground, WarpedVideoForeground
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.random_parameters import LayerParameters, RandomParameters
from dvm_hf.clips.stacked.arrangement import Layer, arranged
from dvm_hf.clips.stacked.layer_mixture import mixture
from dvm_hf.clips.stacked.matte_sketches import image_sketch, video_sketch
from dvm_hf.clips.stacked.reduced_layers import placed_layer
from dvm_hf.media.pixels import Box, Pixels, Size


class StackedForeground:
    """The opened foregrounds of a clip, from back to front. frame_count: of the shortest video; None: only images."""

    def __init__(self, plan: ClipPlan, opened: ExitStack) -> None:
        self._plan = plan
        most = plan.max_frames  # of the clip, whatever the kind of a companion
        rendering = replace(plan.rendering, max_image_frames=most, max_video_frames=most)
        self._sources = [
            (WarpedImageForeground if one.kind == "image" else WarpedVideoForeground)(
                replace(plan, foreground=one, companions=(), rendering=rendering), opened
            )
            for one in plan.foregrounds
        ]
        counts = [source.frame_count for source in self._sources if source.frame_count is not None]
        self.frame_count: int | None = min(counts, default=None)
        self._parameters: tuple[LayerParameters, ...] = ()

    def geometry(self, background: Size) -> Geometry:
        """Return the sizes of the composite, given that of the background's files."""
        files = [source.file_size for source in self._sources]
        return shared_geometry(files, background, max_size=self._plan.rendering.max_size)

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Sizes of the foregrounds in the composite before any motion, from back to front."""
        return tuple(map(self._size, self._sources))

    def arranged(self, sizes: Geometry, drawn: RandomParameters, *, frame_count: int) -> RandomParameters:
        """Add the parameters of all foregrounds to those of a clip with `frame_count` frames."""
        layers = [self._layer(source) for source in self._sources]
        return arranged(self._plan, sizes, drawn, layers, frame_count=frame_count)

    def placed(self, sizes: Geometry, parameters: Sequence[LayerParameters], indices: tuple[int, ...]) -> "PlacedStack":
        """Return the foregrounds in the composite's frame. indices: of the frames that are rendered, in order."""
        return PlacedStack(
            [
                placed_layer(
                    source,
                    replace(sizes, foreground=self._size(source)),
                    one.placements,
                    ShownFrames(indices, one.frames),
                )
                for source, one in zip(self._sources, parameters, strict=True)
            ]
        )

    def _size(self, source: WarpedImageForeground | WarpedVideoForeground) -> Size:
        return foreground_size(source.file_size, max_size=self._plan.rendering.max_size)

    def _layer(self, source: WarpedImageForeground | WarpedVideoForeground) -> Layer:
        size = self._size(source)
        if isinstance(source, ImageForeground):
            return Layer("image", None, image_sketch(source, size))
        return Layer("video", source.frame_count, video_sketch(source, size, max_frames=self._plan.max_frames))


class LayerAlphas(NamedTuple):
    """The alphas of layers in a region, (n, h, w): each by itself, and the part of it that is visible."""

    own: Pixels
    visible: Pixels


class PlacedStack:
    """Foregrounds in the composite's frame, from back to front, as one foreground."""

    def __init__(self, layers: Sequence[PlacedForeground]) -> None:
        self._layers = layers
        self._latest: tuple[int, Box, LayerAlphas] | None = None

    def covered(self, index: int) -> Box:
        boxes = [layer.covered(index) for layer in self._layers]
        tops, lefts, bottoms, rights = zip(*((box.top, box.left, box.bottom, box.right) for box in boxes), strict=True)
        return Box(min(tops), min(lefts), max(bottoms), max(rights))

    def tiles(self, index: int, region: Box) -> Iterable[ForegroundTile] | None:
        shape = len(self._layers), region.height, region.width
        own, colours = np.zeros(shape, np.uint8), np.zeros((*shape, 3), np.uint8)
        for layer, alpha, colour in zip(self._layers, own, colours, strict=True):
            tiles = layer.tiles(index, layer.covered(index).intersection(region))
            if tiles is None:
                return None
            for tile in tiles:
                place = tile.box.within(region)
                alpha[place], colour[place] = tile.alpha, tile.colour
        mixed = mixture(own, list(colours))
        self._latest = index, region, LayerAlphas(own, mixed.visible)
        assert mixed.colour is not None
        return [ForegroundTile(region, mixed.colour, mixed.alpha)]

    def alpha(self, index: int, region: Box) -> Pixels | None:
        alphas = self.layer_alphas(index, region)
        return None if alphas is None else np.add.reduce(alphas.visible, axis=0, dtype=np.uint8)

    def layer_alphas(self, index: int, region: Box) -> LayerAlphas | None:
        """Return the alphas of the layers in a region; None if a video has ended.

        Those of the region that was read last are kept, because a frame needs them after its colours.
        """
        if self._latest is not None and self._latest[:2] == (index, region):
            return self._latest[2]
        own = np.zeros((len(self._layers), region.height, region.width), np.uint8)
        for layer, alpha in zip(self._layers, own, strict=True):
            part = layer.covered(index).intersection(region)
            found = layer.alpha(index, part)
            if found is None:
                return None
            if not part.is_empty:
                alpha[part.within(region)] = found
        alphas = LayerAlphas(own, mixture(own).visible)
        self._latest = index, region, alphas
        return alphas

    def provided_trimap(self, index: int, region: Box) -> Pixels | None:
        return None

    def likely_unknown(self, index: int, margin: int, rng: np.random.Generator) -> Iterable[tuple[int, int]]:
        return ()

    def release(self, before: int) -> None:
        self._latest = None
        for layer in self._layers:
            layer.release(before)
