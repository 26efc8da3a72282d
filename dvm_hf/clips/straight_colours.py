"""Unpremultiplied colours of a foreground, from the colours that its files contain."""

from collections.abc import Callable, Iterable

import numpy as np

from dvm_hf.media.estimation.estimates import ESTIMATION, estimated, method_key
from dvm_hf.media.pixels import BAND, Layers, Pixels
from dvm_hf.sources.records import Foreground


def unpremultiplied(colour: Pixels, alpha: Pixels) -> Pixels:
    """Return the unpremultiplied colours (H, W, 3) of colours that are multiplied by alpha (H, W).

        F = min(255, round(255 * C / a)); where a = 0, the colour is unchanged

    # C 3, a 10: 76.5 -> 77; halves are rounded up

    Integer arithmetic is exact: round(255 * C / a) = (2 * 255 * C + a) // (2 * a).
    """
    result = colour.copy()
    for top in range(0, len(colour), BAND):  # bounds memory
        band = np.s_[top : top + BAND]
        fractional = (alpha[band] > 0) & (alpha[band] < 255)
        weights = alpha[band][fractional].astype(np.uint32)[:, None]
        values = (510 * colour[band][fractional].astype(np.uint32) + weights) // (2 * weights)
        result[band][fractional] = np.minimum(values, 255)
    return result


def unchanged(colour: Pixels, alpha: Pixels) -> Pixels:
    """Return colours that are already unpremultiplied."""
    return colour


# By `Foreground.colours`: maps colour (H, W, 3) and alpha (H, W) of a picture, at the size of the file, to its
# unpremultiplied colours. The first ones map each pixel alone, so that they also apply to a part of a picture.
BY_PIXEL: dict[str, Callable[[Pixels, Pixels], Pixels]] = {"straight": unchanged, "premultiplied": unpremultiplied}
STRAIGHT_COLOURS = BY_PIXEL | {"estimate": estimated}


def straight_layers(layers: Layers, *, colours: str) -> Layers:
    """Return the layers with unpremultiplied colours; unchanged if their sizes differ, which is an error elsewhere.

    colours: how the colour is stored, see `Foreground.colours`.
    """
    if layers.colour.shape[:2] != layers.alpha.shape[:2]:
        return layers
    return Layers(STRAIGHT_COLOURS[colours](*layers), layers.alpha)


def decoded_colours(colours: str, *, is_divided: bool) -> str:
    """Return how the decoded colours of a file are stored, see `Foreground.colours`.

    is_divided: whether reading the file divides its colours by alpha, see `StillHeader.is_premultiplied`.
    """
    return "straight" if is_divided and colours == "premultiplied" else colours


def estimation_versions(foregrounds: Iterable[Foreground]) -> dict[str, str]:
    """Return the method of estimation with its versions, by the name `ESTIMATION`; empty if no colour is estimated."""
    return {ESTIMATION: method_key()} if any(one.colours == "estimate" for one in foregrounds) else {}
