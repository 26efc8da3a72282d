"""Measure four frames in the middle of a film of 10 minutes: python benchmarks/opening.py

The film is written as MP4 and as Matroska: 15,000 frames of 640 x 360 px, camera-like, with a keyframe every 50 frames.
It is opened for the first time, again in the same process, and by another process. Prints bytes read (Linux only), CPU
time, and the size of what is kept.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from dvm_hf.media import kept_facts
from dvm_hf.media.kept_facts import KEPT, TIMELINES
from dvm_hf.media.video.video_writing import write_video
from dvm_hf.media.video.videos import Video
from dvm_hf.synthetic.camera_like import drifting, grainy, texture

RATE, PART, PARTS = 25, 50, 300  # frames/s, frames from keyframe to keyframe, number of them
MIDDLE = range(PART * PARTS // 2 + 23, PART * PARTS // 2 + 27)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each measurement; the median is printed")
    runs = parser.parse_args().runs
    kept_facts.RECENT = 0  # the films are new
    with tempfile.TemporaryDirectory() as folder:
        os.environ[TIMELINES.variable] = str(Path(folder, "timelines"))
        print(f"{os.cpu_count()} cores, PyAV {av.__version__}; medians of {runs} runs")
        print(f"{'four frames of a film of 10 minutes':38} {'MB read':>8} {'CPU ms':>8} {'kB kept':>8}")
        for suffix in (".mp4", ".mkv"):
            path = film(Path(folder), suffix)
            print(f"{suffix[1:]}, {path.stat().st_size / 1e6:.0f} MB")
            for name, prepare in STATES.items():
                costs = [cost(path, prepare) for _ in range(runs)]
                read, cpu, kept = (statistics.median(values) for values in zip(*costs, strict=True))
                print(f"{'  ' + name:38} {read:8.1f} {cpu:8.1f} {kept:8.1f}")


def forgotten() -> None:
    KEPT.clear()
    for file in kept_files():
        file.unlink()


STATES: dict[str, Callable[[], None]] = {
    "opened for the first time": forgotten,
    "again": lambda: None,
    "again, by another process": KEPT.clear,
}


def cost(path: Path, prepare: Callable[[], None]) -> tuple[float, float, float]:
    """Return MB read, CPU ms and kB kept on the disk of four frames."""
    prepare()
    read, begin = bytes_read(), time.process_time()
    with Video(path) as video:
        assert len(list(video.pictures(MIDDLE))) == len(MIDDLE)
    spent = (time.process_time() - begin) * 1000
    return (bytes_read() - read) / 1e6, spent, sum(file.stat().st_size for file in kept_files()) / 1e3


def kept_files() -> list[Path]:
    folder = TIMELINES.folder
    return list(folder.iterdir()) if folder is not None and folder.is_dir() else []


def bytes_read() -> int:
    """Return how many bytes this process has read from files; 0 if the system does not count them."""
    try:
        return int(Path("/proc/self/io").read_text().split()[1])
    except OSError:
        return 0


def film(folder: Path, suffix: str) -> Path:
    """Write the packets of one part again and again."""
    part, path = folder / "part.mp4", folder / f"film{suffix}"
    if not part.exists():
        rng = np.random.default_rng(1)
        frames = grainy(rng, drifting(texture(rng, 1080, 1920 + 4 * PART), PART))
        small = (cv2.resize(frame, (640, 360), interpolation=cv2.INTER_AREA) for frame in frames)
        write_video(part, small, crf=20, preset="veryfast", keyframe_interval=PART)
    with av.open(str(part)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        base, length = (
            container.streams.video[0].time_base,
            round(PART * 1 / (RATE * container.streams.video[0].time_base)),
        )
        with av.open(str(path), "w") as output:
            stream: Any = output.add_stream_from_template(container.streams.video[0])
            for number in range(PARTS):
                for packet in packets:
                    copy = av.Packet(bytes(packet))
                    copy.pts, copy.dts = packet.pts + number * length, packet.dts + number * length
                    copy.duration, copy.time_base, copy.stream = packet.duration, Fraction(base), stream
                    copy.is_keyframe = packet.is_keyframe
                    output.mux(copy)
    return path


if __name__ == "__main__":
    main()
