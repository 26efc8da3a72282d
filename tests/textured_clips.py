"""Clips over small textured sources, for tests of light and camera."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from conftest import TreeWriter

from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.clips.scene import Frame
from dvm_hf.clips.windows import Window, render
from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.media.video.video_writing import write_video
from dvm_hf.sources.tree import scan

COLUMNS = ("frames", "alpha", "trimap", "foreground", "background")
LAYERS = ("composite", "alpha", "trimap", "foreground", "background")


def draw_textured_sources(root: Path) -> Path:
    """A soft disc with noise as still and as video, over a smooth background whose frames differ."""
    tree, rng = TreeWriter(root), np.random.default_rng(0)
    noise = [cv2.GaussianBlur(rng.integers(0, 256, (90, 110, 3)).astype(np.uint8), (0, 0), 3) for _ in range(2)]
    tree.still(size=(90, 110))
    write_image(root / "fg/image/train/fg/disc.png", cv2.normalize(noise[0], None, 60, 190, cv2.NORM_MINMAX))
    folder = tree.moving(size=(90, 110), frames=16)
    write_video(folder / "f.mp4", (np.roll(noise[1], 3 * index, axis=1) for index in range(16)))
    path = tree.background(size=(140, 170), frames=16)
    big = cv2.resize(noise[1], (340, 280), interpolation=cv2.INTER_CUBIC) // 2
    write_video(path, (big[index * 3 : index * 3 + 140, index : index + 170] for index in range(16)))
    return root


def plan_of(root: Path, kind: str, *, seed: int = 5, **rendering: Any) -> ClipPlan:
    """The first clip of a kind, in all columns."""
    tree = scan(root, "train")
    foreground = next(found for found in tree.foregrounds if found.kind == kind)
    fields = {"columns": COLUMNS, "clip_length": "all", "max_image_frames": 12} | rendering
    return ClipPlan("clip", foreground, tree.backgrounds[0], seed, Rendering(**fields))


def windows(plan: ClipPlan, **options: Any) -> list[Window[tuple[Frame, ...]]]:
    return list(render(plan, each=lambda frame: frame, **options))


def pixels(frame: Frame, layer: str) -> np.ndarray:
    """A layer of a frame as integers."""
    found = getattr(frame, layer)
    assert found is not None
    return found.astype(int)


def drawn_plan(seed: int, **rendering: Any) -> ClipPlan:
    """A plan whose parameters can be drawn, without sources."""
    return ClipPlan("clip", None, None, seed, Rendering(**rendering))  # type: ignore[arg-type]
