"""Source trees for the benchmarks of the training stream: 1080p media, mostly hard links to a few files."""

import shutil
from pathlib import Path

from dvm_hf.synthetic.camera_like import write_background, write_image_foreground, write_video_foreground

FRAMES = 48  # of a video
BACKGROUNDS = 4
APART = 24  # frames from keyframe to keyframe, where there are several


def draw_stills(root: Path, *, stills: int, keyframe_interval: int | None = None) -> Path:
    """Draw image foregrounds of 1360 x 880 px over backgrounds, with a single keyframe by default."""
    write_image_foreground(root / "fg/image/train", "still_00000", height=880, width=1360)
    for part in ("fg", "alpha"):
        first = root / "fg/image/train" / part / "still_00000.png"
        for number in range(1, stills):
            first.with_name(f"still_{number:05d}.png").hardlink_to(first)
    return with_backgrounds(root, keyframe_interval=keyframe_interval)


def draw_videos(root: Path, *, videos: int) -> Path:
    """Draw video foregrounds of 1920 x 1080 px over backgrounds."""
    folder = root / "fg/video/train"
    write_video_foreground(folder / "0000", frames=FRAMES)
    for number in range(1, videos):
        (folder / f"{number:04d}").mkdir()
        for name in ("f.mp4", "a.mp4"):
            (folder / f"{number:04d}" / name).hardlink_to(folder / "0000" / name)
    return with_backgrounds(root)


def with_backgrounds(root: Path, *, keyframe_interval: int | None = None) -> Path:
    first = root / "bg/train/0000.mp4"
    write_background(first, frames=FRAMES, keyframe_interval=keyframe_interval)
    for number in range(1, BACKGROUNDS):
        first.with_name(f"{number:04d}.mp4").hardlink_to(first)
    return root


def linked(root: Path, other: Path, *, stills: int) -> Path:
    """Write a tree with this many image foregrounds, all hard links to the first one of `root`."""
    shutil.copytree(root / "bg", other / "bg")
    for part in ("fg", "alpha"):
        folder = other / "fg/image/train" / part
        folder.mkdir(parents=True)
        for number in range(stills):
            (folder / f"still_{number:05d}.png").hardlink_to(root / "fg/image/train" / part / "still_00000.png")
    return other
