"""Compare the encodings of rows: python benchmarks/row_encodings.py [--runs 3] [--frames 48].

Draws its media first: an image foreground of 1360 x 880 px and a video foreground of 1920 x 1080 over a 1080p
background, in rows of 16 frames with the columns frames, alpha and trimap. Prints for complete frames and for crops of
320 px: the bytes of a frame; the CPU time to render and encode a frame; the CPU time to read a frame of a complete row,
and a random window of 4 frames (of complete frames: with a crop of 320 px), as `ClipStream.from_dataset` reads them;
and the PSNR of the frames against the lossless ones. CPU times are medians of alternating runs in one process, with the
threads of decoders.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import datasets
import numpy as np

from dvm_hf.clips.windows import render
from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.columns import frame_collector, frame_encoder, row, stored_bytes
from dvm_hf.dataset.config import DVMConfig, plans
from dvm_hf.dataset.loading import load_arguments
from dvm_hf.synthetic.camera_like import draw_camera_like_sources
from dvm_hf.training.dataset_rows import DatasetRows
from dvm_hf.wording import counted

LENGTH, WINDOW, CROP = 16, 4, 320
COLUMNS = ("frames", "alpha", "trimap")
VIEWS: dict[str, dict[str, Any]] = {"complete frames": {}, f"crops of {CROP} px": {"crop_size": CROP}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each measurement; the median is printed")
    parser.add_argument("--frames", type=int, default=48, help="frames of a clip")
    arguments = parser.parse_args()
    datasets.disable_progress_bars()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, OpenCV {cv2.__version__}, "
        f"PyAV {av.__version__}, datasets {datasets.__version__}; medians of {counted(arguments.runs, 'run')}"
    )
    with tempfile.TemporaryDirectory() as folder:
        tree = draw_camera_like_sources(Path(folder) / "DVM", frames=arguments.frames)
        for name, view in VIEWS.items():
            print_view(name, view, tree, Path(folder) / "cache", runs=arguments.runs)


def print_view(name: str, view: dict[str, Any], tree: Path, cache: Path, *, runs: int) -> None:
    encodings = ("jpeg", "lossless", "array", "video") if view else ("jpeg", "lossless", "video")
    fields = {"clip_length": LENGTH, "backgrounds_per_foreground": 1, "remainder": "drop"} | view
    rows = {encoding: load(tree, cache, encoding=encoding, **fields) for encoding in encodings}
    jobs = {
        "build": {one: build_job(tree, fields | {"encoding": one}) for one in encodings},
        "row": {one: read_job(held, clip_length="all", crop_size=None) for one, held in rows.items()},
        "window": {one: read_job(held, clip_length=WINDOW, crop_size=CROP) for one, held in rows.items()},
    }
    frames = len(rows["jpeg"]) * LENGTH
    units = {"build": frames, "row": frames, "window": len(rows["jpeg"])}
    ms = {what: medians(of_encoding, runs, units[what]) for what, of_encoding in jobs.items()}
    exact = [frame for frame in colours(rows["lossless"])]
    print(f"\n{name}\n{'':10}{'kB/frame':>10}{'':8}{'build ms/frame':>16}{'':8}{'row ms/frame':>14}", end="")
    print(f"{'window ms':>12}{'dB':>8}")
    for encoding in encodings:
        size, error = bytes_per_frame(tree, fields | {"encoding": encoding}), psnr(colours(rows[encoding]), exact)
        base = bytes_per_frame(tree, fields | {"encoding": "jpeg"})
        print(f"{encoding:10}{size / 1000:10.0f}{ratio(size, base)}", end="")
        print(f"{ms['build'][encoding]:16.1f}{ratio(ms['build'][encoding], ms['build']['jpeg'])}", end="")
        print(f"{ms['row'][encoding]:14.1f}{ms['window'][encoding]:12.1f}{error:>8}")


def load(tree: Path, cache: Path, **fields: Any) -> Any:
    """Return the built dataset, with images and videos as stored."""
    arguments = {"data_dir": str(tree), "cache_dir": str(cache)} | load_arguments()
    return datasets.load_dataset(name="train", split="train", **arguments, **fields)


def build_job(tree: Path, fields: dict[str, Any]) -> Callable[[], object]:
    return lambda: [row(window, encoding=fields["encoding"]) for window in windows(tree, fields)]


def windows(tree: Path, fields: dict[str, Any]) -> Iterator[Any]:
    config = DVMConfig(name="train", version=DVM.VERSION, data_dir=str(tree), **fields)
    each = frame_encoder(COLUMNS, encoding=config.encoding, streaming=False)
    collect = frame_collector(COLUMNS, encoding=config.encoding)
    for plan in plans(config).clips:
        yield from render(plan, each=each, collect=collect)


def bytes_per_frame(tree: Path, fields: dict[str, Any]) -> float:
    sizes = [stored_bytes(window.frames) / len(window.frames) for window in windows(tree, fields)]
    return sum(sizes) / len(sizes)


def read_job(held: Any, *, clip_length: int | str, crop_size: int | None) -> Callable[[], object]:
    """Read one sample of each row."""
    of_rows = samples_of(held, clip_length=clip_length, crop_size=crop_size)
    return lambda: [list(of_rows.samples(0, clip, range(1))) for clip in range(of_rows.clips)]


def samples_of(held: Any, *, clip_length: Any, crop_size: int | None, columns: Any = COLUMNS) -> DatasetRows:
    return DatasetRows(
        held,
        clip_length=clip_length,
        context=0,
        crop_size=crop_size,
        columns=columns,
        seed=1,
        recipe="dvm",
        frame_step=1,
        samples_per_clip=1,
    )


def colours(held: Any) -> Iterator[np.ndarray]:
    """Yield the frames of each row, (T, 3, H, W)."""
    of_rows = samples_of(held, clip_length="all", crop_size=None, columns=("frames",))
    for clip in range(of_rows.clips):
        yield from (sample["frames"] for sample in of_rows.samples(0, clip, range(1)))


def psnr(found: Iterator[np.ndarray], exact: list[np.ndarray]) -> str:
    errors = [np.square(one.astype(np.int16) - other).mean() for one, other in zip(found, exact, strict=True)]
    error = float(np.mean(errors))
    return f"{10 * np.log10(255**2 / error):.1f}" if error else "exact"


def medians(jobs: dict[str, Callable[[], object]], runs: int, units: int) -> dict[str, float]:
    ms: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(runs):  # in turn, so that a change of the machine's speed affects all
        for name, job in jobs.items():
            start = time.process_time()
            job()
            ms[name].append((time.process_time() - start) * 1000 / units)
    return {name: statistics.median(times) for name, times in ms.items()}


def ratio(value: float, base: float) -> str:
    return f"  ({value / base:.2f})"


if __name__ == "__main__":
    main()
