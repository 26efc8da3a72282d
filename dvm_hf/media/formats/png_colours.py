"""Read colour spaces that a PNG declares without an ICC profile: PNG (third edition), 4.3 and 11.3.2."""

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dvm_hf.errors import SourceError
from dvm_hf.media.formats.png import SIGNATURE
from dvm_hf.media.video_tags import HDR

SRGB_GAMMA, NEAR = 0.45455, 0.005  # a gAMA within this distance counts as sRGB
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
STEPS = 1024  # samples of a tone curve


class HDRStill(SourceError):
    """The colours cannot be converted to sRGB."""


class PngColours(NamedTuple):
    """Colour declarations in the chunks before the pixels; None if a chunk is missing."""

    cicp: tuple[int, int, int, int] | None
    gamma: float | None
    chromaticities: tuple[tuple[float, float], ...] | None
    is_srgb: bool


def declared_profile(path: Path, icc: bytes) -> bytes:
    """Return an ICC profile of a PNG's colours; empty for sRGB.

    The order of precedence is cICP, iCCP, sRGB, gAMA with cHRM. Raises HDRStill if cICP declares HDR or unknown
    colours.

    icc: the embedded profile.
    """
    found = declared(path)
    if found.cicp is not None:
        return _of_cicp(path, found.cicp)
    if icc or found.is_srgb or not found.gamma:
        return icc
    is_near = abs(found.gamma - SRGB_GAMMA) <= NEAR
    points = found.chromaticities or PRIMARIES[1]
    is_usual = np.abs(np.subtract(points, PRIMARIES[1])).max() < 0.005
    return b"" if is_near and is_usual else profile(points, gamma=0.0 if is_near else 1 / found.gamma)


def declared(path: Path) -> PngColours:
    """Read the colour declarations of a PNG. Chunks whose checksums do not match are ignored."""
    chunks: dict[bytes, bytes] = {}
    with path.open("rb") as file:
        is_png = file.read(8) == SIGNATURE
        while is_png and len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"IDAT":
                break
            if kind not in SIZES or length != SIZES[kind]:
                file.seek(length + 4, 1)
                continue
            content, crc = file.read(length), file.read(4)
            if crc == zlib.crc32(kind + content).to_bytes(4, "big"):
                chunks.setdefault(kind, content)
    cicp = struct.unpack("4B", chunks[b"cICP"]) if b"cICP" in chunks else None
    gamma = int.from_bytes(chunks[b"gAMA"], "big") / 100_000 if b"gAMA" in chunks else None
    values = [value / 100_000 for value in struct.unpack(">8I", chunks[b"cHRM"])] if b"cHRM" in chunks else []
    points = tuple(zip(values[::2], values[1::2], strict=True)) if values and all(values[1::2]) else None
    return PngColours(cicp, gamma, points, b"sRGB" in chunks)


SIZES = {b"cICP": 4, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1}


def _of_cicp(path: Path, cicp: tuple[int, int, int, int]) -> bytes:
    primaries, transfer = cicp[:2]
    if transfer in HDR:
        raise HDRStill(
            f"{path}: is an HDR image with the transfer {HDR[transfer]}; only SDR images can be composited; convert "
            "it to sRGB"
        )
    if primaries not in (*PRIMARIES, 2) or transfer not in (*AS_SRGB, *GAMMAS):
        raise HDRStill(
            f"{path}: has unknown colours (cICP: primaries {primaries}, transfer {transfer}); convert it to sRGB"
        )
    if primaries in (1, 2) and transfer in AS_SRGB:
        return b""
    return profile(PRIMARIES.get(primaries, PRIMARIES[1]), gamma=GAMMAS.get(transfer, 0.0))


def profile(points: tuple[tuple[float, float], ...], *, gamma: float) -> bytes:
    """Build an ICC version 2 profile: ICC.1:2001-04, 6.

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
    """Return XYZ of red, green and blue as columns, with white adapted to D50 (Bradford)."""
    white, *colours = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in points)
    matrix = np.array(colours).T
    matrix = matrix * np.linalg.solve(matrix, white)
    scale = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    return np.asarray(np.linalg.inv(BRADFORD) @ scale @ BRADFORD @ matrix)
