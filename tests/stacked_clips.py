"""Clips with several foregrounds, and each of their layers by itself, from the numbers in the column motion."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from layer_maps import to_frame

from dvm_hf.clips.motion import Placement, motion_columns
from dvm_hf.clips.plan import ClipPlan, Plans, Rendering, with_companions
from dvm_hf.clips.scene import Frame
from dvm_hf.clips.windows import Window, render
from dvm_hf.media.pixels import Box, Size
from dvm_hf.media.still.stills import read_colour, read_grey
from dvm_hf.media.video.videos import Video
from dvm_hf.sources.tree import scan

COLUMNS = ("frames", "alpha", "trimap", "foreground", "background", "instances")
NAMES = ("row", "column", "angle", "zoom", "stretch", "shear", "mirrored")


def plan_of(root: Path, name: str = "a", *, seed: int = 5, count: int = 3, **rendering: Any) -> ClipPlan:
    tree = scan(root, "train")
    foreground = next(found for found in tree.foregrounds if found.name == name)
    fields = {"columns": COLUMNS, "clip_length": "all", "foregrounds_per_clip": count} | rendering
    clip = ClipPlan("clip", foreground, tree.backgrounds[0], seed, Rendering(**fields))
    return with_companions(Plans((clip,)), tree).clips[0]


def windows(plan: ClipPlan, **options: Any) -> list[Window[tuple[Frame, ...]]]:
    return list(render(plan, each=lambda frame: frame, **options))


SAMPLES = 64  # of an exposure


def layers_alone(plan: ClipPlan, window: Window[Any], index: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Alpha and premultiplied colour of each foreground in a frame, in levels, warped by the numbers of the row.

    With a shutter, the mean of `SAMPLES` warps along lines to the neighbouring frames; not for motion="rvm".
    """
    names = motion_columns(plan.rendering.motion, len(plan.foregrounds))
    near = [max(index - 1, 0), index, min(index + 1, len(window.motion) - 1)]
    before, numbers, after = (dict(zip(names, window.motion[one], strict=True)) for one in near)
    frame, found = Size(window.view.height, window.view.width), []
    for number, one in enumerate(plan.foregrounds, start=1):
        shown = int(numbers.get(f"foreground {number} source frame", index))
        places = [
            Placement(*(row[key] for name in NAMES if (key := f"foreground {number} {name}") in row))
            for row in (before, numbers, after)
        ]
        if one.kind == "image":
            colour, alpha = read_colour(one.colour), read_grey(one.alpha)
        else:
            ((_, picture),) = Video(one.colour).pictures([shown])
            ((_, matte),) = Video(one.alpha, role="alpha").pictures([shown])
            whole = Box(0, 0, *picture.size)
            colour, alpha = picture.rgb(whole), matte.alpha(whole)
        weight = alpha.astype(np.float32)
        shutter = plan.rendering.shutter
        found.append(tuple(warped(part, places, frame, shutter) for part in (weight, weight[..., None] / 255 * colour)))
    return found


def warped(pixels: np.ndarray, places: list[Placement], frame: Size, shutter: float) -> np.ndarray:
    """Warp float values with OpenCV's float32 arithmetic by the equation of `Placement`.

    places: one frame before, in the frame, one frame after.
    """
    edge_to_index, index_to_edge = ([[1, 0, by], [0, 1, by], [0, 0, 1.0]] for by in (-0.5, 0.5))
    before, at, after = (
        np.linalg.inv(edge_to_index @ to_frame(place, Size(*pixels.shape[:2])) @ index_to_edge)[:2] for place in places
    )
    samples = []
    for time in (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5 if shutter else [0]:
        matrix = at + abs(shutter * time) * ((before if time < 0 else after) - at)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        samples.append(cv2.warpAffine(pixels.astype(np.float32), matrix, (frame.width, frame.height), flags=flags))
    return np.mean(samples, axis=0)
