"""Measure a random window of a video foreground, colour and alpha, stored as videos and as folders of pictures.

All forms contain the same film: camera-like synthetic frames of 1920 x 1080 px, as they decode from H.264.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from dvm_hf.media.pixels import Pixels
from dvm_hf.media.still.image_encoding import encoded_image
from dvm_hf.media.video.frame_sources import opened_frames
from dvm_hf.media.video.videos import Video
from dvm_hf.synthetic.camera_like import write_video_foreground

LENGTHS = (1, 4, 8, 16)  # frames per window


class Form(NamedTuple):
    """Paths of colour and alpha; the same path twice if one file holds both."""

    name: str
    colour: Path
    alpha: Path


def draw_forms(root: Path, frames: int) -> list[Form]:
    """Write the film in all forms."""
    write_video_foreground(root, frames=frames)
    videos = Form("H.264", root / "f.mp4", root / "a.mp4")
    forms = [videos]
    with Video(videos.colour) as colour, Video(videos.alpha, role="alpha") as alpha:
        for (number, rgb), (_, grey) in zip(colour.colours(range(frames)), alpha.alphas(range(frames)), strict=True):
            write_frame(root / "f_jpeg", number, ".jpg", encoded_image(rgb, "jpeg"))
            write_frame(root / "a_jpeg", number, ".jpg", encoded_image(grey, "jpeg"))
            write_frame(root / "f_png", number, ".png", encoded_image(rgb, "colour_png"))
            write_frame(root / "a_png", number, ".png", encoded_image(grey, "grey_png"))
            Image.fromarray(np.dstack([rgb, grey])).save(_numbered(root / "rgba_png", number, ".png"), compress_level=1)
    forms.append(Form("JPEG folders", root / "f_jpeg", root / "a_jpeg"))
    forms.append(Form("JPEG colour, PNG alpha", root / "f_jpeg", root / "a_png"))
    forms.append(Form("PNG folders", root / "f_png", root / "a_png"))
    forms.append(Form("RGBA PNG folder", root / "rgba_png", root / "rgba_png"))
    return forms


def write_frame(folder: Path, number: int, suffix: str, data: bytes) -> None:
    _numbered(folder, number, suffix).write_bytes(data)


def _numbered(folder: Path, number: int, suffix: str) -> Path:
    folder.mkdir(exist_ok=True)
    return folder / f"{number:05}{suffix}"


def read_window(form: Form, wanted: range) -> None:
    """Open the files and read the frames of one window."""
    if form.colour == form.alpha:
        with closing(opened_frames(form.colour, role="both")) as both:
            exhaust(both.layers(wanted))
        return
    with closing(opened_frames(form.colour)) as colour, closing(opened_frames(form.alpha, role="alpha")) as alpha:
        exhaust(colour.colours(wanted))
        exhaust(alpha.alphas(wanted))


def exhaust(frames: Iterable[tuple[int, Pixels] | object]) -> None:
    for _ in frames:
        pass


def window_ms(read: Callable[[range], None], *, frames: int, length: int, runs: int) -> float:
    """Return the median CPU time of a window that starts at a random frame."""
    rng, times = random.Random(length), []
    for _ in range(runs):
        start = rng.randrange(frames - length + 1)
        begin = time.process_time()
        read(range(start, start + length))
        times.append((time.process_time() - begin) * 1000)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        forms = draw_forms(Path(folder), arguments.frames)
        print("CPU ms per random window of", ", ".join(map(str, LENGTHS)), "frames; MB of the film")
        for form in forms:
            sizes = {path: sum(one.stat().st_size for one in _files(path)) for path in {form.colour, form.alpha}}
            costs = [
                window_ms(
                    lambda wanted, form=form: read_window(form, wanted),  # type: ignore[misc]
                    frames=arguments.frames,
                    length=length,
                    runs=arguments.runs,
                )
                for length in LENGTHS
            ]
            print(f"{form.name:24}", *(f"{cost:8.1f}" for cost in costs), f"{sum(sizes.values()) / 1e6:8.0f}")


def _files(path: Path) -> Iterable[Path]:
    return path.iterdir() if path.is_dir() else (path,)


if __name__ == "__main__":
    main()
