"""Complete images and crops of a row's images, compared with OpenCV's decoder."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cv2
import numpy as np
import pyarrow as pa
import pytest
from media_arrays import noise, smooth

from dvm_hf.dataset import row_images
from dvm_hf.dataset.row_images import RowImages
from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Box
from dvm_hf.media.still.image_encoding import encoded_image

FRAMES = 3
BOX = Box(100, 130, 140, 190)
FORMS = {"frames": "jpeg", "foreground": "colour_png", "alpha": "grey_png", "trimap": "flat_png"}


def layers() -> dict[str, list[np.ndarray]]:
    colours = [smooth(240, 320, shift=index) for index in range(FRAMES)]
    greys = [noise(240, 320, seed=index) for index in range(FRAMES)]
    return {"frames": colours, "foreground": colours[::-1], "alpha": greys, "trimap": greys[::-1]}


def row_of(images: dict[str, list[dict[str, Any]]]) -> pa.Table:
    """The second row of a table of two, as `datasets` slices one."""
    kind = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    columns = {name: pa.array([found[:1], found], kind) for name, found in images.items()}
    sizes = {"height": [240, 240], "width": [320, 320]}
    return pa.table({"clip_id": ["no", "image_cat_0"], "window": [0, 3], **sizes, **columns})[1:2]


def stored(encoded: Callable[[np.ndarray, str], bytes] = encoded_image) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [{"bytes": encoded(pixels, FORMS[name]), "path": None} for pixels in found]
        for name, found in layers().items()
    }


def opencv(image: dict[str, Any], column: str) -> np.ndarray:
    flag = cv2.IMREAD_GRAYSCALE if column in ("alpha", "trimap") else cv2.IMREAD_COLOR_RGB
    return cv2.imdecode(np.frombuffer(image["bytes"], np.uint8), flag)


def cropped(row: RowImages, column: str, index: int) -> np.ndarray:
    (crop,) = row.frames(column, range(index, index + 1), BOX)
    return crop


def former(pixels: np.ndarray, encoding: str) -> bytes:
    """Encode as before restart markers and zlib-ng."""
    bgr = np.ascontiguousarray(pixels[..., ::-1]) if pixels.ndim == 3 else pixels
    if encoding == "jpeg":
        return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP])[1].tobytes()


@pytest.mark.parametrize("encoded", [encoded_image, former])
@pytest.mark.parametrize("samples", [1, 2, 20])
def test_images_and_crops_have_the_pixels_of_opencv(encoded: Callable[[np.ndarray, str], bytes], samples: int) -> None:
    """However many samples use a frame, and whether the complete image or its crop is requested first."""
    images = stored(encoded)
    row = RowImages(row_of(images), uses=Counter(dict.fromkeys(range(FRAMES), samples)), kept=4)
    for index in range(FRAMES):
        for column in FORMS:
            whole = opencv(images[column][index], column)
            wanted = whole[BOX.top : BOX.bottom, BOX.left : BOX.right]
            assert np.array_equal(cropped(row, column, index), wanted)
            assert np.array_equal(row.image(column, index), whole)
            assert np.array_equal(cropped(row, column, index), wanted)


def test_crops_of_a_row_decode_no_complete_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Except for formats that cannot be divided."""
    row = RowImages(row_of(stored()), uses=Counter(range(FRAMES)), kept=4)
    monkeypatch.setattr(row_images, "decoded_image", None)
    for column in ("frames", "alpha", "trimap"):
        assert cropped(row, column, 1).shape[:2] == (40, 60)
    with pytest.raises(TypeError):
        cropped(row, "foreground", 1)


def test_a_frame_of_many_crops_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As is one that cannot be divided, and one whose complete image was needed before."""
    image, crop = Mock(wraps=row_images.decoded_image), Mock(wraps=row_images.decoded_crop)
    monkeypatch.setattr(row_images, "decoded_image", image)
    monkeypatch.setattr(row_images, "decoded_crop", crop)

    def decodings(column: str, samples: int, *, is_complete_first: bool = False) -> tuple[int, int]:
        """The number of complete images and of crops that are decoded."""
        image.reset_mock()
        crop.reset_mock()
        row = RowImages(row_of(stored()), uses=Counter({0: samples}), kept=4)
        if is_complete_first:
            row.image(column, 0)
        for _ in range(samples):
            cropped(row, column, 0)
        return image.call_count, crop.call_count

    costs = [decodings("frames", samples) for samples in (1, 3, 4, 8)]  # a crop is 1 / 32, its intervals are 1 / 5
    assert costs == [(0, 1), (0, 3), (1, 1), (1, 0)]
    assert [decodings("alpha", samples) for samples in (1, 2, 9)] == [(0, 1), (1, 0), (1, 0)]
    assert [decodings("foreground", samples) for samples in (1, 2)] == [(1, 1), (1, 1)]
    assert decodings("frames", 2, is_complete_first=True) == (1, 0)


def test_images_stored_as_paths_are_cropped(tmp_path: Path) -> None:
    images = stored()
    (tmp_path / "alpha.png").write_bytes(images["alpha"][0]["bytes"])
    paths = {"alpha": [{"bytes": None, "path": str(tmp_path / "alpha.png")}]}
    row = RowImages(row_of(paths), uses=Counter([0]), kept=1)
    assert np.array_equal(cropped(row, "alpha", 0), layers()["alpha"][0][BOX.top : BOX.bottom, BOX.left : BOX.right])


@pytest.mark.parametrize("column", FORMS)
def test_a_damaged_image_is_named_even_if_only_a_crop_of_it_is_needed(column: str) -> None:
    images = stored()
    data = images[column][1]["bytes"]
    images[column][1]["bytes"] = data[: len(data) - 40]
    row = RowImages(row_of(images), uses=Counter(range(FRAMES)), kept=4)
    with pytest.raises(SourceError, match=rf"image_cat_0, window 3: {column}\[1\] \(\d+ bytes\) cannot be decoded"):
        cropped(row, column, 1)


def test_images_of_different_sizes_are_refused() -> None:
    images = stored()
    images["frames"][1]["bytes"] = encoded_image(smooth(250, 320), "jpeg")
    images["trimap"] = [{"bytes": encoded_image(noise(120, 320), "flat_png"), "path": None}] * FRAMES
    row = RowImages(row_of(images), uses=Counter(range(FRAMES)), kept=4)
    message = r"^image_cat_0, window 3: frames has images of 320 x 240 px and 320 x 250 px, but all images of a row"
    with pytest.raises(SourceError, match=message):
        row.frames("frames", range(FRAMES))
    with pytest.raises(SourceError, match=r"trimap has images of 320 x 120 px, but all images of a row must have"):
        row.frames("trimap", range(FRAMES), BOX)


def test_a_missing_image_is_named_instead_of_one_of_the_next_row() -> None:
    images = stored()
    kind = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    table = row_of(images).set_column(4, "frames", pa.array([images["frames"][:2], images["frames"]], kind)[:1])
    row = RowImages(table, uses=Counter(range(FRAMES)), kept=4)
    message = r"^image_cat_0, window 3: frames has 2 images, but must have one for each entry of motion; rebuild the"
    for box in (None, BOX):
        with pytest.raises(SourceError, match=message):
            row.frames("frames", range(FRAMES), box)
