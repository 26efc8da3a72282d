"""Colours that stills declare without an RGB profile, against numbers computed from the standards."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from icc_profiles import profile as rgb_profile
from PIL import Image, ImageCms

from dvm_hf.check.source import Source
from dvm_hf.check.stills import by_headers
from dvm_hf.errors import SourceError
from dvm_hf.media.formats.png_colours import InvalidColours, PngColours, declared
from dvm_hf.media.formats.png_colours import profile as png_profile
from dvm_hf.media.still.still_headers import still_header
from dvm_hf.media.still.stills import read_colour, read_grey

COLOURS = np.array([[[200, 120, 90], [30, 60, 200], [128, 128, 128], [250, 240, 230], [90, 150, 120]]], np.uint8)
# Linear RGB of one space to linear sRGB, both D65: CSS Color 4, section 10; ITU-R BT.2087
P3 = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])
BT2020 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
P3_POINTS = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
SRGB_POINTS = (0.3127, 0.3290, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def cicp(primaries: int, transfer: int, *, matrix: int = 0, full_range: int = 1) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, matrix, full_range]))


def gama(value: int) -> bytes:
    return chunk(b"gAMA", value.to_bytes(4, "big"))


def chrm(points: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in points)))


def png(path: Path, *chunks: bytes, pixels: np.ndarray = COLOURS, **options: object) -> Path:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    path.write_bytes(file.getvalue()[:33] + b"".join(chunks) + file.getvalue()[33:])
    return path


@pytest.mark.parametrize("chunk", [gama(100_000), gama(55_556), cicp(1, 8)])
def test_dark_values_are_converted_exactly(tmp_path: Path, chunk: bytes) -> None:
    ramp = np.dstack([np.tile(np.arange(256, dtype=np.uint8), (2, 1))] * 3)
    gamma = 1.8 if chunk == gama(55_556) else 1.0
    assert abs(read_colour(png(tmp_path / "f.png", chunk, pixels=ramp)) - encoded((ramp / 255) ** gamma)).max() <= 2


@pytest.mark.parametrize("primaries", [9, 12])
def test_dark_greys_of_other_primaries_stay_the_same(tmp_path: Path, primaries: int) -> None:
    """The transfer is that of sRGB (13), whose curve is a line up to level 10."""
    greys = np.arange(48, dtype=np.uint8).reshape(6, 8, 1).repeat(3, 2)
    read = read_colour(png(tmp_path / "a.png", cicp(primaries, 13), pixels=greys))
    assert abs(read.astype(int) - greys).max() <= 1
    assert not read[0, 0].any()


def test_a_file_that_is_not_a_png_declares_no_colours(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", gama(100_000))
    assert declared(path).gamma == 1
    path.write_bytes(b"\xff\xd8\xff\xe0" + path.read_bytes()[4:])
    assert declared(path) == PngColours()


def decoded(values: np.ndarray) -> np.ndarray:
    """Decode with the sRGB curve: IEC 61966-2-1."""
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
    chunks, expected = CONVERTED[case]
    path = png(tmp_path / "f.png", *chunks)
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
    "a damaged chunk": (gama(100_000)[:-1] + b"x",),
}


@pytest.mark.parametrize("case", UNCHANGED)
def test_declarations_of_srgb_change_nothing(tmp_path: Path, case: str) -> None:
    path = png(tmp_path / "f.png", *UNCHANGED[case])
    assert np.array_equal(read_colour(path), COLOURS)
    assert still_header(path).profile == ""


REFUSED = {
    "PQ": (cicp(9, 16), "is an HDR image with the transfer PQ"),
    "HLG": (cicp(9, 18), "is an HDR image with the transfer HLG"),
    "PQ of sRGB's primaries": (cicp(1, 16), "is an HDR image with the transfer PQ"),
    "a matrix": (cicp(9, 14, matrix=9), "has unknown colours (cICP: matrix 9, range flag 1)"),
    "a matrix for sRGB": (cicp(1, 13, matrix=1), "has unknown colours (cICP: matrix 1, range flag 1)"),
    "a range flag of 2": (cicp(1, 13, full_range=2), "has unknown colours (cICP: matrix 0, range flag 2)"),
    "a limited range of PQ": (cicp(9, 16, full_range=0), "is an HDR image with the transfer PQ"),
    "unknown primaries": (cicp(77, 13), "has unknown colours (cICP: primaries 77, transfer 13)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_hdr_is_refused_by_build_and_check(tmp_path: Path, case: str) -> None:
    chunk, text = REFUSED[case]
    path = png(tmp_path / "f.png", chunk)
    alpha = png(tmp_path / "a.png", chunk, pixels=COLOURS[..., 0])
    with pytest.raises(SourceError) as raised:
        read_colour(path)
    found, _ = by_headers(Source(tmp_path, "image", "train", "f", "f.png", "a.png"))
    (error,) = [one for one in found if one.severity == "error"]
    assert str(raised.value) == f"{tmp_path}/{error}"
    assert text in str(error)
    assert np.array_equal(read_grey(alpha), COLOURS[..., 0])  # of an alpha it has no meaning


def in_limited_range(values: np.ndarray, bits: int = 8) -> np.ndarray:
    """ITU-T H.273, 8.3, equations 20 to 22: round((219 v + 16) 2^(n - 8))."""
    return np.round((219 * (values / 255) + 16) * 2 ** (bits - 8)).astype(np.uint16 if bits > 8 else np.uint8)


def png_16(path: Path, deep: np.ndarray, *chunks: bytes) -> Path:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", deep.shape[1], deep.shape[0], 16, 2, 0, 0, 0))
    tail = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + tail)
    return path


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bits", [8, 16])
def test_limited_range_is_expanded(tmp_path: Path, seed: int, bits: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, (6, 9, 3))
    values[0, :2] = [[0, 0, 0], [255, 255, 255]]
    stored = in_limited_range(values, bits)
    chunks = (cicp(1, 13, full_range=0),)
    path = tmp_path / "f.png"
    png(path, *chunks, pixels=stored) if bits == 8 else png_16(path, stored, *chunks)
    found = read_colour(path)
    assert abs(found - values).max() <= 1
    assert np.array_equal(found[0, :2], values[0, :2])
    header = still_header(path)
    assert (header.profile, header.is_limited_range) == ("", True)


def test_limited_range_of_wide_primaries_is_expanded_before_the_conversion(tmp_path: Path) -> None:
    path = png(tmp_path / "f.png", cicp(12, 13, full_range=0), pixels=in_limited_range(COLOURS))
    assert abs(read_colour(path) - encoded(decoded(COLOURS) @ P3.T)).max() <= 3
    Image.fromarray(COLOURS[..., 0]).save(tmp_path / "a.png")
    found, _ = by_headers(Source(tmp_path, "image", "train", "f", "f.png", "a.png"))
    assert [one.code for one in found] == ["colour-converted", "colour-limited"]


def test_limited_range_applies_to_grey_and_palettes_but_not_to_an_alpha(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (2, 1))
    expected = np.clip((ramp.astype(float) - 16) * 255 / 219, 0, 255)
    grey = png(tmp_path / "g.png", cicp(1, 13, full_range=0), pixels=ramp)
    assert abs(read_colour(grey) - expected[..., None]).max() <= 0.5
    assert np.array_equal(read_grey(grey), ramp)
    image = Image.fromarray(ramp, "L").convert("P")
    file = io.BytesIO()
    image.save(file, "PNG")
    data = file.getvalue()
    (tmp_path / "p.png").write_bytes(data[:33] + cicp(1, 13, full_range=0) + data[33:])
    assert abs(read_colour(tmp_path / "p.png") - expected[..., None]).max() <= 0.5


def on_a_line(seed: int) -> tuple[float, ...]:
    rng = np.random.default_rng(seed)
    start, step = rng.uniform(0.1, 0.3, 2), rng.uniform(0.05, 0.1, 2)
    return (0.3127, 0.3290, *start, *(start + step), *(start + 2 * step))


IMPOSSIBLE = {
    **{f"gAMA of {value}": (gama(value),) for value in (0, 1, 9_999, 1_000_001, 0x7FFFFFFF, 0xFFFFFFFF)},
    **{f"primaries on line {seed}": (gama(100_000), chrm(on_a_line(seed))) for seed in range(3)},
    "primaries of zero": (gama(45_455), chrm((0.0,) * 8)),
    "equal primaries": (gama(100_000), chrm((0.3127, 0.3290) * 4)),
    "white without y": (gama(100_000), chrm((0.3127, 0.0, *SRGB_POINTS[2:]))),
    "white outside of the primaries": (gama(100_000), chrm((0.70, 0.25, *SRGB_POINTS[2:]))),
    "a white that lacks long waves": (
        gama(100_000),
        chrm((0.05962, 0.23007, 0.39248, 0.00198, 0.03767, 0.70434, 0.00009, 0.03697)),
    ),
    "coordinates above 1": (gama(100_000), chrm((*SRGB_POINTS[:2], 3.2, 0.3, *SRGB_POINTS[4:]))),
    "the largest coordinates": (gama(100_000), chunk(b"cHRM", b"\xff" * 32)),
    "gAMA of 5 bytes": (chunk(b"gAMA", bytes(5)),),
    "cHRM of 36 bytes": (gama(100_000), chunk(b"cHRM", bytes(36))),
    "sRGB of 2 bytes": (chunk(b"sRGB", bytes(2)),),
    "cICP of 3 bytes": (chunk(b"cICP", bytes([12, 13, 0])),),
    "cICP of 5 bytes": (chunk(b"cICP", bytes([12, 13, 0, 1, 0])),),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_impossible_declarations_are_ignored_and_reported(tmp_path: Path, case: str) -> None:
    path = png(tmp_path / "f.png", *IMPOSSIBLE[case])
    assert np.array_equal(read_colour(path), COLOURS)
    Image.fromarray(COLOURS[..., 0]).save(tmp_path / "a.png")
    found, _ = by_headers(Source(tmp_path, "image", "train", "f", "f.png", "a.png"))
    assert [one.code for one in found] == ["colour-impossible"]


OVERRULED = {
    "sRGB": (chunk(b"sRGB", b"\0"), gama(0)),
    "cICP": (cicp(1, 13), gama(0x7FFFFFFF), chrm((0.0,) * 8)),
    "cICP before a long sRGB": (cicp(1, 13), chunk(b"sRGB", bytes(2))),
}


@pytest.mark.parametrize("case", OVERRULED)
def test_impossible_declarations_do_not_matter_next_to_one_of_higher_precedence(tmp_path: Path, case: str) -> None:
    path = png(tmp_path / "f.png", *OVERRULED[case])
    assert np.array_equal(read_colour(path), COLOURS)
    assert still_header(path).profile == ""


# Linear ProPhoto RGB to XYZ, and XYZ to linear sRGB, both D50: B. Lindbloom, "RGB/XYZ Matrices"
PROPHOTO = np.array([[0.7976749, 0.1351917, 0.0313534], [0.2880402, 0.7118741, 0.0000857], [0.0, 0.0, 0.8252100]])
TO_SRGB = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
)


@pytest.mark.parametrize("blue_y", [0.0001, 0.0])
@pytest.mark.parametrize(("value", "gamma"), [(55_556, 1.8), (10_000, 10.0), (1_000_000, 0.1)])
def test_unusual_but_possible_declarations_are_used(tmp_path: Path, blue_y: float, value: int, gamma: float) -> None:
    points = (0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, blue_y)
    light = np.array([[[200, 190, 180], [240, 250, 235], [128, 128, 128], [225, 240, 230]]], np.uint8)
    path = png(tmp_path / "f.png", gama(value), chrm(points), pixels=light)
    expected = encoded((light / 255) ** gamma @ (TO_SRGB @ PROPHOTO).T)
    assert abs(read_colour(path) - expected).max() <= 3
    assert still_header(path).profile == "wide"


@pytest.mark.parametrize("seed", range(4))
def test_primaries_of_any_values_are_used_or_impossible(seed: int) -> None:
    rng, used = np.random.default_rng(seed), 0
    for _ in range(250):
        scale = rng.choice([1e-5, 0.01, 0.5, 1.0, 40000.0])
        points = tuple(zip(*np.round(rng.uniform(0, scale, (2, 4)), 5).tolist(), strict=True))
        try:
            made = png_profile(points, gamma=1.0)
        except InvalidColours:
            continue
        used += 1
        assert ImageCms.ImageCmsProfile(io.BytesIO(made)).profile.xcolor_space == "RGB "
    assert used < 250


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
def test_grey_profiles_apply_to_colours_but_not_to_alphas(tmp_path: Path, gamma: float, suffix: str) -> None:
    grey = np.tile(np.arange(256, dtype=np.uint8), (8, 1))
    path = tmp_path / f"f.{suffix}"
    Image.fromarray(grey).save(path, icc_profile=grey_profile(gamma), quality=100)
    stored = np.asarray(Image.open(path))
    expected = encoded((stored / 255) ** gamma)
    assert abs(read_colour(path) - expected[..., None]).max() <= 2
    assert still_header(path).profile == "wide"
    assert np.array_equal(read_grey(path), stored)


def test_16_bits_with_a_profile_are_converted(tmp_path: Path) -> None:
    path = png_16(tmp_path / "f.png", COLOURS.astype(np.uint16) * 257, cicp(12, 13))
    assert abs(read_colour(path) - encoded(decoded(COLOURS) @ P3.T)).max() <= 2


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
