"""Draw sources that are stored in other ways than DVM's, and a sources file that mixes them with a DVM tree."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from datasets.utils import tqdm

from dvm_hf.media.pixels import Pixels
from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.media.video.video_writing import write_alpha_video
from dvm_hf.synthetic.backgrounds import BACKGROUND_FRAMES, FASTEST, bokeh, clouds, drifting, forest, tiles
from dvm_hf.synthetic.canvas import Drawing
from dvm_hf.synthetic.foregrounds import Hair, dandelion, jellyfish, smoke
from dvm_hf.synthetic.source_tree import drawn_once, named_stream, scaled, write_mark

SOURCES_FILE = "sources.yaml"
FRAMES = 16  # of each video foreground
TEXT = """\
# Sources that are stored in different ways, as one source tree. Paths are relative to this file.
train:
  foregrounds:
    - {path: cutouts, license: synthetic}             # RGBA stills
    - {path: frames, license: synthetic}              # folders of numbered pictures: colours in fgr, alphas in pha
    - {path: alpha_videos, license: synthetic}        # videos with an alpha channel
  backgrounds:
    - {path: stills, share: 0.5, license: synthetic}  # half of the clips have a still behind them
    - {path: ../DVM, share: 0.5, license: synthetic}  # the other half have a background video of this DVM folder
"""

Stream = Callable[[str], np.random.Generator]  # random numbers for the name of a source

RED_HAIR = Hair("3a0f0a 8e2f1a c8583a f0a070", "2a2440 5a5490 b0b4d8", curl=0.022, turns=2.0, wind=-0.2, length=0.42)
CUTOUTS = {"dandelion": (dandelion, 300, 380), "red_hair": (RED_HAIR.still, 320, 380)}  # draw function, height, width
STILLS = {
    "autumn": (forest, "301408 a8501c f4d088"),
    "evening": (clouds, "3a2450 c06a70 ffc898"),
    "lights": (bokeh, "0a1020 243a6a 60a0ff ffd0e0"),
    "wall": (tiles, "28241c 8c7c60 dcd0b4"),
}


def draw_mixed_tree(root: Path, *, seed: int = 0, scale: float = 1.0) -> Path:
    """Draw four small source folders and a sources file under `root`, which is created, and return the file.

    The foregrounds are RGBA stills (`cutouts`), a folder of JPEG frames beside one of PNG alphas (`frames`), and a
    PNG video with alpha (`alpha_videos`); the backgrounds are stills (`stills`) and the videos of the tree `DVM` beside
    `root`, which is not drawn. `scale` multiplies all sizes. The same seed gives the same pixels.
    """
    draws = {"cutouts": _cutouts, "frames": _frame_folders, "alpha_videos": _alpha_videos, "stills": _stills}
    total = len(CUTOUTS) + 2 + len(STILLS)
    with tqdm(total=total, desc="Drawing sources", unit=" sources", delay=2) as progress:
        for name, draw in draws.items():
            for _ in draw(root / name / "train", lambda source: named_stream(seed, source), scale):
                progress.update()
            write_mark(root / name)
    (root / SOURCES_FILE).write_text(TEXT, encoding="utf-8")
    write_mark(root)
    return root / SOURCES_FILE


def draw_mixed_if_missing(target: Path, *, scale: float = 1.0) -> Path:
    """Return the sources file of the mixed tree at `target`; draw the tree first if it does not exist.

    The folder is created atomically. Raises SourceError if it exists and is not a synthetic one.
    """
    return drawn_once(target, lambda root: draw_mixed_tree(root, scale=scale).parent) / SOURCES_FILE


def _cutouts(folder: Path, stream: Stream, scale: float) -> Iterator[Path]:
    folder.mkdir(parents=True)
    for name, (draw, height, width) in CUTOUTS.items():
        drawing = draw(stream(f"cutouts/{name}"), scaled(height, scale), scaled(width, scale))
        write_image(folder / f"{name}.png", _rgba(drawing))
        yield folder / f"{name}.png"


def _frame_folders(folder: Path, stream: Stream, scale: float) -> Iterator[Path]:
    colours, alphas = (folder / part / "jellyfish" for part in ("fgr", "pha"))
    for one in (colours, alphas):
        one.mkdir(parents=True)
    drawings = jellyfish(stream("frames/jellyfish"), scaled(300, scale), scaled(380, scale))
    for number, drawing in enumerate(islice(drawings, FRAMES)):
        write_image(colours / f"{number:05}.jpg", drawing.colour)
        write_image(alphas / f"{number:05}.png", drawing.alpha)
    yield colours


def _alpha_videos(folder: Path, stream: Stream, scale: float) -> Iterator[Path]:
    folder.mkdir(parents=True)
    size = scaled(320, scale), scaled(360, scale)
    drawings = smoke(stream("alpha_videos/smoke"), *size, palette="1c3048 5a86a8 c0d8e8 f8fcff", frames=FRAMES)
    write_alpha_video(folder / "smoke.mov", (_rgba(drawing) for drawing in drawings))
    yield folder / "smoke.mov"


def _stills(folder: Path, stream: Stream, scale: float) -> Iterator[Path]:
    folder.mkdir(parents=True)
    height, width = scaled(360, scale), scaled(640, scale)
    for name, (backdrop, palette) in STILLS.items():
        layers = backdrop(stream(f"stills/{name}"), height, width + FASTEST * BACKGROUND_FRAMES, palette)
        write_image(folder / f"{name}.jpg", next(drifting(layers, width)))
        yield folder / f"{name}.jpg"


def _rgba(drawing: Drawing) -> Pixels:
    return np.dstack([drawing.colour, drawing.alpha])
