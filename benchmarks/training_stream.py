"""Compare the training stream with decoding alone: python benchmarks/training_stream.py [--runs 5].

Draws its media first: image foregrounds of 1360 x 880 px over 1080p backgrounds of 48 frames, once with one keyframe
and once with one every 24 frames; and the four full-size JPEGs per frame of the same clips that the published loader
reads. A sample has 4 frames and crops of 320 px. CPU time is that of the process and its workers. "Decoding alone" is
a plain PyAV loop: it decodes the backgrounds from their start, or from the previous keyframe, to the end of the last
window, with FFmpeg's default threads, and discards the frames. Prints a table of targets and results, medians of
alternating runs.
"""

import argparse
import itertools
import os
import platform
import resource
import shutil
import statistics
import subprocess
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

from dvm_hf.media.still.image_encoding import encoded_image
from dvm_hf.media.video.containers import exact
from dvm_hf.media.video.videos import Video
from dvm_hf.synthetic.camera_like import write_background, write_image_foreground
from dvm_hf.torch import ClipStream

FRAMES = 48  # of a background
LENGTH = 4  # frames of a sample: the published 2 + 2
WHOLE = FRAMES // LENGTH
STILLS, BACKGROUNDS = 2, 4
APART = 24  # frames from keyframe to keyframe, where there are several
FIELDS: dict[str, Any] = {"clip_length": 2, "context": 2, "crop_size": 320, "backgrounds_per_foreground": BACKGROUNDS}


@dataclass(frozen=True)
class Line:
    """A row of the table: the quantity, the target, and the result."""

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
    """Return CPU ms per frame of a sample and of the baselines, over backgrounds with one keyframe and with more."""
    keyframed = with_keyframes(root)
    jpegs = published_jpegs(root)
    jobs: dict[str, Callable[[], int]] = {"jpegs": lambda: decode_jpegs(jpegs)}
    for tree, kind in ((root, "one"), (keyframed, "more")):
        for count in (1, 4, WHOLE):
            windows = decoded_windows(tree, count)
            jobs[f"{kind} {count}"] = lambda tree=tree, count=count: (  # type: ignore[misc]
                LENGTH * spend(stream_over(tree, samples_per_clip=count))
            )
            jobs[f"{kind} {count} alone"] = lambda tree=tree, windows=windows: decode(tree, windows)  # type: ignore[misc]
    ms = in_turn(jobs, runs)

    def of(name: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(ms[name], ms[other], strict=True))

    median = {name: statistics.median(values) for name, values in ms.items()}
    lines = [Line("CPU ms per frame: four full-size JPEGs decoded", "", f"{median['jpegs']:.1f}")]
    for kind, text in (("one", "one keyframe"), ("more", f"a keyframe every {APART} frames")):
        for count in (1, 4, WHOLE):
            name = f"{kind} {count}"
            lines += [
                Line(f"on the fly, samples_per_clip={count}, {text}", "", f"{median[name]:.1f}"),
                Line("  decoding alone", "", f"{median[name + ' alone']:.1f}"),
                Line("  on the fly / decoding alone", "at most 1.2", f"{of(name, name + ' alone'):.2f}"),
                Line("  on the fly / four JPEGs", "at most 0.6", f"{of(name, 'jpegs'):.2f}"),
            ]
            if count == 4:
                lines.append(Line("  samples_per_clip=4 / 1", "at most 0.4", f"{of(name, f'{kind} 1'):.2f}"))
    return lines


def latencies(root: Path, runs: int) -> list[Line]:
    """Return the wall time to the first sample of 10,000 plans, and to resume at sample 1,000."""
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
        Line("s to resume at sample 1,000", "", f"{statistics.median(resumed):.2f}"),
        Line("  against the first sample of a stream", "one clip's decoding", f"{statistics.median(clip):.2f}"),
    ]


def throughput(root: Path, runs: int) -> list[Line]:
    """Return samples per second of wall time by workers and by one process, without the start.

    One process whose decoders have threads already uses every core, so workers cannot be cores times as fast as it.
    What they are measured against is one process on one core.
    """
    kinds = {"none": (0, False), "core": (0, True), "one": (1, False), "two": (2, False)}
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for _, (name, (workers, is_confined)) in itertools.product(range(runs), kinds.items()):
        found[name].append(samples_per_second(root, workers, is_confined))

    def of(name: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(found[name], found[other], strict=True))

    median = {name: statistics.median(values) for name, values in found.items()}
    return [
        Line("samples/s with 1 worker, 2 workers", "", f"{median['one']:.1f}, {median['two']:.1f}"),
        Line("samples/s of one process on one core", "", f"{median['core']:.1f}"),
        Line("samples/s of one process, its decoders on all cores", "", f"{median['none']:.1f}"),
        Line("  2 workers / 1 worker", "at least 1.7", f"{of('two', 'one'):.2f}"),
        Line("  2 workers / 1 process on one core", "at least 1.7", f"{of('two', 'core'):.2f}"),
        Line("  2 workers / 1 process, its decoders on all cores", "", f"{of('two', 'none'):.2f}"),
    ]


def samples_per_second(root: Path, workers: int, is_confined: bool) -> float:
    """Measure in a separate process, which can be restricted to one core."""
    call = f"import training_stream; print(training_stream.paced({str(root)!r}, {workers}, {is_confined}))"
    folder = Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", call], cwd=folder, capture_output=True, text=True, check=True)
    return float(done.stdout)


def paced(root: str, workers: int, is_confined: bool) -> float:
    if is_confined:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    stream = stream_over(Path(root), epochs=None, samples_per_clip=4)
    loader = iter(DataLoader(stream, batch_size=None, num_workers=workers))
    for _ in range(8 * max(workers, 1)):
        next(loader)
    count = 64
    return count / seconds(lambda: [next(loader) for _ in range(count)])


def stream_over(root: Path, **fields: Any) -> ClipStream:
    return ClipStream("train", data_dir=str(root), **FIELDS | fields)


def spend(stream: ClipStream) -> int:
    return sum(1 for _ in stream)


def decoded_windows(root: Path, samples_per_clip: int) -> list[tuple[str, int, int, int]]:
    """Return (background, first needed frame, end, number of frames in samples) for each clip of an epoch."""
    found = []
    samples = list(stream_over(root, samples_per_clip=samples_per_clip, columns=("alpha",)))
    for _, clip in itertools.groupby(samples, key=lambda sample: sample["clip_id"]):
        windows = list(clip)
        starts = [sample["start"] for sample in windows]
        found.append((windows[0]["background_name"], min(starts), max(starts) + LENGTH, LENGTH * len(windows)))
    return found


def decode(root: Path, windows: list[tuple[str, int, int, int]]) -> int:
    """Decode backgrounds as far as needed, from the previous keyframe; return the number of frames in samples."""
    for name, first, end, _ in windows:
        with av.open(str(root / "bg/train" / f"{name}.mp4")) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            step = 1 / (exact(stream.average_rate) * exact(stream.time_base))
            container.seek(int(first * step), stream=stream)
            for frame in container.decode(stream):
                if frame.pts >= (end - 1) * step:
                    break
    return sum(frames for *_, frames in windows)


def published_jpegs(root: Path) -> list[list[bytes]]:
    """Return v, a, f, b of some full frames of one clip, like the published generator writes them."""
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
    """Decode the four JPEGs per frame that the published loader reads for a crop."""
    for frame in pictures:
        for data in frame:
            cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return len(pictures)


def open_video(root: Path) -> None:
    with Video(root / "bg/train/0000.mp4"):
        pass


def in_turn(jobs: dict[str, Callable[[], int]], runs: int) -> dict[str, list[float]]:
    """Return CPU ms per frame of each job; runs alternate, so that changes of the machine's speed affect all."""
    ms: dict[str, list[float]] = {name: [] for name in jobs}
    for _, (name, job) in itertools.product(range(runs), jobs.items()):
        begin = cpu_seconds()
        frames = job()
        ms[name].append((cpu_seconds() - begin) * 1000 / frames)
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return ms


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def seconds(job: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    job()
    return time.perf_counter() - begin


def draw_sources(root: Path) -> None:
    for number in range(STILLS):
        write_image_foreground(root / "fg/image/train", f"still_{number}", height=880, width=1360)
    write_background(root / "bg/train/0000.mp4", frames=FRAMES)
    for number in range(1, BACKGROUNDS):
        shutil.copy(root / "bg/train/0000.mp4", root / "bg/train" / f"{number:04d}.mp4")


def with_keyframes(root: Path) -> Path:
    """Write the same tree with backgrounds that have a keyframe every `APART` frames."""
    keyframed = root.parent / "keyframed"
    shutil.copytree(root / "fg", keyframed / "fg")
    write_background(keyframed / "bg/train/0000.mp4", frames=FRAMES, keyframe_interval=APART)
    for number in range(1, BACKGROUNDS):
        shutil.copy(keyframed / "bg/train/0000.mp4", keyframed / "bg/train" / f"{number:04d}.mp4")
    return keyframed


def with_many_stills(root: Path, count: int) -> Path:
    """Write the same tree with this many image foregrounds, all hard links to the first, times four backgrounds."""
    many = root.parent / "many"
    for part in ("fg", "alpha"):
        folder = many / "fg/image/train" / part
        folder.mkdir(parents=True)
        for number in range(count):
            (folder / f"still_{number:05d}.png").hardlink_to(root / "fg/image/train" / part / "still_0.png")
    shutil.copytree(root / "bg", many / "bg")
    return many


if __name__ == "__main__":
    main()
