"""Videos whose pixels encode the frame number, and what cameras, editors and recorders do to them."""

import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

HEIGHT, WIDTH = 64, 128
BLOCK = 16  # px; a bit of the number is so wide
FORMATS = {"mjpeg": "yuvj420p", "png": "rgb24", "qtrle": "rgb24", "prores_ks": "yuv422p10le"}
OPTIONS = {
    "libx264": {"crf": "4"},
    "libx265": {"crf": "4", "x265-params": "log-level=none"},
    "mpeg4": {"q": "2"},
    "mpeg2video": {"q": "2"},
    "mjpeg": {"q": "2"},
    "libvpx": {"crf": "4", "b": "4M"},
}
CLOCK = Fraction(1, 30000)  # of films with a variable rate
OPEN_GROUPS = "keyint=12:min-keyint=12:open-gop=1:bframes=3:b-adapt=0:scenecut=0"


def picture(number: int) -> np.ndarray:
    """RGB (64, 128, 3): a white block for each bit of the number that is 1, the lowest on the left."""
    bits = [235 if number >> bit & 1 else 20 for bit in range(WIDTH // BLOCK)]
    row = np.repeat(np.array(bits, np.uint8), BLOCK)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (HEIGHT, WIDTH, 3)))


def number_in(pixels: np.ndarray) -> int:
    """The number in a picture (H, W) or (H, W, 3) of that size."""
    row = pixels[HEIGHT // 2 - 4 : HEIGHT // 2 + 4].reshape(8, WIDTH // BLOCK, BLOCK, -1)
    return sum(1 << bit for bit, level in enumerate(row[:, :, 4:12].mean((0, 2, 3))) if level > 128)


def film(
    path: Path,
    numbers: Iterable[int],
    codec: str = "libx264",
    *,
    rate: float = 25,
    seconds: Sequence[float] | None = None,
    **options: str,
) -> Path:
    """A video of these numbers. seconds: when each one is shown, for a variable rate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(
            codec, rate=Fraction(rate).limit_denominator(1001), options=OPTIONS.get(codec, {}) | options
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, FORMATS.get(codec, "yuv420p")
        if seconds is not None:
            stream.codec_context.time_base = CLOCK
        for index, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            if seconds is not None:
                frame.pts, frame.time_base = round(seconds[index] / CLOCK), CLOCK
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def copied(
    path: Path, source: Path, keep: Callable[[int], bool] = lambda number: True, *, shift: int = 0, **options: str
) -> Path:
    """Remux the packets with the kept numbers in decoding order, `shift` ticks earlier."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(source)) as old, av.open(str(path), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            if keep(number):
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                new.mux(packet)
    return path


def voided(path: Path, packet: int) -> Path:
    """An MP4 with H.264 whose packet of this number, in decoding order, consists of its length only."""
    with av.open(str(path)) as container:
        voided = [packet for packet in container.demux(video=0) if packet.size][packet]
        start, size = voided.pos, voided.size
    data = bytearray(path.read_bytes())
    data[start + 4 : start + size] = bytes(size - 4)
    path.write_bytes(data)
    return path


def cut_from_second_key_frame(path: Path, source: Path, frames: int) -> Path:
    """Cut like `ffmpeg -ss -c copy`: from the second keyframe on, times counted from the first listed frame."""
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        start = [number for number, packet in enumerate(packets) if packet.is_keyframe][1]
        first = min(packet.pts for packet in packets[start : start + frames])
    return copied(path, source, lambda number: start <= number < start + frames, shift=first)


def emptied(path: Path, which: Sequence[int]) -> Path:
    """An MP4 or MOV whose samples with these numbers are empty, as recorders write for a dropped frame."""
    with av.open(str(path)) as container:
        spans = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    sizes, mdat = data.index(b"stsz"), data.index(b"mdat") - 4
    assert sizes > spans[-1][0]  # moov comes last: no position moves but the samples' own
    for number in which:
        struct.pack_into(">I", data, sizes + 16 + 4 * number, 0)
    for number in sorted(which, reverse=True):
        start, size = spans[number]
        del data[start : start + size]
    (length,) = struct.unpack_from(">I", data, mdat)
    struct.pack_into(">I", data, mdat, length - sum(spans[number][1] for number in which))
    path.write_bytes(data)
    return path


def unused_samples(path: Path) -> list[tuple[int, int]]:
    """Sample and frame number of the B-frames of a film without B-frame references: no other frame needs them."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        order = [packet.pts for packet in container.demux(stream) if packet.size]
        container.seek(0, stream=stream)
        kinds = [(frame.pts, frame.pict_type) for frame in container.decode(stream)]
    return [
        (order.index(pts), number) for number, (pts, kind) in enumerate(kinds) if kind == av.video.frame.PictureType.B
    ]


def with_null_frames(path: Path, which: Sequence[int]) -> Path:
    """An AVI whose chunks with these numbers are empty: the previous frame is shown again."""
    data = path.read_bytes()
    movie, position, chunks = data.index(b"movi"), data.index(b"movi") + 4, []
    while data[position : position + 2] == b"00":
        (size,) = struct.unpack_from("<I", data, position + 4)
        chunks.append(data[position : position + 8 + size + size % 2])
        position += len(chunks[-1])
    tail, written, places = bytearray(data[position:]), bytearray(data[:movie] + b"movi"), []
    for number, chunk in enumerate(chunks):
        kept = chunk[:4] + bytes(4) if number in which else chunk
        places.append((len(written) - movie, struct.unpack_from("<I", kept, 4)[0]))
        written += kept
    struct.pack_into("<I", written, movie - 4, len(written) - movie)
    index = tail.index(b"idx1") + 8
    for number, place in enumerate(places):
        struct.pack_into("<II", tail, index + 16 * number + 8, *place)
    written += tail
    struct.pack_into("<I", written, 4, len(written) - 8)
    path.write_bytes(written)
    return path


def edited(
    path: Path, edits: Sequence[tuple[int, int]], *, rate: int = 25, speeds: Sequence[float] = (), version: int = 0
) -> Path:
    """An MP4 that shows these runs of frames (first, count) one after the other; -1: nothing for that time.

    speeds: media rate of each run; 1 by default.
    """
    with av.open(str(path), options={"ignore_editlist": "1"}) as container:  # reordered frames begin later than at 0
        stream: Any = container.streams.video[0]
        begin = min(packet.pts for packet in container.demux(stream) if packet.size)

    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(content), kind) + content

    data = path.read_bytes()
    (media,) = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)
    (whole,) = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)
    entries = b"".join(
        struct.pack(
            ">Qqi" if version else ">Iii",
            count * whole // rate,
            -1 if first < 0 else begin + first * media // rate,
            round(speed * (1 << 16)),
        )
        for (first, count), speed in zip(edits, speeds or [1] * len(edits), strict=True)
    )
    moov, trak = data.index(b"moov") - 4, data.index(b"trak") - 4
    (moov_size,), (trak_size,) = struct.unpack_from(">I", data, moov), struct.unpack_from(">I", data, trak)
    body = data[trak + 8 : trak + trak_size]
    if b"edts" in body:
        at = body.index(b"edts") - 4
        body = body[:at] + body[at + struct.unpack_from(">I", body, at)[0] :]
    (header,) = struct.unpack_from(">I", body, 0)
    edts = box(b"edts", box(b"elst", struct.pack(">II", version << 24, len(edits)) + entries))
    track = box(b"trak", body[:header] + edts + body[header:])
    movie = box(b"moov", data[moov + 8 : trak] + track + data[trak + trak_size : moov + moov_size])
    path.write_bytes(data[:moov] + movie + data[moov + moov_size :])
    return path
