"""Measure `dvm check` on a tree of many files, and the constants of its estimates.

The files are copies of the demo's sources, each different in a few bytes that readers ignore.
"""

import argparse
import struct
import tempfile
import time
from itertools import cycle
from pathlib import Path

from dvm_hf.check.build_estimate import MOTION_SECONDS, synthetic_costs
from dvm_hf.check.check_cache import CheckCache
from dvm_hf.check.report import check
from dvm_hf.clips.windows import render
from dvm_hf.dataset.columns import ENCODINGS, FILE_ENCODINGS, frame_collector, frame_encoder, row
from dvm_hf.dataset.config import DVMConfig, plans, rendering_of
from dvm_hf.sources.records import SPLITS
from dvm_hf.synthetic.source_tree import draw_sources


def copy(path: Path, target: Path, number: int) -> int:
    """Write a copy that differs from every other file; return 1, the number of files written."""
    note = struct.pack(">Q", number)
    if path.suffix == ".mp4":
        note = struct.pack(">I4s", 8 + len(note), b"free") + note
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(path.read_bytes() + note)
    return 1


def many_files(drawn: Path, root: Path, count: int) -> int:
    """A tenth of the files belong to video foregrounds, four tenths to image foregrounds, half are backgrounds."""
    written = 0
    stills = cycle(sorted((drawn / "fg/image/train/fg").iterdir()))
    moving = cycle(sorted((drawn / "fg/video/train").iterdir()))
    backgrounds = cycle(sorted((drawn / "bg/train").iterdir()))
    for number, still in zip(range(count // 5), stills, strict=False):
        for part in ("fg", "alpha"):
            source = still.parents[1] / part / still.name
            written += copy(source, root / f"fg/image/train/{part}/{number:05}.png", number)
    for number, folder in zip(range(count // 20), moving, strict=False):
        for part in ("f", "a"):
            written += copy(folder / f"{part}.mp4", root / f"fg/video/train/{number:05}/{part}.mp4", number)
    for number, background in zip(range(count // 2), backgrounds, strict=False):
        written += copy(background, root / f"bg/train/{number:05}.mp4", number)
    return written


def timed_check(root: Path, checked: CheckCache | None) -> str:
    start = time.perf_counter()
    report = check(root, configs=[DVMConfig(name="train", data_dir=str(root))], checked=checked)
    frames = sum(one.frames for one in report.holdings)
    return f"{time.perf_counter() - start:7.1f} s  ({report.problems} problems, {frames:,} frames of video)"


def print_costs(drawn: Path) -> None:
    """Print bytes per pixel by encoding, and seconds per pixel, over all clips of both configs."""
    for encoding in ENCODINGS:
        crop = 320 if encoding == "array" else None  # arrays need one
        sums: dict[str, float] = {}
        pixels, start = 0, time.process_time()
        for split in SPLITS:
            config = DVMConfig(name=split, data_dir=str(drawn), encoding=encoding, crop_size=crop, remainder="drop")
            columns = rendering_of(config).columns
            each = frame_encoder(columns, encoding=encoding, streaming=False)
            collect = frame_collector(columns, encoding=encoding)
            for plan in plans(config).clips[::3]:
                for window in render(plan, each=each, collect=collect, numbers=[0]):
                    pixels += window.view.height * window.view.width * len(window.frames)
                    made = row(window, encoding=encoding)
                    for column in columns if encoding != "array" else ():
                        files = [made[column]] if encoding == "video" else made[column]
                        sums[column] = sums.get(column, 0) + sum(len(file["bytes"]) for file in files)
        seconds = (time.process_time() - start) / pixels
        files = FILE_ENCODINGS.get(encoding, {})
        shares = ", ".join(f"{column} ({files[column]}) {size / pixels:.3f}" for column, size in sums.items())
        print(f"{encoding:9} {seconds:.2e} s a pixel; bytes a pixel: {shares or 'none encoded'}")


def print_motions(drawn: Path) -> None:
    """Print seconds per pixel of complete clips, by motion and number of foregrounds, relative to one with "dvm"."""
    measured: dict[tuple[str, int], float] = {}
    for motion in MOTION_SECONDS:
        for count in (1, 2, 3):
            fields = {"motion": motion, "foregrounds_per_clip": count, "remainder": "drop"}
            config = DVMConfig(name="train", data_dir=str(drawn), **fields)
            columns = rendering_of(config).columns
            each = frame_encoder(columns, encoding="jpeg", streaming=False)
            pixels, start = 0, time.process_time()
            for plan in plans(config).clips[::3]:
                for window in render(plan, each=each, collect=frame_collector(columns, encoding="jpeg")):
                    pixels += window.view.height * window.view.width * len(window.frames)
            measured[motion, count] = (time.process_time() - start) / pixels
            factor = measured[motion, count] / measured["dvm", 1]
            estimate = synthetic_costs(config).seconds / synthetic_costs(DVMConfig(name="train")).seconds
            print(f"motion={motion:5} foregrounds_per_clip={count}  {factor:5.2f}  estimate {estimate:5.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--scale", type=float, default=0.25, help="of the drawings; 1 is the demo's size")
    parser.add_argument("--deep", action="store_true", help="decode everything too, twice")
    parser.add_argument("--costs", action="store_true", help="print what build_estimate.py's constants are")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw_sources(Path(folder) / "drawn", scale=1.0 if arguments.costs else arguments.scale)
        if arguments.costs:
            print_costs(drawn)
            print_motions(drawn)
            return
        root = Path(folder) / "DVM"
        print(f"{many_files(drawn, root, arguments.files):,} files, synthetic sources at scale {arguments.scale}")
        print("headers         ", timed_check(root, None))
        if arguments.deep:
            for what in ("decoded         ", "decoded, again  "):
                print(what, timed_check(root, CheckCache(Path(folder) / "checked", root)))


if __name__ == "__main__":
    main()
