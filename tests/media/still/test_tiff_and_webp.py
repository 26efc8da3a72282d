"""TIFF and WebP are read by their suffix, and refused where libraries read different values."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_arrays import GREY, RGB, filled, noise, saved, scaled, tiff_bytes
from PIL import Image

from dvm_hf.errors import SourceError
from dvm_hf.media.still.still_headers import still_header
from dvm_hf.media.still.stills import read_colour, read_grey, read_layers

RGBA = np.dstack([RGB, GREY])


@pytest.mark.parametrize(("form", "suffix"), [("TIFF", ".png"), ("WEBP", ".png"), ("TIFF", ".webp"), ("WEBP", ".tif")])
def test_a_name_of_another_format_is_refused(form: str, suffix: str, tmp_path: Path) -> None:
    path = filled(tmp_path / f"a{suffix}", saved(Image.fromarray(RGB), form))
    with pytest.raises(SourceError, match="cannot be read as an image"):
        read_colour(path)


@pytest.mark.parametrize("suffix", [".tif", ".webp", ".TIFF"])
def test_a_png_or_jpeg_may_have_any_name(suffix: str, tmp_path: Path) -> None:
    assert np.array_equal(read_colour(filled(tmp_path / f"a{suffix}", saved(Image.fromarray(RGB), "PNG"))), RGB)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1"])
def test_compressions_of_tiff(compression: str | None, mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(RGBA).convert(mode)
    path = filled(tmp_path / "a.tif", saved(image, "TIFF", compression=compression))
    expected = np.asarray(image.convert("L") if mode == "1" else image)
    if mode == "RGBA":
        assert np.array_equal(np.dstack(read_layers(path)), expected)
    elif mode == "RGB":
        assert np.array_equal(read_colour(path), expected)
    else:
        assert np.array_equal(read_grey(path), expected)
    header = still_header(path)
    assert (header.format, header.bits, header.is_complete) == ("TIFF", 8, True)


def test_16_bit_grey_tiff_is_rounded(tmp_path: Path) -> None:
    deep = np.random.default_rng(3).integers(0, 65536, (13, 19), dtype=np.uint16)
    path = filled(tmp_path / "a.tif", saved(Image.fromarray(deep), "TIFF"))
    assert np.array_equal(read_grey(path), scaled(deep))
    assert still_header(path).bits == 16


def test_16_bit_colours_of_a_tiff_are_rounded(tmp_path: Path) -> None:
    deep = np.random.default_rng(4).integers(0, 65536, (13, 19, 4), dtype=np.uint16)
    colour, alpha = read_layers(filled(tmp_path / "a.tif", tiff_bytes(deep, photometric=2, extra=2)))
    assert np.array_equal(np.dstack([colour, alpha]), scaled(deep))


@pytest.mark.parametrize("extra", [None, 2])
def test_16_bit_planes_of_a_tiff_are_refused(extra: int | None, tmp_path: Path) -> None:
    """OpenCV reads one plane after the other as if their values were interleaved."""
    deep = np.random.default_rng(5).integers(0, 65536, (13, 19, 3 if extra is None else 4), dtype=np.uint16)
    path = filled(tmp_path / "a.tif", tiff_bytes(deep, photometric=2, extra=extra, is_planar=True))
    with pytest.raises(
        SourceError, match=r"a\.tif: is a TIFF with 16 bits whose channels are stored as separate planes"
    ):
        read_colour(path)


def test_8_bit_planes_of_a_tiff_are_read(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.tif", tiff_bytes(RGBA, photometric=2, extra=2, is_planar=True))
    assert np.array_equal(np.dstack(read_layers(path)), RGBA)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_an_unspecified_channel_of_a_tiff_is_no_alpha(kind: type, tmp_path: Path) -> None:
    path = filled(tmp_path / "a.tif", tiff_bytes(RGBA.astype(kind), photometric=2, extra=0))
    with pytest.raises(SourceError, match=r"(has no alpha channel|has RGBX colours)"):  # Pillow before and after 11
        read_layers(path)


def test_a_tiff_with_12_bits_is_refused(tmp_path: Path) -> None:
    """Pillow returns its values as 0 .. 4095, a sixteenth of those of 16 bits."""
    data = tiff_bytes(np.full((4, 6, 1), 255, np.uint8), photometric=1)
    path = filled(
        tmp_path / "a.tif", data.replace(struct.pack("<HHII", 258, 4, 1, 8), struct.pack("<HHII", 258, 4, 1, 12))
    )
    with pytest.raises(SourceError, match=r"a\.tif: is a TIFF whose values are not integers of 1, 2, 4, 8 or 16 bits"):
        read_grey(path)


def test_a_premultiplied_tiff_is_divided(tmp_path: Path) -> None:
    """One colour, times alpha; the quotient is off by up to 255 / a."""
    alpha = np.broadcast_to(np.arange(256, dtype=np.uint8), (4, 256))
    colour = np.rint(np.array([200, 100, 40]) * (alpha[..., None] / 255)).astype(np.uint8)
    path = filled(tmp_path / "a.tif", tiff_bytes(np.dstack([colour, alpha]), photometric=2, extra=1))
    found = read_layers(path)
    assert np.array_equal(found.alpha, alpha)
    bound = 255 / np.maximum(alpha, 1)
    assert (np.abs(found.colour - [200.0, 100, 40]).max(2) <= bound).all()
    assert still_header(path).is_premultiplied


def tagged(path: Path, image: Image.Image, **tags: Any) -> Path:
    """Write a TIFF with tags, by number."""
    return filled(path, saved(image, "TIFF", tiffinfo={int(name[1:]): value for name, value in tags.items()}))


def test_tiffs_with_values_of_other_kinds_are_refused(tmp_path: Path) -> None:
    signed = Image.fromarray(noise(13, 19).astype(np.int32))
    for image in (signed, Image.fromarray(np.zeros((13, 19), np.float32))):
        with pytest.raises(SourceError, match=r"(values are not integers of 1, 2, 4, 8 or 16 bits|only grey and RGB)"):
            read_grey(filled(tmp_path / "a.tif", saved(image, "TIFF")))


def test_a_tiff_with_an_orientation_tag_is_refused(tmp_path: Path) -> None:
    path = tagged(tmp_path / "a.tif", Image.fromarray(RGB), _274=6)
    with pytest.raises(SourceError, match=r"a\.tif: is a TIFF with the orientation tag 6"):
        read_colour(path)
    assert np.array_equal(read_colour(tagged(tmp_path / "b.tif", Image.fromarray(RGB), _274=1)), RGB)


@pytest.mark.parametrize("form", ["TIFF", "WEBP"])
def test_truncated_files_are_refused(form: str, tmp_path: Path) -> None:
    data = saved(Image.fromarray(noise(60, 80, 3)), form)
    path = tmp_path / ("a.tif" if form == "TIFF" else "a.webp")
    for length in (0, 7, 30, len(data) // 2, len(data) - 40):
        with pytest.raises(SourceError):
            read_colour(filled(path, data[:length]))


def test_lossless_webp_with_alpha_is_exact(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.webp", saved(Image.fromarray(RGBA), "WEBP", lossless=True, exact=True))
    colour, alpha = read_layers(path)
    assert np.array_equal(colour, RGB)
    assert np.array_equal(alpha, GREY)
    assert np.array_equal(read_grey(path), GREY)
    assert still_header(path).format == "WEBP"


def test_layers_have_the_colours_of_the_still(tmp_path: Path) -> None:
    """Grey with alpha, a palette with transparency, and RGBA."""
    grey_alpha = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(RGB[..., 1])])
    palette = Image.fromarray(RGB // 128 * 128).quantize(8)
    for name, image, options in (
        ("la", grey_alpha, {}),
        ("p", palette, {"transparency": 3}),
        ("rgba", Image.fromarray(RGBA), {}),
    ):
        path = filled(tmp_path / f"{name}.png", saved(image, "PNG", **options))
        colour, alpha = read_layers(path)
        assert np.array_equal(colour, read_colour(path)), name
        with Image.open(path) as stored:
            assert np.array_equal(alpha, np.asarray(stored.convert("RGBA"))[..., 3]), name
