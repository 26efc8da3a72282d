"""Measure the images of rows, written and read for training: python benchmarks/stored_rows.py [--runs 5] [--litdata].

Builds clips of a video foreground of 1920 x 1080 px over 1080p backgrounds, 8 frames per row. Bytes and CPU of one
image of each column, encoded as in rows and as in earlier versions (no restart markers; libpng). CPU per frame of
samples of 4 frames, complete or cropped to 320 px, as `ClipStream.from_dataset` reads them, against decoding complete
images with OpenCV, as earlier versions did. All jobs run in this process and take turns. `--litdata` adds litdata over
the same files, decoded completely by torchvision; both must be installed.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import datasets
import numpy as np
import torch
from datasets import load_dataset
from training_stream import in_turn

from dvm_hf.dataset import row_images
from dvm_hf.dataset.columns import FILE_ENCODINGS, GREY_COLUMNS
from dvm_hf.dataset.loading import load_arguments
from dvm_hf.media.still.image_encoding import JPEG_QUALITY, encoded_image
from dvm_hf.synthetic.camera_like import write_background, write_video_foreground
from dvm_hf.torch import ClipStream
from dvm_hf.versions import versions

FRAMES, ROW, LENGTH, CROP = 32, 8, 4, 320
COLUMNS = ("frames", "alpha", "trimap", "foreground")
THREE = COLUMNS[:3]
RLE = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
BEFORE = {  # OpenCV's parameters of earlier versions, by whether the column is grey; the smaller of the two files
    True: [[*RLE, cv2.IMWRITE_PNG_FILTER, f] for f in (cv2.IMWRITE_PNG_FILTER_NONE, cv2.IMWRITE_PNG_FILTER_UP)],
    False: [JPEG_QUALITY],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each measurement; the median is printed")
    parser.add_argument("--litdata", action="store_true", help="measure litdata and torchvision too")
    arguments = parser.parse_args()
    datasets.disable_progress_bars()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(f"OpenCV {cv2.__version__}, zlib-ng {versions()['zlib-ng']}, torch {torch.__version__}, ", end="")
    print(f"datasets {datasets.__version__}; medians of {arguments.runs} runs")
    with tempfile.TemporaryDirectory() as folder:
        rows = built_rows(Path(folder))
        print_encodings(rows, runs=arguments.runs)
        print_reading(rows, Path(folder) if arguments.litdata else None, runs=arguments.runs)


def built_rows(folder: Path) -> Any:
    root = folder / "DVM"
    write_video_foreground(root / "fg/video/train/1080p", frames=FRAMES)
    for number in range(2):
        write_background(root / f"bg/train/{number:04d}.mp4", frames=FRAMES)
    fields = {"data_dir": str(root), "cache_dir": str(folder / "cache"), "columns": COLUMNS}
    fields |= {"clip_length": ROW, "backgrounds_per_foreground": 2}
    return load_dataset(name="train", split="train", **load_arguments(), **fields)


def print_encodings(rows: Any, *, runs: int) -> None:
    """Print bytes and CPU of an image of each column, as it is written and read now and by earlier versions."""
    head = f"{'CPU ms of one image':22}{'kB':>8}{'before':>10}{'':>8}"
    print(f"\n{head}{'encode':>10}{'before':>10}{'decode':>10}{'before':>10}")
    images = row_images.RowImages(rows.with_format("arrow")[:1], uses={}, kept=1)
    for column in THREE:
        pixels, is_grey = np.array(images.image(column, 0)), column in GREY_COLUMNS
        encode = partial(encoded_image, pixels, FILE_ENCODINGS["jpeg"][column])
        encode_before = min(
            (partial(opencv_encoded, pixels, option) for option in BEFORE[is_grey]), key=lambda e: len(e())
        )
        file, file_before = encode(), encode_before()
        jobs = [encode, encode_before, partial(row_images.decoded_image, file, is_grey=is_grey)]
        jobs.append(partial(opencv_decoded, file_before, is_grey=is_grey))
        rounds = [[cpu_ms(job) for job in jobs] for _ in range(5 * runs)]
        ms = [statistics.median(times) for times in zip(*rounds, strict=True)]
        more = len(file) / len(file_before) - 1
        print(f"{column:22}{len(file) / 1000:8.1f}{len(file_before) / 1000:10.1f}{more:+8.1%}", end="")
        print(f"{ms[0]:10.2f}{ms[1]:10.2f}{ms[2]:10.2f}{ms[3]:10.2f}")


def opencv_encoded(pixels: np.ndarray, parameters: list[int]) -> bytes:
    bgr = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png" if pixels.ndim == 2 else ".jpg", bgr, parameters)[1].tobytes()


def opencv_decoded(data: bytes | memoryview, *, is_grey: bool) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE if is_grey else cv2.IMREAD_COLOR_RGB)


def print_reading(rows: Any, folder: Path | None, *, runs: int) -> None:
    """Print CPU per frame of samples, read now and by decoding complete images; with litdata if there is a folder."""
    crops = {"columns": THREE, "crop_size": CROP}
    kinds: dict[str, dict[str, Any]] = {
        f"crops of {CROP} px, three columns": crops,
        f"crops of {CROP} px, four columns": crops | {"columns": COLUMNS},
        f"crops of {CROP} px, three columns, 4 samples per row": crops | {"samples_per_clip": 4},
        "complete frames, three columns": {"columns": THREE},
    }
    jobs: dict[str, Callable[[], int]] = {}
    for kind, fields in kinds.items():
        jobs[kind] = partial(frames_read, rows, fields)
        jobs[f"{kind}, before"] = partial(frames_read_before, rows, fields)
    if folder is not None:
        jobs["complete frames, three columns, litdata"] = litdata_reader(rows, folder)
    for job in jobs.values():
        job()  # files of the rows are in memory
    ms = {name: statistics.median(times) for name, times in in_turn(jobs, runs).items()}
    print(f"\n{'CPU ms per frame of a sample of ' + str(LENGTH):56}{'now':>8}{'before':>10}{'litdata':>10}")
    for kind in kinds:
        theirs = ms.get(f"{kind}, litdata")
        print(f"{kind:56}{ms[kind]:8.1f}{ms[kind + ', before']:10.1f}{'' if theirs is None else f'{theirs:.1f}':>10}")


def frames_read(rows: Any, fields: dict[str, Any]) -> int:
    return sum(len(sample["motion"]) for sample in ClipStream.from_dataset(rows, clip_length=LENGTH, **fields))


def frames_read_before(rows: Any, fields: dict[str, Any]) -> int:
    """Decode complete images with OpenCV, as earlier versions did."""
    now = row_images.decoded_crop, row_images.decoded_image
    row_images.decoded_crop, row_images.decoded_image = lambda *_, **__: None, opencv_decoded
    try:
        return frames_read(rows, fields)
    finally:
        row_images.decoded_crop, row_images.decoded_image = now


def litdata_reader(rows: Any, folder: Path) -> Callable[[], int]:
    """Write windows of the same files for litdata; return a function that reads all of them and counts their frames."""
    from litdata import StreamingDataset
    from litdata.streaming import Cache
    from torchvision.io import ImageReadMode, decode_image

    modes = {True: ImageReadMode.GRAY, False: ImageReadMode.RGB}

    def decoded(column: str, sample: dict[str, bytes]) -> torch.Tensor:
        files = (torch.frombuffer(bytearray(sample[f"{column} {n}"]), dtype=torch.uint8) for n in range(LENGTH))
        return torch.stack([decode_image(file, modes[column in GREY_COLUMNS]) for file in files])

    cache = Cache(str(folder / "litdata"), chunk_size=4)  # samples, 5 MB each
    plain = rows.with_format(None)
    for column in THREE:
        plain = plain.cast_column(column, [datasets.Image(decode=False)])
    for number, row in enumerate(plain):
        cache[number] = {f"{column} {n}": row[column][n]["bytes"] for column in THREE for n in range(LENGTH)}
    cache.done()
    cache.merge()
    stored = StreamingDataset(str(folder / "litdata"))

    def read() -> int:
        samples = ({column: decoded(column, sample) for column in THREE} for sample in stored)
        return sum(len(sample["frames"]) for sample in samples)

    return read


def cpu_ms(job: Callable[[], Any]) -> float:
    begin = time.process_time()
    job()
    return (time.process_time() - begin) * 1000


if __name__ == "__main__":
    main()
