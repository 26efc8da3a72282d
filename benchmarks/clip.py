"""CPU time a frame of decoding, rendering and encoding 1080p clips: python benchmarks/clip.py [--runs 5].

Draws its media first: a still of 1360 x 880 px (composite 1632 x 1056) and a moving foreground of 1920 x 1080, both
over a 1080p background. CPU time is that of the whole process, decoder threads included, so that cores do not matter.
"decode alone" is PyAV's decoding of the same files into YUV frames that are thrown away: no conversion to RGB.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
from media import write_background, write_moving, write_still

from dvm_hf import ClipPlan, Rendering, render
from dvm_hf.columns import frame_encoder
from dvm_hf.scene import Frame
from dvm_hf.sources import Background, Foreground

FRAMES = 48
COLUMNS = ("frames", "alpha", "trimap")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each measurement; the median is printed")
    runs = parser.parse_args().runs
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(f"OpenCV {cv2.__version__}, PyAV {av.__version__}, NumPy {np.__version__}")
    print(f"CPU ms a frame, median of {runs} runs")
    with tempfile.TemporaryDirectory() as folder:
        foregrounds, background = draw_media(Path(folder))
        print(f"{'':28}{'decode':>9}{'decode':>9}{'render':>9}{'render/':>9}{'encode':>9}{'whole':>9}")
        print(f"{'':28}{'alone':>9}{'to RGB':>9}{'':>9}{'decode':>9}{'':>9}{'':>9}")
        for foreground in foregrounds:
            for crop_size in (None, 320):
                print_line(plan_of(foreground, background, crop_size), runs=runs)


def print_line(plan: ClipPlan, *, runs: int) -> None:
    encode = frame_encoder(COLUMNS, encoding="jpeg", streaming=False)
    jobs: dict[str, Callable[[], None]] = {
        "alone": lambda: decode(plan, to_rgb=False),
        "to_rgb": lambda: decode(plan, to_rgb=True),
        "render": lambda: spend(render(plan, each=nothing)),
        "whole": lambda: spend(render(plan, each=encode)),
    }
    ms = {name: [] for name in jobs}  # type: dict[str, list[float]]
    for _ in range(runs):  # in turn, so that a change of the machine's speed meets all alike
        for name, job in jobs.items():
            start = time.process_time()
            job()
            ms[name].append((time.process_time() - start) * 1000 / FRAMES)
    median = {name: statistics.median(times) for name, times in ms.items()}
    ratio = statistics.median(a / b for a, b in zip(ms["render"], ms["alone"], strict=True))
    view = "full frame" if plan.rendering.crop_size is None else f"crop {plan.rendering.crop_size}"
    numbers = (median["alone"], median["to_rgb"], median["render"])
    print(f"{plan.foreground.kind + ' clip, ' + view:28}" + "".join(f"{number:9.1f}" for number in numbers), end="")
    print(f"{ratio:9.2f}{median['whole'] - median['render']:9.1f}{median['whole']:9.1f}")


def nothing(frame: Frame) -> None:
    """Keep nothing of a frame."""


def spend(windows: Iterator[object]) -> None:
    for _ in windows:
        pass


def decode(plan: ClipPlan, *, to_rgb: bool) -> None:
    """Every frame of the clip's videos, by PyAV alone."""
    moving = plan.foreground.kind == "video"
    for path in [plan.background.path] + [plan.foreground.colour, plan.foreground.alpha] * moving:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                if to_rgb:
                    frame.to_ndarray(format="rgb24", interpolation="BICUBIC")


def plan_of(foreground: Foreground, background: Background, crop_size: int | None) -> ClipPlan:
    rendering = Rendering(columns=COLUMNS, crop_size=crop_size, max_image_frames=FRAMES, max_video_frames=FRAMES)
    return replace(ClipPlan(f"{foreground.kind}_1080p", foreground, background, seed=7), rendering=rendering)


def draw_media(folder: Path) -> tuple[list[Foreground], Background]:
    write_still(folder, "still", height=880, width=1360)
    write_moving(folder, frames=FRAMES)
    write_background(folder / "background.mp4", frames=FRAMES)
    still = Foreground("image", "still", folder / "fg" / "still.png", folder / "alpha" / "still.png")
    moving = Foreground("video", "moving", folder / "f.mp4", folder / "a.mp4")
    return [still, moving], Background("background", folder / "background.mp4")


if __name__ == "__main__":
    main()
