"""The opened sources of one clip: renders the layers of any frame, in any box of it."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import cv2
import numpy as np

from dvm_hf.clips.appearance.filmed_frames import Camera
from dvm_hf.clips.appearance.layer_statistics import background_statistics, foreground_statistics
from dvm_hf.clips.appearance.lit_layers import LitLayers
from dvm_hf.clips.appearance.tone_curves import ColourStatistics
from dvm_hf.clips.canvas import Canvas, on_zeros
from dvm_hf.clips.foreground_protocols import OpenedForeground, PackedTile, PlacedForeground
from dvm_hf.clips.frame_buffer import FrameBuffer
from dvm_hf.clips.geometry import geometry
from dvm_hf.clips.moving.playback import ShownFrames
from dvm_hf.clips.moving.warped_backgrounds import warped_background
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.random_parameters import LayerParameters
from dvm_hf.clips.recipes import RECIPES
from dvm_hf.clips.reference import one_channel
from dvm_hf.clips.stacked.stacked_foregrounds import PlacedStack, StackedForeground
from dvm_hf.clips.trimap import TEST_BAND, UNKNOWN, Band, EuclideanBand
from dvm_hf.errors import SourceError
from dvm_hf.media.enlarged_pictures import resized_part, resized_up_to
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.still.still_pictures import HeldPicture
from dvm_hf.media.video.frame_sources import Backdrop, FramePicture, OpenBackground, opened_backdrop
from dvm_hf.media.video.held_still import HeldStill
from dvm_hf.sources.remote.source_files import present

BLUR = 9  # px; side of the published background blur
MAX_GUESSES = 32  # pixels tried before the full trimap is computed; each costs a hundredth of it


@dataclass(frozen=True)
class Frame:
    """One rendered frame, uint8: images (H, W, 3) RGB, alpha and trimap (H, W). None: not requested.

    instances: the visible part of each foreground's alpha (N, H, W), from back to front; they sum to the alpha.
    """

    composite: Pixels | None
    alpha: Pixels | None
    trimap: Pixels | None
    foreground: Pixels | None
    background: Pixels | None
    instances: Pixels | None = None


class Scene:
    """The opened sources of one clip.

    frame_count: number of frames according to the headers and the plan. Call `start` once, then `frame` with increasing
    indices out of `wanted`, and `release` the frames you no longer need. `frame` returns None if a source ends early.
    backdrop, foreground: the background, and the foreground of a clip without companions, if they are already open.
    They stay open.
    foreground_frames, background_frames: by frame of the clip, the frame of the source that it shows; None: the one
    with the same index, or the source is a still.
    hidden: by rendered frame, the part of each foreground's alpha in the view that those in front of it hide, if there
    are several.
    """

    foreground_frames: tuple[int, ...] | None = None
    background_frames: tuple[int, ...] | None = None

    def __init__(
        self,
        plan: ClipPlan,
        opened: ExitStack,
        *,
        backdrop: OpenBackground | None = None,
        foreground: OpenedForeground | None = None,
    ) -> None:
        self.plan = plan
        self._recipe = RECIPES[plan.rendering.recipe]
        self._recipe.require_kinds(plan)
        own_background = () if backdrop is not None else (plan.background.path,)
        opened.enter_context(present((*plan.foreground_files, *own_background)))
        if backdrop is None:
            backdrop = own = opened_background(plan)
            opened.callback(own.close)
        self._recipe.require_readable(backdrop)
        self._stack = StackedForeground(plan, opened) if plan.companions else None
        self._placed_stack: PlacedStack | None = None
        self.hidden: dict[int, tuple[float, ...]] = {}
        source: StackedForeground | OpenedForeground
        if self._stack is not None:
            source, self.geometry = self._stack, self._stack.geometry(backdrop.size)
        else:
            source = foreground or self._recipe.opened[plan.foreground.kind](plan, opened)
            self.geometry = geometry(source.file_size, backdrop.size, max_size=plan.rendering.max_size)
            self._source = source
        self._require_room_for_crop()
        foreground_frames = plan.max_frames if source.frame_count is None else source.frame_count
        self.frame_count = min(plan.max_frames, backdrop.frame_count, foreground_frames)
        self.random_parameters = self._recipe.random_parameters(plan, self.geometry)
        if self._stack is not None:
            self.random_parameters = self._stack.arranged(
                self.geometry, self.random_parameters, frame_count=self.frame_count
            )
        self._backdrop = backdrop
        self._light, self._camera = self._appearance()
        if (timing := self.random_parameters.timing) is not None:
            if source.frame_count is not None and self._stack is None:
                self.foreground_frames = timing.foreground_frames(min(plan.max_frames, source.frame_count))
            if not isinstance(backdrop, HeldStill) and not (self._light is not None and self._light.has_plate):
                self.background_frames = timing.background_frames(min(plan.max_frames, backdrop.frame_count))

    def start(self, wanted: Iterable[int]) -> None:
        """Announce the indices of the frames to render, in increasing order."""
        wanted = tuple(wanted)
        self._background: FrameBuffer[FramePicture] = FrameBuffer(self._background_pictures(wanted))
        drawn = self.random_parameters
        self._foreground: PlacedForeground
        if self._stack is not None:
            self._foreground = self._placed_stack = self._stack.placed(self.geometry, drawn.layers, wanted)
        else:
            shown = ShownFrames(wanted, self.foreground_frames)
            self._foreground = self._source.placed(self.geometry, drawn.placements, shown)

    def release(self, before: int) -> None:
        """Release the frames before this one, which are no longer needed."""
        self._background.release(before)
        self._foreground.release(before)

    def frame(self, index: int, view: Box) -> Frame | None:
        """Render the requested layers of a frame in `view`, a box of the frame; None if a source has ended."""
        if self._camera is None:
            return self._layers(index, view, view)
        coded = self._camera.coded(view) if "frames" in self.plan.rendering.columns else view
        frame = self._layers(index, coded, view)
        if frame is None or frame.composite is None:
            return frame
        return _cropped(replace(frame, composite=self._camera.filmed(frame.composite, index, coded)), coded, view)

    def _layers(self, index: int, view: Box, shown: Box) -> Frame | None:
        """Render the requested layers of a frame, with a composite that no camera has changed.

        shown: the part of the view that the caller of `frame` gets.
        """
        columns = set(self.plan.rendering.columns)
        source = self._background.get(index)
        if source is None:
            return None
        background = self._lit_background(source, index, view) if columns & {"frames", "background"} else None
        composite = background if background is None or "background" not in columns else background.copy()
        foreground = Canvas(view, channels=3)
        margin = self._band(index).margin if "trimap" in columns else 0
        reach = view.grown(margin).intersection(self.geometry.frame_box)
        region = self._foreground.covered(index).intersection(reach)
        if columns & {"frames", "foreground"}:
            alpha = self._composited(index, region, reach, view, composite, foreground)
        else:
            alpha = self._foreground.alpha(index, region)
            alpha = None if alpha is None else on_zeros(alpha, region, reach)
        if alpha is None:
            return None
        return Frame(
            composite=composite if "frames" in columns else None,
            alpha=on_zeros(alpha, reach, view) if "alpha" in columns else None,
            trimap=self._trimap_in(index, alpha, reach, view) if "trimap" in columns else None,
            foreground=foreground.pixels if "foreground" in columns else None,
            background=background if "background" in columns else None,
            instances=self._instances(index, region, alpha, reach, view, shown) if self._shows_instances else None,
        )

    @property
    def _shows_instances(self) -> bool:
        return self._placed_stack is not None or "instances" in self.plan.rendering.columns

    def _instances(self, index: int, region: Box, alpha: Pixels, reach: Box, view: Box, shown: Box) -> Pixels | None:
        """Return the visible part of each foreground's alpha (n, h, w) in the view, and note what others hide in the
        part of it that is shown.

        alpha: of `reach`.
        """
        if self._placed_stack is None:
            return on_zeros(alpha, reach, view)[None]
        alphas = self._placed_stack.layer_alphas(index, region)
        assert alphas is not None  # the frame's alpha has been read
        inner = region.intersection(shown)
        if inner.is_empty:
            self.hidden[index] = (0.0,) * len(alphas.own)
            return np.zeros((len(alphas.own), view.height, view.width), np.uint8)
        visible = [part[inner.within(region)] for part in alphas.visible]
        owns = (cv2.sumElems(part[inner.within(region)])[0] for part in alphas.own)
        self.hidden[index] = tuple(
            max(0.0, 1 - cv2.sumElems(part)[0] / own) if own else 0.0 for part, own in zip(visible, owns, strict=True)
        )
        if "instances" not in self.plan.rendering.columns:
            return None
        return np.stack([on_zeros(part, region, view) for part in alphas.visible])

    def _composited(
        self, index: int, region: Box, reach: Box, view: Box, composite: Pixels | None, foreground: Canvas
    ) -> Pixels | None:
        """Return the alpha (h, w) of `reach`, which is 0 outside of `region`, and composite the part in the view onto
        `composite` and `foreground`, if their columns are requested; None if the video has ended.
        """
        tiles = self._foreground.tiles(index, region)
        if tiles is None:
            return None
        alpha, columns = Canvas(reach), self.plan.rendering.columns
        lit = None
        if self._light is not None:
            lit = self._light.foreground(index, region.intersection(view), partial(self._alpha_in, index))
        for tile in tiles:
            inner = tile.box.intersection(view)
            if isinstance(tile, PackedTile):
                shown = foreground.part(tile.box) if "foreground" in columns and inner == tile.box else None
                tile = tile.split(colour=shown, alpha=alpha.part(tile.box))
            box, colour, tile_alpha = tile
            alpha.paint(box, one_channel(tile_alpha))
            if inner.is_empty:
                continue
            if inner != box:
                cut = inner.within(box)
                colour, tile_alpha = colour[cut], tile_alpha[cut]
            if lit is not None:
                colour = lit(inner, colour)
            if composite is not None and "frames" in columns:
                self._recipe.composite_over(composite[inner.within(view)], colour, tile_alpha)
            if "foreground" in columns:
                foreground.paint(inner, self._recipe.shown_colour(colour, tile_alpha))
        return alpha.pixels

    def _alpha_in(self, index: int, box: Box) -> Pixels | None:
        """Return the alpha (h, w) in any box, which may extend beyond the frame; None if the video has ended."""
        region = self._foreground.covered(index).intersection(box)
        alpha = self._foreground.alpha(index, region)
        return None if alpha is None else on_zeros(one_channel(alpha), region, box)

    @property
    def foreground_sizes(self) -> tuple[Size, ...]:
        """Sizes of the foregrounds in the composite before any motion, from back to front."""
        return (self.geometry.foreground,) if self._stack is None else self._stack.sizes

    def motion(self, index: int) -> tuple[float, ...]:
        """Return the numbers of `motion_columns` of a frame."""
        drawn = self.random_parameters
        if not drawn.layers and drawn.background is None:
            return drawn.placements[index].pose
        layers = drawn.layers or (LayerParameters(drawn.placements, self.foreground_frames),)
        if drawn.background is None or drawn.camera is None:
            return tuple(number for layer in layers for number in layer.placements[index].pose)
        placed = [(layer.placements[index], layer.frames) for layer in layers]
        placed.append((drawn.background[index], self.background_frames))
        camera = drawn.camera[index]
        numbers: list[float] = []
        for one, frames in placed:
            numbers += *one.pose, *one.shape, one.mirrored, frames[index] if frames else 0
        return (*numbers, *camera.pose, *camera.shape)

    def unknown_pixel(self, index: int, chance: float, rng: np.random.Generator) -> tuple[int, int] | None:
        """Return row and column of a random unknown pixel of a frame; all unknown pixels are equally likely.

        Returns the centre of the frame if no pixel is unknown, and None if a video foreground ends before this frame.
        Likely pixels are tried first, because the trimap of a full frame costs more than a crop. If all of them fail,
        `chance` in [0, 1) selects one of the unknown pixels.
        """
        margin = self._band(index).margin
        for row, column in islice(self._foreground.likely_unknown(index, margin, rng), MAX_GUESSES):
            if self._is_unknown(index, row, column):
                return row, column
        region = self._foreground.covered(index).intersection(self.geometry.frame_box)
        alpha = self._foreground.alpha(index, region)
        if alpha is None:
            return None
        if self.plan.rendering.trimap != "provided":  # elsewhere, pixels are unknown only near an alpha above 0
            part = _visible(alpha, region)
            alpha, region = alpha[part.within(region)], part
        area = region.grown(margin).intersection(self.geometry.frame_box)
        found = _chosen_pixel(self._trimap_in(index, alpha, region, area), UNKNOWN, chance)
        return self.middle_pixel if found is None else (area.top + found[0], area.left + found[1])

    def _is_unknown(self, index: int, row: int, column: int) -> bool:
        """Whether a pixel is unknown in the trimap of a frame; False for a pixel outside the frame."""
        view = Box(row, column, row + 1, column + 1).intersection(self.geometry.frame_box)
        if view.is_empty:
            return False
        reach = view.grown(self._band(index).margin).intersection(self.geometry.frame_box)
        region = self._foreground.covered(index).intersection(reach)
        alpha = self._foreground.alpha(index, region)
        return alpha is not None and self._trimap_in(index, alpha, region, view).item() == UNKNOWN

    @property
    def middle_pixel(self) -> tuple[int, int]:
        return self.geometry.frame.height // 2, self.geometry.frame.width // 2

    def _band(self, index: int) -> Band:
        kind = self.plan.rendering.trimap
        if isinstance(kind, int):
            return EuclideanBand(kind)
        return self.random_parameters.bands[index] if kind == "dvm-train" else TEST_BAND

    def _trimap_in(self, index: int, alpha: Pixels, region: Box, view: Box) -> Pixels:
        """Return the trimap of a view. Alpha is 0 outside of `region`, up to the band's margin around the view."""
        if self.plan.rendering.trimap == "provided":
            covered = self._foreground.covered(index).intersection(region).intersection(view)
            moved = self._foreground.provided_trimap(index, covered)
            if moved is not None:
                return on_zeros(moved, covered, view)
        margin, part = self._band(index).margin, _visible(alpha, region)
        reach = view.grown(margin).intersection(self.geometry.frame_box)
        area = part.grown(margin).intersection(reach)
        if part.is_empty or area.is_empty:
            return np.zeros((view.height, view.width), np.uint8)
        known, cut = self._band(index).trimap(on_zeros(alpha, region, area)), area.intersection(view)
        return on_zeros(known[cut.within(area)], cut, view)

    def _lit_background(self, source: FramePicture, index: int, view: Box) -> Pixels:
        """Return the part of the background in `view` of the frame, in its light and defocus, as a new array."""
        if self._light is None and self._camera is None:
            return self._background_in(source, index, view)
        margin = 0 if self._camera is None else self._camera.blur_margin
        wide = view.grown(margin).intersection(self.geometry.frame_box)
        pixels = self._background_in(source, index, wide)
        if self._light is not None:
            alpha_in, covered = partial(self._alpha_in, index), self._foreground.covered(index)
            pixels = self._light.background(index, pixels, wide, covered=covered, alpha_in=alpha_in)
        if self._camera is not None:
            pixels = self._camera.defocused(pixels)
        return np.ascontiguousarray(pixels[view.within(wide)])

    def _background_in(self, source: FramePicture, index: int, view: Box) -> Pixels:
        """Return the part of the background in `view` of the frame, as a new array."""
        if not self.plan.rendering.background_blur:
            return self._placed_background(source, index, view)
        grown = view.grown(BLUR // 2).intersection(self.geometry.frame_box)
        blurred = cv2.GaussianBlur(self._placed_background(source, index, grown), (BLUR, BLUR), 0)
        return np.ascontiguousarray(blurred[view.within(grown)])

    def _placed_background(self, source: FramePicture, index: int, view: Box) -> Pixels:
        placements = self.random_parameters.background
        if placements is None:
            return self._resized_background(source, view)
        return warped_background(source, placements[index], size=self.geometry.background, view=view)

    def _resized_background(self, source: FramePicture, view: Box) -> Pixels:
        """Crop `view` from the background, which is enlarged if it is smaller than the frame."""
        (row, column), size = self.random_parameters.background_corner, self.geometry.background
        box = Box(view.top + row, view.left + column, view.bottom + row, view.right + column)
        if source.size == size:
            return source.rgb(box)
        if isinstance(source, HeldPicture):
            return source.resized(size).rgb(box)
        resizes_exactly = self._recipe.resizes_exactly or (self._camera is not None and self._camera.compresses)
        if resizes_exactly or box.height * box.width * 4 > size.height * size.width:
            return resized_up_to(source, size, box)
        return resized_part(source.rgb(Box(0, 0, *source.size)), size, box)

    def _background_pictures(self, wanted: tuple[int, ...]) -> Iterator[tuple[int, FramePicture]]:
        """Return (index, picture) of the background, or of the backing that replaces it."""
        if self._light is None or not self._light.has_plate:
            return ShownFrames(wanted, self.background_frames).pictures(self._backdrop)
        return self._light.plates(wanted, self.geometry.background)

    def _appearance(self) -> tuple[LitLayers | None, Camera | None]:
        """Return the light and the camera of the clip, each None if it has no effect."""
        plan, sizes, drawn = self.plan, self.geometry, self.random_parameters

        def statistics() -> tuple[ColourStatistics | None, ColourStatistics | None]:
            opened = self._recipe.opened[plan.foreground.kind]
            return foreground_statistics(plan, sizes, opened), background_statistics(plan, opened_background)

        light, camera = None, None
        if drawn.light is not None:
            light = LitLayers(drawn.light, frame=sizes.frame, frames=plan.max_frames, statistics=statistics)
        if drawn.lens is not None:
            camera = Camera(drawn.lens, frame=sizes.frame)
        return light, camera

    def _require_room_for_crop(self) -> None:
        crop, frame = self.plan.rendering.crop_size, self.geometry.frame
        if crop is not None and crop > min(frame):
            raise SourceError(
                f"{self.plan.clip_id}: crop_size is {crop}, but the composite is {frame} "
                f"and must contain the crop; use a crop_size up to {min(frame)}, or skip the clip "
                f"(foreground: {', '.join(str(one.colour) for one in self.plan.foregrounds)})"
            )


def opened_background(plan: ClipPlan) -> Backdrop:
    """Open the background of a clip as its recipe reads it. Raises SourceError if it cannot be used."""
    tags = RECIPES[plan.rendering.recipe].uses_container_tags
    return opened_backdrop(plan.background.path, max_frames=plan.max_frames, uses_container_tags=tags)


def _cropped(frame: Frame, box: Box, view: Box) -> Frame:
    """Return the part `view` of a frame that was rendered in `box`."""
    if box == view:
        return frame
    rows, columns = view.within(box)
    layers = {}
    for name, part in vars(frame).items():
        cut = (slice(None), rows, columns) if name == "instances" else (rows, columns)
        layers[name] = None if part is None else np.ascontiguousarray(part[cut])
    return Frame(**layers)


def _visible(alpha: Pixels, box: Box) -> Box:
    """Return the smallest part of `box` outside of which its alpha is 0."""
    left, top, width, height = cv2.boundingRect(alpha) if alpha.size else (0, 0, 0, 0)
    return Box(box.top + top, box.left + left, box.top + top + height, box.left + left + width)


def _chosen_pixel(pixels: Pixels, value: int, chance: float) -> tuple[int, int] | None:
    """Return row and column of one of the pixels that have a value, in their order; None if there is none.

    chance: selects the pixel, in [0, 1).
    """
    if not pixels.size:
        return None
    is_value = cv2.inRange(pixels, value, value)
    counts = cv2.reduce(is_value, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0] // 255  # by row
    ends = np.cumsum(counts)
    number = int(chance * int(ends[-1]))
    if not ends[-1]:
        return None
    row = int(np.searchsorted(ends, number, side="right"))
    return row, int(np.flatnonzero(is_value[row])[number - int(ends[row] - counts[row])])
