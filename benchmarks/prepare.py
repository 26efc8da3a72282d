"""Compare `dvm prepare` with rendering and encoding alone: python benchmarks/prepare.py [--runs 3] [--frames 96].

CPU: `prepare` in one process, including planning, hashing, writing, reading back, samples and card, against rendering
and encoding the same clips into memory. Both run in separate processes, alternating, with decoder threads and without
imports. Memory: the sum over `dvm prepare --num-proc 2` and its workers, sampled 20 times a second, each page counted
once (PSS). Bytes: the columns frames, alpha and trimap in the shards, against the published pipeline's four JPEGs
(quality 95: composite, alpha, foreground, background) of the same clips; the size that an alpha would need for half of
those bytes; and the smallest lossless files of some of these alphas: PNG with any filter, strategy and level 9, and
WebP. Draws its media first: an image foreground of 1360 x 880 px and a video foreground of 1920 x 1080, over 1080p
backgrounds.
"""

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow
from cpu_time import cpu_seconds
from PIL import Image
from process_memory import peak_memory
from published import published_frames
from pyarrow import parquet

from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.columns import frame_encoder, row
from dvm_hf.dataset.config import DVMConfig, plans
from dvm_hf.dataset.content_digest import rendered_digest
from dvm_hf.prepared.plans.shard_size import WantedShards
from dvm_hf.prepared.prepare import planned, prepare
from dvm_hf.synthetic.camera_like import write_background, write_image_foreground, write_video_foreground
from dvm_hf.wording import counted

CLIPS_A_FOREGROUND = 3
SHOWN = ("frames", "alpha", "trimap")
SMALLEST_OF = 3  # alphas of a clip are encoded as small as can be


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each measurement; the median is printed")
    parser.add_argument("--frames", type=int, default=96, help="frames of a clip; windows have 16")
    parser.add_argument("--job", nargs=3, metavar=("NAME", "TREE", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        name, tree, out = arguments.job
        print(JOBS[name](Path(tree), Path(out), arguments.frames))
        return
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, OpenCV {cv2.__version__}, ",
        end="",
    )
    print(f"PyAV {av.__version__}, NumPy {np.__version__}, PyArrow {pyarrow.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        tree = draw_tree(Path(folder) / "DVM", frames=arguments.frames)
        print_cpu(tree, Path(folder), runs=arguments.runs, frames=arguments.frames)
        print_memory(tree, Path(folder) / "two", frames=arguments.frames)
        print_bytes(tree, Path(folder) / "two", frames=arguments.frames)


def draw_tree(root: Path, *, frames: int) -> Path:
    write_image_foreground(root / "fg/image/train", "wide_1360x880", height=880, width=1360)
    write_video_foreground(root / "fg/video/train/1080p", frames=frames)
    for number in range(CLIPS_A_FOREGROUND):
        write_background(root / f"bg/train/{number:04d}.mp4", frames=frames)
    return root


def config_of(tree: Path, frames: int) -> DVMConfig:
    return DVMConfig(
        name="train",
        version=DVM.VERSION,
        data_dir=str(tree),
        backgrounds_per_foreground=CLIPS_A_FOREGROUND,
        max_image_frames=frames,
        max_video_frames=frames,
    )


def render_alone(tree: Path, out: Path, frames: int) -> float:
    from dvm_hf import render

    start = cpu_seconds()
    for plan in plans(config_of(tree, frames)).clips:
        for window in render(plan, each=frame_encoder(plan.rendering.columns, encoding="jpeg", streaming=False)):
            row(window, encoding="jpeg")
    return cpu_seconds() - start


def prepare_alone(tree: Path, out: Path, frames: int) -> float:
    start = cpu_seconds()
    config = config_of(tree, frames)
    prepare(planned([config], out, data_dir=tree, wanted=WantedShards(num_shards=2)), out, data_dir=tree)
    return cpu_seconds() - start


JOBS = {"render": render_alone, "prepare": prepare_alone}


def print_cpu(tree: Path, folder: Path, *, runs: int, frames: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in JOBS}
    for run in range(runs):  # in turn, so that a change of the machine's speed meets both
        for name in JOBS:
            command = [
                sys.executable,
                __file__,
                "--frames",
                str(frames),
                "--job",
                name,
                str(tree),
                str(folder / f"one_{run}"),
            ]
            seconds[name].append(
                float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
            )
    total = 2 * CLIPS_A_FOREGROUND * frames
    print(f"\nCPU ms per frame, median of {counted(runs, 'run')}, {total} frames")
    for name, times in seconds.items():
        print(f"{name:10}{statistics.median(times) * 1000 / total:8.1f}")
    ratio = statistics.median(a / b for a, b in zip(seconds["prepare"], seconds["render"], strict=True))
    print(f"prepare / rendering and encoding alone (at most 1.1): {ratio:.3f}")
    digests = digest_seconds(tree, frames) * 1000
    share = digests * total / 1000 / statistics.median(seconds["prepare"])
    print(f"content digests, part of prepare: {digests:.2f} ms per frame, {share:.1%}")


def digest_seconds(tree: Path, frames: int) -> float:
    """Return the CPU time of hashing a frame, over some frames of each clip."""
    from dvm_hf import render

    used = count = 0.0
    for plan in plans(config_of(tree, frames)).clips:
        window = next(render(plan, each=lambda frame: frame, numbers=range(1)))
        start = cpu_seconds()
        for frame in window.frames:
            rendered_digest(frame)
        used, count = used + cpu_seconds() - start, count + len(window.frames)
    return used / count


def print_memory(tree: Path, out: Path, *, frames: int) -> None:
    """Measure `dvm prepare --num-proc 2` like a user runs it."""
    command = [sys.executable, "-m", "dvm_hf", "prepare", str(tree), str(out), "--num-proc", "2", "--num-shards", "2"]
    command += ["--config", "train", "--backgrounds-per-foreground", str(CLIPS_A_FOREGROUND)]
    command += ["--max-image-frames", str(frames), "--max-video-frames", str(frames), "--json"]
    peak, printed = peak_memory(command)
    made = json.loads(printed)
    print(f"\npeak memory of --num-proc 2, all processes, {made['frames']} frames (under 800 MB): {peak / 1e6:.0f} MB")


def print_bytes(tree: Path, out: Path, *, frames: int) -> None:
    total = 0
    print(f"\n{'kB per frame':26}{'frames':>8}{'alpha':>8}{'trimap':>8}{'four JPEGs':>12}{'ratio':>8}", end="")
    print(f"{'  alpha for 0.5':>16}{'smallest PNG':>14}{'WebP':>8}")
    stored = images_by_clip(out)
    for plan in plans(config_of(tree, frames)).clips:
        images = stored[plan.clip_id]
        theirs = kilobytes([jpeg(layer) for four in published_frames(plan) for layer in four]) * 4
        ours = {column: kilobytes(images[column]) for column in SHOWN}
        some = images["alpha"][:: len(images["alpha"]) // SMALLEST_OF]
        scale = ours["alpha"] / kilobytes(some)  # of all frames to those tried
        png, webp = (kilobytes([smallest(data) for data in some]) * scale for smallest in (smallest_png, lossless_webp))
        print(f"{plan.clip_id:26}" + "".join(f"{size:8.0f}" for size in ours.values()), end="")
        print(f"{theirs:12.0f}{sum(ours.values()) / theirs:8.2f}", end="")
        print(f"{theirs / 2 - ours['frames'] - ours['trimap']:16.0f}{png:14.0f}{webp:8.0f}")
        total += sum(len(image) for column in SHOWN for image in images[column])
    on_disk = sum(path.stat().st_size for path in (out / "data").iterdir())
    print(f"Parquet around the images: {on_disk / total - 1:.3%}")


def images_by_clip(out: Path) -> dict[str, dict[str, list[bytes]]]:
    stored: dict[str, dict[str, list[bytes]]] = {}
    for path in sorted((out / "data").glob("*.parquet")):
        for read in parquet.read_table(path).to_pylist():
            images = stored.setdefault(read["clip_id"], {column: [] for column in SHOWN})
            for column in SHOWN:
                images[column] += [image["bytes"] for image in read[column]]
    return stored


def kilobytes(images: list[bytes]) -> float:
    return sum(map(len, images)) / len(images) / 1000


def jpeg(layer: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", layer, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def smallest_png(data: bytes) -> bytes:
    alpha = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    filters = ("NONE", "SUB", "UP", "AVG", "PAETH")
    tried = [getattr(cv2, f"IMWRITE_PNG_FILTER_{name}") for name in filters] + [cv2.IMWRITE_PNG_ALL_FILTERS]
    strategies = (cv2.IMWRITE_PNG_STRATEGY_DEFAULT, cv2.IMWRITE_PNG_STRATEGY_FILTERED, cv2.IMWRITE_PNG_STRATEGY_RLE)
    options = [
        [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, strategy, cv2.IMWRITE_PNG_FILTER, png_filter]
        for strategy in strategies
        for png_filter in tried
    ]
    return min((cv2.imencode(".png", alpha, option)[1].tobytes() for option in options), key=len)


def lossless_webp(data: bytes) -> bytes:
    written = io.BytesIO()
    Image.open(io.BytesIO(data)).save(written, "WEBP", lossless=True, quality=100, method=4)
    return written.getvalue()


if __name__ == "__main__":
    main()
