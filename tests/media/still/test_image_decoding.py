"""Images of rows are decoded as OpenCV decodes them; crops are parts of them."""

import cv2
import numpy as np
import pytest
from media_arrays import noise, saved, smooth
from PIL import Image

from dvm_hf.media.pixels import Box
from dvm_hf.media.still.image_decoding import decoded_crop, decoded_image
from dvm_hf.media.still.image_encoding import ENCODINGS, encoded_image

BOX = Box(20, 35, 50, 80)


def opencv(data: bytes, *, is_grey: bool) -> np.ndarray | None:
    flag = cv2.IMREAD_GRAYSCALE if is_grey else cv2.IMREAD_COLOR_RGB
    return cv2.imdecode(np.frombuffer(data, np.uint8), flag)


def rotated(picture: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(picture, "JPEG", exif=exif, restart_marker_blocks=3)


COLOUR, GREY = smooth(64, 96), noise(64, 96)
FILES = {
    **{name: encoded_image(GREY if name in ("grey_png", "flat_png") else COLOUR, name) for name in ENCODINGS},
    "grey JPEG": encoded_image(GREY, "jpeg"),
    "rotated JPEG": rotated(Image.fromarray(COLOUR)),
    "progressive JPEG": saved(Image.fromarray(COLOUR), "JPEG", progressive=True),
    "adaptive PNG": saved(Image.fromarray(COLOUR[..., 0]), "PNG"),
    "16-bit PNG": saved(Image.fromarray(GREY.astype(np.uint16) * 257), "PNG"),
    "WebP": saved(Image.fromarray(COLOUR), "WEBP", lossless=True),
}
DIVIDED = {(name, is_grey) for name in ("jpeg", "grey JPEG") for is_grey in (True, False)}
DIVIDED |= {("grey_png", True), ("flat_png", True)}  # not as colours


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("is_grey", [True, False])
def test_images_and_crops_have_the_pixels_of_opencv(name: str, is_grey: bool) -> None:
    whole = opencv(FILES[name], is_grey=is_grey)
    assert np.array_equal(decoded_image(memoryview(FILES[name]), is_grey=is_grey), whole)
    crop = decoded_crop(memoryview(FILES[name]), BOX, is_grey=is_grey)
    assert (crop is not None) == ((name, is_grey) in DIVIDED)
    if crop is not None:
        assert np.array_equal(crop, whole[BOX.top : BOX.bottom, BOX.left : BOX.right])


@pytest.mark.parametrize("name", ["jpeg", "grey JPEG", "grey_png", "flat_png", "adaptive PNG"])
def test_a_damaged_image_is_refused_if_opencv_refuses_it(name: str) -> None:
    rng = np.random.default_rng(0)
    data = FILES[name]
    for position in rng.integers(1, min(len(data), 700), 60):
        for broken in (data[:position], data[:position] + bytes([data[position] ^ 16]) + data[position + 1 :]):
            whole = opencv(broken, is_grey=True)
            found = decoded_image(broken, is_grey=True)
            assert np.array_equal(found, whole) if whole is not None else found is None
            crop = decoded_crop(broken, BOX, is_grey=True)
            assert crop is None or np.array_equal(crop, whole[BOX.top : BOX.bottom, BOX.left : BOX.right])


def test_no_bytes_are_no_image() -> None:
    assert decoded_image(b"", is_grey=True) is None
    assert decoded_image(b"", is_grey=False) is None
    assert decoded_crop(b"", BOX, is_grey=False) is None
