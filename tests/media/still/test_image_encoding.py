"""Encoded images, decoded by Pillow."""

import io
import re

import av
import cv2
import numpy as np
import pytest
from media_arrays import noise, pillow, saved, smooth
from PIL import Image, features

from dvm_hf.media.formats.png_rows import NONE, UP, encoded_rows
from dvm_hf.media.still.image_encoding import ENCODINGS, encoded_for_page, encoded_image, write_image

COLOURS, GREYS = [noise(31, 45, 3), noise(1, 1, 3)], [noise(31, 45), np.zeros((8, 300), np.uint8)]
LOSSLESS = {"grey_png": GREYS, "flat_png": GREYS, "colour_png": COLOURS + GREYS, "bmp": COLOURS + GREYS}


@pytest.mark.parametrize("encoding", LOSSLESS)
def test_lossless_encodings_round_trip(encoding):
    for pixels in LOSSLESS[encoding]:
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


def test_a_matte_gets_the_filter_with_the_smaller_file():
    specks = np.where(noise(200, 300) > 230, noise(200, 300, seed=1), 0)  # unlike the row above
    slope = smooth(200, 300)[..., 1]  # like it
    for pixels, smaller in ((specks, NONE), (slope, UP)):
        none, up = (encoded_rows(pixels, row_filter) for row_filter in (NONE, UP))
        assert encoded_image(pixels, "grey_png") == encoded_rows(pixels, smaller) == min(none, up, key=len)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 1), (16, 1), (17, 2), (33, 5)])
def test_mattes_of_few_rows_or_columns_can_be_encoded(shape):
    for pixels in (noise(*shape), np.zeros(shape, np.uint8)):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(encoded_image(pixels, "grey_png")))), pixels)


def test_a_view_is_encoded_like_a_copy():
    whole = noise(60, 80, 3)
    for encoding in ENCODINGS:
        views = (whole[5:40, 9:70], whole[..., 1][5:40, 9:70])
        for pixels in views[1:] if encoding in ("grey_png", "flat_png") else views:
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


def mcus_of(data):
    """(MCUs of a row, MCUs between two markers, number of markers) of a JPEG, by Pillow and by its bytes."""
    with Image.open(io.BytesIO(data)) as image:
        columns = -(-image.width // (8 if image.mode == "L" else 16))
    (interval,) = (int.from_bytes(data[at + 4 : at + 6], "big") for at in [data.index(b"\xff\xdd\0\4")])
    return columns, interval, len(re.findall(rb"\xff[\xd0-\xd7]", data))


@pytest.mark.parametrize(
    ("width", "interval"), [(1920, 10), (1360, 17), (1280, 10), (1072, 67), (320, 10), (96, 6), (1, 1)]
)
def test_restart_markers_divide_the_rows_of_a_jpeg(width, interval):
    """67 is prime, so a row of 1072 px is one interval; so is one of 96 px, because it has fewer than 10 MCUs."""
    columns = -(-width // 16)
    assert mcus_of(encoded_image(smooth(40, width), "jpeg")) == (columns, interval, 3 * columns // interval - 1)
    grey = encoded_image(smooth(40, 80)[..., 0], "jpeg")
    assert mcus_of(grey) == (10, 10, 4)


def by_ffmpeg(data):
    """Decode a JPEG with FFmpeg's own decoder, which is not libjpeg's: (Y, Cb, Cr) as it stores them."""
    decoder = av.CodecContext.create("mjpeg", "r")
    (frame,) = decoder.decode(av.Packet(data))
    return [np.frombuffer(plane, np.uint8) for plane in frame.planes]


def test_restart_markers_change_no_pixel_for_any_reader_and_cost_few_bytes():
    for pixels in (noise(100, 340, 3), smooth(250, 480), smooth(90, 160)[..., 0]):
        data = encoded_image(pixels, "jpeg")
        bgr = pixels if pixels.ndim == 2 else pixels[..., ::-1]
        plain = cv2.imencode(".jpg", np.ascontiguousarray(bgr), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        assert b"\xff\xdd" not in plain
        pillow = [np.asarray(Image.open(io.BytesIO(found))) for found in (data, plain)]
        opencv = [cv2.imdecode(np.frombuffer(found, np.uint8), cv2.IMREAD_UNCHANGED) for found in (data, plain)]
        assert np.array_equal(*pillow)
        assert np.array_equal(*opencv)
        assert all(np.array_equal(a, b) for a, b in zip(by_ffmpeg(data), by_ffmpeg(plain), strict=True))
        assert len(data) - len(plain) < 6 * (mcus_of(data)[2] + 1) + 10


@pytest.mark.parametrize("pixels", [noise(20, 30, 3), noise(20, 30)])
def test_a_written_image_is_read_back_by_pillow(tmp_path, pixels):
    write_image(tmp_path / "x.png", pixels)
    assert np.array_equal(pillow(tmp_path / "x.png"), pixels)
