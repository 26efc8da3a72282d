"""Measure `datasets` on rows of megabytes: python benchmarks/dataset_operations.py [--scale 1.0] [--only NAME ...].

Draws sources, builds them (8 frames per row), and runs each operation twice, with its defaults and with the settings of
docs/large-rows.md, each time in a process of its own. Memory: by how much anonymous memory (RssAnon of /proc, so Linux
only) grows at its peak, sampled 100 times a second. Then what `.map` makes of JPEGs: bytes, and the largest difference
of any pixel.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from datasets import Image, load_dataset

from dvm_hf.dataset.loading import load_arguments
from dvm_hf.synthetic.source_tree import draw_sources

ROWS = 8  # in memory at a time
IMAGES = ("frames", "alpha", "trimap")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the drawn sources; 1: 960 x 540 px")
    parser.add_argument(
        "--only", nargs="*", default=list(OPERATIONS), choices=list(OPERATIONS), help="operations to run"
    )
    parser.add_argument("--job", nargs=3, metavar=("NAME", "SETTING", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    datasets.disable_progress_bars()
    if arguments.job:
        name, setting, folder = arguments.job
        measure(OPERATIONS[name][int(setting)], Path(folder))
        return
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}, datasets {datasets.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        draw_sources(Path(folder) / "DVM", scale=arguments.scale)
        built = lossless(Path(folder))
        size = built.data.nbytes
        print(f"{len(built)} rows of {size / len(built) / 1e6:.1f} MB, {size / 1e6:.0f} MB in all\n")
        print(f"{'':26}{'default':>20}{'bounded':>20}")
        for name in arguments.only:
            texts = [_job(name, setting, folder) for setting in range(2)]
            print(f"{name:26}{texts[0]:>20}{texts[1]:>20}", flush=True)
        print_encodings(Path(folder))


def _job(name: str, setting: int, folder: str) -> str:
    command = [sys.executable, __file__, "--job", name, str(setting), folder]
    ended = subprocess.run(command, capture_output=True, text=True)
    return ended.stdout.strip() if ended.returncode == 0 else f"exit code {ended.returncode}"


def lossless(folder: Path, **fields: Any) -> Any:
    """Return the split, cached in the folder."""
    sources = {"data_dir": str(folder / "DVM"), "split": "train", "clip_length": 8, "encoding": "lossless"}
    cache = {} if fields.get("streaming") else {"cache_dir": str(folder / "cache")}
    return load_dataset(name="train", **load_arguments(), **(sources | cache | fields))


def measure(operation: Callable[[Any, Path], Any], folder: Path) -> None:
    """Print by how much an operation raises this process's memory, and how long it takes."""
    built = lossless(folder)
    scratch = Path(tempfile.mkdtemp(dir=folder))
    before, peak, ended = anonymous_memory(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.01):
            peak = max(peak, anonymous_memory())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    began = time.monotonic()
    operation(built, scratch)
    seconds = time.monotonic() - began
    ended.set()
    watcher.join()
    built.cleanup_cache_files()
    shutil.rmtree(scratch)
    print(f"{max(0, peak - before) / 1e6:.0f} MB, {seconds:.1f} s")


def anonymous_memory() -> int:
    """Return the bytes of this process's anonymous memory, without pages of mapped Arrow files."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def streamed(folder: Path) -> Any:
    return lossless(folder, streaming=True)


def encoded(dataset: Any) -> Any:
    """Return the dataset with its images as bytes."""
    for name in IMAGES:
        dataset = dataset.cast_column(name, [Image(decode=False)])
    return dataset


def decoded(dataset: Any) -> Any:
    for name in IMAGES:
        dataset = dataset.cast_column(name, [Image()])
    return dataset


def consumed(rows: Iterator[Any]) -> None:
    next(iter(rows))


# name: with the defaults, and bounded; given the built dataset and an empty folder within the benchmark's own
OPERATIONS: dict[str, tuple[Callable[[Any, Path], Any], Callable[[Any, Path], Any]]] = {
    "map, frames not read": (
        lambda built, _: built.map(lambda row: {"n": 1}),
        lambda built, _: built.map(lambda row: {"n": 1}, writer_batch_size=ROWS),
    ),
    "map, frames read": (
        lambda built, _: built.map(lambda row: {"n": len(row["frames"])}),
        lambda built, _: decoded(encoded(built).map(lambda row: {"n": len(row["frames"])}, writer_batch_size=ROWS)),
    ),
    "filter, frames read": (
        lambda built, _: built.filter(lambda row: len(row["frames"]) > 0),
        lambda built, _: encoded(built).filter(lambda row: len(row["frames"]) > 0, batch_size=ROWS),
    ),
    "filter, window read": (
        lambda built, _: built.filter(lambda row: row["window"] >= 0),
        lambda built, _: built.filter(lambda window: window >= 0, input_columns=["window"]),
    ),
    "shuffle of a stream": (
        lambda _, scratch: consumed(streamed(scratch.parent).shuffle(seed=1)),
        lambda _, scratch: consumed(streamed(scratch.parent).shuffle(seed=1, buffer_size=ROWS)),
    ),
    "to_parquet": (
        lambda built, scratch: built.to_parquet(str(scratch / "rows.parquet")),
        lambda built, scratch: built.to_parquet(str(scratch / "rows.parquet"), batch_size=ROWS),
    ),
    "save_to_disk": (
        lambda built, scratch: built.save_to_disk(str(scratch / "saved")),
        lambda built, scratch: built.save_to_disk(str(scratch / "saved"), max_shard_size="100MB"),
    ),
}


def print_encodings(folder: Path) -> None:
    """Print the bytes of the JPEGs of 16 rows after some operations, and the largest difference from the built ones."""
    built = lossless(folder, encoding="jpeg").select(range(16))
    read = {
        "built": built,
        "map, frames read": built.map(lambda row: {"n": len(row["frames"])}, writer_batch_size=ROWS),
        "map, frames as bytes": decoded(
            encoded(built).map(lambda row: {"n": len(row["frames"])}, writer_batch_size=ROWS)
        ),
        "map, input_columns": built.map(lambda w: {"n": w}, input_columns=["window"], writer_batch_size=ROWS),
        "map, input_columns frames": built.map(
            lambda f: {"n": len(f)}, input_columns=["frames"], writer_batch_size=ROWS
        ),
    }
    print(f"\n{'JPEG frames':26}{'KB per row':>20}{'largest difference':>20}")
    for name, dataset in read.items():
        size = sum(len(image["bytes"]) for row in encoded(dataset) for image in row["frames"]) / len(dataset)
        print(f"{name:26}{size / 1e3:>20.0f}{difference(built, dataset):>20}", flush=True)


def difference(built: Any, dataset: Any) -> int:
    """Return the largest difference of any value of the frames."""
    return max(
        int(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max())
        for first, second in zip(built, dataset, strict=True)
        for one, other in zip(first["frames"], second["frames"], strict=True)
    )


if __name__ == "__main__":
    main()
