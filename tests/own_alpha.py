"""Write one film, colours and alphas, in each form in which a foreground may be stored."""

import builtins
import io
import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest
from PIL import Image

SIZE = (48, 64)


def recorded_opens(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return a set that gets the folder and name of each file that Python opens from now on."""
    found: set[str] = set()
    original = io.open

    def recorded(file: Any, *rest: Any, **options: Any) -> Any:
        if isinstance(file, str | os.PathLike):
            found.add("/".join(Path(file).parts[-2:]))
        return original(file, *rest, **options)

    monkeypatch.setattr(io, "open", recorded)
    monkeypatch.setattr(builtins, "open", recorded)
    return found


class Film(NamedTuple):
    """Colours (H, W, 3) and alphas (H, W) of the frames."""

    colours: tuple[np.ndarray, ...]
    alphas: tuple[np.ndarray, ...]

    @property
    def rgba(self) -> list[np.ndarray]:
        return [np.dstack([c, a]) for c, a in zip(self.colours, self.alphas, strict=True)]


def film(frames: int = 10, *, size: tuple[int, int] = SIZE) -> Film:
    """Smooth colours, a level brighter in each frame; the alpha is a soft disc that moves to the right."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    colours, alphas = [], []
    for number in range(frames):
        colours.append(np.dstack([60 + 2 * rows, 40 + 2 * columns, 90 + rows + number]).astype(np.uint8))
        distance = np.hypot(rows - size[0] / 2, columns - size[1] / 3 - number)
        alphas.append(np.clip((size[0] * 0.35 - distance) * 24 + 128, 0, 255).astype(np.uint8))
    return Film(tuple(colours), tuple(alphas))


def write_pictures(folder: Path, pictures: Sequence[np.ndarray], *, suffix: str = ".png", first: int = 0) -> Path:
    """Write a folder of numbered pictures with Pillow; WebP is lossless."""
    folder.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(folder / f"{number + first:05}{suffix}", **options)
    return folder


def write_video(path: Path, pictures: Sequence[np.ndarray], codec: str, pixel_format: str, **options: str) -> Path:
    """Write RGB, RGBA or grey pictures as a video, with BT.709 and limited range unless the format is RGB."""
    kinds = {2: "gray", 3: {3: "rgb24", 4: "rgba"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(25), options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixel_format
        is_yuv = pixel_format.startswith("yuv")
        if is_yuv:
            stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1
        for pixels in pictures:
            kind = kinds[pixels.ndim]
            name = kind if isinstance(kind, str) else kind[pixels.shape[2]]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=name)
            colours = {"dst_colorspace": 1, "dst_color_range": 1} if is_yuv else {}
            container.mux(stream.encode(frame.reformat(format=pixel_format, **colours)))
        container.mux(stream.encode(None))
    return path


VP9 = {"crf": "4", "b": "0", "auto-alt-ref": "0"}
WITH_ALPHA: dict[str, Callable[[Path, Film], Path]] = {  # one file or folder with colour and alpha
    "frames": lambda root, film: write_pictures(root / "rgba", film.rgba),
    "tiff frames": lambda root, film: write_pictures(root / "tiff", film.rgba, suffix=".tif"),
    "webp frames": lambda root, film: write_pictures(root / "webp", film.rgba, suffix=".webp"),
    "ffv1 bgra": lambda root, film: write_video(root / "f.mkv", film.rgba, "ffv1", "bgra"),
    "animation": lambda root, film: write_video(root / "q.mov", film.rgba, "qtrle", "argb"),
    "png": lambda root, film: write_video(root / "p.mov", film.rgba, "png", "rgba"),
    "ffv1 yuva444p": lambda root, film: write_video(root / "y.mkv", film.rgba, "ffv1", "yuva444p"),
    "prores 4444": lambda root, film: write_video(
        root / "4.mov", film.rgba, "prores_ks", "yuva444p10le", profile="4444"
    ),
    "vp9": lambda root, film: write_video(root / "9.webm", film.rgba, "libvpx-vp9", "yuva420p", **VP9),
    "vp8": lambda root, film: write_video(root / "8.webm", film.rgba, "libvpx", "yuva420p", **VP9),
}
LOSSLESS = ("frames", "tiff frames", "webp frames", "ffv1 bgra", "animation", "png")
PAIRS: dict[str, Callable[[Path, Film], tuple[Path, Path]]] = {  # colour and alpha
    "two folders": lambda root, film: (
        write_pictures(root / "fgr", film.colours),
        write_pictures(root / "pha", film.alphas, first=1),
    ),
    "two videos": lambda root, film: (
        write_video(root / "f.mkv", film.colours, "ffv1", "bgr0"),
        write_video(root / "a.mkv", film.alphas, "ffv1", "gray"),
    ),
    "folder and video": lambda root, film: (
        write_pictures(root / "fgr", film.colours),
        write_video(root / "a.mkv", film.alphas, "ffv1", "gray"),
    ),
    "folder and h264": lambda root, film: (
        write_pictures(root / "fgr", film.colours),
        write_video(root / "a.mp4", [np.dstack([one] * 3) for one in film.alphas], "libx264", "yuv420p", crf="4"),
    ),
}
