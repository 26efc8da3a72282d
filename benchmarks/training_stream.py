"""CPU time a frame of the training stream against decoding alone: python benchmarks/training_stream.py [--runs 5].

Draws its media first: stills of 1360 x 880 px over 1080p backgrounds of 48 frames; and the four full-size JPEGs a
frame of the same clips that the published loader reads. A sample is 4 frames, crops of 320 px. CPU time is that of
the process and of its workers. "Those frames alone" is PyAV's decoding of the backgrounds to the end of each window,
thrown away. Prints a table of what was aimed at and what was measured, medians of runs that take turns.
"""

import argparse
import itertools
import os
import platform
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from dvm_hf.drawn.filmed import write_background, write_still
from dvm_hf.frame_io import Video
from dvm_hf.image_io import encoded_image
from dvm_hf.torch import ClipStream

FRAMES = 48  # of a background
LENGTH = 4  # frames of a sample: the published 2 + 2
WHOLE = FRAMES // LENGTH
STILLS, BACKGROUNDS = 2, 4
FIELDS: dict[str, Any] = {"clip_length": 2, "context": 2, "crop_size": 320, "backgrounds_per_foreground": BACKGROUNDS}


@dataclass(frozen=True)
class Line:
    """A row of the table; every measurement is one number a run, in `unit`."""

    name: str
    aim: str
    value: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each measurement; the median is printed")
    runs = parser.parse_args().runs
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}, "
    )
    print(f"OpenCV {cv2.__version__}, PyAV {av.__version__}, NumPy {np.__version__}; medians of {runs} runs")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "DVM")
        draw_sources(root)
        lines = [*costs(root, runs), *latencies(root, runs), *throughput(root, runs)]
    width = max(len(line.name) for line in lines)
    for line in lines:
        print(f"{line.name:{width}}  {line.aim:>22}  {line.value}")


def costs(root: Path, runs: int) -> list[Line]:
    """CPU ms a frame of a sample, and what it is compared with."""
    windows = [(s["background_name"], s["start"]) for s in stream_over(root)]
    jpegs = published_jpegs(root)
    jobs: dict[str, Callable[[], int]] = {
        "stream": lambda: LENGTH * spend(stream_over(root)),
        "decode": lambda: decode(root, windows),
        "jpegs": lambda: decode_jpegs(jpegs),
        "four": lambda: LENGTH * spend(stream_over(root, samples_per_clip=4)),
        "whole": lambda: LENGTH * spend(stream_over(root, samples_per_clip=WHOLE)),
        "whole_decode": lambda: (
            LENGTH * WHOLE * decode(root, [(name, FRAMES - LENGTH) for name, _ in windows]) // LENGTH
        ),
    }
    ms = in_turn(jobs, runs)

    def of(name: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(ms[name], ms[other], strict=True))

    median = {name: statistics.median(values) for name, values in ms.items()}
    return [
        Line("CPU ms a frame, on the fly, crops of 320 px", "", f"{median['stream']:.1f}"),
        Line("  decoding those frames alone", "", f"{median['decode']:.1f}"),
        Line("  on the fly / decoding those frames alone", "at most 1.2", f"{of('stream', 'decode'):.2f}"),
        Line("  four full-size JPEGs decoded", "", f"{median['jpegs']:.1f}"),
        Line("  on the fly / four JPEGs", "at most 0.6", f"{of('stream', 'jpegs'):.2f}"),
        Line("  on the fly with samples_per_clip=4", "", f"{median['four']:.1f}"),
        Line("  samples_per_clip=4 / 1", "at most 0.4", f"{of('four', 'stream'):.2f}"),
        Line(f"  on the fly with samples_per_clip={WHOLE}, as many as fill the clip", "", f"{median['whole']:.1f}"),
        Line("    / decoding the clip alone", "at most 1.2", f"{of('whole', 'whole_decode'):.2f}"),
        Line("    / four JPEGs", "at most 0.6", f"{of('whole', 'jpegs'):.2f}"),
    ]


def latencies(root: Path, runs: int) -> list[Line]:
    """Wall time: to the first sample of 10,000 plans, and to go on at sample 1,000."""
    many = with_many_stills(root, 2_500)
    first = [seconds(lambda: next(iter(stream_over(many)))) for _ in range(runs)]
    opening = [seconds(lambda: open_video(root)) for _ in range(runs)]
    stopped = stream_over(root, epochs=200)
    stopped.set_epoch(0)
    state = {**stopped.state_dict(), "origin": [1000 // 8, 1000 % 8], "epoch": 1000 // 8}
    clip = [seconds(lambda: next(iter(stream_over(root)))) for _ in range(runs)]

    def resume() -> None:
        stream = stream_over(root, epochs=200)
        stream.load_state_dict(state)
        sample = next(iter(stream))
        assert sample["epoch"] * 8 + sample["index"] == 1000

    resumed = [seconds(resume) for _ in range(runs)]
    over = statistics.median(first) - statistics.median(opening)
    return [
        Line("s more to the first sample of 10,000 plans than opening a video", "under 1", f"{over:.2f}"),
        Line("s to go on at sample 1,000", "", f"{statistics.median(resumed):.2f}"),
        Line("  against the first sample of a stream", "one clip's decoding", f"{statistics.median(clip):.2f}"),
    ]


def throughput(root: Path, runs: int) -> list[Line]:
    """Wall time of a pass by two workers and by one process; workers' start not counted."""

    def samples_per_second(workers: int) -> float:
        loader = iter(DataLoader(stream_over(root, epochs=None), batch_size=None, num_workers=workers))
        for _ in range(2 * max(workers, 1)):
            next(loader)
        count = 24
        return count / seconds(lambda: [next(loader) for _ in range(count)])

    found = [(samples_per_second(0), samples_per_second(1), samples_per_second(2)) for _ in range(runs)]
    none, one, two = (statistics.median(column) for column in zip(*found, strict=True))
    gain = statistics.median(two / none for none, _, two in found)
    per_worker = statistics.median(two / one for _, one, two in found)
    return [
        Line("samples/s in the training process itself, decoders threaded", "", f"{none:.2f}"),
        Line("samples/s with 1 worker, 2 workers", "", f"{one:.2f}, {two:.2f}"),
        Line("  2 workers / 1 process (its decoders take all cores)", "", f"{gain:.2f}"),
        Line("  2 workers / 1 worker process", "at least 1.7", f"{per_worker:.2f}"),
    ]


def stream_over(root: Path, **fields: Any) -> ClipStream:
    return ClipStream("train", data_dir=str(root), **FIELDS | fields)


def spend(stream: ClipStream) -> int:
    return sum(1 for _ in stream)


def decode(root: Path, windows: list[tuple[str, int]]) -> int:
    """Decode backgrounds as far as each window needs, converting nothing: (frames of the windows)."""
    for name, start in windows:
        with Video(root / "bg/train" / f"{name}.mp4") as video:
            for _ in video.pictures(range(start, start + LENGTH)):
                pass
    return LENGTH * len(windows)


def published_jpegs(root: Path) -> list[list[bytes]]:
    """v, a, f, b of some frames of one clip, whole, as the published generator writes them."""
    stream = stream_over(
        root, crop_size=None, columns=("frames", "alpha", "foreground", "background"), kinds=("image",), shuffle=False
    )
    sample = next(iter(stream))
    pictures = []
    for index in range(LENGTH):
        layers = [
            sample[name][index].permute(1, 2, 0).numpy() for name in ("frames", "alpha", "foreground", "background")
        ]
        pictures.append(
            [encoded_image(np.ascontiguousarray(np.broadcast_to(p, (*p.shape[:2], 3))), "jpeg") for p in layers]
        )
    return pictures


def decode_jpegs(pictures: list[list[bytes]]) -> int:
    """The four JPEGs a frame that the published loader reads for a crop."""
    for frame in pictures:
        for data in frame:
            cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return len(pictures)


def open_video(root: Path) -> None:
    with Video(root / "bg/train/0000.mp4"):
        pass


def in_turn(jobs: dict[str, Callable[[], int]], runs: int) -> dict[str, list[float]]:
    """CPU ms a frame of each job; they take turns, so that a change of the machine's speed meets all alike."""
    ms: dict[str, list[float]] = {name: [] for name in jobs}
    for _, (name, job) in itertools.product(range(runs), jobs.items()):
        begin = cpu_seconds()
        frames = job()
        ms[name].append((cpu_seconds() - begin) * 1000 / frames)
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return ms


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def seconds(job: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    job()
    return time.perf_counter() - begin


def draw_sources(root: Path) -> None:
    for number in range(STILLS):
        write_still(root / "fg/image/train", f"still_{number}", height=880, width=1360)
    write_background(root / "bg/train/0000.mp4", frames=FRAMES)
    for number in range(1, BACKGROUNDS):
        shutil.copy(root / "bg/train/0000.mp4", root / "bg/train" / f"{number:04d}.mp4")


def with_many_stills(root: Path, count: int) -> Path:
    """The same tree with so many stills, all links to the first: times four backgrounds."""
    many = root.parent / "many"
    for part in ("fg", "alpha"):
        folder = many / "fg/image/train" / part
        folder.mkdir(parents=True)
        for number in range(count):
            (folder / f"still_{number:05d}.png").symlink_to(root / "fg/image/train" / part / "still_0.png")
    (many / "bg").symlink_to(root / "bg")
    return many


if __name__ == "__main__":
    main()
