"""Write arrays as media files, and read them with the package and with OpenCV."""

import io
import struct
import zlib
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image
from scipy import ndimage

from dvm_hf.errors import SourceError
from dvm_hf.media.video.videos import Video

EVERY_FRAME = range(10_000)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def tiff_bytes(channels: np.ndarray, *, photometric: int, extra: int | None = None, is_planar: bool = False) -> bytes:
    """Return an uncompressed little-endian TIFF 6.0 of channels (H, W, C), 8 or 16 bits.

    photometric: 1 grey, 2 RGB. extra: kind of the last channel: 0 unspecified, 1 premultiplying alpha, 2 other alpha.
    """
    height, width, count = channels.shape
    planes = [channels[..., k] for k in range(count)] if is_planar else [channels]
    strips = [np.ascontiguousarray(plane).astype(channels.dtype.newbyteorder("<")).tobytes() for plane in planes]
    starts = np.cumsum([8, *map(len, strips)]).tolist()
    tags = {
        256: [width],
        257: [height],
        258: [8 * channels.itemsize] * count,
        259: [1],
        262: [photometric],
        273: starts[:-1],
        277: [count],
        278: [height],
        279: [len(strip) for strip in strips],
        284: [2 if is_planar else 1],
    }
    if extra is not None:
        tags[338] = [extra]
    data = b"".join(strips)
    table, values = b"", b""
    at = 8 + len(data) + 2 + 12 * len(tags) + 4  # of the values that do not fit into the table
    for tag, numbers in tags.items():
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        inline = packed if len(numbers) == 1 else struct.pack("<I", at + len(values))
        table += struct.pack("<HHI", tag, 4, len(numbers)) + inline
        values += b"" if len(numbers) == 1 else packed
    header = b"II*\0" + struct.pack("<I", 8 + len(data))
    return header + data + struct.pack("<H", len(tags)) + table + bytes(4) + values


def smooth(height: int, width: int, *, shift: int = 0) -> np.ndarray:
    """(H, W, 3) with colours that change slowly from pixel to pixel."""
    rows, columns = np.mgrid[:height, :width] + shift
    return np.dstack(
        [128 + 100 * np.sin(rows / 9), 128 + 100 * np.cos(columns / 11), (rows + columns) % 256 // 2]
    ).astype(np.uint8)


def video_frame(array: np.ndarray, pixel_format: str) -> av.VideoFrame:
    """Make a frame from an array with PyAV; high-bit-depth 4:2:0, which PyAV 17 lacks, plane by plane."""
    if pixel_format != "yuv420p10le":
        return av.VideoFrame.from_ndarray(array, format=pixel_format)
    height, width = array.shape[0] * 2 // 3, array.shape[1]
    frame = av.VideoFrame(width, height, pixel_format)
    chroma = array[height:].reshape(2, height // 2, width // 2)
    for plane, values in zip(frame.planes, (array[:height], *chroma), strict=True):
        rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
        rows[:, : values.shape[1]] = values
        plane.update(rows.tobytes())
    return frame


def write_raw(
    path: Path,
    frames: Iterable[np.ndarray],
    pixel_format: str,
    *,
    codec: str = "ffv1",
    colour_range: int | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write a video of frames in a given pixel format, lossless by default."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = None
        for array in frames:
            frame = video_frame(np.ascontiguousarray(array), pixel_format)
            if colour_range is not None:
                frame.color_range = colour_range
            if stream is None:
                stream = container.add_stream(codec, rate=Fraction(25), options=options or {})
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixel_format
                if colour_range is not None:
                    stream.codec_context.color_range = colour_range
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def colours(path: Path, wanted: Iterable[int] = EVERY_FRAME) -> list[np.ndarray]:
    with Video(path) as video:
        return [frame for _, frame in video.colours(wanted)]


def opencv_frames(path: Path, count: int = 10_000) -> list[np.ndarray]:
    """Return RGB frames from OpenCV's reader."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while len(frames) < count:
        is_there, bgr = capture.read()
        if not is_there:
            break
        frames.append(bgr[..., ::-1])
    capture.release()
    return frames


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def result_or_error(read: Callable[[Path], Any], path: Path) -> Any:
    """Return the result, or the text of the SourceError."""
    try:
        return read(path)
    except SourceError as error:
        return str(error)


def filled(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def pillow(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


GREY, RGB, COVER = noise(13, 19), noise(13, 19, 3, seed=1), noise(13, 19, seed=2)


def png(row: bytes, size: tuple[int, int], *, depth: int, colour_type: int, extra: bytes = b"") -> bytes:
    """A PNG from unfiltered rows; `extra` chunks come before the pixels."""
    height, width = size
    rows = b"".join(b"\0" + row[i : i + len(row) // height] for i in range(0, len(row), len(row) // height))
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def scaled(deep: np.ndarray) -> np.ndarray:
    """v -> v * 255 / 65535 = v / 257, rounded; 257 is odd, so there are no ties."""
    return (2 * deep.astype(np.int64) + 257) // 514


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def write_noisy_video(path: Path) -> Path:
    """40 frames of 96 x 128 that do not compress well, with B-frames, its index before its frames."""
    blocks = (np.kron(noise(12, 16, 3, seed=i), np.ones((8, 8, 1), np.uint8)) for i in range(40))
    yuv = (cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420) for frame in blocks)
    return write_raw(
        path, yuv, "yuv420p", codec="libx264", options={"bf": "3"}, container_options={"movflags": "faststart"}
    )


def with_container_tags(source: Path, path: Path, *, matrix: int, colour_range: int = 1, transfer: int = 1) -> Path:
    """Copy the packets of a video into a container that declares these numbers of FFmpeg; the stream is unchanged."""
    with av.open(str(source)) as given, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        codec = stream.codec_context
        codec.colorspace, codec.color_range, codec.color_primaries, codec.color_trc = matrix, colour_range, 1, transfer
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return path


def weighted_means(colour: np.ndarray, alpha: np.ndarray, *, reach: int) -> np.ndarray:
    """Colours (H, W, 3), at alpha 0 the mean of those within `reach` px, weighted by alpha (H, W); exact integers."""
    square = np.ones((2 * reach + 1, 2 * reach + 1), int)
    weights = ndimage.convolve(alpha.astype(int), square, mode="constant")
    result = colour.copy()
    hidden = (alpha == 0) & (weights > 0)
    for channel in range(3):
        sums = ndimage.convolve(colour[..., channel].astype(int) * alpha, square, mode="constant")
        result[hidden, channel] = np.rint(sums[hidden] / weights[hidden])
    return result
