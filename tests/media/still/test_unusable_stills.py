"""Stills that cannot be read are named with the reason."""

import numpy as np
import pytest
from media_arrays import GREY, RGB, filled, noise, png, result_or_error, saved, scaled
from PIL import Image

from dvm_hf.errors import SourceError
from dvm_hf.media.still.stills import read_colour, read_grey

BAD_STILLS: dict[str, tuple[bytes | None, str]] = {
    "empty": (b"", "empty"),
    "text": (b"once there was an image here\n" * 50, "neither PNG nor JPEG"),
    "CMYK": (saved(Image.fromarray(RGB).convert("CMYK"), "JPEG"), "CMYK"),
    "TIFF": (saved(Image.fromarray(RGB), "TIFF"), "neither PNG nor JPEG"),
    "GIF": (saved(Image.fromarray(GREY), "GIF"), "neither PNG nor JPEG"),
    "missing": (None, "no such file"),
}


@pytest.mark.parametrize("read", [read_colour, read_grey])
@pytest.mark.parametrize("kind", BAD_STILLS)
def test_an_unusable_still_is_named_with_the_reason(tmp_path, kind, read):
    data, reason = BAD_STILLS[kind]
    path = tmp_path / "cat.png"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(SourceError, match=reason) as raised:
        read(path)
    assert str(path) in str(raised.value)


PNG = saved(Image.fromarray(RGB), "PNG")


DEEP = np.random.default_rng(8).integers(0, 65536, (13, 19, 3), dtype=np.uint16)


DEEP_PNG = png(DEEP.astype(">u2").tobytes(), (13, 19), depth=16, colour_type=2)


@pytest.mark.parametrize(("data", "whole"), [(PNG, RGB), (DEEP_PNG, scaled(DEEP))], ids=["8 bit", "16 bit"])
def test_a_truncated_png_is_named_unless_all_its_pixels_are_there(tmp_path, data, whole):
    path = tmp_path / "cat.png"
    offsets = [*range(1, 60, 7), *range(60, len(data), 41), *range(len(data) - 24, len(data))]
    for offset in offsets:
        path.write_bytes(data[:offset])
        result = result_or_error(read_colour, path)
        if isinstance(result, str):
            assert str(path) in result
        else:
            assert offset > len(data) - 24  # in the last chunk, after the pixels
            assert np.array_equal(result, whole)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.9, 0.98])
def test_a_truncated_jpeg_is_named(tmp_path, share):
    data = saved(Image.fromarray(noise(60, 80, 3)), "JPEG")
    path = filled(tmp_path / "cat.jpg", data[: int(len(data) * share)])
    with pytest.raises(SourceError) as raised:
        read_colour(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("data", [PNG, DEEP_PNG], ids=["8 bit", "16 bit"])
def test_a_png_whose_pixels_are_damaged_is_named(tmp_path, data):
    broken = bytearray(data)
    start = data.index(b"IDAT") + 4
    broken[start + 20 : start + 40] = bytes(20)
    path = filled(tmp_path / "cat.png", bytes(broken))
    with pytest.raises(SourceError) as raised:
        read_colour(path)
    assert str(path) in str(raised.value)
