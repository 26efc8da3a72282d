"""Time and memory of a training stream by its number of plans: python benchmarks/training_scale.py.

Draws small media, and a tree for each number, of hard links. A process for each stream constructs it, renders
the first sample, and begins a new epoch, up to its first sample. Memory is the growth of the process's peak until then.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cpu_time import cpu_seconds

from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.media.video.video_writing import write_video

PLANS = (100, 1_000, 10_000, 100_000)
PER_FOREGROUND = 4
SIDE = 48  # px of the media


@dataclass(frozen=True)
class Cost:
    """CPU seconds and MB of one stream."""

    construct: float
    first: float
    epoch: float
    memory: float


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print_table(Path(folder))


def print_table(folder: Path) -> None:
    print("CPU s by number of plans: construct, first sample, a new epoch and its first sample; MB")
    print(f"{'plans':>8}  {'background_reuse=1':^36}  {'background_reuse=16':^36}")
    small = drawn(folder / "small")
    for plans in PLANS:
        tree = linked_tree(small, folder / str(plans), plans // PER_FOREGROUND)
        costs = [measured(tree, reuse) for reuse in (1, 16)]
        shown = [f"{c.construct:9.2f}{c.first:9.2f}{c.epoch:9.2f}{c.memory:9.0f}" for c in costs]
        print(f"{plans:>8,}  {'  '.join(shown)}")


def measured(tree: Path, reuse: int) -> Cost:
    command = [sys.executable, __file__, "--measure", str(tree), str(reuse)]
    return Cost(**json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def measure(tree: str, reuse: int) -> Cost:
    from dvm_hf.torch import ClipStream

    before, begin = peak_megabytes(), cpu_seconds()
    stream = ClipStream("train", data_dir=tree, clip_length=4, crop_size=32, background_reuse=reuse)
    constructed = cpu_seconds()
    next(iter(stream))
    first = cpu_seconds()
    next(iter(stream))
    epoch = cpu_seconds()
    return Cost(constructed - begin, first - constructed, epoch - first, peak_megabytes() - before)


def peak_megabytes() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def drawn(root: Path) -> Path:
    disc = np.zeros((SIDE, SIDE), np.uint8)
    disc[12:36, 12:36] = 255
    for part, pixels in {"fg": np.full((SIDE, SIDE, 3), 90, np.uint8), "alpha": disc}.items():
        (root / part).mkdir(parents=True)
        write_image(root / part / "still.png", pixels)
    write_video(root / "background.mp4", (np.full((64, 64, 3), 5 * frame, np.uint8) for frame in range(12)))
    return root


def linked_tree(small: Path, root: Path, foregrounds: int) -> Path:
    """Write a tree of hard links: as many backgrounds as foregrounds."""
    folders = {"fg": root / "fg/image/train/fg", "alpha": root / "fg/image/train/alpha", "bg": root / "bg/train"}
    for folder in folders.values():
        folder.mkdir(parents=True)
    for number in range(foregrounds):
        for part in ("fg", "alpha"):
            (folders[part] / f"{number:06d}.png").hardlink_to(small / part / "still.png")
        (folders["bg"] / f"{number:06d}.mp4").hardlink_to(small / "background.mp4")
    return root


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(vars(measure(sys.argv[2], int(sys.argv[3])))))
    else:
        main()
