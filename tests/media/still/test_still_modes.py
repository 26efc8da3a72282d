"""Stills of every mode and depth against Pillow and the written values."""

import struct

import cv2
import numpy as np
import pytest
from media_arrays import COVER, GREY, RGB, chunk, filled, noise, pillow, png, scaled, smooth
from PIL import Image, ImageOps

from dvm_hf.media.still.stills import read_colour, read_grey

BITS = (noise(13, 19) > 127).astype(np.uint8) * 255


def repeated(grey: np.ndarray) -> np.ndarray:
    return np.dstack([grey] * 3)


def palette(transparency: bytes | int | None) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """A palette image of 16 colours; return its colours and alpha, looked up here."""
    indices, table = noise(13, 19) % 16, noise(16, 3, seed=3)
    image = Image.fromarray(indices)
    image.putpalette(table.tobytes())
    if transparency is not None:
        image.info["transparency"] = transparency
    covers = np.full(16, 255, np.uint8)
    if isinstance(transparency, bytes):
        covers[: len(transparency)] = list(transparency)
    elif transparency is not None:
        covers[transparency] = 0
    return image, table[indices], covers[indices]


STILLS: dict[str, tuple[Image.Image, np.ndarray, np.ndarray | None]] = {
    # image, its colours, its grey (None: the luma of its colours)
    "L": (Image.fromarray(GREY), repeated(GREY), GREY),
    "1": (Image.fromarray(BITS).convert("1"), repeated(BITS), BITS),
    "RGB": (Image.fromarray(RGB), RGB, None),
    "RGB all grey": (Image.fromarray(repeated(GREY)), repeated(GREY), GREY),
    "RGBA": (Image.fromarray(np.dstack([RGB, COVER])), RGB, COVER),
    "RGBA opaque": (Image.fromarray(np.dstack([repeated(GREY), np.full_like(GREY, 255)])), repeated(GREY), GREY),
    "LA": (Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(COVER)]), repeated(GREY), COVER),
    "LA opaque": (Image.fromarray(GREY).convert("LA"), repeated(GREY), GREY),
    "P": (*palette(None)[:2], None),
    "P with alphas": palette(bytes(range(0, 256, 17))),
    "P with one clear colour": palette(5),
}


@pytest.mark.parametrize("kind", STILLS)
def test_stills_of_every_mode_are_read_as_colour_and_as_grey(tmp_path, kind):
    image, colour, grey = STILLS[kind]
    image.save(tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as written:
        assert written.mode == image.mode
    found = read_colour(tmp_path / "x.png")
    assert found.dtype == np.uint8
    assert np.array_equal(found, colour)
    found = read_grey(tmp_path / "x.png")
    if grey is not None:
        assert np.array_equal(found, grey)
    else:
        assert np.abs(found - colour @ [0.299, 0.587, 0.114]).max() < 1


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_grey_below_8_bits_spans_0_to_255(tmp_path, depth):
    values = np.arange(2**depth, dtype=np.uint8).repeat(8 // depth)  # whole bytes
    bits = np.unpackbits(values[:, None], axis=1)[:, -depth:]
    path = filled(tmp_path / "x.png", png(np.packbits(bits).tobytes(), (1, len(values)), depth=depth, colour_type=0))
    assert np.array_equal(read_grey(path), [values * (255 // (2**depth - 1))])


def test_every_16_bit_grey_is_rounded_to_8_bits(tmp_path):
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(deep).save(tmp_path / "x.png")
    assert np.array_equal(read_grey(tmp_path / "x.png"), scaled(deep))
    assert np.array_equal(read_colour(tmp_path / "x.png"), repeated(scaled(deep)))


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colours_are_rounded_to_8_bits(tmp_path, channels):
    deep = np.random.default_rng(5).integers(0, 65536, (29, 31, channels), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "x.png"), deep[..., [2, 1, 0, 3][:channels]])
    assert np.array_equal(read_colour(tmp_path / "x.png"), scaled(deep[..., :3]))
    if channels == 4:
        assert np.array_equal(read_grey(tmp_path / "x.png"), scaled(deep[..., 3]))


def test_16_bit_grey_with_alpha_is_rounded_to_8_bits(tmp_path):
    deep = np.random.default_rng(6).integers(0, 65536, (11, 9, 2), dtype=np.uint16)
    path = filled(tmp_path / "x.png", png(deep.astype(">u2").tobytes(), (11, 9), depth=16, colour_type=4))
    assert np.array_equal(read_colour(path), repeated(scaled(deep[..., 0])))
    assert np.array_equal(read_grey(path), scaled(deep[..., 1]))


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("value", range(1, 9))
def test_stills_are_oriented_by_exif(tmp_path, value, suffix):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(smooth(40, 64)).save(path, exif=orientation(value))
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert expected.shape == ((40, 64, 3) if value < 5 else (64, 40, 3))
    assert np.array_equal(read_colour(path), expected)


@pytest.mark.parametrize("colour_type", [0, 2, 4, 6], ids=["grey", "rgb", "grey with alpha", "rgba"])
def test_16_bit_stills_are_oriented_by_exif(tmp_path, colour_type):
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    deep = np.random.default_rng(7).integers(0, 65536, (5, 8, channels), dtype=np.uint16)
    turned_right = chunk(b"eXIf", orientation(6).tobytes().removeprefix(b"Exif\0\0"))
    data = png(deep.astype(">u2").tobytes(), (5, 8), depth=16, colour_type=colour_type, extra=turned_right)
    expected = np.rot90(scaled(deep), -1)
    found = read_colour(filled(tmp_path / "x.png", data))
    assert np.array_equal(found, expected[..., :3] if channels > 2 else repeated(expected[..., 0]))


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_colour_is_handled_alike_at_any_depth(tmp_path, depth):
    values = np.array([[[9, 9, 9], [200, 200, 200], [9, 9, 9], [70, 70, 70]]])
    deep = values * 257 if depth == 16 else values
    key = chunk(b"tRNS", struct.pack(">HHH", *deep[0, 0]))
    rows = deep.astype(">u2" if depth == 16 else np.uint8).tobytes()
    path = filled(tmp_path / "x.png", png(rows, (1, 4), depth=depth, colour_type=2, extra=key))
    assert np.array_equal(read_colour(path), values)
    assert read_grey(path).tolist() == [[9, 200, 9, 70]]


def test_jpegs_match_pillow(tmp_path):
    for mode in ("RGB", "L"):
        Image.fromarray(smooth(33, 47)).convert(mode).save(tmp_path / "x.jpg")
        expected = pillow(tmp_path / "x.jpg")
        colour = expected if mode == "RGB" else repeated(expected)
        assert np.array_equal(read_colour(tmp_path / "x.jpg"), colour)
        if mode == "L":
            assert np.array_equal(read_grey(tmp_path / "x.jpg"), expected)


def test_camera_stills_match_pillow(camera_media):
    colour = pillow(camera_media / "lemur_foreground.png")
    assert np.array_equal(read_colour(camera_media / "lemur_foreground.png"), colour)
    alpha = pillow(camera_media / "lemur_alpha.png")
    assert np.array_equal(read_grey(camera_media / "lemur_alpha.png"), alpha)
    drawn = pillow(camera_media / "lemur_trimap.png")  # grey as RGB, with an opaque alpha channel
    assert np.array_equal(read_grey(camera_media / "lemur_trimap.png"), drawn[..., 0])
