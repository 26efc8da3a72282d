"""Compare full frames with the published pipeline: python benchmarks/full_frame.py [--runs 3].

The baseline is a plain rendering of the published operations (float64, three channels) with their four JPEGs at
quality 95, in the same run. CPU time is that of the complete process, including decoder threads. "libraries" is FFmpeg
decoding the same videos to RGB and OpenCV encoding the same pictures, with nothing in between: a lower bound for any
build of these columns with these libraries. Draws its media first: image foregrounds of 1360 x 880 and 1408 x 2176 px
and a video foreground of 1920 x 1080, over 1080p backgrounds.
"""

import argparse
import dataclasses
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
from cpu_time import cpu_seconds
from datasets.arrow_writer import ArrowWriter
from published import published_frames

import dvm_hf.clips.recipes
import dvm_hf.clips.scene
import dvm_hf.clips.trimap
import dvm_hf.dataset.columns
import dvm_hf.dataset.features
import dvm_hf.media.video.decoded_frames
from dvm_hf import ClipPlan, Rendering, render, scan
from dvm_hf.clips.scene import Frame
from dvm_hf.dataset.columns import FILE_ENCODINGS, IMAGE_COLUMNS, LAYERS, frame_encoder, row
from dvm_hf.dataset.loading import load_arguments
from dvm_hf.media.still.image_encoding import encoded_image
from dvm_hf.media.video.videos import Video
from dvm_hf.synthetic.camera_like import write_background, write_image_foreground, write_video_foreground

FRAMES = 48
CLIPS = 8  # of one still, for the builds
COLUMNS = {
    "frames, alpha, foreground, background": ("frames", "alpha", "foreground", "background"),
    "frames, alpha, trimap": ("frames", "alpha", "trimap"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each measurement; the median is printed")
    parser.add_argument("--build", nargs=3, metavar=("TREE", "PROCESSES", "CORES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build:
        tree, processes, cores = arguments.build
        build(tree, processes=int(processes), cores=int(cores))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(f"datasets {datasets.__version__}, OpenCV {cv2.__version__}, PyAV {av.__version__}, NumPy {np.__version__}")
    print(f"median of {arguments.runs} runs\n")
    with tempfile.TemporaryDirectory() as folder:
        tree = draw_tree(Path(folder) / "DVM")
        plans = plans_of(tree)
        print_ratios(plans, runs=arguments.runs)
        print_stages(plans, runs=arguments.runs)
        print_sizes(plans)
        print_builds(draw_stills(Path(folder) / "stills"), runs=arguments.runs)


def draw_tree(root: Path) -> Path:
    write_image_foreground(root / "fg/image/train", "wide_1360x880", height=880, width=1360)
    write_image_foreground(root / "fg/image/train", "tall_1408x2176", height=2176, width=1408)
    write_video_foreground(root / "fg/video/train/1080p", frames=FRAMES)
    for name in ("0000", "0001"):
        write_background(root / "bg/train" / f"{name}.mp4", frames=FRAMES)
    return root


def draw_stills(root: Path) -> Path:
    """Draw one image foreground over `CLIPS` backgrounds: clips of equal cost."""
    write_image_foreground(root / "fg/image/train", "wide_1360x880", height=880, width=1360)
    first = root / "bg/train/0000.mp4"
    write_background(first, frames=FRAMES)
    for number in range(1, CLIPS):
        first.with_name(f"{number:04}.mp4").hardlink_to(first)
    return root


def plans_of(tree: Path) -> dict[str, ClipPlan]:
    found = scan(tree, "train")
    return {
        f"{foreground.kind} {foreground.name}": ClipPlan(foreground.name, foreground, found.backgrounds[0], seed=7)
        for foreground in found.foregrounds
    }


def rendered(plan: ClipPlan, columns: tuple[str, ...]) -> ClipPlan:
    rendering = Rendering(columns=columns, max_image_frames=FRAMES, max_video_frames=FRAMES)
    return dataclasses.replace(plan, rendering=rendering)


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
    print("CPU ms per frame, rendered and encoded (fraction of the published pipeline)")
    print(f"{'clip':24}{'published':>10}" + "".join(f"{name:>40}{'libraries':>16}" for name in COLUMNS))
    for name, plan in plans.items():
        jobs: list[Callable[[], object]] = [partial(publish, plan)]
        for columns in COLUMNS.values():
            job = rendered(plan, columns)
            jobs += [partial(make_rows, job), partial(use_libraries, job, pictures_of(job))]
        rounds = [[cpu_ms_a_frame(job) for job in jobs] for _ in range(runs)]  # in turn: the machine's speed drifts
        line = f"{name:24}{statistics.median(times[0] for times in rounds):10.1f}"
        for place in range(1, len(jobs)):
            ms = statistics.median(times[place] for times in rounds)
            ratio = statistics.median(times[place] / times[0] for times in rounds)
            line += f"{f'{ms:.1f} ({ratio:.2f})':>{40 if place % 2 else 16}}"
        print(line)


def pictures_of(plan: ClipPlan) -> list[tuple[np.ndarray, str]]:
    """Return the arrays of a middle frame of the clip, and their encodings."""
    one_frame = dataclasses.replace(plan.rendering, clip_length=FRAMES // 2, clip_step=FRAMES)
    keep_last = {column: np.empty(0) for column in plan.rendering.columns}

    def keep(frame: Frame) -> None:
        keep_last.update({column: LAYERS[column](frame) for column in keep_last})

    list(render(dataclasses.replace(plan, rendering=one_frame), each=keep, numbers=[0]))
    return [(pixels, FILE_ENCODINGS["jpeg"][column]) for column, pixels in keep_last.items()]


def use_libraries(plan: ClipPlan, pictures: list[tuple[np.ndarray, str]]) -> None:
    """Decode every video of a clip, to RGB except for the alpha; encode one frame's pictures once per frame."""
    moving = plan.foreground.kind == "video"
    for path in [plan.background.path] + [plan.foreground.colour] * moving:
        with Video(path) as video:
            for _ in video.colours(range(FRAMES)):
                pass
    if moving:
        with Video(plan.foreground.alpha) as video:
            for _ in video.alphas(range(FRAMES)):
                pass
    for _ in range(FRAMES):
        for pixels, encoding in pictures:
            encoded_image(pixels, encoding)


class Stages:
    """CPU time of functions while they are patched with timers, without nested calls."""

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


def print_stages(plans: dict[str, ClipPlan], *, runs: int) -> None:
    """Print the stages with OpenCV on one thread; FFmpeg's threads count for decoding only."""
    cv2.setNumThreads(1)
    table: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in plans}
    for _ in range(runs):
        for name, plan in plans.items():
            stages, job = Stages(), rendered(plan, IMAGE_COLUMNS)
            table[name]["decode (YUV)"].append(cpu_ms_a_frame(partial(decode_alone, job)))
            restore = patch(stages)
            rows = stages.timed("rest", make_rows)(job)
            restore()
            for stage, seconds in stages.seconds.items():
                table[name][stage].append(seconds * 1000 / FRAMES)
            table[name]["Arrow write"].append(arrow_write(job, rows))
    print("\nCPU ms per frame by stage, five columns")
    for stage in dict.fromkeys(stage for stages in table.values() for stage in stages):
        medians = (statistics.median(table[name].get(stage, [0.0])) for name in table)
        print(f"{stage:28}" + "".join(f"{ms:24.2f}" for ms in medians))
    print(f"{'':28}" + "".join(f"{name:>24}" for name in table))
    cv2.setNumThreads(-1)


def patch(stages: Stages) -> Callable[[], None]:
    spots: list[tuple[Any, str, str]] = [
        (dvm_hf.media.video.decoded_frames.Picture, "_converted", "colour conversion"),
        (dvm_hf.media.video.decoded_frames, "grey_luma", "alpha's range"),
        (dvm_hf.clips.scene.Scene, "_background_in", "background crop"),
        (cv2, "warpAffine", "warp"),
        (dvm_hf.clips.trimap.MorphologicalBand, "trimap", "trimap"),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in spots]
    for owner, name, stage in spots:
        setattr(owner, name, stages.timed(stage, getattr(owner, name)))
    recipes = dict(dvm_hf.clips.recipes.RECIPES)
    dvm = recipes["dvm"]
    timed = stages.timed("composite", dvm.composite_over)
    dvm_hf.clips.recipes.RECIPES["dvm"] = dataclasses.replace(dvm, composite_over=timed)
    encoded = dvm_hf.dataset.columns.encoded_image
    kinds = {"jpeg": "JPEGs (3)", "grey_png": "PNG alpha", "flat_png": "PNG trimap"}
    encoders = {kind: stages.timed(stage, encoded) for kind, stage in kinds.items()}
    dvm_hf.dataset.columns.encoded_image = lambda pixels, encoding: encoders[encoding](pixels, encoding)

    def restore() -> None:
        for owner, name, function in before:
            setattr(owner, name, function)
        dvm_hf.clips.recipes.RECIPES.update(recipes)
        dvm_hf.dataset.columns.encoded_image = encoded

    return restore


def decode_alone(plan: ClipPlan) -> None:
    moving = plan.foreground.kind == "video"
    for path in [plan.background.path] + [plan.foreground.colour, plan.foreground.alpha] * moving:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for _ in container.decode(video=0):
                pass


def arrow_write(plan: ClipPlan, rows: list[dict[str, Any]]) -> float:
    features = dvm_hf.dataset.features.features(plan.rendering.columns, encoding="jpeg", clip_length=16, crop_size=None)
    with tempfile.NamedTemporaryFile(suffix=".arrow") as file:

        def write() -> None:
            with ArrowWriter(features=features, path=file.name, writer_batch_size=8) as writer:
                for one in rows:
                    writer.write(features.encode_example(one))
                writer.finalize()

        return cpu_ms_a_frame(write)


def print_sizes(plans: dict[str, ClipPlan]) -> None:
    print("\nkB per frame by column")
    print(f"{'clip':24}" + "".join(f"{column:>12}" for column in IMAGE_COLUMNS))
    for name, plan in plans.items():
        sizes = defaultdict(list)
        for one_row in make_rows(rendered(plan, IMAGE_COLUMNS)):
            for column in IMAGE_COLUMNS:
                sizes[column] += [len(image["bytes"]) / 1000 for image in one_row[column]]
        print(f"{name:24}" + "".join(f"{np.mean(sizes[column]):12.0f}" for column in IMAGE_COLUMNS))


def print_builds(tree: Path, *, runs: int) -> None:
    """Measure load_dataset with an empty cache, in separate processes."""
    ways = {"1 process": (1, 2), "1 process on 1 core": (1, 1), "num_proc=2": (2, 2)}  # processes, cores
    found: dict[str, list[list[float]]] = {way: [] for way in ways}
    for _ in range(runs):
        for way, numbers in ways.items():
            command = [sys.executable, __file__, "--build", str(tree), *map(str, numbers)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            found[way].append([float(number) for number in printed.split()])
    print(f"\nload_dataset, {CLIPS} clips of the wide image, {CLIPS * FRAMES} frames")
    print(f"{'':22}{'wall s':>8}{'CPU s':>8}{'cores used':>12}{'peak MB, each':>15}{'num_proc=2 is':>18}")
    for way, rows in found.items():
        wall, cpu, megabytes = (statistics.median(column) for column in zip(*rows, strict=True))
        faster = statistics.median(a[0] / b[0] for a, b in zip(rows, found["num_proc=2"], strict=True))
        print(f"{way:22}{wall:8.1f}{cpu:8.1f}{cpu / wall:12.2f}{megabytes:15.0f}{f'{faster:.2f} times':>18}")


def build(tree: str, *, processes: int, cores: int) -> None:
    """Build once into an empty cache; print wall and CPU seconds after the imports, and peak MB."""
    if cores == 1:  # needs Linux
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    fields = {"data_dir": tree, "split": "train", "max_image_frames": FRAMES, "backgrounds_per_foreground": CLIPS}
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        start, spent = time.perf_counter(), cpu_seconds()
        num_proc = processes if processes > 1 else None
        datasets.load_dataset(name="train", cache_dir=cache, num_proc=num_proc, **load_arguments() | fields)
        wall, cpu = time.perf_counter() - start, cpu_seconds() - spent
    who = resource.RUSAGE_SELF if processes == 1 else resource.RUSAGE_CHILDREN
    print(wall, cpu, resource.getrusage(who).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
