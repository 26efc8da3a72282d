"""Colours with a profile against the matrices of their spaces, worked apart from LittleCMS."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from dvm_hf.check.source import Source
from dvm_hf.check.stills import by_headers
from dvm_hf.media.still_headers import still_header
from dvm_hf.media.stills import read_colour, read_grey

# Columns: XYZ of red, green, blue, adapted to D50 (ICC's connection space), as public profiles have them
SRGB = np.array([[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
DISPLAY_P3 = np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])
ADOBE_RGB = np.array([[0.6097, 0.2053, 0.1492], [0.3111, 0.6257, 0.0632], [0.0195, 0.0609, 0.7446]])
COLOURS = np.array(
    [[[200, 120, 90], [30, 60, 200], [128, 128, 128], [250, 240, 230], [10, 200, 120], [90, 90, 20]]], np.uint8
)


def profile(primaries: np.ndarray, *, gamma: float) -> bytes:
    """An ICC profile, version 2, of these primaries and one power for all channels: ICC.1:2001-04, 6.1 to 6.5."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642) + fixed(1.0) + fixed(0.8249),
        **{
            name: b"XYZ " + bytes(4) + b"".join(map(fixed, column))
            for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries.T, strict=True)
        },
        **{
            name: b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) for name in (b"rTRC", b"gTRC", b"bTRC")
        },
    }
    at, table, data = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, at + len(data), len(content))
        data += content
    head = (
        struct.pack(">I4sI4s4s4s", at + len(data), bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
        + bytes(12)
        + b"acsp"
    )
    head += bytes(28) + fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    return head.ljust(128, b"\0") + table + data


def expected(colours: np.ndarray, primaries: np.ndarray, *, gamma: float) -> np.ndarray:
    linear = (colours / 255) ** gamma
    linear = np.clip(linear @ (np.linalg.inv(SRGB) @ primaries).T, 0, 1)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(curve * 255)


SPACES = {
    "Display P3 primaries": (DISPLAY_P3, 2.2),
    "Adobe RGB": (ADOBE_RGB, 563 / 256),
    "sRGB primaries, gamma 1.8": (SRGB, 1.8),
}


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("space", SPACES)
def test_colours_of_other_spaces_become_srgb(tmp_path: Path, space: str, suffix: str) -> None:
    primaries, gamma = SPACES[space]
    path = tmp_path / f"a.{suffix}"
    flat = np.repeat(np.repeat(COLOURS, 16, 0), 16, 1)
    Image.fromarray(flat).save(path, icc_profile=profile(primaries, gamma=gamma), quality=100, subsampling=0)
    stored = flat if suffix == "png" else np.asarray(Image.open(path))
    assert abs(read_colour(path) - expected(stored, primaries, gamma=gamma)).max() <= 2
    assert still_header(path).profile == "wide"


def test_srgb_profiles_change_nothing(tmp_path: Path) -> None:
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png", icc_profile=own)
    assert np.array_equal(read_colour(tmp_path / "a.png"), noise)
    assert still_header(tmp_path / "a.png").profile == ""


def test_a_profile_does_not_touch_an_alpha(tmp_path: Path) -> None:
    alpha = np.random.default_rng(0).integers(0, 256, (40, 30), np.uint8)
    grey = np.dstack([alpha] * 3)
    Image.fromarray(grey).save(tmp_path / "a.png", icc_profile=profile(ADOBE_RGB, gamma=1.8))
    assert np.array_equal(read_grey(tmp_path / "a.png"), alpha)


def test_a_damaged_profile_is_ignored_and_named(tmp_path: Path) -> None:
    flat = np.repeat(COLOURS, 16, 0)
    Image.fromarray(flat).save(tmp_path / "f.png", icc_profile=b"no profile at all" * 20)
    Image.fromarray(flat[..., 0]).save(tmp_path / "a.png")
    assert np.array_equal(read_colour(tmp_path / "f.png"), flat)
    found, _ = by_headers(Source(tmp_path, "image", "train", "f", "f.png", "a.png"))
    assert [one.code for one in found] == ["profile-damaged"]


@pytest.mark.parametrize("content", [b"name\0\0" + bytes(30), b"name\0\0" + zlib.compress(bytes(3000))[:12]])
def test_a_profile_that_cannot_be_inflated_is_ignored_and_named(tmp_path: Path, content: bytes) -> None:
    flat = np.repeat(COLOURS, 16, 0)
    Image.fromarray(flat).save(tmp_path / "plain.png")
    plain = (tmp_path / "plain.png").read_bytes()
    part = struct.pack(">I", len(content)) + b"iCCP" + content + struct.pack(">I", zlib.crc32(b"iCCP" + content))
    (tmp_path / "f.png").write_bytes(plain[:33] + part + plain[33:])  # behind the header
    Image.fromarray(flat[..., 0]).save(tmp_path / "a.png")
    assert np.array_equal(read_colour(tmp_path / "f.png"), flat)
    found, _ = by_headers(Source(tmp_path, "image", "train", "f", "f.png", "a.png"))
    assert [one.code for one in found] == ["profile-damaged"]


def test_a_large_still_is_converted_in_bands_like_a_small_one(tmp_path: Path) -> None:
    tall = np.tile(COLOURS, (700, 1, 1))
    file = io.BytesIO()
    Image.fromarray(tall).save(file, "PNG", icc_profile=profile(DISPLAY_P3, gamma=2.2))
    (tmp_path / "a.png").write_bytes(file.getvalue())
    read = read_colour(tmp_path / "a.png")
    assert read.shape == tall.shape
    assert (read == read[:1]).all()
