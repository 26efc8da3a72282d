"""Run a check over a tree, and damage its files."""

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from conftest import soft_disc

from dvm_hf.check.check_cache import CheckCache
from dvm_hf.check.report import Report, check
from dvm_hf.clips.windows import render
from dvm_hf.dataset.config import DVMConfig, plans
from dvm_hf.errors import SourceError

STILL = "fg/image/train"


SIZE = (48, 64)  # px of the drawn videos


def looked_at(root: Path, *, deep: bool = False, require_rows: bool = False, **fields: object) -> Report:
    pairs = fields.pop("pairs", None)
    configs = [
        DVMConfig(name=name, data_dir=str(root), pairs=pairs if name == "test" else None, **fields)  # type: ignore[arg-type]
        for name in ("train", "test")
    ]
    checked = CheckCache(root.parent / "checked", root) if deep else None
    return check(root, configs=configs, checked=checked, processes=0, require_rows=require_rows)


def found(root: Path, **options: object) -> list[tuple[str, str]]:
    return [(one.code, one.path) for one in looked_at(root, **options).findings]  # type: ignore[arg-type]


def write(path: str, data: bytes = b"x") -> Callable[[Path], object]:
    def change(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)

    return change


def cut(path: str, *, keep: float) -> Callable[[Path], object]:
    def change(root: Path) -> None:
        data = (root / path).read_bytes()
        (root / path).write_bytes(data[: int(len(data) * keep)])

    return change


ALPHA, COLOUR, TRIMAP = f"{STILL}/alpha/disc.png", f"{STILL}/fg/disc.png", "fg/image/test/trimap/disc.png"


def build_error(root: Path, split: str = "train", **fields: Any) -> str:
    """Return the error text of a build of these sources; empty if it succeeds."""
    try:
        for plan in plans(DVMConfig(name=split, data_dir=str(root), clip_length=2, **fields)).clips:
            next(iter(render(plan, each=lambda frame: frame)))
    except SourceError as error:
        return str(error)
    return ""


def film(
    path: Path,
    frames: list[np.ndarray],
    *,
    full: bool = False,
    tagged: bool = True,
    rate: int = 25,
    times: list[int] | None = None,
) -> None:
    """H.264 of frames (H, W) of luma as stored, or (H, W, 3) of planes of luma and chroma as stored; crf 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "1", "bf": "0"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv444p"
        if tagged:
            stream.codec_context.colorspace, stream.codec_context.color_range = 1, 2 if full else 1
        stream.codec_context.time_base = Fraction(1, rate)
        for index, planes in enumerate(frames):
            whole = planes if planes.ndim == 3 else np.dstack([planes, *[np.full_like(planes, 128)] * 2])
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(whole.transpose(2, 0, 1)), format="yuv444p")
            if tagged:
                frame.colorspace, frame.color_range = 1, 2 if full else 1
            frame.pts, frame.time_base = times[index] if times else index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


MATTE = soft_disc(*SIZE).astype(int)


LIMITED = (16 + MATTE * 219 // 255).astype(np.uint8)


F, A, B = "fg/video/train/0000/f.mp4", "fg/video/train/0000/a.mp4", "bg/train/0000.mp4"


def keyed(colour: int) -> Callable[[Path], object]:
    """A foreground that is black (16) or white (235) outside of its matte."""
    return lambda root: film(root / F, [np.where(MATTE > 0, 120 + i, colour).astype(np.uint8) for i in range(12)])


def claiming(root: Path) -> None:
    """A background whose header declares two frames more than it contains."""
    path = root / AVI
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuvj420p"
        for number in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((*SIZE, 3), 90 + number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    length = data.index(b"strh") + 8 + 32  # dwLength
    struct.pack_into("<I", data, length, 14)
    path.write_bytes(data)


TS, AVI = "bg/train/0000.ts", "bg/train/0009.avi"


def recorded(path: Path, *, frames: int = 20, late: int = 0) -> None:
    """VP8 in live WebM like a browser writes it, without a rate: 5 ms of jitter, a delay in ms from frame 10 on."""
    plain = path.with_suffix(".plain.webm")
    with av.open(plain, "w") as out:
        stream = out.add_stream("libvpx", rate=30, options={"auto-alt-ref": "0", "lag-in-frames": "0"})
        stream.height, stream.width, stream.pix_fmt = (*SIZE, "yuv420p")
        for number in range(frames):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((*SIZE, 3), 10 * number, np.uint8))))
        out.mux(stream.encode(None))
    with av.open(plain) as source, av.open(path, "w", options={"live": "1"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            moved = av.Packet(bytes(packet))
            moved.time_base, moved.is_keyframe, moved.stream = Fraction(1, 1000), packet.is_keyframe, stream
            moved.pts = moved.dts = 33 * number + 5 * (number % 2) + (late if number > 9 else 0)
            out.mux(moved)
    plain.unlink()
