"""Colours that stills declare without an RGB profile, against numbers worked from the standards."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_colour_profiles import profile as rgb_profile

from dvm_hf.check.source import Source
from dvm_hf.check.stills import by_headers
from dvm_hf.errors import SourceError
from dvm_hf.media.still_headers import still_header
from dvm_hf.media.stills import read_colour, read_grey

COLOURS = np.array([[[200, 120, 90], [30, 60, 200], [128, 128, 128], [250, 240, 230], [90, 150, 120]]], np.uint8)
# Linear RGB of one space to linear sRGB, both D65: CSS Color 4, section 10; ITU-R BT.2087
P3 = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])
BT2020 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
P3_POINTS = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
SRGB_POINTS = (0.3127, 0.3290, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def cicp(primaries: int, transfer: int) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, 0, 1]))


def gama(value: int) -> bytes:
    return chunk(b"gAMA", value.to_bytes(4, "big"))


def chrm(points: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in points)))


def png(path: Path, *parts: bytes, pixels: np.ndarray = COLOURS, **options: object) -> Path:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    path.write_bytes(file.getvalue()[:33] + b"".join(parts) + file.getvalue()[33:])
    return path


@pytest.mark.parametrize("part", [gama(100_000), gama(55_556), cicp(1, 8)])
def test_dark_values_are_converted_as_exactly_as_others(tmp_path: Path, part: bytes) -> None:
    ramp = np.dstack([np.tile(np.arange(256, dtype=np.uint8), (2, 1))] * 3)
    gamma = 1.8 if part == gama(55_556) else 1.0
    assert abs(read_colour(png(tmp_path / "f.png", part, pixels=ramp)) - encoded((ramp / 255) ** gamma)).max() <= 2


def decoded(values: np.ndarray) -> np.ndarray:
    """By sRGB's curve: IEC 61966-2-1."""
    values = values / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encoded(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


CONVERTED = {
    "cICP of Display P3": ((cicp(12, 13),), encoded(decoded(COLOURS) @ P3.T)),
    "cICP of BT.2020": ((cicp(9, 14),), encoded(decoded(COLOURS) @ BT2020.T)),
    "cICP of linear light": ((cicp(1, 8),), encoded(COLOURS / 255)),
    "gAMA of linear light": ((gama(100_000),), encoded(COLOURS / 255)),
    "gAMA of 1.8": ((gama(55_556),), encoded((COLOURS / 255) ** 1.8)),
    "gAMA and cHRM": ((gama(45_455), chrm(P3_POINTS)), encoded(decoded(COLOURS) @ P3.T)),
    "gAMA and usual cHRM": ((gama(100_000), chrm(SRGB_POINTS)), encoded(COLOURS / 255)),
    "cICP before sRGB": ((cicp(12, 13), chunk(b"sRGB", b"\0")), encoded(decoded(COLOURS) @ P3.T)),
}


@pytest.mark.parametrize("case", CONVERTED)
def test_declared_colours_become_srgb(tmp_path: Path, case: str) -> None:
    parts, expected = CONVERTED[case]
    path = png(tmp_path / "f.png", *parts)
    assert abs(read_colour(path) - expected).max() <= 2
    assert still_header(path).profile == "wide"
    assert abs(read_colour(path).astype(int) - COLOURS).max() > 5


UNCHANGED = {
    "gAMA of sRGB": (gama(45_455),),
    "gAMA rounded": (gama(45_000),),
    "gAMA and cHRM of sRGB": (gama(45_455), chrm(SRGB_POINTS)),
    "cHRM alone": (chrm(P3_POINTS),),
    "sRGB before gAMA": (chunk(b"sRGB", b"\0"), gama(100_000)),
    "cICP of sRGB before gAMA": (cicp(1, 13), gama(100_000)),
    "a damaged part": (gama(100_000)[:-1] + b"x",),
}


@pytest.mark.parametrize("case", UNCHANGED)
def test_what_means_srgb_changes_nothing(tmp_path: Path, case: str) -> None:
    path = png(tmp_path / "f.png", *UNCHANGED[case])
    assert np.array_equal(read_colour(path), COLOURS)
    assert still_header(path).profile == ""


REFUSED = {
    "PQ": (cicp(9, 16), "is an HDR image with the transfer PQ"),
    "HLG": (cicp(9, 18), "is an HDR image with the transfer HLG"),
    "PQ of sRGB's primaries": (cicp(1, 16), "is an HDR image with the transfer PQ"),
    "unknown primaries": (cicp(77, 13), "has unknown colours (cICP: primaries 77, transfer 13)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_hdr_is_refused_by_build_and_check_alike(tmp_path: Path, case: str) -> None:
    part, text = REFUSED[case]
    path = png(tmp_path / "f.png", part)
    alpha = png(tmp_path / "a.png", part, pixels=COLOURS[..., 0])
    with pytest.raises(SourceError) as raised:
        read_colour(path)
    found, _ = by_headers(Source(tmp_path, "image", "train", "f", "f.png", "a.png"))
    (told,) = [one for one in found if one.severity == "error"]
    assert str(raised.value) == f"{tmp_path}/{told}"
    assert text in str(told)
    assert np.array_equal(read_grey(alpha), COLOURS[..., 0])  # of an alpha it has no meaning


def grey_profile(gamma: float) -> bytes:
    """ICC.1:2001-04, 6.3.1.1: a monochrome input profile has a grey curve."""
    curve = b"curv" + bytes(4) + struct.pack(">IHH", 1, round(gamma * 256), 0)
    white = rgb_profile(np.eye(3), gamma=1)[68:80]
    text = (b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(78)).ljust(96, b"\0")
    tags = {b"desc": text, b"wtpt": b"XYZ " + bytes(4) + white, b"kTRC": curve}
    at, listed, data = 128 + 4 + 12 * 3, struct.pack(">I", 3), b""
    for name, content in tags.items():
        listed += struct.pack(">4sII", name, at + len(data), len(content))
        data += content
    head = struct.pack(">I4sI4s4s4s", at + len(data), bytes(4), 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    return (head + bytes(12) + b"acsp" + bytes(28) + white).ljust(128, b"\0") + listed + data


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_grey_profiles_hold_for_colours_and_not_for_alphas(tmp_path: Path, gamma: float, suffix: str) -> None:
    grey = np.tile(np.arange(256, dtype=np.uint8), (8, 1))
    path = tmp_path / f"f.{suffix}"
    Image.fromarray(grey).save(path, icc_profile=grey_profile(gamma), quality=100)
    stored = np.asarray(Image.open(path))
    expected = encoded((stored / 255) ** gamma)
    assert abs(read_colour(path) - expected[..., None]).max() <= 2
    assert still_header(path).profile == "wide"
    assert np.array_equal(read_grey(path), stored)


def test_16_bits_with_a_profile_are_converted(tmp_path: Path) -> None:
    deep = COLOURS.astype(np.uint16) * 257
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 1, 16, 2, 0, 0, 0))
    tail = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "f.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + cicp(12, 13) + tail)
    assert abs(read_colour(tmp_path / "f.png") - encoded(decoded(COLOURS) @ P3.T)).max() <= 2


@pytest.mark.parametrize(("index", "codes"), [(b"R03\0", ["colour-named"]), (b"R98\0", []), (b"THM\0", [])])
def test_adobe_rgb_by_exif_alone_is_noted(tmp_path: Path, index: bytes, codes: list[str]) -> None:
    def entries(tag: int, kind: int, count: int, value: bytes) -> bytes:
        return struct.pack("<HHHI", 1, tag, kind, count) + value + bytes(4)

    exif = b"Exif\0\0II*\0\x08\0\0\0" + entries(0x8769, 4, 1, struct.pack("<I", 26))
    exif += entries(0xA005, 4, 1, struct.pack("<I", 44)) + entries(1, 2, 4, index)
    Image.fromarray(COLOURS).save(tmp_path / "f.jpg", exif=exif)
    Image.fromarray(COLOURS[..., 0]).save(tmp_path / "a.png")
    found, _ = by_headers(Source(tmp_path, "image", "train", "f", "f.jpg", "a.png"))
    assert [one.code for one in found] == codes


@pytest.mark.parametrize("inverted", [False, True])
def test_cmyk_is_refused_by_name(tmp_path: Path, inverted: bool) -> None:
    pixels = np.full((8, 8, 4), 200 if inverted else 20, np.uint8)
    Image.fromarray(pixels, "CMYK").save(tmp_path / "f.jpg")
    with pytest.raises(SourceError, match=r"f.jpg: has CMYK colours, but only grey and RGB are allowed"):
        read_colour(tmp_path / "f.jpg")
    with pytest.raises(SourceError, match="has CMYK colours"):
        still_header(tmp_path / "f.jpg")
