"""Encoded images, decoded by Pillow."""

import io

import cv2
import numpy as np
import pytest
from media_arrays import noise, pillow, saved, smooth
from PIL import Image, features

from dvm_hf.media.still.image_encoding import ENCODINGS, encoded_for_page, encoded_image, write_image


@pytest.mark.parametrize("pixels", [noise(31, 45, 3), noise(31, 45), noise(1, 1, 3), np.zeros((8, 300), np.uint8)])
@pytest.mark.parametrize("encoding", ["grey_png", "colour_png", "flat_png", "bmp"])
def test_lossless_encodings_round_trip(pixels, encoding):
    image = Image.open(io.BytesIO(encoded_image(pixels, encoding)))
    assert image.format == ("BMP" if encoding == "bmp" else "PNG")
    assert image.mode == ("L" if pixels.ndim == 2 else "RGB")
    assert np.array_equal(np.asarray(image), pixels)


def test_rgba_is_written_unpremultiplied_and_jpeg_by_its_suffix(tmp_path):
    rgba, colours = noise(31, 45, 4), smooth(64, 96)
    write_image(tmp_path / "a.png", rgba)
    write_image(tmp_path / "b.jpg", colours)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "RGBA"
        assert np.array_equal(np.asarray(image), rgba)
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.format == "JPEG"
        assert np.abs(np.asarray(image).astype(int) - colours).mean() < 3


def grey_png(pixels, png_filter):
    """Encode with OpenCV, with one filter for all rows."""
    rle = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    return cv2.imencode(".png", pixels, [*rle, cv2.IMWRITE_PNG_FILTER, png_filter])[1].tobytes()


def test_a_matte_gets_the_filter_with_the_smaller_file():
    specks = np.where(noise(200, 300) > 230, noise(200, 300, seed=1), 0)  # unlike the row above
    slope = smooth(200, 300)[..., 1]  # like it
    for pixels, smaller in ((specks, cv2.IMWRITE_PNG_FILTER_NONE), (slope, cv2.IMWRITE_PNG_FILTER_UP)):
        none, up = (grey_png(pixels, f) for f in (cv2.IMWRITE_PNG_FILTER_NONE, cv2.IMWRITE_PNG_FILTER_UP))
        assert encoded_image(pixels, "grey_png") == grey_png(pixels, smaller) == min(none, up, key=len)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 1), (16, 1), (17, 2), (33, 5)])
def test_mattes_of_few_rows_or_columns_can_be_encoded(shape):
    for pixels in (noise(*shape), np.zeros(shape, np.uint8)):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(encoded_image(pixels, "grey_png")))), pixels)


def test_a_view_is_encoded_like_a_copy():
    whole = noise(60, 80, 3)
    for encoding in ENCODINGS:
        for pixels in (whole[5:40, 9:70], whole[..., 1][5:40, 9:70]):
            assert encoded_image(pixels, encoding) == encoded_image(pixels.copy(), encoding)


@pytest.mark.parametrize("has_webp", [True, False])
def test_pictures_of_a_page_are_exact_where_they_must_be(has_webp, monkeypatch):
    if not has_webp:
        monkeypatch.setattr(features, "check", lambda name: False)
    mask, colours = noise(31, 45), smooth(64, 96)
    exact = Image.open(io.BytesIO(encoded_for_page(Image.fromarray(mask), is_exact=True)))
    near = Image.open(io.BytesIO(encoded_for_page(Image.fromarray(colours), is_exact=False)))
    assert [exact.format, near.format] == (["WEBP", "WEBP"] if has_webp else ["PNG", "JPEG"])
    assert np.array_equal(np.asarray(exact.convert("L")), mask)
    assert np.abs(np.asarray(near.convert("RGB")).astype(int) - colours).mean() < 3


def test_jpeg_has_quality_95_and_is_close():
    pixels = smooth(64, 96)
    data = encoded_image(pixels, "jpeg")
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    reference = Image.open(io.BytesIO(saved(Image.fromarray(pixels), "JPEG", quality=95)))
    assert image.quantization == reference.quantization
    assert np.abs(np.asarray(image).astype(int) - pixels).mean() < 2


@pytest.mark.parametrize("pixels", [noise(20, 30, 3), noise(20, 30)])
def test_a_written_image_is_read_back_by_pillow(tmp_path, pixels):
    write_image(tmp_path / "x.png", pixels)
    assert np.array_equal(pillow(tmp_path / "x.png"), pixels)
