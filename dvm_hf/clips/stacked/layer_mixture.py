"""Mix layers that lie one over the other into one layer: the visible part of each alpha, their sum, and the colour.

With the layers 1 (the rearmost) to N, their alphas a_i from 0 to 1 and their unpremultiplied colours F_i:

    v_i = a_i * prod over j > i of (1 - a_j)      alpha = sum of v_i = 1 - prod of (1 - a_i)
    F = sum of v_i F_i / alpha                    I = alpha F + (1 - alpha) B = sum of v_i F_i + (1 - alpha) B

To 8 bits, the sums of the v_i from the front are rounded, and each v_i is the difference of two of them. So the v_i sum
to alpha exactly, and each is less than 1 level off. Everything is computed per pixel, so that a pixel has the same bits
in every region.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

from dvm_hf.clips.compositing import blocks
from dvm_hf.media.pixels import Pixels

_CLEAR = ((255 - np.arange(256)) / 255).astype(np.float32)  # by alpha: the part of what is behind that shows


class Mixture(NamedTuple):
    """The mixture of layers: alpha (h, w), visible part of each layer's alpha (n, h, w), and colour (h, w, 3).

    The colour is 0 where the alpha is 0, and None if the layers have no colours.
    """

    alpha: Pixels
    visible: Pixels
    colour: Pixels | None


def mixture(alphas: Pixels, colours: Sequence[Pixels] | None = None) -> Mixture:
    """Mix layers from back to front, given their alphas (n, h, w) and unpremultiplied colours, each (h, w, 3)."""
    count, height, width = alphas.shape
    visible = np.zeros_like(alphas)
    colour = None if colours is None else np.zeros((height, width, 3), np.uint8)
    for block in blocks(height, width):
        shown = _uncovered_layers([alphas[number][block] for number in range(count)])
        if len(shown) == 1:
            (number,) = shown
            visible[number][block] = alphas[number][block]
            if colour is not None and colours is not None:
                cv2.copyTo(colours[number][block], alphas[number][block], colour[block])
        elif shown:
            parts = [alphas[number][block] for number in shown]
            for number, part in zip(shown, visible_parts(parts), strict=True):
                visible[number][block] = part
            if colour is not None and colours is not None:
                colour[block] = mixed_colour(parts, [colours[number][block] for number in shown])
    return Mixture(np.add.reduce(visible, axis=0, dtype=np.uint8), visible, colour)


def visible_parts(alphas: Sequence[Pixels]) -> list[Pixels]:
    """Return the visible parts of alphas (h, w) that are given from back to front."""
    clear, sums = np.full(alphas[0].shape, 255, np.float32), [np.zeros(alphas[0].shape, np.uint8)]
    for alpha in reversed(alphas):
        clear *= _CLEAR[alpha]
        sums.append(255 - np.rint(clear).astype(np.uint8))
    parts = [further - sum_in_front for sum_in_front, further in pairwise(sums)]
    return parts[::-1]


def mixed_colour(alphas: Sequence[Pixels], colours: Sequence[Pixels]) -> Pixels:
    """Return the mixed colour (h, w, 3) of layers from back to front, rounded to nearest; 0 where all alphas are 0."""
    clear = np.ones(alphas[0].shape, np.float32)
    weighted, total = np.zeros((*clear.shape, 3), np.float32), np.zeros_like(clear)
    for alpha, colour in zip(reversed(alphas), reversed(colours), strict=True):
        weight = clear * alpha
        weighted += weight[..., None] * colour
        total += weight
        clear *= _CLEAR[alpha]
    weighted /= np.maximum(total, np.finfo(np.float32).tiny)[..., None]
    return np.rint(weighted).astype(np.uint8)


def _uncovered_layers(alphas: Sequence[Pixels]) -> list[int]:
    """Return the numbers of the layers with an alpha above 0, without those behind a layer that is opaque."""
    shown: list[int] = []
    for number in reversed(range(len(alphas))):
        lowest, highest, *_ = cv2.minMaxLoc(alphas[number])
        if highest > 0:
            shown.append(number)
        if lowest == 255:
            break
    return shown[::-1]
