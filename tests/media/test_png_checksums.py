"""Damage that a PNG's checksums detect, made byte by byte; files that are not PNGs."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dvm_hf.check.source import Source
from dvm_hf.check.stills import by_pixels
from dvm_hf.errors import SourceError
from dvm_hf.media.formats.png_checksums import checked_png, without_chunks
from dvm_hf.media.still.still_headers import damaged_chunks, still_header, still_orientation
from dvm_hf.media.still.stills import read_colour, read_grey

GREY = np.add.outer(np.arange(60), 3 * np.arange(50)).astype(np.uint8)
COLOUR = np.dstack([GREY, GREY.max() - GREY, np.full_like(GREY, 7)])


def png(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def raw(header: bytes, stream: bytes, *before: bytes) -> bytes:
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(before) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")
    )


def header(width: int, height: int, *, interlace: int = 0) -> bytes:
    return struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, interlace)


def rows(height: int, width: int) -> bytes:
    return b"".join(b"\0" + bytes(range(width)) for _ in range(height))


def flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


WHOLE = raw(header(5, 4), zlib.compress(rows(4, 5)))
BAD = {
    "a bit of the pixels": (flipped(png(COLOUR), png(COLOUR).index(b"IDAT") + 40), "pixel data|chunk IDAT"),
    "a bit of the last checksum of the pixels": (flipped(WHOLE, WHOLE.rindex(b"IEND") - 5), "chunk IDAT"),
    "a bit of the header": (flipped(WHOLE, WHOLE.index(b"IHDR") + 16), "chunk IHDR"),
    "the last quarter zeros": (png(COLOUR)[: len(png(COLOUR)) * 3 // 4].ljust(len(png(COLOUR)), b"\0"), "image"),
    "Adler-32 under a right CRC": (raw(header(5, 4), flipped(zlib.compress(rows(4, 5)), -1)), "incorrect data check"),
    "a row too few": (raw(header(5, 4), zlib.compress(rows(3, 5))), "before the last row"),
    "a row too many": (raw(header(5, 4), zlib.compress(rows(5, 5))), "longer than its header declares"),
    "no end": (WHOLE[:-12], "ends before its chunk IEND"),
    "zeros for the end": (WHOLE[:-12] + bytes(12), "ends before its chunk IEND"),
    "a bomb": (raw(header(5, 4), zlib.compress(bytes(10**7))), "longer than its header declares"),
}


@pytest.mark.parametrize("case", BAD)
def test_damage_is_reported_by_every_reader(tmp_path: Path, case: str) -> None:
    data, reason = BAD[case]
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for read in (read_colour, read_grey):
        with pytest.raises(SourceError, match=f"{path}: .*({reason})"):
            read(path)


def split(stream: bytes, at: int, *between: bytes) -> bytes:
    """A PNG of 4 x 5 px with two IDAT chunks."""
    first, second = chunk(b"IDAT", stream[:at]), chunk(b"IDAT", stream[at:])
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header(5, 4)) + first + b"".join(between) + second + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("at", [1, 10, -5, -1])
@pytest.mark.parametrize("kind", [b"tEXt", b"tIME", b"gAMA", b"vpAg"])
def test_a_chunk_between_two_of_the_pixels_is_named(tmp_path: Path, at: int, kind: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(split(zlib.compress(rows(4, 5)), at, chunk(kind, b"a\0bc"), chunk(b"tEXt", b"c\0d")))
    text = (
        rf"{path}: cannot be read as an image \(its IDAT chunks are not consecutive: {kind.decode()} is between them\)"
    )
    for read in (read_colour, read_grey):
        with pytest.raises(SourceError, match=text):
            read(path)
    Image.fromarray(GREY).save(tmp_path / "f.png")
    (found,) = [one for one in by_pixels(Source(tmp_path, "image", "train", "a", "f.png", "a.png"))]
    assert f"its IDAT chunks are not consecutive: {kind.decode()} is between them" in str(found)


@pytest.mark.parametrize("between", [(), (chunk(b"IDAT", b""),), (chunk(b"IDAT", b""), chunk(b"IDAT", b""))])
def test_consecutive_chunks_of_the_pixels_are_read(tmp_path: Path, between: tuple[bytes, ...]) -> None:
    path, stream = tmp_path / "a.png", zlib.compress(rows(4, 5))
    for at in (1, 10, len(stream)):
        path.unlink(missing_ok=True)
        path.write_bytes(split(stream, at, *between))
        assert np.array_equal(read_grey(path), np.tile(np.arange(5, dtype=np.uint8), (4, 1)))


def test_a_chunk_of_the_pixels_after_their_end_is_ignored(tmp_path: Path) -> None:
    path, stream = tmp_path / "a.png", zlib.compress(rows(4, 5))
    path.write_bytes(split(stream, len(stream), chunk(b"tEXt", b"a\0b")))
    assert np.array_equal(read_grey(path), np.tile(np.arange(5, dtype=np.uint8), (4, 1)))
    assert checked_png(path).fault == ""


PASSES = ((1, 1), (1, 1), (1, 1), (1, 3), (2, 2), (2, 5))  # rows and columns of Adam7's passes over 5 x 4 px


@pytest.mark.parametrize(
    "data",
    [
        WHOLE,
        raw(header(5, 4, interlace=1), zlib.compress(bytes(sum(r * (c + 1) for r, c in PASSES)))),
        png(COLOUR),
        png(GREY, compress_level=0),
        png(COLOUR, bits=8, optimize=True),
        png(np.zeros((3, 9), bool)),
        WHOLE[:-3],  # cut after the last pixel
    ],
    ids=["by hand", "interlaced", "colour", "stored", "optimised", "1 bit", "without an end"],
)
def test_a_complete_png_has_no_fault(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    assert checked_png(tmp_path / "a.png").fault == ""


PATTERN = (  # of Adam7: the pass that contains each pixel of a square of 8 x 8; PNG (third edition), 8.1
    (1, 6, 4, 6, 2, 6, 4, 6),
    (7, 7, 7, 7, 7, 7, 7, 7),
    (5, 6, 5, 6, 5, 6, 5, 6),
    (7, 7, 7, 7, 7, 7, 7, 7),
    (3, 6, 4, 6, 3, 6, 4, 6),
    (7, 7, 7, 7, 7, 7, 7, 7),
    (5, 6, 5, 6, 5, 6, 5, 6),
    (7, 7, 7, 7, 7, 7, 7, 7),
)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 5), (2, 3), (3, 2), (4, 6), (5, 1), (5, 9), (8, 8), (9, 16), (17, 12)], ids=str
)
def test_interlaced_rows_are_counted_by_the_standard(tmp_path: Path, size: tuple[int, int]) -> None:
    height, width = size
    passes = np.array([[PATTERN[row % 8][column % 8] for column in range(width)] for row in range(height)])
    bytes_of_rows = 0
    for number in range(1, 8):
        for row in passes == number:
            bytes_of_rows += 1 + int(row.sum()) if row.any() else 0  # a byte for the filter, then the pixels
    path = tmp_path / "a.png"
    for difference, fault in ((0, ""), (-1, "before the last row"), (1, "longer than its header declares")):
        stream = zlib.compress(bytes(bytes_of_rows + difference))
        path.unlink(missing_ok=True)
        path.write_bytes(raw(header(width, height, interlace=1), stream))
        assert checked_png(path).fault == "" if not fault else fault in checked_png(path).fault


@pytest.mark.parametrize("kind", [b"iCCP", b"tEXt", b"pHYs", b"gAMA"])
def test_a_damaged_metadata_chunk_is_skipped_and_named(tmp_path: Path, kind: bytes) -> None:
    damaged = flipped(chunk(kind, b"anything at all"), -1)
    path = tmp_path / "a.png"
    path.write_bytes(raw(header(5, 4), zlib.compress(rows(4, 5)), damaged, chunk(b"tIME", bytes(7))))
    assert np.array_equal(read_grey(path), np.tile(np.arange(5, dtype=np.uint8), (4, 1)))
    assert damaged_chunks(path) == (kind.decode(),)
    assert still_header(path).size == (4, 5)
    assert without_chunks(path.read_bytes(), (kind.decode(),)) == raw(
        header(5, 4), zlib.compress(rows(4, 5)), chunk(b"tIME", bytes(7))
    )


TOO_SHORT = {b"gAMA": 3, b"pHYs": 8, b"sRGB": 0, b"cHRM": 31, b"iCCP": 2, b"acTL": 7}  # 11.3: lengths by the standard


@pytest.mark.parametrize("kind", TOO_SHORT)
@pytest.mark.parametrize(
    "others", [(), (chunk(b"gAMA", struct.pack(">I", 45455)),)], ids=["alone", "next to a valid one"]
)
def test_a_chunk_that_is_too_short_is_skipped_and_named(tmp_path: Path, kind: bytes, others: tuple[bytes, ...]) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(raw(header(5, 4), zlib.compress(rows(4, 5)), chunk(kind, bytes(TOO_SHORT[kind])), *others))
    assert np.array_equal(read_grey(path), np.tile(np.arange(5, dtype=np.uint8), (4, 1)))
    assert np.array_equal(read_colour(path)[..., 1], np.tile(np.arange(5, dtype=np.uint8), (4, 1)))
    assert damaged_chunks(path) == (kind.decode(),)
    assert still_header(path).profile == ("damaged" if kind == b"iCCP" else "")
    assert without_chunks(path.read_bytes(), (kind.decode(),)) == raw(header(5, 4), zlib.compress(rows(4, 5)), *others)


def test_the_orientation_next_to_a_short_chunk_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    path = tmp_path / "a.png"
    turned = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    path.write_bytes(raw(header(5, 4), zlib.compress(rows(4, 5)), chunk(b"pHYs", bytes(3)), turned))
    assert still_orientation(path) == 6
    assert np.array_equal(read_grey(path), np.tile(np.arange(5, dtype=np.uint8)[:, None], (1, 4)))


def test_an_orientation_after_the_pixels_is_read_next_to_metadata_before_them(tmp_path: Path) -> None:
    """PNG (third edition), 5.6: eXIf and iTXt may be in any place between IHDR and IEND, except among the IDAT."""
    exif = Image.Exif()
    exif[0x112] = 6
    path = tmp_path / "a.png"
    metadata = chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + b"<x:xmpmeta/>")
    data = raw(header(5, 4), zlib.compress(rows(4, 5)), metadata)
    at = data.index(b"IEND") - 4
    path.write_bytes(data[:at] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + data[at:])
    assert data.index(b"iTXt") < data.index(b"IDAT")
    assert still_orientation(path) == 6
    assert np.array_equal(read_grey(path), np.tile(np.arange(5, dtype=np.uint8)[:, None], (1, 4)))


def test_a_changed_file_is_checked_again(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(BAD["a row too few"][0])
    assert checked_png(path).fault
    path.write_bytes(png(COLOUR))
    assert checked_png(path).fault == ""


OTHERS = {
    "WebP": b"RIFF\x10\0\0\0WEBPVP8 ",
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0",
    "AVIF": b"\0\0\0\x18ftypavif\0\0\0\0",
    "TIFF": b"II*\0\x08\0\0\0",
    "BMP": b"BM" + bytes(60),
    "a web page": b"<!DOCTYPE html><html>",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\n",
    "zeros": bytes(100),
    "a PNG for iPhones": b"\x89PNG\r\n\x1a\n" + chunk(b"CgBI", bytes(4)) + chunk(b"IHDR", header(5, 4)),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_in_another_format_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(OTHERS[kind])
    with pytest.raises(SourceError, match=f"neither PNG nor JPEG, but {kind}"):
        read_colour(path)


def palette_png(path: Path, *, clear: bool = False) -> bytes:
    image = Image.fromarray(np.arange(48 * 40, dtype=np.uint8).reshape(48, 40)).convert("P")
    image.putpalette([value for level in range(256) for value in (level, 255 - level, 90)])
    image.save(path, **({"transparency": 0} if clear else {}))  # type: ignore[arg-type]
    return path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "flipped"), [(b"PLTE", b"QLTE"), (b"PLTE", b"pLTE"), (b"tRNS", b"uRNS"), (b"tRNS", b"TRNS")]
)
def test_a_changed_bit_of_a_chunk_type_is_detected(tmp_path: Path, kind: bytes, flipped: bytes) -> None:
    path = tmp_path / "p.png"
    data = palette_png(path, clear=True)
    path.write_bytes(data.replace(kind, flipped))
    for read in (read_colour, read_grey):
        with pytest.raises(SourceError, match=f"the checksum of its chunk {flipped.decode()} does not match"):
            read(path)


def test_a_missing_palette_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    data = palette_png(path)
    at = data.index(b"PLTE") - 4
    path.write_bytes(data[:at] + data[at + 12 + 768 :])
    with pytest.raises(SourceError, match=r"it has no palette|cannot be read as an image"):
        read_colour(path)


@pytest.mark.parametrize("is_late", [False, True])
def test_an_orientation_whose_checksum_is_wrong_is_not_read(tmp_path: Path, is_late: bool) -> None:
    path, picture = tmp_path / "p.png", np.random.default_rng(3).integers(0, 256, (48, 40, 3), np.uint8)
    exif = Image.Exif()
    exif[0x112] = 3
    Image.fromarray(picture).save(path, exif=exif)
    data = path.read_bytes()
    at = data.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(data[at : at + 4], "big")
    chunk = data[at : end - 4] + b"\0\0\0\0"  # not its CRC
    rest = data[:at] + data[end:]
    place = rest.index(b"IEND") - 4 if is_late else rest.index(b"IDAT") - 4
    path.write_bytes(rest[:place] + chunk + rest[place:])
    assert np.array_equal(read_colour(path), picture)
    assert still_orientation(path) == 1


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("tail", [0, 100, 65536])
def test_a_partly_downloaded_jpeg_is_refused(tmp_path: Path, share: float, tail: int) -> None:
    path = tmp_path / "p.jpg"
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (200, 200, 3), np.uint8)).save(path, quality=95)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)] + bytes(tail))
    with pytest.raises(SourceError, match=r"p\.jpg: (is truncated|cannot be read)"):
        read_colour(path)
    path.write_bytes(data + bytes(tail))
    assert read_colour(path).shape == (200, 200, 3)


def test_an_iphone_png_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    data = palette_png(path)
    chunk = b"CgBI" + bytes.fromhex("50002002")
    path.write_bytes(data[:8] + (4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + data[8:])
    with pytest.raises(SourceError, match=r"a PNG for iPhones \(CgBI\)"):
        still_header(path)


def test_an_invalid_exif_chunk_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    data = palette_png(path)
    expected, content = read_colour(path), b"eXIfgarbage!"
    chunk = (len(content) - 4).to_bytes(4, "big") + content + zlib.crc32(content).to_bytes(4, "big")
    place = data.index(b"IDAT") - 4
    path.write_bytes(data[:place] + chunk + data[place:])
    assert still_orientation(path) == 1
    assert np.array_equal(read_colour(path), expected)
