"""Read the header of a still without decoding its pixels."""

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from dvm_hf.media.formats.png_checksums import checked_png
from dvm_hf.media.formats.png_colours import HDRStill, InvalidColours, PngColours
from dvm_hf.media.frame_geometry import SIDEWAYS
from dvm_hf.media.pixels import Size
from dvm_hf.media.still.colour_profiles import UnreadableProfile, to_srgb
from dvm_hf.media.still.still_files import (
    GREYS,
    bit_depth,
    colour_profile,
    declared_colours,
    opened_still,
)
from dvm_hf.media.still.tiff_tags import is_complete_tiff, is_premultiplied

ORIENTATION = 0x112  # EXIF tag
PNG_END = b"IEND"  # the type of the last chunk
JPEG_SCAN = 0xDA  # SOS marker; compressed data follows
# PNG chunks, with their keywords, that can contain an orientation
ORIENTATION_CHUNKS = (b"eXIf", b"iTXtXML:com.adobe.xmp", b"tEXtRaw profile type exif", b"zTXtRaw profile type exif")


@dataclass(frozen=True)
class StillHeader:
    """Metadata in the header of a still.

    size: upright size.
    mode: Pillow mode.
    bits: bits per channel.
    orientation: EXIF orientation, 1 .. 8; 1 is upright.
    pictures: number of pictures in the file.
    is_complete: whether the end marker is present.
    profile: "" for sRGB or no profile, "wide" if the colours are converted to sRGB, "damaged" if the profile is
        invalid, "impossible" if other colour chunks are, "HDR" if the colours are unsupported, "named" if only the EXIF
        data declare Adobe RGB.
    is_limited_range: whether the colours are stored in limited range.
    is_premultiplied: whether the file declares its colours as multiplied by alpha. They are divided when read.
    """

    size: Size
    format: str
    mode: str
    bits: int
    orientation: int
    pictures: int
    is_complete: bool
    profile: str
    is_limited_range: bool
    is_premultiplied: bool


def still_header(path: Path) -> StillHeader:
    """Read the header of a still without decoding its pixels. Raises SourceError if the file cannot be used."""
    with opened_still(path) as image:
        depth, pictures = bit_depth(image, path), int(getattr(image, "n_frames", 1))
        kind = still_format(image)
        chunks = list(_png_chunks(path)) if kind == "PNG" else []
        orientation = _orientation(image, path, chunks)
        is_complete = PNG_END in chunks if kind == "PNG" else IS_COMPLETE[kind](path)
        colours = declared_colours(image, path)
        profile, is_divided = _profile_kind(image, path, colours), is_premultiplied(image)
    size = Size(image.width, image.height) if orientation in SIDEWAYS else Size(image.height, image.width)
    tags = (image.mode, depth, orientation, pictures, is_complete, profile, colours.is_limited_range, is_divided)
    return StillHeader(size, kind, *tags)


def _profile_kind(image: Image.Image, path: Path, colours: PngColours) -> str:
    try:
        profile = colour_profile(image, path, colours)
        if profile and to_srgb(profile, is_grey=image.mode in GREYS) is not None:
            return "wide"
    except HDRStill:
        return "HDR"
    except InvalidColours:
        return "impossible"
    except UnreadableProfile:
        return "damaged"
    return "" if profile or not _is_named_adobe(image) else "named"


def _is_named_adobe(image: Image.Image) -> bool:
    """Return whether the EXIF data of a JPEG declare Adobe RGB: DCF 2.0, interoperability index R03."""
    if image.format == "PNG" or "exif" not in image.info:
        return False
    exif = Image.Image.getexif(image)
    if ExifTags.IFD.Interop not in exif.get_ifd(ExifTags.IFD.Exif):  # get_ifd raises KeyError before Pillow 11
        return False
    return str(exif.get_ifd(ExifTags.IFD.Interop).get(1, "")).startswith("R03")


def damaged_chunks(path: Path) -> tuple[str, ...]:
    """Return the types of a PNG's ignored metadata chunks: too short, or with a checksum mismatch."""
    return checked_png(path).damaged


def still_orientation(path: Path) -> int:
    """Return the EXIF orientation of a still, 1 .. 8. `read_colour` and `read_grey` return upright pixels."""
    with opened_still(path) as image:
        return stored_orientation(image, path)


def stored_orientation(image: Image.Image, path: Path) -> int:
    """Return the EXIF orientation of an open still, 1 .. 8; 1 if it declares none."""
    return _orientation(image, path, list(_png_chunks(path)) if image.format == "PNG" else [])


def _orientation(image: Image.Image, path: Path, chunks: list[bytes]) -> int:
    """Return the orientation; a PNG is decoded only if one of its chunks after the pixels can contain it."""
    candidates = [at for at, chunk in enumerate(chunks) if chunk.startswith(ORIENTATION_CHUNKS)]
    if candidates and b"IDAT" in chunks[: candidates[-1]]:
        if "eXIf" in damaged_chunks(path):
            return 1
        image.load()
    with suppress(SyntaxError, struct.error):  # invalid EXIF data are ignored, as in viewers
        orientation = Image.Image.getexif(image).get(ORIENTATION, 1)  # PngImageFile.getexif always decodes the pixels
        return orientation if orientation in range(1, 9) else 1
    return 1


def _is_complete_png(path: Path) -> bool:
    return PNG_END in _png_chunks(path)


def _is_complete_jpeg(path: Path) -> bool:
    """Return whether a JPEG has its EOI marker.

    Cameras embed previews before the picture and append videos and notes after it, so neither the first EOI nor the
    last two bytes of the file are reliable.
    """
    with path.open("rb") as file:
        position = 2
        while True:  # segments with a length, up to the compressed data, where 0xff 0xd9 occurs only as EOI
            file.seek(position)
            head = file.read(4)
            if len(head) < 4 or head[0] != 0xFF:
                return False
            position += 2 + int.from_bytes(head[2:], "big") if head[1] != 0xFF else 1
            if head[1] == JPEG_SCAN:
                break
        size = file.seek(0, os.SEEK_END)
        for start in (max(position, size - 4096), position):  # EOI is nearly always near the end of the file
            file.seek(start)
            if b"\xff\xd9" in file.read():
                return True
    return False


def _is_complete_webp(path: Path) -> bool:
    """Return whether a WebP has as many bytes as its RIFF header declares."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8)[4:], "little")
    return path.stat().st_size >= length + 8


IS_COMPLETE = {
    "PNG": _is_complete_png,
    "JPEG": _is_complete_jpeg,
    "TIFF": is_complete_tiff,
    "WEBP": _is_complete_webp,
}


def still_format(image: Image.Image) -> str:
    """Return the format of an open still, a key of `IS_COMPLETE`."""
    found = image.format or ""
    return found if found in IS_COMPLETE else "JPEG"  # "MPO" is a JPEG with more pictures after it


def _png_chunks(path: Path) -> Iterator[bytes]:
    """Yield the type of each chunk of a PNG; for text chunks, followed by the first bytes, with the keyword."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            keyword = file.read(min(length, 32)) if kind in (b"iTXt", b"tEXt", b"zTXt") else b""
            yield kind + keyword
            file.seek(length - len(keyword) + 4, 1)
