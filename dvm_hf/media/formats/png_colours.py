"""Read colour spaces that a PNG declares without an ICC profile: PNG (third edition), 4.3 and 11.3.2."""

import functools
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dvm_hf.errors import SourceError
from dvm_hf.media.formats.png_checksums import MIN_LENGTHS, SIGNATURE
from dvm_hf.media.pixels import Pixels
from dvm_hf.media.still.colour_profiles import UnreadableProfile
from dvm_hf.media.video.video_tags import HDR

SRGB_GAMMA, NEAR = 0.45455, 0.005  # a gAMA within this distance counts as sRGB
LOWEST_GAMMA, HIGHEST_GAMMA = 0.1, 10  # of a gAMA; linear light is 1
LIMITED = (16, 235)  # black and white in limited range, of 8 bits
RGB_MATRIX = 0  # the only matrix that cICP allows
D65 = (0.3127, 0.3290)
PRIMARIES = {  # ITU-T H.273 number: x and y of white, red, green and blue
    1: (D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    5: (D65, (0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),
    6: (D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: (D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: (D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}  # transfers that are power functions
AS_SRGB = (1, 2, 6, 13, 14, 15)  # transfers whose values are displayed as sRGB: sRGB, BT.709, BT.2020
D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
SMALLEST_AREA = 0.0005  # of the triangle of primaries; sRGB has 0.11
LARGEST_XYZ = 2  # the range of ICC's connection space ends here: ICC.1:2001-04, annex A
MAX_BYTES = 1024  # of a chunk that is read
STEPS = 1024  # samples of a tone curve


class HDRStill(SourceError):
    """The colours cannot be converted to sRGB."""


class InvalidColours(UnreadableProfile):
    """The declared colours have impossible values."""


class PngColours(NamedTuple):
    """Colour declarations in the chunks before the pixels; None if a chunk is missing.

    cicp: numbers of the primaries, the transfer and the matrix, and 1 for full range: ITU-T H.273, 8.
    has_wrong_length: whether one of these chunks is longer or shorter than the standard specifies.
    """

    cicp: tuple[int, int, int, int] | None = None
    gamma: float | None = None
    chromaticities: tuple[tuple[float, float], ...] | None = None
    is_srgb: bool = False
    has_wrong_length: bool = False

    @property
    def is_limited_range(self) -> bool:
        return self.cicp is not None and self.cicp[3] == 0


def declared_profile(path: Path, found: PngColours, icc: bytes) -> bytes:
    """Return an ICC profile of a PNG's colours; empty for sRGB.

    The order of precedence is cICP, iCCP, sRGB, gAMA with cHRM. Raises HDRStill if cICP declares HDR or unknown
    colours, and InvalidColours.

    icc: the embedded profile.
    """
    if found.cicp is not None:
        return _of_cicp(path, found.cicp)
    if icc or found.is_srgb:
        return icc
    if found.has_wrong_length:
        raise InvalidColours(f"{path}: a colour chunk has a wrong length")
    if found.gamma is None:
        return b""
    if not LOWEST_GAMMA <= found.gamma <= HIGHEST_GAMMA:
        raise InvalidColours(f"{path}: gAMA is {found.gamma}")
    is_near = abs(found.gamma - SRGB_GAMMA) <= NEAR
    points = found.chromaticities or PRIMARIES[1]
    is_usual = np.abs(np.subtract(points, PRIMARIES[1])).max() < 0.005
    return b"" if is_near and is_usual else profile(points, gamma=0.0 if is_near else 1 / found.gamma)


def declared(path: Path) -> PngColours:
    """Read the colour declarations of a PNG. Chunks whose checksums do not match are ignored."""
    chunks: dict[bytes, bytes] = {}
    has_wrong_length = False
    with path.open("rb") as file:
        is_png = file.read(8) == SIGNATURE
        while is_png and len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"IDAT":
                break
            if kind not in SIZES or not MIN_LENGTHS.get(kind, 0) <= length <= MAX_BYTES:
                file.seek(length + 4, 1)
                continue
            content, crc = file.read(length), file.read(4)
            if crc != zlib.crc32(kind + content).to_bytes(4, "big"):
                continue
            if length == SIZES[kind]:
                chunks.setdefault(kind, content)
            else:
                has_wrong_length = True
    cicp = struct.unpack("4B", chunks[b"cICP"]) if b"cICP" in chunks else None
    gamma = int.from_bytes(chunks[b"gAMA"], "big") / 100_000 if b"gAMA" in chunks else None
    values = [value / 100_000 for value in struct.unpack(">8I", chunks[b"cHRM"])] if b"cHRM" in chunks else []
    points = tuple(zip(values[::2], values[1::2], strict=True)) if values else None
    return PngColours(cicp, gamma, points, b"sRGB" in chunks, has_wrong_length)


SIZES = {b"cICP": 4, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1}


def _of_cicp(path: Path, cicp: tuple[int, int, int, int]) -> bytes:
    primaries, transfer, matrix, full_range = cicp
    if transfer in HDR:
        raise HDRStill(
            f"{path}: is an HDR image with the transfer {HDR[transfer]}; only SDR images can be composited; convert "
            "it to sRGB"
        )
    if primaries not in (*PRIMARIES, 2) or transfer not in (*AS_SRGB, *GAMMAS):
        raise HDRStill(
            f"{path}: has unknown colours (cICP: primaries {primaries}, transfer {transfer}); convert it to sRGB"
        )
    if matrix != RGB_MATRIX or full_range > 1:
        raise HDRStill(
            f"{path}: has unknown colours (cICP: matrix {matrix}, range flag {full_range}), but a PNG must have the "
            "matrix 0 and the range flag 0 or 1; convert it to sRGB"
        )
    if primaries in (1, 2) and transfer in AS_SRGB:
        return b""
    return profile(PRIMARIES.get(primaries, PRIMARIES[1]), gamma=GAMMAS.get(transfer, 0.0))


@functools.cache
def expanded_levels(bits: int) -> Pixels:
    """Return the full-range level of each level of a limited-range PNG, 0 .. 255, after rounding `bits` to 8."""
    black, white = (level * 2 ** (bits - 8) * 255 / (2**bits - 1) for level in LIMITED)
    levels = (np.arange(256) - black) * 255 / (white - black)
    return np.asarray(np.clip(np.round(levels), 0, 255), np.uint8)


def profile(points: tuple[tuple[float, float], ...], *, gamma: float) -> bytes:
    """Build an ICC version 2 profile: ICC.1:2001-04, 6. Raises InvalidColours if the primaries are impossible.

    points: (x, y) of white, red, green and blue.
    gamma: exponent of the tone curve; 0 for the sRGB curve.
    """
    steps = np.linspace(0, 1, STEPS)
    curve = steps**gamma if gamma else np.where(steps <= 0.04045, steps / 12.92, ((steps + 0.055) / 1.055) ** 2.4)
    table = np.round(curve * 65535).astype(">u2").tobytes()
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"PNG \0" + bytes(78), b"wtpt": _xyz(D50)}
    tags |= {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), _to_d50(points).T, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), b"curv" + bytes(4) + struct.pack(">I", STEPS) + table)
    at, listed, data = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        listed += struct.pack(">4sII", name, at + len(data), len(content))
        data += content
    kind = struct.pack(">I4sI4s4s4s", at + len(data), bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head = kind + bytes(12) + b"acsp" + bytes(28) + _xyz(D50)[8:]
    return head.ljust(128, b"\0") + listed + data


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + np.round(values * 65536).astype(">i4").tobytes()


def _to_d50(points: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Return XYZ of red, green and blue as columns, with white adapted to D50 (Bradford). Raises InvalidColours."""
    xyz = np.array([(x, y, 1 - x - y) for x, y in points]).T
    primaries, area = xyz[:, 1:], abs(np.linalg.det(xyz[:, 1:])) / 2
    # The rounding of the chunk to five digits can make x + y exceed 1 slightly
    if xyz.min() < -1e-4 or xyz[1, 0] <= 0 or area < SMALLEST_AREA:
        raise InvalidColours(f"cHRM is {points}")
    white = xyz[:, 0] / xyz[1, 0]
    shares, cones = np.linalg.solve(primaries, white), BRADFORD @ white
    if shares.min() <= 0 or cones.min() <= 0:  # white is not a mixture of the primaries
        raise InvalidColours(f"cHRM is {points}")
    adapted = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / cones) @ BRADFORD @ (primaries * shares)
    if np.abs(adapted).max() >= LARGEST_XYZ:
        raise InvalidColours(f"cHRM is {points}")
    return np.asarray(adapted)
