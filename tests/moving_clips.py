"""Clips whose layers move: sources, plans, and the source frames and placements that a row names."""

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from conftest import TreeWriter

from dvm_hf.clips.motion import Placement
from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.clips.scene import Frame
from dvm_hf.clips.windows import Window, render
from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.media.video.video_writing import write_video
from dvm_hf.media.video.videos import Video
from dvm_hf.sources.tree import scan

COLUMNS = ("frames", "alpha", "trimap", "foreground", "background")


def draw_layers(root: Path) -> Path:
    """A soft disc with noise as still and as video, over a smooth background whose frames differ."""
    tree, rng = TreeWriter(root), np.random.default_rng(0)
    noise = [cv2.GaussianBlur(rng.integers(0, 256, (90, 110, 3)).astype(np.uint8), (0, 0), 3) for _ in range(2)]
    for split in ("train", "test"):
        tree.still(split=split, size=(90, 110))
        write_image(tree.root / f"fg/image/{split}/fg/disc.png", cv2.normalize(noise[0], None, 0, 255, cv2.NORM_MINMAX))
    folder = tree.moving(size=(90, 110), frames=24)
    write_video(folder / "f.mp4", (np.roll(noise[1], 3 * index, axis=1) for index in range(24)))
    (tree.root / "bg/test").mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        path = tree.background(split=split, size=(140, 170), frames=30)
        big = cv2.resize(noise[1], (340, 280), interpolation=cv2.INTER_CUBIC)
        write_video(path, (big[index * 3 : index * 3 + 140, index : index + 170] for index in range(30)))
    return tree.root


def plan_of(root: Path, kind: str, *, seed: int = 5, split: str = "train", **rendering: Any) -> ClipPlan:
    tree = scan(root, split, with_trimaps=rendering.get("trimap") == "provided")
    foreground = next(found for found in tree.foregrounds if found.kind == kind)
    fields = {"columns": COLUMNS, "clip_length": "all", "motion": "rvm"} | rendering
    return ClipPlan("clip", foreground, tree.backgrounds[0], seed, Rendering(**fields))


def windows(plan: ClipPlan, **options: Any) -> list[Window[tuple[Frame, ...]]]:
    return list(render(plan, each=lambda frame: frame, **options))


def placement(row: dict[str, float], layer: str) -> Placement:
    names = [field.name for field in dataclasses.fields(Placement)]
    return Placement(*(row.get(f"{layer} {name}", 0) for name in names))


def decoded(path: Path) -> list[np.ndarray]:
    with Video(path) as video:
        if path.name == "a.mp4":
            return [np.dstack([pixels] * 3) for _, pixels in video.alphas(range(99))]
        return [pixels for _, pixels in video.colours(range(99))]
