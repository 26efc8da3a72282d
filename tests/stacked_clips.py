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


def layers_alone(plan: ClipPlan, window: Window[Any], index: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Alpha and premultiplied colour of each foreground in a frame, in levels, warped by the numbers of the row."""
    names = motion_columns(plan.rendering.motion, len(plan.foregrounds))
    numbers = dict(zip(names, window.motion[index], strict=True))
    frame, found = Size(window.view.height, window.view.width), []
    for number, one in enumerate(plan.foregrounds, start=1):
        shown = int(numbers.get(f"foreground {number} source frame", index))
        place = Placement(*(numbers[key] for name in NAMES if (key := f"foreground {number} {name}") in numbers))
        if one.kind == "image":
            colour, alpha = read_colour(one.colour), read_grey(one.alpha)
        else:
            ((_, picture),) = Video(one.colour).pictures([shown])
            ((_, matte),) = Video(one.alpha, role="alpha").pictures([shown])
            whole = Box(0, 0, *picture.size)
            colour, alpha = picture.rgb(whole), matte.alpha(whole)
        weight = alpha.astype(np.float32)
        found.append((warped(weight, place, frame), warped(weight[..., None] / 255 * colour, place, frame)))
    return found


def warped(pixels: np.ndarray, place: Placement, frame: Size) -> np.ndarray:
    """Warp float values with OpenCV's float32 arithmetic by the equation of `Placement`."""
    edge_to_index, index_to_edge = ([[1, 0, by], [0, 1, by], [0, 0, 1.0]] for by in (-0.5, 0.5))
    matrix = (edge_to_index @ to_frame(place, Size(*pixels.shape[:2])) @ index_to_edge)[:2]
    return cv2.warpAffine(pixels.astype(np.float32), matrix, (frame.width, frame.height), flags=cv2.INTER_LINEAR)
