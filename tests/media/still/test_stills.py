"""Headers of stills, and stills refused by their header. Decoding is tested with the frames of videos."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dvm_hf.errors import SourceError
from dvm_hf.media.still.still_headers import still_header
from dvm_hf.media.still.stills import read_grey

GREY, RGB, PALETTE, RGBA = 0, 2, 3, 6  # PNG's colour types


def png_header(width: int, height: int, *, colour: int, bits: int = 8) -> bytes:
    """A PNG of a few bytes that declares a size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(bytes(100)), b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


@pytest.mark.parametrize("read", [still_header, read_grey])
@pytest.mark.parametrize(
    ("width", "height", "colour", "bits"),
    [
        (50_000, 50_000, RGB, 8),  # Pillow's own limit
        (10_000, 10_000, GREY, 8),  # Pillow would warn
        (8192, 8193, GREY, 8),
        (2**31 - 1, 1, GREY, 8),
        (8192, 4097, RGBA, 16),  # 2**28 bytes and a row
    ],
)
def test_a_still_with_a_huge_declared_size_is_refused_undecoded(
    tmp_path: Path, read, width, height, colour, bits
) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(png_header(width, height, colour=colour, bits=bits))
    with pytest.raises(SourceError, match=r"huge.png"):
        read(path)


def test_the_largest_still_allowed_is_not_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png_header(8192, 8192, colour=RGBA))
    assert still_header(path).size == (8192, 8192)


def test_a_header_matches_the_written_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((30, 20), np.uint16)).save(path)
    header = still_header(path)
    assert (header.size, header.format, header.bits, header.pictures) == ((30, 20), "PNG", 16, 1)
    assert (header.orientation, header.is_complete) == (1, True)
    turned = Image.new("RGB", (20, 30))
    turned.getexif()[0x112] = 6
    turned.save(tmp_path / "b.jpg", exif=turned.getexif())
    header = still_header(tmp_path / "b.jpg")
    assert (header.size, header.format, header.mode, header.bits) == ((20, 30), "JPEG", "RGB", 8)
    assert (header.orientation, header.is_complete) == (6, True)
    frames = [Image.new("L", (9, 9), level) for level in (0, 100, 200)]
    frames[0].save(tmp_path / "c.png", save_all=True, append_images=frames[1:])
    assert still_header(tmp_path / "c.png").pictures == 3


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_header_check_reports_a_missing_end(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 256, (60, 60, 3), np.uint8)).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:-20])
    assert not still_header(tmp_path / name).is_complete
    (tmp_path / name).write_bytes(data + b"a note of some editor")
    assert still_header(tmp_path / name).is_complete
    (tmp_path / name).write_bytes(data + bytes(9000))  # as much as an appended video
    assert still_header(tmp_path / name).is_complete


def test_a_preview_within_a_cut_jpeg_is_not_its_end(tmp_path: Path) -> None:
    preview, exif = io.BytesIO(), Image.Exif()
    Image.new("RGB", (20, 20)).save(preview, "JPEG")
    noise = np.random.default_rng(1).integers(0, 256, (60, 60, 3), np.uint8)
    exif[0x8769] = {0x927C: preview.getvalue()}  # a maker's note
    Image.fromarray(noise).save(tmp_path / "a.jpg", exif=exif)
    data = (tmp_path / "a.jpg").read_bytes()
    assert data.count(b"\xff\xd9") == 2
    assert still_header(tmp_path / "a.jpg").is_complete
    (tmp_path / "a.jpg").write_bytes(data[:-20])
    assert not still_header(tmp_path / "a.jpg").is_complete


def test_a_jpeg_with_several_pictures_is_read_as_one(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (40, 30), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second])
    header = still_header(tmp_path / "a.jpg")
    assert (header.format, header.size, header.pictures, header.is_complete) == ("JPEG", (30, 40), 2, True)
    assert np.ptp(read_grey(tmp_path / "a.jpg")) == 0


def test_a_chunk_of_two_declared_gigabytes_is_a_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*arguments: object) -> None:
        raise MemoryError

    path = tmp_path / "endless.png"
    path.write_bytes(png_header(9, 9, colour=GREY))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", too_large)
    with pytest.raises(
        SourceError,
        match=r"endless.png: cannot be read as an image \((MemoryError|its pixel data)",
    ):
        read_grey(path)
