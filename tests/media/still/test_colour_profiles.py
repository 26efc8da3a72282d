"""Colours with a profile against the matrices of their spaces, computed without LittleCMS."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from icc_profiles import ADOBE_RGB, DISPLAY_P3, SRGB, profile
from PIL import Image, ImageCms

from dvm_hf.check.source import Source
from dvm_hf.check.stills import by_headers
from dvm_hf.media.still.still_headers import still_header
from dvm_hf.media.still.stills import read_colour, read_grey

COLOURS = np.array(
    [[[200, 120, 90], [30, 60, 200], [128, 128, 128], [250, 240, 230], [10, 200, 120], [90, 90, 20]]], np.uint8
)


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


@pytest.mark.parametrize("limit", [232, 255])
def test_a_profile_that_differs_from_srgb_in_its_brightest_levels_only_is_used(tmp_path: Path, limit: int) -> None:
    """Linear light as in sRGB (IEC 61966-2-1) up to a level, and constant above it."""
    values = np.minimum(np.arange(256), limit) / 255
    curve = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    Image.fromarray(levels).save(tmp_path / "a.png", icc_profile=profile(SRGB, curve=curve))
    assert still_header(tmp_path / "a.png").profile == ("wide" if limit < 255 else "")
    assert abs(read_colour(tmp_path / "a.png").astype(int) - np.minimum(levels, limit)).max() <= 1


def test_a_profile_does_not_change_an_alpha(tmp_path: Path) -> None:
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
def test_a_profile_that_cannot_be_decompressed_is_ignored_and_named(tmp_path: Path, content: bytes) -> None:
    flat = np.repeat(COLOURS, 16, 0)
    Image.fromarray(flat).save(tmp_path / "plain.png")
    plain = (tmp_path / "plain.png").read_bytes()
    chunk = struct.pack(">I", len(content)) + b"iCCP" + content + struct.pack(">I", zlib.crc32(b"iCCP" + content))
    (tmp_path / "f.png").write_bytes(plain[:33] + chunk + plain[33:])  # after the header
    Image.fromarray(flat[..., 0]).save(tmp_path / "a.png")
    assert np.array_equal(read_colour(tmp_path / "f.png"), flat)
    found, _ = by_headers(Source(tmp_path, "image", "train", "f", "f.png", "a.png"))
    assert [one.code for one in found] == ["profile-damaged"]


def test_a_large_still_is_converted_in_strips_like_a_small_one(tmp_path: Path) -> None:
    tall = np.tile(COLOURS, (700, 1, 1))
    file = io.BytesIO()
    Image.fromarray(tall).save(file, "PNG", icc_profile=profile(DISPLAY_P3, gamma=2.2))
    (tmp_path / "a.png").write_bytes(file.getvalue())
    read = read_colour(tmp_path / "a.png")
    assert read.shape == tall.shape
    assert (read == read[:1]).all()
