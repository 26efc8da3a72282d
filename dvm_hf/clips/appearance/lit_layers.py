"""The layers of a clip in its light, in any box of any frame, before they are composited."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TypeAlias

from dvm_hf.clips.appearance.cast_shadow import box_side, cast_shadow, darkened
from dvm_hf.clips.appearance.green_screen import clean_plate, spilled
from dvm_hf.clips.appearance.random_appearance import LightParameters
from dvm_hf.clips.appearance.tone_curves import (
    ColourStatistics,
    Levels,
    curved,
    exposed_levels,
    matched_levels,
    stops_at,
    table_of,
    unchanged_levels,
)
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.still.still_pictures import StillPicture

AlphaIn: TypeAlias = Callable[[Box], Pixels | None]
Statistics: TypeAlias = Callable[[], tuple[ColourStatistics | None, ColourStatistics | None]]


class LitLayers:
    """The layers of one clip in its light.

    frame: size of the composite. frames: maximum number of frames of the clip, over which the light drifts.
    statistics: returns those of the foreground and the background; called if the foreground is matched.
    """

    def __init__(self, drawn: LightParameters, *, frame: Size, frames: int, statistics: Statistics) -> None:
        self._drawn, self._frame, self._frames = drawn, frame, frames
        self._statistics = statistics
        self._tables: tuple[int, Pixels | None, Pixels | None] = (-1, None, None)

    @property
    def has_plate(self) -> bool:
        return self._drawn.screen is not None

    def plates(self, wanted: tuple[int, ...], size: Size) -> Iterator[tuple[int, StillPicture]]:
        """Yield (index, backing) for each frame, in place of a background of this size; only if `has_plate`."""
        assert self._drawn.screen is not None
        plate = clean_plate(self._drawn.screen, size)
        yield from ((index, plate) for index in wanted)

    def background(self, index: int, pixels: Pixels, view: Box, *, covered: Box, alpha_in: AlphaIn) -> Pixels:
        """Return the background's pixels (h, w, 3) of a view in the light of a frame.

        covered: a box outside of which the foreground's alpha is 0. alpha_in: returns the alpha in any box.
        """
        table, shadow = self._tables_of(index)[1], self._drawn.shadow
        pixels = pixels if table is None else curved(pixels, table)
        if shadow is None:
            return pixels
        return darkened(pixels, cast_shadow(alpha_in, shadow, covered=covered, frame=self._frame, view=view))

    def foreground(self, index: int, region: Box, alpha_in: AlphaIn) -> Callable[[Box, Pixels], Pixels]:
        """Return a function that lights the foreground's colours (h, w, 3) in any box of `region` of a frame.

        alpha_in: returns the alpha in any box, which may extend beyond the frame; None if the video has ended.
        """
        table, screen = self._tables_of(index)[0], self._drawn.screen
        side = 1 if screen is None else box_side(screen.spill_box, self._frame)
        wide = region.grown(side // 2)
        alpha = None if screen is None else alpha_in(wide)

        def lit(box: Box, colour: Pixels) -> Pixels:
            if box.is_empty:
                return colour
            if screen is not None and alpha is not None:
                colour = spilled(colour, alpha[box.grown(side // 2).within(wide)], screen, side=side)
            return colour if table is None else curved(colour, table)

        return lit

    def _tables_of(self, index: int) -> tuple[Pixels | None, Pixels | None]:
        """Return the tables of foreground and background in a frame; None if the colours do not change."""
        exposure = self._drawn.exposure
        frame = index if exposure is not None and exposure.first != exposure.last else 0
        if self._tables[0] != frame:
            curves: list[Levels | None] = [self._matched_levels, None]
            if exposure is not None:
                stops = stops_at(exposure, frame, frames=self._frames)
                curves = [exposed_levels(unchanged_levels() if one is None else one, stops) for one in curves]
            foreground, background = (None if one is None else table_of(one) for one in curves)
            self._tables = frame, foreground, background
        return self._tables[1:]

    @cached_property
    def _matched_levels(self) -> Levels | None:
        """The curve of the foreground without exposure; None if it does not change. Measures the layers if needed."""
        if not self._drawn.mix:
            return None
        foreground, background = self._statistics()
        if foreground is None or background is None:
            return None
        return matched_levels(foreground, background, self._drawn.mix)
