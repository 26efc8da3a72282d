"""Parts of JPEGs with restart markers: pixels of the complete picture, for OpenCV's decoder and for Pillow's."""

import io

import cv2
import numpy as np
import pytest
from media_arrays import noise, saved, smooth
from PIL import Image

from dvm_hf.media.formats.jpeg_intervals import picture_part
from dvm_hf.media.pixels import Box

SAMPLINGS = {  # factors of OpenCV's encoder; size of an MCU in px
    "4:2:0": (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, (16, 16)),
    "4:2:2": (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422, (8, 16)),
    "4:4:0": (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440, (16, 8)),
    "4:4:4": (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444, (8, 8)),
}


def jpeg(pixels: np.ndarray, interval: int, *parameters: int, sampling: str = "4:2:0") -> bytes:
    """Encode with a restart marker after every `interval` MCUs; 0: none."""
    given = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[sampling][0], cv2.IMWRITE_JPEG_RST_INTERVAL, interval]
    return cv2.imencode(".jpg", pixels, [*given, *parameters])[1].tobytes()


def opencv(data: bytes, flag: int = cv2.IMREAD_COLOR_RGB) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), flag)


def pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def cut(pixels: np.ndarray, box: Box) -> np.ndarray:
    return pixels[box.top : box.bottom, box.left : box.right]


def boxes(rng: np.random.Generator, height: int, width: int, count: int) -> list[Box]:
    """Random boxes within a picture, and all of it."""
    found = [Box(0, 0, height, width)]
    for _ in range(count):
        top, left = int(rng.integers(height)), int(rng.integers(width))
        found.append(Box(top, left, int(rng.integers(top, height)) + 1, int(rng.integers(left, width)) + 1))
    return found


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_part_has_the_pixels_of_the_complete_picture(sampling: str) -> None:
    """Sizes that are and are not multiples of an MCU; every interval that divides a row of MCUs."""
    rng = np.random.default_rng(0)
    mcu_width = SAMPLINGS[sampling][1][1]
    for height, width in ((1, 1), (16, 64), (17, 66), (33, 95), (50, 4), (47, 3), (70, 100), (2, 90)):
        columns = -(-width // mcu_width)
        for interval in (n for n in range(1, columns + 1) if columns % n == 0):
            data = jpeg(noise(height, width, 3, seed=interval), interval, sampling=sampling)
            wholes = [(decode, decode(data)) for decode in (opencv, pillow)]
            for box in boxes(rng, height, width, 6):
                part, place = picture_part(data, box)
                for decode, whole in wholes:
                    assert np.array_equal(cut(decode(part), place), cut(whole, box)), (height, width, interval, box)


def test_a_part_of_a_narrow_last_column_of_mcus_is_upsampled_like_the_picture() -> None:
    """libjpeg repeats the chroma of a picture of up to 4 px in width, and interpolates that of a wider one."""
    for width in (33, 34, 35, 36):
        data = jpeg(noise(40, width, 3), 1)
        whole = opencv(data)
        for left in range(30, width):
            box = Box(10, left, 30, width)
            part, place = picture_part(data, box)
            assert np.array_equal(cut(opencv(part), place), cut(whole, box)), (width, left)


def test_grey_jpegs_are_divided_and_colours_are_read_as_grey() -> None:
    rng = np.random.default_rng(0)
    for data in (jpeg(noise(45, 75), 2), jpeg(noise(45, 75, 3), 1)):
        for flag in (cv2.IMREAD_GRAYSCALE, cv2.IMREAD_COLOR_RGB):
            whole = opencv(data, flag)
            for box in boxes(rng, 45, 75, 6):
                part, place = picture_part(data, box)
                assert np.array_equal(cut(opencv(part, flag), place), cut(whole, box))


@pytest.mark.parametrize("options", [{"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}, {"optimize": True}])
def test_files_of_pillow_are_divided(options: dict[str, int]) -> None:
    mcu = 8 if options.get("subsampling") == 0 else 16
    data = saved(Image.fromarray(noise(90, 96, 3)), "JPEG", restart_marker_blocks=96 // mcu // 2, **options)
    box = Box(30, 50, 60, 90)
    part, place = picture_part(data, box)
    assert np.array_equal(cut(pillow(part), place), cut(pillow(data), box))


def test_only_the_touched_intervals_and_those_that_chroma_needs_are_copied() -> None:
    """4:2:0, intervals of 2 MCUs, so 32 x 16 px; pixels within 4 px of the box count."""
    data = jpeg(noise(160, 320, 3), 2)
    part, place = picture_part(data, Box(36, 68, 60, 92))
    assert pillow(part).shape == (32, 32, 3)
    assert place == Box(4, 4, 28, 28)
    assert len(part) < len(data) / 12
    part, place = picture_part(data, Box(35, 68, 60, 93))  # needs a pixel of the interval above, and one to the right
    assert pillow(part).shape == (48, 64, 3)
    assert place == Box(19, 4, 44, 29)


def test_a_part_that_is_larger_than_allowed_is_not_cut() -> None:
    """A row of 7 MCUs has a single interval, so a part has 2 or more of the 14 rows completely."""
    data = jpeg(noise(224, 112, 3), 7)
    for box, share in ((Box(36, 50, 60, 60), 2 / 14), (Box(35, 50, 60, 60), 3 / 14), (Box(0, 0, 224, 112), 1)):
        assert picture_part(data, box, most=share + 0.01) is not None
        assert picture_part(data, box, most=share - 0.01) is None


def test_markers_after_the_eighth_start_again() -> None:
    data = jpeg(noise(400, 64, 3), 1)
    for top in range(0, 380, 16):
        box = Box(top, 20, top + 20, 60)
        part, place = picture_part(data, box)
        assert np.array_equal(cut(opencv(part), place), cut(opencv(data), box))


def segment(kind: int, content: bytes) -> bytes:
    return bytes((0xFF, kind)) + (len(content) + 2).to_bytes(2, "big") + content


PICTURE = smooth(64, 96)
VALID = jpeg(PICTURE, 3)  # 4 rows of 6 MCUs, 8 intervals
SOF, SOS, DRI = (VALID.index(bytes((0xFF, kind))) for kind in (0xC0, 0xDA, 0xDD))
CODED = SOS + 14


def with_exif(data: bytes) -> bytes:
    """Rotated by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return data[:2] + segment(0xE1, exif.tobytes()) + data[2:]


def changed(position: int, *values: int) -> bytes:
    return VALID[:position] + bytes(values) + VALID[position + len(values) :]


OTHER_FORMS = {
    "no markers": jpeg(PICTURE, 0),
    "an interval that does not divide the row": jpeg(PICTURE, 4),
    "an interval of two rows": jpeg(PICTURE, 12),
    "progressive": jpeg(PICTURE, 3, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "an orientation": with_exif(VALID),
    "a colour profile": VALID[:2] + segment(0xE2, b"ICC_PROFILE\0\1\1abc") + VALID[2:],
    "Adobe's colours": VALID[:2] + segment(0xEE, b"Adobe\0\x64\0\0\0\0\0") + VALID[2:],
    "four components": saved(Image.fromarray(noise(64, 96, 4), "CMYK"), "JPEG", restart_marker_blocks=3),
    "chroma of a quarter": cv2.imencode(
        ".jpg",
        PICTURE,
        [cv2.IMWRITE_JPEG_RST_INTERVAL, 3, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411],
    )[1].tobytes(),
    "extended sequential": changed(SOF + 1, 0xC1),
    "12 bits": changed(SOF + 4, 12),
    "no height": changed(SOF + 5, 0, 0),
    "a scan of one component": changed(SOS + 4, 1),
    "components in another order": changed(SOS + 5, 2, 0x11, 1, 0x00),
    "a scan of some coefficients": changed(CODED - 2, 5),
    "an interval of 0": changed(DRI + 4, 0, 0),
    "two intervals": VALID[:DRI] + segment(0xDD, b"\0\3") + VALID[DRI:],
    "two frame headers": VALID[:SOF] + VALID[SOF : SOF + 19] + VALID[SOF:],
    "a second scan": VALID[:-2] + VALID[SOS:],
    "a marker of another number": VALID.replace(b"\xff\xd2", b"\xff\xd3", 1),
    "a missing marker": VALID.replace(b"\xff\xd6", b"", 1),
    "a marker too many": VALID[:-2] + b"\xff\xd7\xff\xd9",
    "fill bytes": VALID.replace(b"\xff\xd2", b"\xff\xff\xd2", 1),
    "a line count": VALID[:-2] + segment(0xDC, b"\0\x40") + VALID[-2:],
    "a table among the intervals": VALID[:-2] + segment(0xC4, bytes(18)) + VALID[-2:],
    "bytes after the end": VALID + b"\0",
    "no end": VALID[:-2],
    "nothing": b"",
    "a PNG": saved(Image.fromarray(PICTURE), "PNG"),
}


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_files_of_other_forms_are_not_divided(form: str) -> None:
    assert picture_part(VALID, Box(0, 0, 8, 8)) is not None
    assert picture_part(OTHER_FORMS[form], Box(0, 0, 8, 8)) is None


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 5), (5, 5, 5, 5), (-1, 0, 8, 8), (0, 0, 65, 8), (0, 90, 8, 97), (0, -2, 8, 8)]
)
def test_a_box_that_is_empty_or_not_within_the_picture_has_no_part(box: tuple[int, int, int, int]) -> None:
    assert picture_part(VALID, Box(*box)) is None


def test_truncated_files_are_not_divided() -> None:
    assert [end for end in range(len(VALID)) if picture_part(VALID[:end], Box(0, 0, 8, 8)) is not None] == []


def test_a_damaged_file_is_not_divided_or_has_the_pixels_of_opencv() -> None:
    """Bytes changed one at a time, in the header and in the coded data; OpenCV conceals damage of the latter."""
    rng = np.random.default_rng(0)
    divided = 0
    for position in [*range(CODED), *rng.integers(CODED, len(VALID), 300)]:
        data = bytearray(VALID)
        data[position] ^= int(rng.integers(1, 256))
        box = boxes(rng, 64, 96, 1)[1]
        found = picture_part(bytes(data), box)
        if found is not None:
            part, whole = opencv(found[0]), opencv(bytes(data))
            assert (part is None) == (whole is None), position
            if part is not None and whole is not None:
                divided += 1
                assert np.array_equal(cut(part, found[1]), cut(whole, box)), position
    assert divided > 100
