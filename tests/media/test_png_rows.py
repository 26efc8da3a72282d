"""Grey PNG through zlib-ng: written files are read by Pillow, and files of OpenCV are read like OpenCV does."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from media_arrays import chunk, noise, saved, smooth
from PIL import Image

from dvm_hf.media.formats.png_checksums import checked_png
from dvm_hf.media.formats.png_rows import NONE, UP, decoded_rows, encoded_rows
from dvm_hf.media.pixels import Box

SIGNATURE, END = b"\x89PNG\r\n\x1a\n", chunk(b"IEND", b"")
OPENCV_FILTERS = {NONE: cv2.IMWRITE_PNG_FILTER_NONE, UP: cv2.IMWRITE_PNG_FILTER_UP}
SHAPES = [(1, 1), (1, 50), (50, 1), (15, 7), (16, 7), (17, 7), (33, 40), (64, 300)]


def by_opencv(pixels: np.ndarray, row_filter: int) -> bytes:
    """The encoding of rows before zlib-ng: the same filters, by libpng."""
    rle = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    return cv2.imencode(".png", pixels, [*rle, cv2.IMWRITE_PNG_FILTER, OPENCV_FILTERS[row_filter]])[1].tobytes()


def png(
    rows: np.ndarray | bytes, height: int, width: int, *chunks: bytes, form: tuple[int, ...] = (8, 0, 0, 0, 0)
) -> bytes:
    """A PNG of filtered rows, written with zlib; `chunks` come before the pixels."""
    header = chunk(b"IHDR", struct.pack(">II5B", width, height, *form))
    return SIGNATURE + header + b"".join(chunks) + chunk(b"IDAT", zlib.compress(bytes(rows))) + END


def filtered(pixels: np.ndarray, filters: list[int]) -> np.ndarray:
    """The rows of an image with one of the filters 0 to 4 for each; PNG (third edition), 9.2."""
    height, width = pixels.shape
    found = np.zeros((height, 1 + width), np.uint8)
    for row in range(height):
        found[row, 0] = filters[row]
        for column in range(width):
            left = int(pixels[row, column - 1]) if column else 0
            above = int(pixels[row - 1, column]) if row else 0
            corner = int(pixels[row - 1, column - 1]) if row and column else 0
            paeth = min(
                (abs(above - corner), 0, left),
                (abs(left - corner), 1, above),
                (abs(left + above - 2 * corner), 2, corner),
            )
            predicted = (0, left, above, (left + above) // 2, paeth[2])[filters[row]]
            found[row, 1 + column] = (int(pixels[row, column]) - predicted) % 256
    return found


def opencv(data: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)


@pytest.mark.parametrize("row_filter", [NONE, UP])
@pytest.mark.parametrize("shape", SHAPES)
def test_written_files_are_read_by_pillow_and_pass_all_checksums(
    tmp_path: Path, shape: tuple[int, int], row_filter: int
) -> None:
    for pixels in (noise(*shape), np.full(shape, 255, np.uint8), noise(2 * shape[0], 2 * shape[1])[::2, 1::2]):
        data = encoded_rows(pixels, row_filter)
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.mode) == ("PNG", "L")
            assert np.array_equal(np.asarray(image), pixels)
        (tmp_path / "x.png").write_bytes(data)
        assert checked_png(tmp_path / "x.png").fault == ""


@pytest.mark.parametrize("row_filter", [NONE, UP])
def test_written_files_are_no_larger_than_those_of_libpng(row_filter: int) -> None:
    specks = np.where(noise(400, 600) > 200, noise(400, 600, seed=1), 0)
    for pixels in (specks, smooth(400, 600)[..., 1], np.kron(noise(8, 12) // 128 * 255, np.ones((50, 50), np.uint8))):
        assert len(encoded_rows(pixels, row_filter)) <= len(by_opencv(pixels, row_filter))


@pytest.mark.parametrize("row_filter", [NONE, UP])
@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_and_boxes_are_read_from_both_encoders(shape: tuple[int, int], row_filter: int) -> None:
    rng = np.random.default_rng(0)
    pixels = noise(*shape)
    for data in (encoded_rows(pixels, row_filter), by_opencv(pixels, row_filter)):
        assert np.array_equal(decoded_rows(data), pixels)
        for _ in range(10):
            top, left = int(rng.integers(shape[0])), int(rng.integers(shape[1]))
            box = Box(top, left, int(rng.integers(top, shape[0])) + 1, int(rng.integers(left, shape[1])) + 1)
            wanted = pixels[box.top : box.bottom, box.left : box.right]
            assert np.array_equal(decoded_rows(memoryview(data), box), wanted)


def test_pixels_in_several_chunks_are_read() -> None:
    pixels = noise(300, 200)
    data = by_opencv(pixels, NONE)
    assert data.count(b"IDAT") > 1
    assert np.array_equal(decoded_rows(data), pixels)


PIXELS = noise(20, 30)
ROWS = filtered(PIXELS, [UP] * 20)
OTHER_FORMS = {
    **{f"filter {number}": png(filtered(PIXELS, [number] * 20), 20, 30) for number in (1, 3, 4)},
    "two filters": png(filtered(PIXELS, [UP] * 19 + [NONE]), 20, 30),
    "16 bits": saved(Image.fromarray(noise(20, 30).astype(np.uint16)), "PNG"),
    "1 bit": saved(Image.fromarray(noise(20, 30) > 128), "PNG"),
    "a palette": saved(Image.fromarray(noise(20, 30)).convert("P"), "PNG"),
    "colours": saved(Image.fromarray(noise(20, 30, 3)), "PNG"),
    "grey and alpha": saved(Image.fromarray(noise(20, 30, 2), "LA"), "PNG"),
    "a transparent value": png(ROWS, 20, 30, chunk(b"tRNS", b"\0\5")),
    "an orientation": png(ROWS, 20, 30, chunk(b"eXIf", b"")),
    "interlaced": png(filtered(noise(20, 1), [NONE] * 20), 20, 1, form=(8, 0, 0, 0, 1)),  # as long, in another order
    "nothing": b"",
    "a JPEG": saved(Image.fromarray(PIXELS), "JPEG"),
}


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_files_of_other_forms_are_not_read(form: str) -> None:
    """OpenCV reads them."""
    assert np.array_equal(decoded_rows(png(ROWS, 20, 30)), PIXELS)
    assert decoded_rows(OTHER_FORMS[form]) is None
    assert form == "nothing" or opencv(OTHER_FORMS[form]) is not None


def damaged() -> dict[str, bytes]:
    """Damage that leaves every CRC-32 right, in the pixel data."""
    stream, size = zlib.compress(ROWS.tobytes()), struct.pack(">II5B", 30, 20, 8, 0, 0, 0, 0)
    start = SIGNATURE + chunk(b"IHDR", size)
    streams = {
        "a wrong Adler-32": stream[:-1] + bytes([stream[-1] ^ 1]),
        "no Adler-32": stream[:-4],
        "half an Adler-32": stream[:-2],
        "too few rows": zlib.compress(ROWS[:-1].tobytes()),
        "no last byte": zlib.compress(ROWS.tobytes()[:-1]),
        "a filter of number 5": zlib.compress(filtered(PIXELS, [NONE] * 20).tobytes().replace(b"\0", b"\5")),
        "no stream": b"",
        "a stream of another format": b"PK" + stream[2:],
    }
    files = {name: start + chunk(b"IDAT", data) + END for name, data in streams.items()}
    valid = start + chunk(b"IDAT", stream) + END
    wide = SIGNATURE + chunk(b"IHDR", struct.pack(">II5B", 2**31 - 1, 2**31 - 1, 8, 0, 0, 0, 0)) + valid[33:]
    files["no palette"] = png(ROWS, 20, 30, form=(8, 3, 0, 0, 0))
    return files | {"no end": valid[:-12], "no pixels": start + END, "a size that the stream cannot have": wide}


@pytest.mark.parametrize("damage", damaged())
def test_damaged_pixels_are_refused_as_by_opencv(damage: str) -> None:
    data = damaged()[damage]
    assert decoded_rows(data) is None
    assert decoded_rows(data, Box(0, 0, 2, 2)) is None  # the checksum covers all rows
    assert opencv(data) is None


def test_longer_pixel_data_are_left_to_opencv() -> None:
    data = png(ROWS.tobytes() + b"more", 20, 30)
    assert decoded_rows(data) is None
    assert np.array_equal(opencv(data), PIXELS)


@pytest.mark.parametrize("data", [encoded_rows(PIXELS, UP), by_opencv(PIXELS, NONE)])
def test_a_changed_byte_or_a_truncated_file_is_not_read(data: bytes) -> None:
    for position in range(len(data)):
        assert decoded_rows(data[:position] + bytes([data[position] ^ 64]) + data[position + 1 :]) is None, position
        assert decoded_rows(data[:position]) is None, position


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 5), (5, 5, 5, 5), (-1, 0, 8, 8), (0, 0, 21, 8), (0, 25, 8, 31), (0, -2, 8, 8)]
)
def test_a_box_that_is_empty_or_not_within_the_picture_is_not_read(box: tuple[int, int, int, int]) -> None:
    assert decoded_rows(encoded_rows(PIXELS, UP), Box(*box)) is None
