"""Pixels of one box of a frame as seen in another one: 0 where they are not known."""

import numpy as np

from dvm_hf.media.pixels import Box, Pixels


class Canvas:
    """An array for a box of a frame, initially 0."""

    def __init__(self, box: Box, *, channels: int | None = None) -> None:
        self._box, self._shape = box, (box.height, box.width) + ((channels,) if channels else ())
        self._pixels: Pixels | None = None

    def paint(self, box: Box, pixels: Pixels) -> None:
        """Write pixels into a box of the canvas, unless they are in its array already; see `part`.

        An array that covers all of the canvas is used without a copy.
        """
        if self._pixels is not None and np.may_share_memory(pixels, self._pixels):
            return
        if box == self._box:
            self._pixels = pixels
        elif not box.is_empty:
            self.pixels[box.within(self._box)] = pixels

    def part(self, box: Box) -> Pixels:
        """Return the array of a box of the canvas, to write its pixels there."""
        if self._pixels is None and box == self._box:
            self._pixels = np.empty(self._shape, np.uint8)  # all of it will be written
        return self.pixels[box.within(self._box)]

    @property
    def pixels(self) -> Pixels:
        if self._pixels is None:
            self._pixels = np.zeros(self._shape, np.uint8)
        return self._pixels


def on_zeros(pixels: Pixels, box: Box, view: Box) -> Pixels:
    """Return the pixels of `box` as seen in `view`, 0 elsewhere."""
    canvas, shown = Canvas(view), box.intersection(view)
    canvas.paint(shown, pixels[shown.within(box)])
    return canvas.pixels
