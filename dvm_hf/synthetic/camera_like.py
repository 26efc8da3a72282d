"""Draw synthetic 1080p media for benchmarks, with the detail, hair and decoding cost of camera footage.

Grain and encoding give the background 0.12 bits per pixel, 3 ms of one core to decode a megapixel, and 270 kB to store
a megapixel as JPEG. Measured H.264 camera footage has 0.17 to 0.29 bits, 2.0 to 3.3 ms and 87 to 360 kB.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from datasets.utils import tqdm

from dvm_hf.media.pixels import Pixels
from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.media.video.video_writing import write_video


def draw_camera_like_sources(root: Path, *, frames: int = 48) -> Path:
    """Draw a `train` split under `root`: an image foreground of 1360 x 880 px, a video foreground, a background."""
    parts = {
        "image foreground": lambda: write_image_foreground(root / "fg/image/train", "still", height=880, width=1360),
        "background": lambda: write_background(root / "bg/train/0000.mp4", frames=frames),
        "video foreground": lambda: write_video_foreground(root / "fg/video/train/0000", frames=frames),
    }
    for draw in tqdm(parts.values(), desc="Drawing 1080p sources", unit=" sources", delay=2):
        draw()
    return root


def write_image_foreground(folder: Path, name: str, *, height: int, width: int) -> None:
    """Write `name`.png and its matte to folder/fg and folder/alpha."""
    rng = np.random.default_rng(height)
    for part, pixels in (("fg", texture(rng, height, width)), ("alpha", hair(rng, height, width))):
        (folder / part).mkdir(parents=True, exist_ok=True)
        write_image(folder / part / f"{name}.png", pixels)


def write_video_foreground(folder: Path, *, frames: int) -> None:
    """Write f.mp4 and a.mp4 of 1920 x 1080 px."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    wide = 1920 + 4 * frames
    write_video(folder / "f.mp4", grainy(rng, drifting(texture(rng, 1080, wide), frames)), crf=20, preset="veryfast")
    write_video(folder / "a.mp4", drifting(hair(rng, 1080, wide), frames), crf=20, preset="veryfast")


def write_background(path: Path, *, frames: int, keyframe_interval: int | None = None) -> None:
    """Write a video of 1920 x 1080 px, with a keyframe every `keyframe_interval` frames; None for x264's default."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(2)
    wide = texture(rng, 1080, 1920 + 4 * frames)
    write_video(
        path, grainy(rng, drifting(wide, frames)), crf=20, preset="veryfast", keyframe_interval=keyframe_interval
    )


def drifting(wide: Pixels, frames: int) -> Iterator[Pixels]:
    return (np.ascontiguousarray(wide[:, 4 * index : 4 * index + 1920]) for index in range(frames))


def grainy(rng: np.random.Generator, frames: Iterator[Pixels]) -> Iterator[Pixels]:
    """Add camera noise, which makes video expensive to decode."""
    grain = rng.normal(0, 3, (1200, 2100, 1)).astype(np.int16)
    for frame in frames:
        y, x = rng.integers(0, (120, 180))
        yield np.clip(frame + grain[y : y + 1080, x : x + 1920], 0, 255).astype(np.uint8)


def texture(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """Return noise of several scales (h, w, 3), as detailed as a camera frame."""
    total = np.zeros((height, width, 3), np.float32)
    for scale in (2, 8, 32, 128):
        grid = rng.standard_normal((height // scale + 2, width // scale + 2, 3)).astype(np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * (scale / 4 + 4)
    return np.clip(total + 128, 0, 255).astype(np.uint8)


def hair(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """Return the alpha (h, w) of a head with 1,200 strands of hair."""
    alpha = np.zeros((height, width), np.uint8)
    radius = 0.3 * min(height, width)
    cv2.circle(alpha, (width // 2, height // 2), int(radius), 255, -1, cv2.LINE_AA)
    for angle in rng.uniform(0, 2 * np.pi, 1200):
        angles = angle + np.cumsum(rng.normal(0, 0.15, 14))
        steps = np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1) * radius / 20, 0)
        points = steps + (width / 2, height / 2) + radius * np.array([np.cos(angle), np.sin(angle)])
        cv2.polylines(alpha, [(points * 16).astype(np.int32)], False, int(rng.integers(60, 255)), 1, cv2.LINE_AA, 4)
    return alpha
