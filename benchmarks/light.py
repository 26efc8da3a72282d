"""Measure the effects of light and camera, and draw the gallery of docs/recipes.md:

python benchmarks/light.py [--runs 5] [--gallery docs/light.jpg]

Draws its media first (`training_sources`): image foregrounds of 1360 x 880 px over 1080p backgrounds. A stream has
crops of 320 px, and 12 samples of 4 frames from a decoding of a clip; complete frames have 1632 x 1056 px. CPU time is
that of the process; runs alternate.
"""

import argparse
import statistics
import tempfile
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cpu_time import in_turn
from PIL import Image, ImageDraw, ImageFont
from training_sources import BACKGROUNDS, draw_stills

from dvm_hf import ClipPlan, Rendering, render, scan
from dvm_hf.clips.appearance.named_effects import EFFECTS
from dvm_hf.synthetic.source_tree import draw_sources
from dvm_hf.torch import ClipStream

LENGTH = 4
FIELDS: dict[str, Any] = {"clip_length": LENGTH, "backgrounds_per_foreground": BACKGROUNDS, "shuffle": False}
SIZES: dict[str, dict[str, Any]] = {
    "crop of 320 px": {"crop_size": 320, "samples_per_clip": 12},
    "complete frame": {"samples_per_clip": 2},
}
HAIR = "windblown_blonde"
WIDTH, TITLE = 232, 22  # px of a picture, and of the line above a row
COMPOSITES = ("composite",) * 4
ROWS: list[tuple[str, dict[str, str], int, tuple[int, ...], tuple[str, ...]]] = [
    # title, fields, background, seeds, layers
    ("none", {}, 0, (4, 5, 6, 7), COMPOSITES),
    ("light=matched", {"light": "matched=0.5"}, 0, (4, 5, 6, 7), COMPOSITES),
    ("light=exposure", {"light": "exposure=0.5"}, 0, (4, 5, 6, 7), COMPOSITES),
    ("light=shadow", {"light": "shadow=0.6"}, 3, (4, 5, 6, 11), COMPOSITES),
    ("light=greenscreen: frames", {"light": "greenscreen=0.4"}, 0, (4, 13, 6, 11), COMPOSITES),
    ("the same clips: background", {"light": "greenscreen=0.4"}, 0, (4, 13, 6, 11), ("background",) * 4),
    ("camera=defocus", {"camera": "defocus=10"}, 3, (4, 5, 6, 7), COMPOSITES),
]
CLOSE: list[tuple[str, dict[str, str]]] = [  # crops at their own size
    ("none", {}),
    ("greenscreen, spill 0", {"light": "greenscreen=0"}),
    ("greenscreen, spill 0.4", {"light": "greenscreen=0.4"}),
    ("noise=7", {"camera": "noise=7"}),
    ("jpeg=20", {"camera": "jpeg=20"}),
    ("h264=38", {"camera": "h264=38"}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each measurement; the median is printed")
    parser.add_argument("--gallery", type=Path, help="where to write the picture of docs/recipes.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.gallery:
            gallery(Path(folder, "drawn")).save(options.gallery, quality=80)
        if options.runs:
            print_costs(Path(folder, "stills"), options.runs)


def print_costs(folder: Path, runs: int) -> None:
    root = draw_stills(folder, stills=1)
    effects = {name: {field: name} for field, rules in EFFECTS.items() for name in rules}
    jobs = {
        f"{name}, {size}": partial(spend, root, sides | fields)
        for size, sides in SIZES.items()
        for name, fields in {"none": {}, **effects}.items()
    }
    ms = in_turn(jobs, runs)
    print("CPU ms per frame".ljust(24) + "".join(size.rjust(18) for size in SIZES))
    for name in ("none", *effects):
        costs = (
            [b - a for a, b in zip(ms[f"none, {size}"], ms[f"{name}, {size}"], strict=True)]
            if name != "none"
            else ms[f"none, {size}"]
            for size in SIZES
        )
        print(name.ljust(24) + "".join(f"{statistics.median(cost):18.2f}" for cost in costs))


def spend(root: Path, fields: dict[str, Any]) -> int:
    """Go through an epoch of a stream; return its number of frames."""
    return LENGTH * sum(1 for _ in ClipStream("train", data_dir=str(root), **FIELDS | fields))


def gallery(root: Path) -> Image.Image:
    """Draw a row of clips for each effect, and details of some at their own size."""
    tree = scan(draw_sources(root), "test")
    foreground = next(one for one in tree.foregrounds if one.name == HAIR)

    def picture(fields: dict[str, str], background: int, seed: int, layer: str, **more: Any) -> np.ndarray:
        columns = ("frames", "background") if layer == "background" else ("frames",)
        rendering = Rendering(clip_length=1, columns=columns, **fields, **more)
        plan = ClipPlan("gallery", foreground, tree.backgrounds[background], seed, rendering)
        (window,) = islice(render(plan, each=lambda frame: getattr(frame, layer), numbers=[8]), 1)
        frame: np.ndarray = window.frames[0]
        return frame

    rows = []
    for title, fields, background, seeds, layers in ROWS:
        frames = [picture(fields, background, seed, layer) for seed, layer in zip(seeds, layers, strict=True)]
        height = WIDTH * frames[0].shape[0] // frames[0].shape[1]
        rows.append(
            ([title], np.hstack([cv2.resize(frame, (WIDTH, height), interpolation=cv2.INTER_AREA) for frame in frames]))
        )
    side = 4 * WIDTH // len(CLOSE)
    details = [picture(fields, 1, 4, "composite", crop_size=side) for _, fields in CLOSE]
    rows.append(([title for title, _ in CLOSE], np.hstack(details)))
    sheet = Image.new("RGB", (4 * WIDTH, sum(row.shape[0] + TITLE for _, row in rows)), (24, 26, 30))
    draw, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(13), 0
    for titles, row in rows:
        for number, title in enumerate(titles):
            draw.text((6 + number * row.shape[1] // len(titles), top + 3), title, fill=(222, 224, 228), font=font)
        sheet.paste(Image.fromarray(row), (0, top + TITLE))
        top += row.shape[0] + TITLE
    return sheet


if __name__ == "__main__":
    main()
