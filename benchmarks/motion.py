"""Measure motion of all layers against the walk of stills, and motion blur by the number of samples, and draw the
gallery of docs/recipes.md:

python benchmarks/motion.py [--runs 5] [--gallery docs/motion.jpg]

Draws its media first (`training_sources`): image foregrounds of 1360 x 880 px and 1080p video foregrounds, over 1080p
backgrounds of 48 frames with one keyframe, and with one every 24 frames. A sample has 4 frames and crops of 320 px; 12
samples are taken from a decoding of a clip. CPU time is that of the process; runs alternate.
"""

import argparse
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cpu_time import in_turn
from PIL import Image, ImageDraw, ImageFont
from training_sources import APART, BACKGROUNDS, draw_stills, draw_videos

from dvm_hf import ClipPlan, Rendering, render, scan
from dvm_hf.clips.moving.exposure import Exposed
from dvm_hf.clips.plan import Plans, with_companions
from dvm_hf.clips.scene import Frame
from dvm_hf.media.pixels import Box
from dvm_hf.preview.row_frames import MATTE_COLOURS
from dvm_hf.sources.records import SourceTree
from dvm_hf.synthetic.source_tree import draw_sources
from dvm_hf.torch import ClipStream

LENGTH, SAMPLES, SIDE = 4, 12, 320
FIELDS: dict[str, Any] = {
    "clip_length": 2,
    "context": 2,
    "crop_size": SIDE,
    "backgrounds_per_foreground": BACKGROUNDS,
    "samples_per_clip": SAMPLES,
    "shuffle": False,
}
SEEDS = 2  # epochs of different clips, so that speeds and directions vary
INSTANCES = {"columns": ("alpha", "instances")}
ROWS: dict[
    str, tuple[str, int, int, dict[str, Any]]
] = {  # of the gallery: foreground, background number, seed, config fields
    "motion=dvm": ("windblown_blonde", 0, 4, {}),
    "motion=rvm": ("windblown_blonde", 0, 8, {"motion": "rvm"}),
    "motion=rvm, camera": ("windblown_blonde", 1, 299, {"motion": "rvm"}),
    "motion=none": ("windblown_blonde", 0, 4, {"motion": "none"}),
    "foregrounds_per_clip=3": ("windblown_blonde", 2, 11, {"foregrounds_per_clip": 3}),
    "foregrounds_per_clip=3, instances": ("windblown_blonde", 2, 11, {"foregrounds_per_clip": 3, **INSTANCES}),
}
BLURRED = ("windblown_blonde", 1, 25)  # foreground, background number, seed: both layers move fast
BLURRED_FRAMES, PART = (14, 16, 18), Box(220, 560, 420, 860)  # frames, and the part of them that is drawn
SHUTTERS = (0.0, 0.125, 0.25, 0.5, 1.0)
FRAMES = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each measurement; the median is printed")
    parser.add_argument("--gallery", type=Path, help="where to write the picture of docs/recipes.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.gallery:
            gallery(Path(folder, "drawn")).save(options.gallery, quality=78)
        if options.runs:
            print_ratios(Path(folder), options.runs)
            print_shutters(Path(folder, "stills"), options.runs)


def print_ratios(folder: Path, runs: int) -> None:
    trees = {
        "image foregrounds, one keyframe": draw_stills(folder / "stills", stills=1),
        f"image foregrounds, a keyframe every {APART}": draw_stills(folder / "many", stills=1, keyframe_interval=APART),
        "video foregrounds, one keyframe": draw_videos(folder / "videos", videos=1),
    }
    jobs = {
        f"{name}, {motion}": partial(spend, root, motion) for name, root in trees.items() for motion in ("dvm", "rvm")
    }
    ms = in_turn(jobs, runs)
    print(f"{'CPU ms per frame':48}{'dvm':>8}{'rvm':>8}{'ratio':>8}")
    for name in trees:
        dvm, rvm = (ms[f"{name}, {motion}"] for motion in ("dvm", "rvm"))
        ratio = statistics.median(b / a for a, b in zip(dvm, rvm, strict=True))
        print(f"{name:48}{statistics.median(dvm):8.2f}{statistics.median(rvm):8.2f}{ratio:8.2f}")


def print_shutters(root: Path, runs: int) -> None:
    """Print the cost of windows of complete clips, which `print_ratios` drew, by the shutter."""
    tree = scan(root, "train")
    fields: dict[str, Any] = {"clip_length": LENGTH, "clip_step": LENGTH, "crop_size": SIDE}
    plans = {
        f"{motion}, shutter={shutter}": ClipPlan(
            "clip", tree.foregrounds[0], tree.backgrounds[0], 8, Rendering(motion=motion, shutter=shutter, **fields)
        )
        for motion in ("dvm", "rvm")
        for shutter in SHUTTERS
    }
    ms = in_turn({name: partial(rendered, plan) for name, plan in plans.items()}, runs)
    print(f"{'CPU ms per frame of 320 px':32}{'samples':>8}{'ms':>8}{'ratio':>8}")
    for name, plan in plans.items():
        sharp = ms[f"{plan.rendering.motion}, shutter=0.0"]
        ratio = statistics.median(b / a for a, b in zip(sharp, ms[name], strict=True))
        print(f"{name:32}{samples(plan):8.1f}{statistics.median(ms[name]):8.2f}{ratio:8.2f}")


def rendered(plan: ClipPlan) -> int:
    """Render all windows of a clip; return their number of frames."""
    return sum(len(window.frames) for window in render(plan, each=lambda frame: frame.alpha))


def samples(plan: ClipPlan) -> float:
    """Return the mean number of samples of the foreground."""
    placements = [place for window in render(plan, each=lambda frame: None) for place in window.placements]
    return statistics.mean(place.sample_count if isinstance(place, Exposed) else 1 for place in placements)


def spend(root: Path, motion: str) -> int:
    """Go through the epochs of a stream; return its number of frames."""
    stream = ClipStream("train", data_dir=str(root), motion=motion, epochs=SEEDS, **FIELDS)
    return LENGTH * sum(1 for _ in stream)


def gallery(root: Path) -> Image.Image:
    """Draw some frames of a clip for each option, one row each."""
    tree = scan(draw_sources(root), "test")
    rows = []
    for title, (name, background, seed, fields) in ROWS.items():
        frames = drawn_clip(tree, name, background, seed, **fields)
        chosen = [frames[index] for index in np.linspace(0, len(frames) - 1, FRAMES).astype(int)]
        pictures = [
            cv2.resize(frame, (150, 150 * frame.shape[0] // frame.shape[1]), interpolation=cv2.INTER_AREA)
            for frame in chosen
        ]
        rows.append((title, np.hstack(pictures)))
    pair = [drawn_clip(tree, *BLURRED, motion="rvm", shutter=shutter) for shutter in (0, 1)]
    parts = [clip[index][PART.top : PART.bottom, PART.left : PART.right] for index in BLURRED_FRAMES for clip in pair]
    pictures = [cv2.resize(part, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for part in parts]
    rows.append(("motion=rvm, parts of three frames with shutter=0 and shutter=1", np.hstack(pictures)))
    height = sum(row.shape[0] + 24 for _, row in rows)
    sheet, top = Image.new("RGB", (150 * FRAMES, height), (24, 26, 30)), 0
    for title, row in rows:
        ImageDraw.Draw(sheet).text((6, top + 4), title, fill=(222, 224, 228), font=ImageFont.load_default(14))
        sheet.paste(Image.fromarray(row), (0, top + 24))
        top += row.shape[0] + 24
    return sheet


def picture(frame: Frame) -> np.ndarray:
    """Return the composite, or the instances, each in a colour, if it is not rendered."""
    if frame.composite is not None:
        return frame.composite
    assert frame.instances is not None
    colours = np.array(MATTE_COLOURS[: len(frame.instances)], np.float32)
    return np.rint(np.tensordot(frame.instances / np.float32(255), colours, (0, 0))).astype(np.uint8)


def drawn_clip(tree: SourceTree, name: str, background: int, seed: int, **fields: Any) -> tuple[Any, ...]:
    """Return the pictures of a clip of 36 frames."""
    foreground = next(one for one in tree.foregrounds if one.name == name)
    rendering = Rendering(**{"clip_length": "all", "columns": ("frames",), "max_image_frames": 36} | fields)
    plan = ClipPlan("gallery", foreground, tree.backgrounds[background], seed, rendering)
    (plan,) = with_companions(Plans((plan,)), tree).clips
    (window,) = render(plan, each=picture)
    return window.frames


if __name__ == "__main__":
    main()
