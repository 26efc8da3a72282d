"""Draw a small synthetic source tree, because the original data cannot be redistributed."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from datasets.utils import tqdm

from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Pixels
from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.media.video.video_writing import write_video
from dvm_hf.synthetic.backgrounds import BACKDROPS, BACKGROUND_FRAMES, FASTEST, drifting
from dvm_hf.synthetic.canvas import Drawing
from dvm_hf.synthetic.foregrounds import TEST_IMAGES, TEST_VIDEOS, TRAIN_IMAGES, TRAIN_VIDEOS

MARK = "DRAWN_BY_DVM_HF.txt"  # marker file in every synthetic tree
EDITION = 1  # version of the drawings; each version has its own cache folder


def scaled(size: int, scale: float) -> int:
    """Return a size in pixels times `scale`: even, and at least 64."""
    return max(64, 2 * round(size * scale / 2))


def _trimap(alpha: Pixels, *, radius: float) -> Pixels:
    """Return a trimap (h, w) of 0, 128 and 255.

    Pixels are unknown within `radius` pixels of a fractional alpha or of a border between 0 and 255.
    """
    near = np.ones((3, 3), np.uint8)
    solid, empty = alpha == 255, alpha == 0
    by_solid, by_empty = (np.asarray(cv2.dilate(side.astype(np.uint8), near)) > 0 for side in (solid, empty))
    certain = (solid & ~by_empty) | (empty & ~by_solid)
    distance = cv2.distanceTransform(certain.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(distance <= radius, 128, alpha).astype(np.uint8)


def _write_image_foreground(folder: Path, name: str, drawing: Drawing, *, trimap_radius: float | None) -> None:
    images = {"fg": drawing.colour, "alpha": drawing.alpha}
    if trimap_radius is not None:
        images["trimap"] = _trimap(drawing.alpha, radius=trimap_radius)
    for kind, pixels in images.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        write_image(folder / kind / f"{name}.png", pixels)


def _write_video_foreground(folder: Path, drawings: list[Drawing]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_video(folder / "f.mp4", (drawing.colour for drawing in drawings))
    write_video(folder / "a.mp4", (drawing.alpha for drawing in drawings))


def _write_split(root: Path, split: str, *, seed: int, scale: float) -> Iterator[Path]:
    """Write the sources of a split, and yield the path of each one."""
    images, videos = {"train": (TRAIN_IMAGES, TRAIN_VIDEOS), "test": (TEST_IMAGES, TEST_VIDEOS)}[split]
    for name, (draw_image, height, width) in images.items():
        rng = named_stream(seed, f"fg/image/{split}/{name}")
        drawing = draw_image(rng, scaled(height, scale), scaled(width, scale))
        _write_image_foreground(
            root / "fg/image" / split, name, drawing, trimap_radius=10 * scale if split == "test" else None
        )
        yield root / "fg/image" / split / "fg" / f"{name}.png"
    for number, draw in enumerate(videos):
        frames = draw(named_stream(seed, f"fg/video/{split}/{number:04d}"), scaled(400, scale), scaled(480, scale))
        _write_video_foreground(root / "fg/video" / split / f"{number:04d}", list(frames))
        yield root / "fg/video" / split / f"{number:04d}"
    (root / "bg" / split).mkdir(parents=True, exist_ok=True)
    height, width = scaled(540, scale), scaled(960, scale)
    for number, (backdrop, palette) in enumerate(BACKDROPS[split]):
        rng = named_stream(seed, f"bg/{split}/{number:04d}")
        layers = backdrop(rng, height, width + FASTEST * BACKGROUND_FRAMES, palette)
        path = root / "bg" / split / f"{number:04d}.mp4"
        write_video(path, drifting(layers, width))
        yield path


def draw_sources(root: Path, *, seed: int = 0, scale: float = 1.0) -> Path:
    """Draw a small DVM source tree under `root`, which is created if missing, and return `root`.

    The train split has four image and two video foregrounds, the test split three image foregrounds (with trimaps) and
    two videos, each split eight backgrounds. `test_fg_bg_names.txt` lists the test composites in the authors' format.
    `scale` multiplies all sizes. The same seed gives the same pixels.
    """
    total = sum(map(len, (TRAIN_IMAGES, TEST_IMAGES, TRAIN_VIDEOS, TEST_VIDEOS, *BACKDROPS.values())))
    with tqdm(total=total, desc="Drawing sources", unit=" sources") as progress:
        for split in ("train", "test"):
            for _ in _write_split(root, split, seed=seed, scale=scale):
                progress.update()
    foregrounds = [f"image+{name}.png" for name in TEST_IMAGES for _ in range(2)]
    foregrounds += [f"video+{number:04d}" for number in range(len(TEST_VIDEOS))]
    lines = [f"{foreground}+{number:04d}.mp4" for number, foreground in enumerate(foregrounds)]
    write_mark(root)
    (root / "test_fg_bg_names.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def write_mark(folder: Path) -> None:
    """Mark a folder of sources as synthetic, for dataset cards and later runs."""
    (folder / MARK).write_text("Drawn by dvm_hf: no photographs, free to use.\n", encoding="utf-8")


def draw_if_missing(target: Path, *, scale: float = 1.0) -> Path:
    """Return the synthetic DVM tree at `target`; draw it first if it does not exist."""
    return drawn_once(target, lambda root: draw_sources(root, scale=scale))


def drawn_once(target: Path, draw: Callable[[Path], Path]) -> Path:
    """Return the marked folder `target`; if it does not exist, create it atomically with `draw`.

    draw: draws into a folder that does not exist yet, marks it, and returns it. If it is interrupted, `target` does not
    exist. Raises SourceError if `target` exists without the mark.
    """
    if target.is_dir() and not (target / MARK).is_file():
        raise SourceError(f"{target}: exists and is not a synthetic source folder of dvm demo; pass another folder")
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".drawing_") as unfinished:
            drawn = draw(Path(unfinished) / target.name)
            try:
                drawn.rename(target)
            except OSError:
                if not target.is_dir():  # otherwise another process has drawn the same tree
                    raise
    return target


def cached_sources(cache: Path) -> Path:
    """Return the synthetic tree in a cache folder; draw it first if it does not exist."""
    return draw_if_missing(cache / f"dvm_hf_drawn_sources_{EDITION}")


def named_stream(seed: int, name: str) -> np.random.Generator:
    """Return the random numbers of a drawing, so that no other drawing changes it."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(key,))))
