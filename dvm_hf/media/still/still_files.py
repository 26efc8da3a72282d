"""Open stills: check formats, sizes and checksums, and identify files that are not images.

The suffix determines the formats of a still: a name that ends with .tif, .tiff or .webp may be TIFF or WebP, as in
folders of numbered pictures. Any other name must be PNG or JPEG.
"""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import cv2
from PIL import Image, UnidentifiedImageError

from dvm_hf.errors import SourceError
from dvm_hf.machine_faults import source_fault
from dvm_hf.media.formats.png_checksums import SIGNATURE, checked_png, without_chunks
from dvm_hf.media.formats.png_colours import PngColours, declared, declared_profile
from dvm_hf.media.still.colour_profiles import UnreadableProfile
from dvm_hf.media.still.tiff_tags import require_readable_tiff, tiff_bits

IMAGE_FORMATS = ("PNG", "JPEG")
MORE_FORMATS = {".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP"}  # by suffix
STILL_SUFFIXES = (".png", ".jpg", ".jpeg", *MORE_FORMATS)
IMAGE_MODES = ("1", "L", "LA", "P", "PA", "I", "I;16", "I;16B", "RGB", "RGBA")  # CMYK, YCbCr, Lab, float are rejected
GREYS = ("1", "L", "LA", "I", "I;16", "I;16B")
MAX_PIXELS = 2**26  # per still; 8192 x 8192
MAX_BYTES = 2**28  # per decoded still
MAGIC = (  # offset, bytes at that offset, name of the format
    *((4, b"ftyp" + brand, "HEIC") for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1")),
    *((4, b"ftyp" + brand, "AVIF") for brand in (b"avif", b"avis")),
    (8, b"WEBP", "WebP"),
    *((0, magic, "TIFF") for magic in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    *(
        (0, magic, name)
        for magic, name in ((b"BM", "BMP"), (b"GIF8", "GIF"), (b"8BPS", "PSD"), (b"v/1\x01", "OpenEXR"))
    ),
    *((0, magic, "JPEG XL") for magic in (b"\xff\x0a", b"\0\0\0\x0cJXL ")),
    *((0, magic, "JPEG 2000") for magic in (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")),
    (4, b"ftyp", "a video (MP4 or MOV)"),
    (0, b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM)"),
    *((0, magic, "PDF") for magic in (b"%PDF",)),
    *((0, magic, "a web page") for magic in (b"<!DOCTYPE html", b"<!doctype html", b"<html")),
    *((0, magic, "SVG") for magic in (b"<svg", b"<?xml")),
    (0, b"version https://git-lfs", "a Git LFS pointer, whose file was not downloaded"),
    (0, b"PK\x03\x04", "a ZIP archive"),
)
CHANNELS = {"LA": 4, "PA": 4, "P": 4, "RGB": 3, "RGBA": 4}  # palette colours can have an alpha


class DamagedStill(SourceError):
    """The content of a still cannot be read: it is damaged, incomplete, or not an image."""


def declared_colours(image: Image.Image, path: Path) -> PngColours:
    """Return the colours that a PNG declares without an ICC profile; none for a JPEG."""
    return declared(path) if image.format == "PNG" else PngColours()


def colour_profile(image: Image.Image, path: Path, colours: PngColours) -> bytes:
    """Return the ICC profile of a still, embedded or built from PNG chunks; empty for sRGB.

    Raises HDRStill, InvalidColours, and UnreadableProfile if the embedded profile cannot be decompressed.
    """
    carried = image.info.get("icc_profile") or b""
    if "icc_profile" in image.info and not carried and colours.cicp is None:
        raise UnreadableProfile(f"{path}: the embedded profile cannot be decompressed")
    return declared_profile(path, colours, carried) if image.format == "PNG" else carried


@contextmanager
def opened_still(path: Path) -> Iterator[Image.Image]:
    """Open a still of a supported format and size; errors inside the context become a SourceError naming the file."""
    try:
        # Before Pillow 11.3, leaving the image's own context fails if the image was closed inside it
        with closing(_image(path)) as image:
            _require_allowed(image, path)
            yield image
    except Image.DecompressionBombWarning as error:  # raised if warnings are errors
        raise SourceError(f"{path}: {error}; replace or shrink the file") from error
    except UNREADABLE as error:
        if isinstance(error, SourceError):
            raise
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> SourceError:
    """Return the error of a still: `DamagedStill` only if its content is at fault, not a missing file or permission."""
    text = f"{path}: cannot be read as an image ({fault(path, error)}); replace the file"
    if getattr(error, "errno", None) is not None or isinstance(error, MemoryError):
        return source_fault(path, error, text)
    return DamagedStill(text)


def formats_of(path: Path) -> tuple[str, ...]:
    """Return Pillow's names of the formats that a still with this name may have."""
    more = MORE_FORMATS.get(path.suffix.lower())
    return IMAGE_FORMATS if more is None else (*IMAGE_FORMATS, more)


def is_still(path: Path) -> bool:
    """Return whether a name is that of a still."""
    return path.suffix.lower() in STILL_SUFFIXES


def _image(path: Path) -> Image.Image:
    """Open a still. Damaged metadata chunks of a PNG are removed, because Pillow would reject the file."""
    with path.open("rb") as file:
        if file.read(16)[12:] == b"CgBI":  # Pillow reads some of these with swapped colours
            raise UnidentifiedImageError
    if "TIFF" in formats_of(path):
        return _image_with_valid_tags(path)
    try:
        return Image.open(path, formats=formats_of(path))
    except (UnidentifiedImageError, SyntaxError, ValueError):  # ValueError: a chunk is too short
        found = checked_png(path)
        if found.fault or not found.damaged or path.stat().st_size > MAX_BYTES:
            raise
    return Image.open(io.BytesIO(without_chunks(path.read_bytes(), found.damaged)), formats=IMAGE_FORMATS)


def _image_with_valid_tags(path: Path) -> Image.Image:
    """Open a still that may be a TIFF. Pillow only warns of damaged tags, and reads the picture without them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            return Image.open(path, formats=formats_of(path))
        except UserWarning as error:
            raise OSError(f"damaged tags: {error}") from error


def require_valid_checksums(path: Path) -> None:
    """Raise SourceError if the checksums of a PNG show damage that Pillow would not detect."""
    try:
        found = checked_png(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    if found.fault:
        raise DamagedStill(f"{path}: cannot be read as an image ({found.fault}); replace the file")


# MemoryError: Pillow allocates the declared length of a PNG chunk before reading it.
UNREADABLE = (OSError, SyntaxError, ValueError, MemoryError, struct.error, cv2.error, Image.DecompressionBombError)


def _require_allowed(image: Image.Image, path: Path) -> None:
    if image.mode not in IMAGE_MODES:
        raise SourceError(f"{path}: has {image.mode} colours, but only grey and RGB are allowed; convert the file")
    if image.format == "TIFF":
        require_readable_tiff(image, path)
    pixels = image.height * image.width
    size_in_bytes = pixels * CHANNELS.get(image.mode, 1) * bit_depth(image, path) // 8
    if pixels > MAX_PIXELS or size_in_bytes > MAX_BYTES:
        raise SourceError(
            f"{path}: is {image.width} x {image.height} px, {size_in_bytes:,} bytes as decoded; the maximum is "
            f"{MAX_PIXELS:,} px and {MAX_BYTES:,} bytes; shrink the image"
        )


def bit_depth(image: Image.Image, path: Path) -> int:
    """Return the bits per channel, 8 or 16; fewer than 8 count as 8."""
    if image.format == "TIFF":
        return 16 if tiff_bits(image) == 16 else 8
    if image.format != "PNG":
        return 8
    with path.open("rb") as file:
        header = file.read(25)
    return 16 if header[24:] == b"\x10" else 8  # bit depth in IHDR


def _unidentified(path: Path) -> str:
    """Identify a file that Pillow cannot open by its first bytes."""
    with path.open("rb") as file:
        head = file.read(64)
    if head[:8] == SIGNATURE and head[12:16] == b"CgBI":
        return "neither PNG nor JPEG, but a PNG for iPhones (CgBI)"
    if head[:8] == SIGNATURE:
        return checked_png(path).fault or "damaged PNG"
    if head[:3] == b"\xff\xd8\xff":
        return "damaged JPEG"
    names = (name for start, magic, name in MAGIC if head[start : start + len(magic)] == magic)
    name = next(names, "" if head.strip(b"\0") else "zeros")
    if name and name.upper() in formats_of(path):
        return f"damaged {name}, or one of a kind that is not supported"
    return f"neither PNG nor JPEG{', but ' if name else ''}{name}"


def fault(path: Path, error: Exception) -> str:
    """Return a short reason why a file cannot be read."""
    try:
        if path.stat().st_size == 0:
            return "the file is empty"
    except FileNotFoundError:
        return "no such file"
    except OSError as newer:
        return newer.strerror or str(newer)
    if isinstance(error, UnidentifiedImageError):
        return _unidentified(path)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
