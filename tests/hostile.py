"""A corpus of malformed and malicious input: more than 300 source trees with one fault each.

`python tests/hostile.py FOLDER [CLASS ...]` draws and runs them all: `check` by headers and deep, the builder with
on_error="raise" and "skip", and finally a pool of processes over some of the decoded sources. Prints one JSON object
per line: case, class, result, seconds. Run it as a separate process: it limits its own memory, and a case that takes
too long ends it.
"""

import ctypes
import json
import os
import random
import resource
import shutil
import signal
import socket
import struct
import sys
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

COLOUR, ALPHA = "fg/image/train/fg/disc.png", "fg/image/train/alpha/disc.png"
F, A = "fg/video/train/0000/f.mp4", "fg/video/train/0000/a.mp4"
B, OTHER = "bg/train/0000.mp4", "bg/train/0001.mp4"
SECONDS, MEMORY = 20, 2**30  # limits of a case
REFUSED, READ, EITHER = "refused", "read", "either"
Change = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """One fault: its name, how a valid tree is changed, and the expected result.

    expected: REFUSED, the build's error and a finding of the check name `file`; READ, by a documented conversion;
    EITHER, if the compression has no checksum that detects the damage. pairs: a pair list for the build.
    """

    name: str
    kind: str
    change: Change
    file: str
    expected: str = REFUSED
    pairs: str | None = None


def write(path: str, data: bytes) -> Change:
    def change(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).unlink(missing_ok=True)
        (root / path).write_bytes(data)

    return change


def replaced(old: str, new: str, data: bytes) -> Change:
    """Replace a file by another one, such as a PNG by a JPEG."""

    def change(root: Path) -> None:
        (root / old).unlink()
        (root / new).write_bytes(data)

    return change


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(height: int, width: int, *channels: int, seed: int = 0, dtype: type = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max, (height, width, *channels), dtype)


def matte(height: int = 48, width: int = 40) -> np.ndarray:
    rows, columns = np.ogrid[:height, :width]
    distance = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2)
    return np.clip((min(height, width) * 0.4 - distance) * 40 + 128, 0, 255).astype(np.uint8)


def film(
    codec: str,
    layout: str,
    *,
    height: int = 72,
    width: int = 96,
    frames: int = 4,
    suffix: str = ".mp4",
    options: dict[str, str] | None = None,
    flat: bool = False,
) -> bytes:
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"hostile_{os.getpid()}{suffix}"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width, stream.pix_fmt = height, width, layout
        for index in range(frames):
            pixels = np.zeros((height, width, 3), np.uint8) if flat else noise(height, width, 3, seed=index)
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    path.unlink()
    return data


def sound(codec: str, suffix: str, *, container_format: str | None = None) -> bytes:
    """An audio file."""
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"hostile_{os.getpid()}{suffix}"
    with av.open(str(path), "w", format=container_format) as container:
        stream: Any = container.add_stream(codec, rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4410), np.int16), format="s16", layout="mono")
        frame.sample_rate = 44100
        for resampled in av.AudioResampler(stream.format, stream.layout, 44100).resample(frame):
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    path.unlink()
    return data


# PNG by hand


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, bits: int = 8, colour: int = 0, interlace: int = 0, data: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def interlaced(pixels: np.ndarray) -> bytes:
    """Adam7, grey."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = [b"\0" + row.tobytes() for y, x, dy, dx in passes for row in pixels[y::dy, x::dx] if row.size]
    return png(pixels.shape[1], pixels.shape[0], interlace=1, data=b"".join(rows))


def with_chunk(data: bytes, kind: bytes, content: bytes) -> bytes:
    """A PNG with a chunk after its header."""
    return data[:33] + chunk(kind, content) + data[33:]


def patched(data: bytes, marker: bytes, offset: int, value: bytes) -> bytes:
    """Write bytes at an offset after a marker."""
    at = data.index(marker) + offset
    return data[:at] + value + data[at + len(value) :]


# The cases, by class


def truncations(base: Path) -> Iterator[Case]:
    for file, count in ((COLOUR, 4), (ALPHA, 4), (B, 6), (F, 3), (A, 3)):
        data = (base / file).read_bytes()
        for keep in sorted({len(data) * step // count for step in range(1, count)} | {1, 8, len(data) - 1}):
            yield Case(f"{file} cut to {keep}", "truncated", write(file, data[:keep]), file, EITHER)
    jpeg = encoded(Image.fromarray(noise(48, 40, 3)), "JPEG")
    for keep in range(len(jpeg) // 5, len(jpeg), len(jpeg) // 5):
        new = COLOUR.replace(".png", ".jpg")
        yield Case(f"jpeg cut to {keep}", "truncated", replaced(COLOUR, new, jpeg[:keep]), new, EITHER)


def flips(base: Path) -> Iterator[Case]:
    jpeg = encoded(Image.fromarray(noise(48, 40, 3)), "JPEG")
    new = COLOUR.replace(".png", ".jpg")
    for file, count in ((COLOUR, 5), (ALPHA, 5), (B, 6), (F, 3), (A, 3)):
        for seed in range(count):
            yield Case(f"{file} flipped {seed}", "flipped", write(file, flipped(base / file, seed)), file, EITHER)
    for seed in range(0, 16, 4):
        data = bytearray(jpeg)
        random.Random(seed).shuffle(order := list(range(len(data))))
        for at in order[: 1 + seed]:
            data[at] ^= 1 << (seed % 8)
        yield Case(f"jpeg flipped {seed}", "flipped", replaced(COLOUR, new, bytes(data)), new, EITHER)


def flipped(path: Path, seed: int) -> bytes:
    data, rng = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(2 ** (seed % 6)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def wrong_kinds(base: Path) -> Iterator[Case]:
    picture = Image.fromarray(noise(48, 40, 3))
    foreign = {
        "words": b"These are just words.\n" * 50,
        "html": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "zip": b"PK\x03\x04" + bytes(200),
        "pdf": b"%PDF-1.7\n" + bytes(200),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>',
        "gif": encoded(picture, "GIF"),
        "bmp": encoded(picture, "BMP"),
        "tiff": encoded(picture, "TIFF"),
        "webp": encoded(picture, "WEBP"),
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n",
        "zeros": bytes(5000),
        "noise": noise(1, 5000).tobytes(),
        "shell": b"#!/bin/sh\nexit 1\n",
    }
    for name, data in foreign.items():
        for file in (COLOUR, ALPHA, B, F) if name in ("words", "webp", "zeros") else (COLOUR, B):
            yield Case(f"{name} as {file}", "wrong kind", write(file, data), file)
    outside = base.parent / "outside"
    lists = {
        "playlist": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{outside}/0000.mp4\n#EXT-X-ENDLIST\n",
        "relative playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n0001.mp4\n#EXT-X-ENDLIST\n",
        "segments": f"ffconcat version 1.0\nfile '{outside}/0000.mp4'\n",
        "relative segments": "ffconcat version 1.0\nfile 0001.mp4\n",
        "session": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>',
        "subtitles": "1\n00:00:00,000 --> 00:00:09,000\nwords\n",
    }
    for name, text in lists.items():
        yield Case(f"{name} as a background", "leads elsewhere", write(B, text.encode()), B)
    yield Case("video as a still", "wrong kind", write(COLOUR, (base / B).read_bytes()), COLOUR)
    yield Case("still as a video", "wrong kind", write(B, (base / COLOUR).read_bytes()), B)
    yield Case("jpeg named png", "wrong kind", write(COLOUR, encoded(picture, "JPEG")), COLOUR, READ)
    for file in (COLOUR, ALPHA, B, F, A):
        yield Case(f"{file} empty", "empty", write(file, b""), Path(file).parent.as_posix())
    for name, codec, suffix in (("aac", "aac", ".mp4"), ("pcm", "pcm_s16le", ".mkv"), ("mp2", "mp2", ".ts")):
        yield Case(f"only sound, {name}", "audio only", write(B, sound(codec, suffix)), B)


def sizes(base: Path) -> Iterator[Case]:
    for height, width in ((1, 1), (1, 2), (2, 1), (3, 3), (1, 2000), (2000, 1), (7, 5), (479, 641), (40_000, 3)):

        def change(root: Path, height: int = height, width: int = width) -> None:
            write(COLOUR, encoded(Image.fromarray(noise(height, width, 3))))(root)
            alpha = (
                noise(height, width) if height * width > 1 else np.full((1, 1), 255, np.uint8)
            )  # one level is not a matte
            write(ALPHA, encoded(Image.fromarray(alpha)))(root)

        yield Case(f"still of {height} x {width}", "size", change, COLOUR, READ)
    for height, width in ((1, 1), (1, 2), (2, 1), (17, 33), (1, 500), (500, 1)):
        data = film("png", "rgb24", height=height, width=width, suffix=".mov")
        path = B.replace(".mp4", ".mov")
        yield Case(f"background of {height} x {width}", "size", replaced(B, path, data), path, READ)
    yield Case("alpha of another size", "size", write(ALPHA, encoded(Image.fromarray(matte(20, 20)))), COLOUR)
    small = film("libx264", "yuv420p", height=32, width=32)
    yield Case("f and a of other sizes", "size", write(A, small), F)
    long = film("libx264", "yuv420p", frames=7)
    yield Case("f and a of other lengths", "size", lambda root: (write(F, long)(root), write(A, small)(root)), F)


def bombs(base: Path) -> Iterator[Case]:
    for name, width, height, colour, bits in (
        ("square", 50_000, 50_000, 2, 8),
        ("grey", 50_000, 50_000, 0, 8),
        ("deep", 50_000, 50_000, 6, 16),
        ("under the library's limit", 13_000, 13_000, 2, 8),
        ("a line", 2**31 - 1, 1, 0, 8),
        ("a column", 1, 2**31 - 1, 0, 8),
        ("a million", 10**6, 10**6, 0, 1),
        ("over 31 bits", 2**32 - 1, 2**32 - 1, 0, 8),
        ("nothing", 0, 0, 0, 8),
        ("no height", 5, 0, 0, 8),
    ):
        for file in (COLOUR, ALPHA):
            data = png(width, height, colour=colour, bits=bits, data=bytes(100))
            yield Case(f"png of {name}, {file}", "bomb", write(file, data), file)
    for bits, colour in ((3, 0), (16, 3), (8, 1), (255, 255)):
        data = png(9, 9, bits=bits, colour=colour, data=bytes(300))
        yield Case(f"png of {bits} bits, colours {colour}", "bomb", write(COLOUR, data), COLOUR)
    small = encoded(Image.fromarray(noise(48, 40, 3)))
    text = zlib.compress(bytes(2**28), 9)
    yield Case("text of 256 MB", "bomb", write(COLOUR, with_chunk(small, b"zTXt", b"a\0\0" + text)), COLOUR, EITHER)
    yield Case("profile of 256 MB", "bomb", write(COLOUR, with_chunk(small, b"iCCP", b"a\0\0" + text)), COLOUR, EITHER)
    header = with_chunk(small, b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    yield Case("a second header", "bomb", write(COLOUR, header), COLOUR, EITHER)
    endless = struct.pack(">I", 2**31 - 1) + b"IDAT"
    yield Case("an endless chunk", "bomb", write(COLOUR, small[:33] + endless + small[41:]), COLOUR)
    jpeg = encoded(Image.fromarray(noise(48, 40, 3)), "JPEG")
    for width, height in ((65_535, 65_535), (0, 0), (65_500, 1)):
        at = jpeg.index(b"\xff\xc0") + 5
        data = jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]
        yield Case(f"jpeg of {height} x {width}", "bomb", write(COLOUR, data), COLOUR)


def claims(base: Path) -> Iterator[Case]:
    data = (base / B).read_bytes()
    for name, marker, offset, value in (
        ("10^9 frames in stts", b"stts", 12, struct.pack(">I", 10**9)),
        ("10^9 samples in stsz", b"stsz", 8, struct.pack(">II", 0, 10**9)),
        ("10^9 samples of 1 byte", b"stsz", 8, struct.pack(">II", 1, 10**9)),
        ("10^9 chunks", b"stco", 8, struct.pack(">I", 10**9)),
        ("10^9 samples a chunk", b"stsc", 16, struct.pack(">I", 10**9)),
        ("2^32 entries in stts", b"stts", 8, struct.pack(">I", 2**32 - 1)),
        ("10^9 sync samples", b"stss", 8, struct.pack(">I", 10**9)),
        ("an endless movie", b"mvhd", 20, struct.pack(">I", 2**32 - 1)),
        ("time scale 0", b"mdhd", 16, struct.pack(">I", 0)),
        ("frame duration 0", b"stts", 16, struct.pack(">I", 0)),
        ("frame duration 2^31", b"stts", 16, struct.pack(">I", 2**31)),
        ("65535 px wide", b"avc1", 28, struct.pack(">HH", 65_535, 65_535)),
        ("0 px wide", b"avc1", 28, struct.pack(">HH", 0, 0)),
        ("track of 65535 px", b"tkhd", 80, struct.pack(">HHHH", 65_535, 0, 65_535, 0)),
        ("a matrix of zeros", b"tkhd", 44, bytes(36)),
        ("a skewed matrix", b"tkhd", 44, struct.pack(">9i", 30_000, 50_000, 0, -50_000, 30_000, 0, 0, 0, 2**30)),
        ("another codec", b"avc1", 0, b"hev1"),
        ("no codec", b"avc1", 0, b"zzzz"),
        ("no header", b"moov", 0, b"free"),
        ("no data", b"mdat", 0, b"free"),
        ("an endless box", b"mdat", -4, struct.pack(">I", 2**32 - 1)),
        ("a box of 0 bytes", b"moov", -4, struct.pack(">I", 0)),
        ("a box of 3 bytes", b"trak", -4, struct.pack(">I", 3)),
    ):
        yield Case(name, "claim", write(B, patched(data, marker, offset, value)), B, EITHER)
    for width, height in ((10**6, 72), (10**6, 10**6), (96, 10**6), (30_000, 30_000)):
        raw = film("rawvideo", "bgr24", suffix=".avi")
        for sign in (1, -1):
            raw = raw.replace(struct.pack("<Ii", 96, 72 * sign), struct.pack("<Ii", width, height * sign))
        path = B.replace(".mp4", ".avi")
        yield Case(f"raw video of {height} x {width}", "claim", replaced(B, path, raw), path)
    for codec, layout in (("png", "rgb24"), ("ffv1", "bgr0"), ("mjpeg", "yuvj420p")):
        avi = film(codec, layout, suffix=".avi").replace(struct.pack("<II", 96, 72), struct.pack("<II", 10**6, 10**6))
        path = B.replace(".mp4", ".avi")
        yield Case(f"{codec} video of 10^6 px", "claim", replaced(B, path, avi), path, EITHER)
    inner = film("png", "rgb24", suffix=".mov")
    header = struct.pack(">IIBBBBB", 96, 72, 8, 2, 0, 0, 0)
    huge = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    for old, new in ((header, huge), (header, struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))):
        data = inner.replace(chunk(b"IHDR", old), chunk(b"IHDR", new))
        path = B.replace(".mp4", ".mov")
        yield Case(f"frames of {new[:8].hex()}", "claim", replaced(B, path, data), path)


def large(base: Path) -> Iterator[Case]:
    """Maximum size in few bytes: the decoded pixels and their copies must fit into memory."""
    for name, colour, channels, bits, side in (("RGBA", 6, 4, 8, 8192), ("RGB of 16 bits", 2, 3, 16, 4600)):
        rows = zlib.compressobj(1)
        wide = side * channels * bits // 8
        levels = (0 if row < side // 2 else 255 for row in range(side))
        data = b"".join(rows.compress(b"\0" + bytes([level]) * wide) for level in levels) + rows.flush()
        header = struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0)
        still = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")

        def change(root: Path, still: bytes = still) -> None:
            write(COLOUR, still)(root)
            write(ALPHA, still)(root)

        yield Case(f"still of {side} x {side}, {name}", "large", change, COLOUR, READ)
    options = {"preset": "ultrafast", "x264-params": "ref=16:threads=1"}
    many = film("libx264", "yuv444p10le", height=2160, width=3840, frames=1, options=options, flat=True)
    yield Case("4K of 16 references", "large", write(B, many), B)


def conversions(base: Path) -> Iterator[Case]:
    """Unusual stills that are read, or refused by name."""
    grey, rgb = Image.fromarray(matte()), Image.fromarray(noise(48, 40, 3))
    both = {
        "palette": rgb.quantize(16),
        "1 bit": grey.convert("1"),
        "grey and alpha": grey.convert("LA"),
        "RGBA": rgb.convert("RGBA"),
        "16 bit": Image.fromarray(matte().astype(np.uint16) * 257),
    }
    for name, image in both.items():
        for file in (COLOUR, ALPHA):
            yield Case(f"{name} as {file}", "conversion", write(file, encoded(image)), file, READ)
    for colour, count in ((2, 3), (4, 2), (6, 4)):
        rows = noise(48, 40 * count, dtype=np.uint16).astype(">u2")
        data = png(40, 48, bits=16, colour=colour, data=b"".join(b"\0" + row.tobytes() for row in rows))
        for file in (COLOUR, ALPHA):
            yield Case(f"16 bit, colours {colour}, {file}", "conversion", write(file, data), file, READ)
    for file in (COLOUR, ALPHA):
        yield Case(f"interlaced {file}", "conversion", write(file, interlaced(matte())), file, READ)
        frames = [Image.fromarray(matte() // (1 + i)) for i in range(3)]
        data = encoded(frames[0], save_all=True, append_images=frames[1:])
        yield Case(f"animated {file}", "conversion", write(file, data), file, READ)
        clear = encoded(rgb.quantize(16), transparency=3)
        yield Case(f"transparent palette {file}", "conversion", write(file, clear), file, READ)
    for turn in range(10):
        exif = Image.Exif()
        exif[0x112] = turn
        data = encoded(Image.fromarray(noise(40, 48, 3) if turn in (5, 6, 7, 8) else noise(48, 40, 3)), exif=exif)
        expected = REFUSED if turn in (2, 3, 4) else READ  # the alpha has no tag: is it upright?
        yield Case(f"turned {turn}", "conversion", write(COLOUR, data), COLOUR, expected)
    exif = Image.Exif()
    exif[0x112] = 3
    both_turned = [write(COLOUR, encoded(rgb, exif=exif)), write(ALPHA, encoded(grey, exif=exif))]
    yield Case("turned both", "conversion", lambda root: [turned(root) for turned in both_turned], COLOUR, READ)
    bad = encoded(rgb, exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(20))
    yield Case("broken EXIF", "conversion", write(COLOUR, bad), COLOUR, EITHER)
    for mode in ("CMYK", "YCbCr"):
        data = encoded(rgb.convert(mode), "JPEG")
        expected = REFUSED if mode == "CMYK" else READ
        yield Case(mode, "conversion", replaced(COLOUR, COLOUR.replace(".png", ".jpg"), data), "disc.jpg", expected)
    for value in (0, 7, 255):
        flat = encoded(Image.fromarray(np.full((48, 40), value, np.uint8)))
        expected = READ if value > 16 else REFUSED  # nothing in it is foreground
        yield Case(f"alpha all {value}", "conversion", write(ALPHA, flat), ALPHA, expected)
    for codec, layout, suffix in (
        ("libx264", "yuv444p", ".mp4"),
        ("libx264", "yuv420p10le", ".mkv"),
        ("mpeg4", "yuv420p", ".avi"),
        ("mjpeg", "yuvj444p", ".avi"),
        ("ffv1", "gray", ".mkv"),
        ("ffv1", "gray16le", ".mkv"),
        ("ffv1", "yuva420p", ".mkv"),
        ("png", "rgb48be", ".mov"),
        ("png", "monob", ".mov"),
        ("mpeg2video", "yuv420p", ".mpg"),
        ("mpeg2video", "yuv422p", ".ts"),
        ("rawvideo", "rgb24", ".avi"),
    ):
        data = film(codec, layout, suffix=suffix)
        path = B.replace(".mp4", suffix)
        yield Case(f"{codec} {layout}", "conversion", replaced(B, path, data), path, READ)


def links(base: Path) -> Iterator[Case]:
    outside = base.parent / "outside"
    targets = {
        "a video outside": f"{outside}/0000.mp4",
        "a video outside by ..": "../../../outside/0000.mp4",
        "itself": "0000.mp4",
        "nothing": "nowhere.mp4",
        "/etc/passwd": "/etc/passwd",
        "/dev/zero": "/dev/zero",
        "/dev/stdin": "/dev/stdin",
        "/proc/self/mem": "/proc/self/mem",
        "its folder": ".",
        "the root folder": "/",
    }
    for name, target in targets.items():
        yield Case(f"link to {name}", "link", linked(B, target), B)
    yield Case("link within", "link", linked(B, "../../spare.mp4"), B, READ)
    for name, target in (("outside", str(outside)), ("in a circle", "../video/train"), ("to itself", "train")):
        yield Case(f"folder {name}", "link", linked_folder("fg/video/train", target), "fg/video/train")
    yield Case("alpha outside", "link", linked(ALPHA, f"{outside}/alpha.png"), ALPHA)
    yield Case("still for a folder", "link", linked(COLOUR, "/tmp"), COLOUR)
    yield Case("colour twice", "link", linked(ALPHA, "../fg/disc.png"), ALPHA)  # one colour: no matte


def linked(path: str, target: str) -> Change:
    return lambda root: ((root / path).unlink(), (root / path).symlink_to(target))


def linked_folder(path: str, target: str) -> Change:
    return lambda root: (shutil.rmtree(root / path), (root / path).symlink_to(target))


def specials(base: Path) -> Iterator[Case]:
    def pipe(path: str) -> Change:
        return lambda root: ((root / path).unlink(missing_ok=True), os.mkfifo(root / path))

    def folder(path: str) -> Change:
        return lambda root: ((root / path).unlink(), (root / path).mkdir())

    def listening(root: Path) -> None:
        (root / B).unlink()
        here = Path.cwd()
        os.chdir((root / B).parent)  # its name must be short
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(Path(B).name)
        os.chdir(here)

    def device(root: Path) -> None:
        (root / B).unlink()
        try:
            os.mknod(root / B, 0o20666, os.makedev(1, 5))  # /dev/zero
        except PermissionError:
            os.mkfifo(root / B)

    for file in (COLOUR, ALPHA, B, F, A):
        yield Case(f"pipe for {file}", "special", pipe(file), Path(file).parent.as_posix())
        yield Case(f"folder for {file}", "special", folder(file), Path(file).parent.as_posix())
    yield Case("pipe beside", "special", pipe("bg/train/pipe.mp4"), "bg/train/pipe.mp4")
    yield Case("pipe of no kind", "special", pipe("bg/train/pipe"), "bg/train/pipe", READ)
    yield Case("pipe for a video foreground", "special", pipe("fg/video/train/0001"), "0001", READ)
    yield Case("socket", "special", listening, B)
    yield Case("device", "special", device, B)


def names(base: Path) -> Iterator[Case]:
    odd = {
        "newline": (b"a\nb", REFUSED),
        "escape": (b"\x1b[2J", REFUSED),
        "not UTF-8": (b"\xff\xfe", REFUSED),
        "half a character": (b"caf\xc3", REFUSED),
        "tab": (b"a\tb", REFUSED),
        "longest": (b"x" * 251, READ),
        "option": (b"--help", READ),
        "spaces": (b"  a  ", READ),
        "from right to left": ("\u202egnp.exe".encode(), READ),
        "emoji": ("\U0001f600".encode(), READ),
        "quotes": (b"'\"`$(x)", READ),
        "format": (b"%s{0}%d{x}", READ),
        "scheme": (b"http:x", READ),
        "pattern": (b"%04d", READ),
        "star": (b"*", READ),
        "plus": (b"a+b+c", READ),
        "backslash": (b"a\\b", READ),
        "dots": (b"...", READ),
    }
    for name, (stem, expected) in odd.items():
        path = "bg/train/" + os.fsdecode(stem) + ".mp4"
        shown = repr(path)[1:-1] if expected == REFUSED else ""
        data = (base / "spare.mp4").read_bytes()
        yield Case(f"background named {name}", "name", write(path, data), shown, expected)
        folder = os.fsdecode(b"fg/video/train/" + stem)
        pair = (base / F).read_bytes(), (base / A).read_bytes()

        def change(root: Path, folder: str = folder, pair: tuple[bytes, bytes] = pair) -> None:
            write(f"{folder}/f.mp4", pair[0])(root)
            write(f"{folder}/a.mp4", pair[1])(root)

        yield Case(f"foreground named {name}", "name", change, repr(folder)[1:-1] if shown else "", expected)


def pair_lists(base: Path) -> Iterator[Case]:
    good = b"image+disc.png+0000.mp4\n"
    lists: dict[str, tuple[bytes, str]] = {
        "..": (b"image+../disc.png+0000.mp4", REFUSED),
        "only ..": (b"video+..+0000.mp4", REFUSED),
        "absolute": (b"image+disc.png+/etc/passwd", REFUSED),
        "backslash": (b"image+disc.png+..\\0000.mp4", REFUSED),
        "NUL": (b"image+disc.png\0+0000.mp4", REFUSED),
        "only NUL": (bytes(1000), REFUSED),
        "not UTF-8": (b"image+\xff.png+0000.mp4", REFUSED),
        "UTF-16": (good.decode().encode("utf-16"), REFUSED),
        "BOM": (b"\xef\xbb\xbf" + good, READ),
        "carriage returns": (good.replace(b"\n", b"\r"), READ),
        "vertical tabs": (b"image+disc.png\x0b+0000.mp4", REFUSED),
        "escape": (b"image+\x1b[2Jdisc.png+0000.mp4", REFUSED),
        "twice": (good * 2, REFUSED),
        "empty": (b"", REFUSED),
        "blank": (b"\n \n", REFUSED),
        "no such file": (b"image+disc.png+9999.mp4", REFUSED),
        "one long line": (b"image+" + b"x" * 10**7, REFUSED),
        "a million plus": (b"image" + b"+" * 10**6 + b"0000.mp4", REFUSED),
        "noise": (noise(1, 10**5).tobytes(), REFUSED),
        "video": ((base / B).read_bytes(), REFUSED),
        "20,000 lines": (b"".join(b"image+%07d.png+0000.mp4\n" % i for i in range(20_000)), REFUSED),
        "100,000 empty lines": (b"image+disc.png+0000.mp4\n" + b"\n" * 10**5, READ),
        "20,000 bad lines": (b"nonsense\n" * 20_000, REFUSED),
        "other line ends": ("image+disc.png\u2028+0000.mp4".encode(), REFUSED),
    }
    for name, (data, expected) in lists.items():
        yield Case(f"list: {name}", "pair list", write("list.txt", data), "list.txt", expected, pairs="list.txt")
    yield Case("list: pipe", "pair list", lambda root: os.mkfifo(root / "list.txt"), "list.txt", pairs="list.txt")
    yield Case("list: folder", "pair list", lambda root: (root / "list.txt").mkdir(), "list.txt", pairs="list.txt")
    yield Case("list: /dev/zero", "pair list", lambda root: None, "/dev/zero", pairs="/dev/zero")


CLASSES: dict[str, Callable[[Path], Iterator[Case]]] = {
    "truncations": truncations,
    "flips": flips,
    "wrong_kinds": wrong_kinds,
    "sizes": sizes,
    "bombs": bombs,
    "claims": claims,
    "large": large,
    "conversions": conversions,
    "links": links,
    "specials": specials,
    "names": names,
    "pair_lists": pair_lists,
}


POOLED = ("truncations", "flips", "wrong_kinds", "sizes", "bombs", "claims", "conversions")
EACH = 3  # every third of their cases is decoded in the pool, too: results are sent in the same way


def draw_base(folder: Path) -> Path:
    """A valid tree of the split train, a spare background, and files outside of it that must not be read."""
    from conftest import TreeWriter

    tree = TreeWriter(folder / "base")
    tree.still()
    tree.moving(frames=4)
    for number in range(2):
        tree.background(f"{number:04}", frames=4 + number)
    tree.background("spare", frames=4).rename(tree.root / "spare.mp4")
    (folder / "outside").mkdir()
    for path in (tree.root / B, tree.root / F, tree.root / A):
        shutil.copy(path, folder / "outside" / path.name)
    shutil.copy(tree.root / ALPHA, folder / "outside" / "alpha.png")
    return tree.root


# Running them


def built(root: Path, case: Case, *, on_error: str) -> tuple[str, int]:
    """Return the error text of a build, empty if it succeeds, and its number of rows."""
    from datasets import load_dataset

    from dvm_hf.dataset.loading import load_arguments
    from dvm_hf.errors import ConfigError, SourceError

    rows = 0
    try:
        stream = load_dataset(
            name="train",
            split="train",
            streaming=True,
            data_dir=str(root),
            pairs=case.pairs,
            on_error=on_error,
            # Each source is in one clip; a build that skips some has others to show that it did.
            backgrounds_per_foreground=1 if on_error == "raise" else 2,
            clip_length=2,
            remainder="keep",
            max_size=96,
            **load_arguments(),
        )
        for _ in stream:
            rows += 1
    except (SourceError, ConfigError) as error:
        return str(error), rows
    return "", rows


def check_cache(root: Path) -> Any:
    """The cache of a tree's deep checks, a CheckCache."""
    from dvm_hf.check.check_cache import CheckCache

    return CheckCache(root.parent / "checked" / root.name, root)


def draw_changed(base: Path, root: Path, case: Case) -> None:
    """Copy the valid tree, whose deep check is cached, and change it: then only changed sources are decoded again."""
    shutil.copytree(base, root)
    path = check_cache(root).path
    path.parent.mkdir(parents=True)
    shutil.copyfile(check_cache(base).path, path)
    case.change(root)


def findings(root: Path, case: Case, *, deep: bool) -> list[dict[str, Any]]:
    from dvm_hf.check.report import check
    from dvm_hf.dataset.config import DVMConfig

    checked = check_cache(root) if deep else None
    # the build renders the largest stills anyway
    configs = [DVMConfig(name="train", data_dir=str(root), pairs=case.pairs)] if deep and case.kind != "large" else []
    found: list[dict[str, Any]] = check(root, configs=configs, checked=checked, processes=0).plain()["findings"]
    return [one for one in found if one["code"] != "split-empty"]


def tried(root: Path, case: Case) -> dict[str, Any]:
    """Run the steps of a case; the process ends if a step exceeds the limits of time or memory.

    The check by headers plans no clips, because the deep check plans the same ones. A build that finds no error has
    nothing to skip, so the last step is only run after an error.
    """
    result: dict[str, Any] = {"case": case.name, "class": case.kind, "expected": case.expected, "file": case.file}
    steps: dict[str, Callable[[], Any]] = {
        "headers": lambda: findings(root, case, deep=False),
        "decoded": lambda: findings(root, case, deep=True),
        "raise": lambda: built(root, case, on_error="raise"),
        "skip": lambda: built(root, case, on_error="skip"),
    }
    for step, run in steps.items():
        if step == "skip" and case.kind != "sound" and not result["raise"][0]:
            result[step] = result["raise"]
            continue
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # CPU: other programs' work is not this one's fault
        signal.setitimer(signal.ITIMER_REAL, 6 * SECONDS)  # a blocked process uses no CPU time
        start = time.process_time()
        result[step] = run()
        result[f"{step}_seconds"] = round(time.process_time() - start, 3)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
    return result


def memory_now() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


class Watch:
    """Record every file in a folder that is opened by any code, including FFmpeg; Linux only."""

    OPENED, NONBLOCKING = 0x20, 0x800  # inotify's IN_OPEN, IN_NONBLOCK

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._events = libc.inotify_init1(self.NONBLOCKING)
        if self._events < 0 or libc.inotify_add_watch(self._events, os.fsencode(folder), self.OPENED) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def opened(self) -> list[str]:
        """Return the names of the files opened since the last call."""
        try:
            data, names = os.read(self._events, 2**16), []
        except BlockingIOError:
            return []
        while data:
            (length,) = struct.unpack_from("I", data, 12)
            names.append(os.fsdecode(data[16 : 16 + length].rstrip(b"\0")))
            data = data[16 + length :]
        return names


def watch_of(outside: Path) -> Watch:
    """Return a watch that is known to see the files FFmpeg opens."""
    watch = Watch(outside)
    with av.open(str(outside / "0000.mp4")):
        pass
    if "0000.mp4" not in watch.opened():
        raise RuntimeError("the watch does not see what FFmpeg opens")
    return watch


def in_pool(roots: list[tuple[Case, Path]]) -> Iterator[dict[str, Any]]:
    """Decode the changed sources of cases in a pool; return the differences from the results of this process."""
    from dvm_hf.check.source import sources
    from dvm_hf.check.worker_check import checked_sources
    from dvm_hf.sources.tree import survey

    known = {}
    for case, root in roots:
        with_this = case.file if "/" in case.file else ""
        checked = check_cache(root)
        for source in sources(survey(root, "train")):
            if any(path.startswith(with_this) for path in source.paths) and checked.get(source):
                known[source] = case, checked.get(source)
    found = dict(checked_sources(known, method="decoding", processes=2))
    yield {"pool": len(found)}
    for source, (case, expected) in known.items():
        if "MemoryError" in str(expected):
            continue  # a chunk declares 2 GB; another process may have that much memory
        told, alone = ([(one.code, one.path) for one in result.findings] for result in (found[source], expected))
        if told != alone or found[source].facts != expected.facts:
            yield {"differs": case.name, "pool": str(found[source]), "alone": str(expected)}


def main(folder: Path, classes: list[str]) -> None:
    import dvm_hf.check.report

    dvm_hf.check.report.SAMPLED_CLIPS = 1  # the builds render the same clips
    warnings.simplefilter("ignore")
    base = draw_base(folder)
    sound_case = Case("sound", "sound", lambda root: None, "", READ)
    print(json.dumps(tried(base, sound_case)), flush=True)  # everything is imported now
    resource.setrlimit(resource.RLIMIT_AS, (memory_now() + MEMORY, -1))
    watch = watch_of(folder / "outside")
    roots = []
    for kind in classes or CLASSES:
        cases = list(CLASSES[kind](base))
        for number, case in enumerate(cases):
            root = folder / f"{kind}_{number}"
            draw_changed(base, root, case)
            print(json.dumps({"start": case.name}), flush=True)
            print(json.dumps(tried(root, case) | {"group": kind, "outside": watch.opened()}), flush=True)
            if kind in POOLED and number % EACH == 0:
                roots.append((case, root))
            else:
                shutil.rmtree(root)
    for result in in_pool(roots) if roots else ():
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
