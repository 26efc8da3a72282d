"""Compare the training stream with decoding alone, and with folders of JPEGs:

python benchmarks/training_stream.py [--runs 5].

Draws its media first (`training_sources`): image foregrounds of 1360 x 880 px over 1080p backgrounds of 48 frames, once
with one keyframe and once with one every 24 frames; and 1080p video foregrounds. A sample has 4 frames and crops of
320 px. CPU time is that of the process and its workers.

"Decoding alone" is a plain PyAV loop: it decodes the same videos from their start, or from the previous keyframe, to
the end of the last window, with FFmpeg's default threads, and discards the frames. "Four JPEGs" are the full-size ones
per frame that the published loader reads. `jpeg_folders` is the loader of other matting code: three 1080p JPEGs per
frame, cropped, resized and composited. Absolute targets are for a machine that decodes the four JPEGs in 17 ms;
"scaled" results are what this machine's would be on that one.

Prints a table of targets and results, medians of alternating runs, and the cost of 100 to 100,000 plans
(`training_scale`).
"""

import argparse
import itertools
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
import training_scale
from cpu_time import in_turn, seconds
from jpeg_folders import JpegFolders, write_jpegs
from torch.utils.data import DataLoader
from training_sources import APART, BACKGROUNDS, FRAMES, draw_stills, draw_videos, linked

from dvm_hf.media.still.image_encoding import encoded_image
from dvm_hf.media.video.containers import exact
from dvm_hf.media.video.videos import Video
from dvm_hf.torch import ClipStream

LENGTH = 4  # frames of a sample: the published 2 + 2
WHOLE = FRAMES // LENGTH
COUNTS = (1, 4, WHOLE)  # samples per clip
REUSE, VIDEO_REUSE = 16, 8  # as many image and video foregrounds are needed for complete segments
SIDE = 320  # px of a crop
FIELDS: dict[str, Any] = {"clip_length": 2, "context": 2, "crop_size": SIDE, "backgrounds_per_foreground": BACKGROUNDS}
AIMED_MS = 17  # to decode four JPEGs on the machine for which absolute targets are given
AIMS = {  # CPU ms per frame, by samples_per_clip
    "one": dict(zip(COUNTS, ("at most 36", "at most 11", "at most 6.3"), strict=True)),
    "more": dict.fromkeys(COUNTS, ""),
    "reuse": dict(zip(COUNTS, ("at most 7", "at most 3", "at most 2.5"), strict=True)),
    "videos": dict(zip(COUNTS, ("as folders of JPEGs", "", "at most 11"), strict=True)),
    "videos reuse": dict(zip(COUNTS, ("at most 12", "at most 8", "at most 6"), strict=True)),
}


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
        root = draw_stills(Path(folder, "DVM"), stills=2)
        keyframed = draw_stills(Path(folder, "keyframed"), stills=2, keyframe_interval=APART)
        many = linked(root, Path(folder, "segments"), stills=REUSE)
        videos = draw_videos(Path(folder, "videos"), videos=VIDEO_REUSE)
        lines = [*costs(root, keyframed, many, runs), *video_costs(videos, root, Path(folder, "jpegs"), runs)]
        lines += [*latencies(root, runs), *throughput(root, runs)]
        width = max(len(line.name) for line in lines)
        for line in lines:
            print(f"{line.name:{width}}  {line.aim:>22}  {line.value}")
        training_scale.print_table(Path(folder, "plans"))


def costs(root: Path, keyframed: Path, many: Path, runs: int) -> list[Line]:
    """Return CPU ms per frame of a sample with an image foreground, and of the baselines.

    many: a tree with as many foregrounds as clips share a segment.
    """
    jpegs = published_jpegs(root)
    jobs: dict[str, Callable[[], int]] = {"jpegs": lambda: decode_jpegs(jpegs)}
    for (tree, reuse, kind), count in itertools.product(
        ((root, 1, "one"), (keyframed, 1, "more"), (many, REUSE, "reuse")), COUNTS
    ):
        options = {"samples_per_clip": count, "background_reuse": reuse}
        jobs[f"{kind} {count}"] = partial(spend, tree, **options)
        jobs[f"{kind} {count} alone"] = partial(decode, *decoded_windows(tree, **options))
    ms = in_turn(jobs, runs)
    lines = [Line("CPU ms per frame: four full-size JPEGs decoded", "", median(ms, "jpegs"))]
    for (kind, text), count in itertools.product(
        {"one": "one keyframe", "more": f"a keyframe every {APART} frames"}.items(), COUNTS
    ):
        name = f"{kind} {count}"
        lines += [
            Line(f"on the fly, samples_per_clip={count}, {text}", AIMS[kind][count], scaled(ms, name)),
            Line("  decoding alone", "", scaled(ms, f"{name} alone")),
            Line("  on the fly / decoding alone", "at most 1.2", ratio(ms, name, f"{name} alone")),
            Line("  on the fly / four JPEGs", "at most 0.6", ratio(ms, name, "jpegs")),
        ]
        if count == 4:
            lines.append(Line("  samples_per_clip=4 / 1", "at most 0.4", ratio(ms, name, f"{kind} 1")))
    for count in COUNTS:
        name = f"reuse {count}"
        lines += [
            Line(
                f"background_reuse={REUSE}, samples_per_clip={count}, one keyframe",
                AIMS["reuse"][count],
                scaled(ms, name),
            ),
            Line("  decoding alone", "", scaled(ms, f"{name} alone")),
            Line("  on the fly / four JPEGs", "", ratio(ms, name, "jpegs")),
            Line("  with reuse / without", "", ratio(ms, name, f"one {count}")),
        ]
    return lines


def video_costs(root: Path, stills: Path, folder: Path, runs: int) -> list[Line]:
    """Return CPU ms per frame of a sample with a video foreground, and of a loader of folders of JPEGs.

    stills: a tree with image foregrounds, for the four JPEGs.
    """
    published = published_jpegs(stills)
    clip = tuple(write_jpegs(root / f"fg/video/train/0000/{name}.mp4", folder / name) for name in ("f", "a"))
    background = write_jpegs(root / "bg/train/0000.mp4", folder / "b")
    peers = JpegFolders([clip] * VIDEO_REUSE, [background] * BACKGROUNDS, length=LENGTH, size=SIDE)  # type: ignore[list-item]
    jobs: dict[str, Callable[[], int]] = {
        "four jpegs": lambda: decode_jpegs(published),
        "jpegs": lambda: LENGTH * sum(1 for _ in DataLoader(peers, batch_size=None)),
    }
    for (reuse, kind), count in itertools.product(((1, "videos"), (VIDEO_REUSE, "videos reuse")), COUNTS):
        options = {"samples_per_clip": count, "background_reuse": reuse}
        jobs[f"{kind} {count}"] = partial(spend, root, **options)
        jobs[f"{kind} {count} alone"] = partial(decode, *decoded_windows(root, **options))
    ms = in_turn(jobs, runs)
    lines = [Line("CPU ms per frame: folders of 1080p JPEGs, three per frame, composited", "", median(ms, "jpegs"))]
    for kind, count in itertools.product(("videos", "videos reuse"), COUNTS):
        name = f"{kind} {count}"
        text = f", background_reuse={VIDEO_REUSE}" if kind != "videos" else ""
        lines += [
            Line(
                f"video foregrounds{text}, samples_per_clip={count}", AIMS[kind][count], scaled(ms, name, "four jpegs")
            ),
            Line("  decoding alone", "", scaled(ms, f"{name} alone", "four jpegs")),
            Line("  on the fly / decoding alone", "", ratio(ms, name, f"{name} alone")),
            Line("  decoding alone / folders of JPEGs", "", ratio(ms, f"{name} alone", "jpegs")),
            Line("  on the fly / folders of JPEGs", "", ratio(ms, name, "jpegs")),
        ]
    return lines


def median(ms: dict[str, list[float]], name: str) -> str:
    return f"{statistics.median(ms[name]):.1f}"


def scaled(ms: dict[str, list[float]], name: str, jpegs: str = "jpegs") -> str:
    """Return a median, and what it would be on a machine that decodes the four JPEGs in `AIMED_MS`."""
    there = statistics.median(AIMED_MS * a / b for a, b in zip(ms[name], ms[jpegs], strict=True))
    return f"{median(ms, name)} ({there:.1f} scaled)"


def ratio(ms: dict[str, list[float]], name: str, other: str) -> str:
    return f"{statistics.median(a / b for a, b in zip(ms[name], ms[other], strict=True)):.2f}"


def latencies(root: Path, runs: int) -> list[Line]:
    """Return the wall time to the first sample of 10,000 plans, and to resume at sample 1,000."""
    many = linked(root, root.parent / "many", stills=2_500)
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
    What they are measured against is one process on one core. Two independent processes, each on a core, show how much
    of twice that the machine allows: its cores share caches, memory, and often their execution units.
    """
    cores = sorted(os.sched_getaffinity(0))
    kinds: dict[str, Callable[[], float]] = {
        "none": lambda: samples_per_second(root),
        "core": lambda: samples_per_second(root, cores=cores[:1]),
        "one": lambda: samples_per_second(root, workers=1),
        "two": lambda: samples_per_second(root, workers=2),
        "apart": lambda: samples_per_second(root, cores=cores[:2]),
    }
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for _, (name, measure) in itertools.product(range(runs), kinds.items()):
        found[name].append(measure())

    def of(name: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(found[name], found[other], strict=True))

    median = {name: statistics.median(values) for name, values in found.items()}
    return [
        Line("samples/s with 1 worker, 2 workers", "", f"{median['one']:.1f}, {median['two']:.1f}"),
        Line("samples/s of one process on one core", "", f"{median['core']:.1f}"),
        Line("samples/s of one process, its decoders on all cores", "", f"{median['none']:.1f}"),
        Line("  2 workers / 1 worker", "at least 1.7", f"{of('two', 'one'):.2f}"),
        Line("  2 workers / 1 process on one core", "at least 1.7", f"{of('two', 'core'):.2f}"),
        Line("  2 independent processes / 1, each on one core", "", f"{of('apart', 'core'):.2f}"),
        Line("  2 workers / 1 process, its decoders on all cores", "", f"{of('two', 'none'):.2f}"),
    ]


def samples_per_second(root: Path, *, workers: int = 0, cores: Sequence[int] = ()) -> float:
    """Measure in a separate process on all cores, or in one for each of `cores`, which measure at the same time."""
    calls = [
        f"import training_stream; training_stream.print_pace({str(root)!r}, {workers}, {core})"
        for core in cores or [None]
    ]
    with ExitStack() as started:
        processes = [
            started.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", call],
                    cwd=Path(__file__).parent,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for call in calls
        ]
        for process in processes:
            process.stdout.readline()  # type: ignore[union-attr]
        for process in processes:
            process.stdin.write("\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        return sum(float(process.stdout.readline()) for process in processes)  # type: ignore[union-attr]


def print_pace(root: str, workers: int, core: int | None) -> None:
    """Print a line when the stream has begun, wait for one, and print samples per second. core: the only one used."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    stream = stream_over(Path(root), epochs=None, samples_per_clip=4)
    loader = iter(DataLoader(stream, batch_size=None, num_workers=workers))
    for _ in range(8 * max(workers, 1)):
        next(loader)
    print(flush=True)
    sys.stdin.readline()
    count = 64
    print(count / seconds(lambda: [next(loader) for _ in range(count)]), flush=True)


def stream_over(root: Path, **fields: Any) -> ClipStream:
    return ClipStream("train", data_dir=str(root), **FIELDS | fields)


def spend(root: Path, **fields: Any) -> int:
    """Go through a stream; return its number of frames."""
    return LENGTH * sum(1 for _ in stream_over(root, **fields))


def decoded_windows(
    root: Path, *, samples_per_clip: int, background_reuse: int
) -> tuple[list[tuple[Path, range]], int]:
    """Return (file, needed frames) for each decoding of an epoch, and the number of frames in samples."""
    fields = {"samples_per_clip": samples_per_clip, "background_reuse": background_reuse}
    starts: dict[tuple[str, Path], list[int]] = {}
    frames = 0
    for sample in stream_over(root, columns=("alpha",), **fields):
        clip, background = sample["clip_id"], root / "bg/train" / f"{sample['background_name']}.mp4"
        shared = "" if background_reuse > 1 else clip  # here, all clips of a source are in one unit
        videos = root / "fg/video/train" / sample["foreground_name"]
        files = [background, *(videos / name for name in ("f.mp4", "a.mp4") if videos.is_dir())]
        for file in files:
            starts.setdefault((shared, file), []).append(sample["start"])
        frames += LENGTH
    return [(path, range(min(found), max(found) + LENGTH)) for (_, path), found in starts.items()], frames


def decode(decodings: list[tuple[Path, range]], frames: int) -> int:
    """Decode files as far as needed, from the previous keyframe; return the number of frames in samples."""
    for path, needed in decodings:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            step = 1 / (exact(stream.average_rate) * exact(stream.time_base))
            container.seek(int(needed[0] * step), stream=stream)
            for frame in container.decode(stream):
                if frame.pts >= needed[-1] * step:
                    break
    return frames


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


if __name__ == "__main__":
    main()
