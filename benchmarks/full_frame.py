"""Whole frames, published pipeline against ours: python benchmarks/full_frame.py [--runs 3].

The baseline is a plain rendering of the published operations (float64, three channels) and their four JPEGs at quality
95, in the same run. CPU time is that of the whole process, decoder threads included. Draws its media first: stills of
1360 x 880 and 1408 x 2176 px and a moving foreground of 1920 x 1080, over 1080p backgrounds.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import datasets
import numpy as np
from media import write_background, write_moving, write_still
from published import published_frames

import dvm_hf.columns
import dvm_hf.foregrounds
import dvm_hf.frame_io
import dvm_hf.recipes
import dvm_hf.scene
import dvm_hf.trimap
from dvm_hf import ClipPlan, Rendering, render, scan
from dvm_hf.columns import frame_encoder, row
from dvm_hf.loading import load_arguments

FRAMES = 48
COLUMNS = {
    "frames, alpha, foreground, background": ("frames", "alpha", "foreground", "background"),
    "frames, alpha, trimap": ("frames", "alpha", "trimap"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each measurement; the median is printed")
    parser.add_argument("--build", nargs=2, metavar=("TREE", "PROCESSES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build:
        build(arguments.build[0], processes=int(arguments.build[1]))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(f"datasets {datasets.__version__}, OpenCV {cv2.__version__}, PyAV {av.__version__}, NumPy {np.__version__}")
    print(f"median of {arguments.runs} runs\n")
    with tempfile.TemporaryDirectory() as folder:
        tree = draw_tree(Path(folder) / "DVM")
        plans = plans_of(tree)
        print_ratios(plans, runs=arguments.runs)
        print_stages(plans)
        print_builds(tree, runs=arguments.runs)


def draw_tree(root: Path) -> Path:
    write_still(root / "fg/image/train", "wide_1360x880", height=880, width=1360)
    write_still(root / "fg/image/train", "tall_1408x2176", height=2176, width=1408)
    write_moving(root / "fg/video/train/1080p", frames=FRAMES)
    for name in ("0000", "0001"):
        write_background(root / "bg/train" / f"{name}.mp4", frames=FRAMES)
    return root


def plans_of(tree: Path) -> dict[str, ClipPlan]:
    found = scan(tree, "train")
    return {
        f"{foreground.kind} {foreground.name}": ClipPlan(foreground.name, foreground, found.backgrounds[0], seed=7)
        for foreground in found.foregrounds
    }


def rendered(plan: ClipPlan, columns: tuple[str, ...]) -> ClipPlan:
    rendering = Rendering(columns=columns, max_image_frames=FRAMES, max_video_frames=FRAMES)
    return ClipPlan(plan.clip_id, plan.foreground, plan.background, plan.seed, rendering)


def publish(plan: ClipPlan) -> None:
    for layers in published_frames(plan):
        for layer in layers:
            cv2.imencode(".jpg", layer, [cv2.IMWRITE_JPEG_QUALITY, 95])


def make_rows(plan: ClipPlan) -> list[dict[str, Any]]:
    each = frame_encoder(plan.rendering.columns, encoding="jpeg", streaming=False)
    return [row(window, encoding="jpeg") for window in render(plan, each=each)]


def cpu_ms_a_frame(job: Callable[[], object]) -> float:
    start = time.process_time()
    job()
    return (time.process_time() - start) * 1000 / FRAMES


def print_ratios(plans: dict[str, ClipPlan], *, runs: int) -> None:
    print("CPU ms a frame, rendered and encoded")
    print(f"{'clip':24}{'published':>10}" + "".join(f"{name:>40}" for name in COLUMNS))
    for name, plan in plans.items():
        plans_of_columns = [rendered(plan, columns) for columns in COLUMNS.values()]
        jobs = [partial(publish, plan), *(partial(make_rows, job) for job in plans_of_columns)]
        rounds = [[cpu_ms_a_frame(job) for job in jobs] for _ in range(runs)]  # in turn: the machine's speed drifts
        published = statistics.median(times[0] for times in rounds)
        line = f"{name:24}{published:10.1f}"
        for place in range(1, len(jobs)):
            ms = statistics.median(times[place] for times in rounds)
            ratio = statistics.median(times[place] / times[0] for times in rounds)
            line += f"{f'{ms:.1f} ({ratio:.2f} of it)':>40}"
        print(line)


class Stages:
    """CPU of functions while they are patched with timers, without what they call among themselves."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._running: list[float] = []

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timer(*args: Any, **kwargs: Any) -> Any:
            start = time.thread_time()
            self._running.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.thread_time() - start
                self.seconds[stage] += spent - self._running.pop()
                if self._running:
                    self._running[-1] += spent

        return timer


def print_stages(plans: dict[str, ClipPlan]) -> None:
    """One run with OpenCV on one thread, and FFmpeg's threads left out of all but decode."""
    cv2.setNumThreads(1)
    table: dict[str, dict[str, float]] = {}
    columns = ("frames", "alpha", "trimap", "foreground", "background")
    for name, plan in plans.items():
        stages, job = Stages(), rendered(plan, columns)
        decode = cpu_ms_a_frame(lambda job=job: decode_alone(job))
        restore = patch(stages)
        make_rows(job)
        restore()
        table[name] = {"decode (YUV)": decode} | {k: v * 1000 / FRAMES for k, v in stages.seconds.items()}
        table[name]["Arrow write"] = arrow_write(job)
    print("\nCPU ms a frame by stage, five columns")
    for stage in dict.fromkeys(stage for stages in table.values() for stage in stages):
        print(f"{stage:28}" + "".join(f"{table[name].get(stage, 0):24.2f}" for name in table))
    print(f"{'':28}" + "".join(f"{name:>24}" for name in table))
    cv2.setNumThreads(-1)


def patch(stages: Stages) -> Callable[[], None]:
    spots: list[tuple[Any, str, str]] = [
        (dvm_hf.frame_io.Picture, "_converted", "colour conversion"),
        (dvm_hf.frame_io, "_luma", "alpha's range"),
        (dvm_hf.scene.Scene, "_background_in", "background crop"),
        (dvm_hf.foregrounds, "placed", "warp"),
        (dvm_hf.trimap.Eroded, "trimap", "trimap"),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in spots]
    for owner, name, stage in spots:
        setattr(owner, name, stages.timed(stage, getattr(owner, name)))
    recipes = dict(dvm_hf.recipes.RECIPES)
    dvm = recipes["dvm"]
    lay_over = stages.timed("composite", dvm.lay_over)
    dvm_hf.recipes.RECIPES["dvm"] = dvm_hf.recipes.Recipe(**{**vars(dvm), "lay_over": lay_over})
    encoded = dvm_hf.columns.encoded_image
    kinds = {"jpeg": "JPEGs (3)", "grey_png": "PNG alpha", "flat_png": "PNG trimap"}
    encoders = {kind: stages.timed(stage, encoded) for kind, stage in kinds.items()}
    dvm_hf.columns.encoded_image = lambda pixels, encoding: encoders[encoding](pixels, encoding)

    def restore() -> None:
        for owner, name, function in before:
            setattr(owner, name, function)
        dvm_hf.recipes.RECIPES.update(recipes)
        dvm_hf.columns.encoded_image = encoded

    return restore


def decode_alone(plan: ClipPlan) -> None:
    moving = plan.foreground.kind == "video"
    for path in [plan.background.path] + [plan.foreground.colour, plan.foreground.alpha] * moving:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for _ in container.decode(video=0):
                pass


def arrow_write(plan: ClipPlan) -> float:
    from datasets.arrow_writer import ArrowWriter

    rows = make_rows(plan)
    features = dvm_hf.columns.features(plan.rendering.columns, encoding="jpeg", clip_length=16, crop_size=None)
    with tempfile.NamedTemporaryFile(suffix=".arrow") as file:

        def write() -> None:
            with ArrowWriter(features=features, path=file.name, writer_batch_size=8) as writer:
                for one in rows:
                    writer.write(features.encode_example(one))
                writer.finalize()

        return cpu_ms_a_frame(write)


def print_builds(tree: Path, *, runs: int) -> None:
    """load_dataset from nothing, in processes of its own; six clips of the three foregrounds."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    peak = {}
    for _ in range(runs):
        for processes in seconds:
            command = [sys.executable, __file__, "--build", str(tree), str(processes)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            wall, megabytes = map(float, printed.split())
            seconds[processes].append(wall)
            peak[processes] = megabytes
    one, two = (statistics.median(times) for times in seconds.values())
    speedup = statistics.median(a / b for a, b in zip(seconds[1], seconds[2], strict=True))
    print(f"\nload_dataset, six clips of {FRAMES} frames: {one:.1f} s, ", end="")
    print(f"num_proc=2 {two:.1f} s ({speedup:.2f} times as fast)")
    print(f"peak memory of a process, MB: {peak[1]:.0f}, num_proc=2 {peak[2]:.0f} each")
    for name, plan in plans_of(tree).items():
        sizes = defaultdict(list)
        for one_row in make_rows(rendered(plan, ("frames", "alpha", "trimap", "foreground", "background"))):
            for column in ("frames", "alpha", "trimap", "foreground", "background"):
                sizes[column] += [len(image["bytes"]) / 1000 for image in one_row[column]]
        print(f"kB a frame, {name:22}" + ", ".join(f"{column} {np.mean(kb):.0f}" for column, kb in sizes.items()))


def build(tree: str, *, processes: int) -> None:
    """Build once into an empty cache; print seconds of wall time, from import's end on, and peak MB."""
    arguments = load_arguments() | {"data_dir": tree, "split": "train", "max_image_frames": FRAMES}
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        datasets.load_dataset(name="train", cache_dir=cache, num_proc=processes if processes > 1 else None, **arguments)
        wall = time.perf_counter() - start
    who = resource.RUSAGE_SELF if processes == 1 else resource.RUSAGE_CHILDREN
    print(wall, resource.getrusage(who).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
