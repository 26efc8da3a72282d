"""Read stills, encode images. With frame_io, the only file that knows image codecs and BGR.

What leaves this module is RGB or grey, uint8, height x width (x 3). A file that cannot be used raises `SourceError`
naming it.
"""

import io
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from dvm_hf.colour_profiles import UnreadableProfile, converted, to_srgb
from dvm_hf.compositing import Pixels
from dvm_hf.errors import SourceError
from dvm_hf.frame_geometry import SIDEWAYS, UPRIGHT
from dvm_hf.geometry import Size
from dvm_hf.machine_faults import source_fault
from dvm_hf.png_colours import HDRStill, declared_profile
from dvm_hf.png_parts import SIGNATURE, checked_png, without_parts

IMAGE_FORMATS = ("PNG", "JPEG")
IMAGE_MODES = ("1", "L", "LA", "P", "PA", "I", "I;16", "I;16B", "RGB", "RGBA")  # CMYK, YCbCr, Lab, float are refused
GREYS = ("1", "L", "LA", "I", "I;16", "I;16B")
ORIENTATION, INTEROPERABILITY = 0x112, 0xA005  # EXIF
JPEG_SCAN = 0xDA  # the marker that compressed data follows
MOST_PIXELS = 2**26  # of a still; 8192 x 8192
MOST_BYTES = 2**28  # of a still as decoded
TELLING_PARTS = (b"eXIf", b"iTXtXML:com.adobe.xmp", b"tEXtRaw profile type exif", b"zTXtRaw profile type exif")  # PNG's
MAGIC = (  # where in a file which bytes stand, and what it is then
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
    (0, b"version https://git-lfs", "a pointer of Git LFS, whose file has not been fetched"),
    (0, b"PK\x03\x04", "a ZIP archive"),
)
CHANNELS = {"LA": 4, "PA": 4, "P": 4, "RGB": 3, "RGBA": 4}  # a palette's colours may have an alpha
COLOURS = ("red", "green", "blue")
ONE_LEVEL = 0.1  # of the deviation of a channel that varies; compression leaves less in one that does not
BAND = 256  # rows that are converted in one step
# Measured on 23 mattes of drawn and photographed hair, CPU: 5 to 7 ms at 1080p. With no filter named, OpenCV tries them
# all, in twice the time for 4 % fewer bytes. zlib's other strategies make more bytes of hair than RLE does; of smooth
# mattes, at level 9, up to 8 % fewer in 50 times the time. PAETH makes 1 % fewer than UP and takes 1.4 times as long to
# encode, 1.8 times to decode; AVG makes 3 % more. A trimap is flat and needs none: level 9 saves 1 kB of 7 for 12 ms.
# JPEG: optimised Huffman tables make 2 % fewer bytes in 3 times the time (12 ms), progressive ones 7 % in 8 times.
_RLE = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
FILTER_SAMPLE = 16  # one row in so many is looked at to choose a matte's filter: 0.2 ms at 1920 x 1080 px
ENCODINGS = {
    "jpeg": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
    "grey_png": (".png", _RLE),  # and the filter that suits the picture
    "flat_png": (".png", [*_RLE, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]),
    "colour_png": (".png", [*_RLE, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]),
    "bmp": (".bmp", []),
}


@dataclass(frozen=True)
class StillHeader:
    """What a still's header says. size: upright; bits: of a channel; mode: Pillow's; orientation: EXIF's, 1 is upright;
    is_complete: it has its end; profile: "" for sRGB's or none, "wide" where colours are converted, "damaged" where the
    profile cannot be used, "HDR" where the colours cannot be read, "named" for Adobe RGB by EXIF alone.
    """

    size: Size
    format: str
    mode: str
    bits: int
    orientation: int
    pictures: int
    is_complete: bool
    profile: str


def still_header(path: Path) -> StillHeader:
    """Header of a still, no pixel decoded; raises SourceError where the file cannot be used."""
    with _opened(path) as image:
        depth, pictures = _depth(image, path), int(getattr(image, "n_frames", 1))
        turn = _orientation(image, path)
        kind = "PNG" if image.format == "PNG" else "JPEG"  # "MPO" is a JPEG with more behind it
        has_end = HAS_END[kind](path)
        profile = _profile_kind(image, path)
    size = Size(image.width, image.height) if turn in SIDEWAYS else Size(image.height, image.width)
    return StillHeader(size, kind, image.mode, depth, turn, pictures, has_end, profile)


def _profile_kind(image: Image.Image, path: Path) -> str:
    try:
        profile = _profile(image, path)
        if profile and to_srgb(profile, is_grey=image.mode in GREYS) is not None:
            return "wide"
    except HDRStill:
        return "HDR"
    except UnreadableProfile:
        return "damaged"
    return "" if profile or not _is_named_adobe(image) else "named"


def _profile(image: Image.Image, path: Path) -> bytes:
    """The ICC profile of a still's colours, carried or declared; raises HDRStill where they cannot be read."""
    carried = image.info.get("icc_profile") or b""
    return declared_profile(path, carried) if image.format == "PNG" else carried


def _is_named_adobe(image: Image.Image) -> bool:
    """Whether a JPEG says by EXIF alone that it is in Adobe RGB: DCF 2.0, the interoperability index R03."""
    if image.format == "PNG" or "exif" not in image.info:
        return False
    index = Image.Image.getexif(image).get_ifd(INTEROPERABILITY).get(1, "")
    return str(index).startswith("R03")


def damaged_parts(path: Path) -> tuple[str, ...]:
    """Types of a PNG's parts beside its pixels whose checksum does not match; they are not read."""
    return checked_png(path).damaged


def still_orientation(path: Path) -> int:
    """EXIF's orientation of a still, 1 .. 8, which reading it undoes."""
    with _opened(path) as image:
        return _orientation(image, path)


def _orientation(image: Image.Image, path: Path) -> int:
    """1, upright, where nothing tells another. A PNG is decoded only where a part behind its pixels may tell."""
    if image.format == "PNG":
        parts = list(_png_parts(path))
        telling = [at for at, part in enumerate(parts) if part.startswith(TELLING_PARTS)]
        if telling and b"IDAT" in parts[: telling[-1]]:
            image.load()
    turn = Image.Image.getexif(image).get(ORIENTATION, 1)  # a PNG's own method decodes it in any case
    return turn if turn in range(1, 9) else 1


def _png_has_end(path: Path) -> bool:
    return any(part == b"IEND" for part in _png_parts(path))


def _jpeg_has_end(path: Path) -> bool:
    """Whether the end of the picture itself is there: cameras put previews before it, films and notes behind it."""
    with path.open("rb") as file:
        position = 2
        while True:  # parts with a length, up to the compressed data, in which 0xff 0xd9 stands for the end alone
            file.seek(position)
            head = file.read(4)
            if len(head) < 4 or head[0] != 0xFF:
                return False
            position += 2 + int.from_bytes(head[2:], "big") if head[1] != 0xFF else 1
            if head[1] == JPEG_SCAN:
                break
        size = file.seek(0, os.SEEK_END)
        for start in (max(position, size - 4096), position):  # nearly always at the file's end
            file.seek(start)
            if b"\xff\xd9" in file.read():
                return True
    return False


HAS_END = {"PNG": _png_has_end, "JPEG": _jpeg_has_end}


def _png_parts(path: Path) -> Iterator[bytes]:
    """Of each part of a PNG its type, and of a text also its first bytes, with the keyword."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            told = file.read(min(length, 32)) if kind in (b"iTXt", b"tEXt", b"zTXt") else b""
            yield kind + told
            file.seek(length - len(told) + 4, 1)


def read_colour(path: Path) -> Pixels:
    """Colours (H, W, 3) of a still, in sRGB; an alpha channel in the file is dropped, grey is repeated.

    Colours with the profile of another RGB space or grey are converted, in 8 bits; a damaged profile is ignored. Raises
    SourceError if they are HDR.
    """
    profile, is_grey = b"", False

    def colours(bands: Iterable[Pixels]) -> Iterator[Pixels]:
        try:
            transform = to_srgb(profile, is_grey=is_grey) if profile else None
        except UnreadableProfile:
            transform = None
        return (_rgb(band) if transform is None else converted(_rgb(band), transform) for band in bands)

    with _opened(path) as image:
        profile, is_grey = _profile(image, path), image.mode in GREYS
    return _still(path, colours)


def read_grey(path: Path) -> Pixels:
    """Alpha or trimap (H, W) of a still: grey or 1 bit as it is, colours as their luma (BT.601: equal channels keep
    their value), and where the file's own alpha channel is not all opaque, that channel. Raises SourceError if some of
    the colours vary and others do not.
    """

    def greys(bands: Iterable[Pixels]) -> Iterator[Pixels]:
        is_clear = any(band.ndim == 3 and band.shape[2] in (2, 4) and (band[..., -1] < 255).any() for band in bands)
        channels = SplitChannels()
        for band in bands:
            if band.ndim == 3 and band.shape[2] > 2 and not is_clear:
                channels.take(band[..., :3])
            yield _grey(band, is_clear=is_clear)
        if channels.fault:
            raise SplitMatte(f"{path}: {channels.fault}")

    return _still(path, greys)


class SplitMatte(SourceError):
    """A matte that is in some of the colours only."""


class SplitChannels:
    """Tells a matte that is in some of the colours only: their luma would be a fraction of it."""

    def __init__(self) -> None:
        self._count, self._sums = 0, np.zeros((2, 3))  # of values, of their squares

    def take(self, pixels: Pixels) -> None:
        """Part of the picture, (h, w, 3)."""
        count = pixels.shape[0] * pixels.shape[1]
        mean, deviation = (part.ravel() for part in cv2.meanStdDev(np.ascontiguousarray(pixels)))
        self._count += count
        self._sums += [count * mean, count * (deviation**2 + mean**2)]

    @property
    def fault(self) -> str:
        """What to say of it, without the path; empty if the colours vary alike."""
        mean, square = self._sums / max(self._count, 1)
        deviations = np.sqrt(np.maximum(square - mean**2, 0))
        if deviations.min() > ONE_LEVEL * deviations.max() or deviations.max() < 1:
            return ""
        names = [name for name, one in zip(COLOURS, deviations, strict=True) if one > ONE_LEVEL * deviations.max()]
        return f"has a matte in its {' and '.join(names)} only, so that its luma is no matte; save that channel as grey"


def _rgb(pixels: Pixels) -> Pixels:
    if pixels.ndim == 2 or pixels.shape[2] == 2:
        return cv2.cvtColor(pixels if pixels.ndim == 2 else pixels[..., 0].copy(), cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]
    return pixels[..., :3]


def _grey(pixels: Pixels, *, is_clear: bool) -> Pixels:
    if pixels.ndim == 2:
        return pixels
    if is_clear:
        return pixels[..., -1]
    if pixels.shape[2] == 2:
        return pixels[..., 0]
    return cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]


def read_as_opencv(path: Path) -> Pixels:
    """What OpenCV's `imread` makes of a still, in RGB (H, W, 3): grey repeated, an alpha channel dropped, 16 bit cut to
    8. Refuses the files that `read_colour` refuses; OpenCV itself reads some of them in part.
    """
    read_colour(path)
    bgr = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise SourceError(f"{path}: OpenCV cannot read this image; convert the file")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def encoded_image(pixels: Pixels, encoding: str) -> bytes:
    """File bytes of a frame (H, W, 3) RGB or a grey image (H, W); `encoding` is a key of `ENCODINGS`."""
    suffix, parameters = ENCODINGS[encoding]
    if encoding == "grey_png":
        parameters = [*parameters, cv2.IMWRITE_PNG_FILTER, _matte_filter(pixels)]
    bgr = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(suffix, bgr, parameters)[1].tobytes()


def write_image(path: Path, pixels: Pixels) -> None:
    """Write a PNG of a frame (H, W, 3) RGB or a grey image (H, W)."""
    path.write_bytes(encoded_image(pixels, "grey_png" if pixels.ndim == 2 else "colour_png"))


def _matte_filter(alpha: Pixels) -> int:
    """UP, or NONE where differences to the row above hold more than the values themselves, as in fine hair.

    It chose the smaller file of 22 of those 23 mattes and lost 0.3 % with one; UP alone makes up to 8 % more bytes,
    NONE up to 108 %.
    """
    rows, above = alpha[1::FILTER_SAMPLE], alpha[:-1:FILTER_SAMPLE]
    return cv2.IMWRITE_PNG_FILTER_NONE if _content(rows) < _content(rows - above) else cv2.IMWRITE_PNG_FILTER_UP


def _content(rows: Pixels) -> float:
    """Bits of the values that run-length coding leaves: those unlike their left neighbour, by their entropy."""
    counts = np.bincount(rows[:, 1:][rows[:, 1:] != rows[:, :-1]])
    counts = counts[counts > 0]
    total = int(counts.sum())
    return float(total * np.log2(max(total, 1)) - (counts * np.log2(counts)).sum())


def _still(path: Path, made: Callable[[Iterable[Pixels]], Iterator[Pixels]]) -> Pixels:
    """Of a still, upright, what `made` makes of the bands of its rows, which it may go through more than once."""
    pixels, turn = _stored(path, made)
    return np.ascontiguousarray(UPRIGHT[turn](pixels)) if turn in UPRIGHT else pixels


def _stored(path: Path, made: Callable[[Iterable[Pixels]], Iterator[Pixels]]) -> tuple[Pixels, int]:
    """As `_still`, as it is stored, and its orientation. Pillow holds up to 2^28 bytes, beside which another whole copy
    would be too much.
    """
    _require_sound(path)
    with _opened(path) as image:
        image.load()
        turn, height = Image.Image.getexif(image).get(ORIENTATION, 1), image.height
        bands: Iterable[Pixels] = _Bands(image)
        if _depth(image, path) == 16 and image.mode in ("LA", "RGB", "RGBA"):  # Pillow cuts off the lower 8
            image.close()
            deep = _deep_png(without_parts(path.read_bytes(), damaged_parts(path)))
            bands = [deep[top : top + BAND] for top in range(0, height, BAND)]
        result, top = np.empty(0, np.uint8), 0
        for band in made(bands):
            if not top:
                result = np.empty((height, *band.shape[1:]), np.uint8)
            result[top : top + len(band)] = band
            top += len(band)
        return result, turn


class _Bands:
    """(h, w), or (h, w, 2..4) with channels grey + alpha, RGB or RGBA: 8 bit, each band converted anew."""

    def __init__(self, image: Image.Image) -> None:
        self._image = image

    def __iter__(self) -> Iterator[Pixels]:
        width, height = self._image.size
        for top in range(0, height, BAND):
            yield _eight_bit(self._image.crop((0, top, width, min(top + BAND, height))))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A still of an allowed kind and size; whatever goes wrong with it inside is a SourceError that names it."""
    try:
        # Before Pillow 11.3 the image's own context cannot be left if the image was closed within
        with closing(_image(path)) as image:
            _require_allowed(image, path)
            yield image
    except Image.DecompressionBombWarning as error:  # where warnings are errors
        raise SourceError(f"{path}: {error}; replace or shrink the file") from error
    except UNREADABLE as error:
        if isinstance(error, SourceError):
            raise
        text = f"{path}: cannot be read as an image ({fault(path, error)}); replace the file"
        raise source_fault(path, error, text) from error


def _image(path: Path) -> Image.Image:
    """A still, open; a PNG without those parts beside its pixels that are damaged, at which Pillow would give up."""
    try:
        return Image.open(path, formats=IMAGE_FORMATS)
    except (UnidentifiedImageError, SyntaxError):
        found = checked_png(path)
        if found.fault or not found.damaged or path.stat().st_size > MOST_BYTES:
            raise
    return Image.open(io.BytesIO(without_parts(path.read_bytes(), found.damaged)), formats=IMAGE_FORMATS)


def _require_sound(path: Path) -> None:
    """Raise SourceError where a PNG's own checksums tell of damage that Pillow would not notice."""
    try:
        found = checked_png(path)
    except OSError as error:
        raise source_fault(
            path, error, f"{path}: cannot be read as an image ({fault(path, error)}); replace the file"
        ) from error
    if found.fault:
        raise SourceError(f"{path}: cannot be read as an image ({found.fault}); replace the file")


# MemoryError: Pillow believes the length of a PNG's part before it reads it.
UNREADABLE = (OSError, SyntaxError, ValueError, MemoryError, struct.error, cv2.error, Image.DecompressionBombError)


def _require_allowed(image: Image.Image, path: Path) -> None:
    if image.mode not in IMAGE_MODES:
        raise SourceError(f"{path}: its colours are {image.mode}; allowed are grey and RGB; convert the file")
    pixels = image.height * image.width
    size_in_bytes = pixels * CHANNELS.get(image.mode, 1) * _depth(image, path) // 8
    if pixels > MOST_PIXELS or size_in_bytes > MOST_BYTES:
        raise SourceError(
            f"{path}: is {image.width} x {image.height} px, {size_in_bytes:,} bytes as decoded; the most allowed are "
            f"{MOST_PIXELS:,} px and {MOST_BYTES:,} bytes; shrink the image"
        )


def _depth(image: Image.Image, path: Path) -> int:
    """Bits of a channel, 8 or 16; fewer than 8 count as 8."""
    if image.format != "PNG":
        return 8
    with path.open("rb") as file:
        header = file.read(25)
    return 16 if header[24:] == b"\x10" else 8  # IHDR's bits a channel


def _eight_bit(image: Image.Image) -> Pixels:
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    if image.mode == "1":
        image = image.convert("L")
    pixels = np.asarray(image)
    if image.mode.startswith("I"):
        return scaled_to_8_bit(pixels)
    return pixels.astype(np.uint8, copy=False)


def _deep_png(data: bytes) -> Pixels:
    """A PNG with 16 bits in each of several channels, (H, W, 3..4); raises ValueError where OpenCV cannot read it."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("image file is truncated")
    pixels = scaled_to_8_bit(pixels)
    cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA, dst=pixels)
    has_alpha = data[25] in (4, 6)  # IHDR's colour type; a mere colour key is no alpha
    return pixels if has_alpha else pixels[..., :3]


def scaled_to_8_bit(pixels: np.ndarray) -> Pixels:
    """Rounded from 0 .. 65535 to 0 .. 255."""
    scaled = np.empty(pixels.shape, np.uint8)
    for row in range(0, len(pixels), BAND):
        scaled[row : row + BAND] = (pixels[row : row + BAND].astype(np.uint32) * 255 + 32767) // 65535
    return scaled


def _unidentified(path: Path) -> str:
    """What a file is that Pillow takes for neither PNG nor JPEG, as far as its first bytes tell."""
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
    return f"neither PNG nor JPEG{', but ' if name else ''}{name}"


def fault(path: Path, error: Exception) -> str:
    """Why a file could not be read, in a few words."""
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
