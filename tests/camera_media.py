"""Stand-ins for the real media that some machines have: same names, formats, sizes and counts."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image
from scheduling import kept_scheduling

LIMITED, FULL = 1, 2  # FFmpeg's numbers of the two colour ranges
BT709 = 1
GREY = 102  # of the unknown region in the provided trimap
PAIRS = {"image": 200, "video": 48}  # lines of the authors' test list; each foreground has four


def draw_camera_media(folder: Path) -> Path:
    """Write all files into a new folder."""
    folder.mkdir(parents=True)
    still(folder)
    film(folder / "nasa_13013.mp4", "libx264", "yuv420p", (180, 320), 325, has_sound=True, preset="veryfast")
    film(folder / "bt709_full_range.mp4", "libx264", "yuvj420p", (720, 1280), 30, color_range=FULL, preset="veryfast")
    film(folder / "h264_10bits.mp4", "libx264", "yuv420p10le", (200, 200), 30)
    film(folder / "h265_video.mp4", "libx265", "yuv420p", (128, 128), 10, **{"x265-params": "log-level=none"})
    film(folder / "av1_video.mkv", "libsvtav1", "yuv420p", (180, 320), 75, preset="12")  # Matroska lists no frames
    (folder / "test_fg_bg_names.txt").write_text("\n".join(lines()) + "\n", encoding="utf-8")
    return folder


def lines() -> Iterable[str]:
    """A pair list like the published one: 248 backgrounds, each used once, four for each foreground."""
    backgrounds = iter(np.random.default_rng(0).permutation(sum(PAIRS.values())))
    for kind, count in PAIRS.items():
        for number in range(count):
            name = f"{number // 4:04}" if kind == "video" else f"photo-{number // 4}_o.png"
            yield f"{kind}+{name}+{next(backgrounds):04}.mp4"


def still(folder: Path) -> None:
    """A foreground of 680 x 440 with strands of hair, its alpha, and a trimap in RGBA whose unknown grey is 102."""
    rows, columns = np.mgrid[:440, :680]
    away, angle = np.hypot(rows - 220, columns - 340), np.arctan2(rows - 220, columns - 340)
    strands = 150 + 40 * np.abs(np.sin(31 * angle)) ** 3  # where the alpha ends, in px from the middle
    alpha = np.clip((strands - away) * 12 + 128, 0, 255).astype(np.uint8)
    noise = np.random.default_rng(1).integers(0, 30, (440, 680, 3))
    colour = np.dstack([90 + away / 4, 60 + rows / 4, 40 + columns / 6]) + noise
    trimap = np.where(away < 125, 255, np.where(away > 215, 0, GREY))
    Image.fromarray(colour.astype(np.uint8)).save(folder / "lemur_foreground.png")
    Image.fromarray(alpha).save(folder / "lemur_alpha.png")
    opaque = np.full_like(trimap, 255)
    Image.fromarray(np.dstack([trimap] * 3 + [opaque]).astype(np.uint8)).save(folder / "lemur_trimap.png")


def film(
    path: Path,
    codec: str,
    pixel_format: str,
    size: tuple[int, int],
    count: int,
    *,
    color_range: int = LIMITED,
    has_sound: bool = False,
    **options: str,
) -> None:
    """A moving pattern with noise, tagged BT.709."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = np.dstack([rows % 200, columns % 210, (rows + columns) % 190])
    pattern = (waves + np.random.default_rng(2).integers(0, 40, waves.shape)).astype(np.uint8)
    with kept_scheduling(), av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(25), options=options)
        stream.height, stream.width, stream.pix_fmt = *size, pixel_format
        stream.codec_context.color_range, stream.codec_context.colorspace = color_range, BT709
        sound: Any = container.add_stream("aac", rate=44100) if has_sound else None
        for number in range(count):
            moved = np.roll(pattern, (3 * number, -2 * number), (0, 1))
            frame = av.VideoFrame.from_ndarray(moved, format="rgb24")
            frame = frame.reformat(format=pixel_format, dst_colorspace=BT709, dst_color_range=color_range)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 44100
            container.mux([*sound.encode(silence), *sound.encode(None)])
