"""The frames with the largest errors, as pictures: composite, reference, prediction, and a map of the error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from dvm_hf.evaluation.pairing import ClipPair
from dvm_hf.evaluation.predicted_clips import require_matte
from dvm_hf.media.pixels import Pixels
from dvm_hf.metrics.clip_sums import ClipSums

OPAQUE, TRANSPARENT = (255, 140, 40), (70, 150, 255)  # RGB of an error of 1: too opaque, too transparent


@dataclass(frozen=True)
class WorstFrame:
    """A frame to show.

    error: mean absolute error, x 10^3, of a region. pictures: by name, RGB or grey.
    """

    clip: str
    index: int
    region: str
    error: float
    pictures: Mapping[str, Image.Image]


def measured_region(sums: ClipSums) -> str:
    """Return the region in which errors are shown: the unknown one, or the whole frame if that is not known."""
    unknown = sums.sums.get("unknown", {}).get("absolute", ())
    return "unknown" if np.isfinite(np.asarray(unknown, np.float64)).any() else "whole"


def frame_errors(sums: ClipSums) -> npt.NDArray[np.float64]:
    """Return the mean absolute error of each frame, x 10^3; NaN where the region is empty."""
    of_region = sums.sums[measured_region(sums)]
    errors, pixels = (np.asarray(of_region[name], np.float64) for name in ("absolute", "pixels"))
    means: npt.NDArray[np.float64] = np.divide(
        1e3 * errors, pixels, out=np.full(errors.shape, np.nan), where=pixels > 0
    )
    return means


def worst_frames(pairs: Sequence[ClipPair], clips: Mapping[str, ClipSums], *, count: int) -> list[WorstFrame]:
    """Return the worst frame of each of the `count` clips whose worst frames have the largest errors."""
    found = []
    for pair in pairs:
        errors = frame_errors(clips[pair.name])
        if np.isfinite(errors).any():
            position = int(np.nanargmax(errors))
            found.append((float(errors[position]), pair, position))
    found.sort(key=lambda one: (-one[0], one[1].name))
    return [_shown(pair, position, error, measured_region(clips[pair.name])) for error, pair, position in found[:count]]


def _shown(pair: ClipPair, position: int, error: float, region: str) -> WorstFrame:
    indices = [index for run in pair.runs for index in run]
    index, reference = indices[position], pair.reference
    columns = [column for column in ("frames", "alpha") if column in reference.columns]
    layers = next(reference.frames([index], columns))
    matte = next(pair.predicted.mattes([index], [reference.indices.index(index)], pair.tolerance))
    predicted = require_matte(matte, reference.size, pair.name, pair.tolerance)
    pictures = {"composite": layers["frames"]} if "frames" in layers else {}
    pictures |= {"reference": layers["alpha"], "prediction": predicted, "error": error_map(predicted, layers["alpha"])}
    shown = {name: Image.fromarray(np.ascontiguousarray(pixels)) for name, pixels in pictures.items()}
    return WorstFrame(pair.name, index, region, error, shown)


def error_map(predicted: Pixels, reference: Pixels) -> Pixels:
    """Return a map of predicted - reference (H, W, 3): black is 0, the brightness is the root of the absolute error.

    The root makes an error of a few levels visible.
    """
    error = predicted.astype(np.int16) - reference
    strength = np.sqrt(np.abs(error) / 255)[..., None]
    colours = np.where((error > 0)[..., None], OPAQUE, TRANSPARENT)
    return np.asarray(cv2.convertScaleAbs(strength * colours), np.uint8)
