"""Optical flow stored as PNG, against files that Pillow's encoder cannot write and zlib does."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from dvm_hf.errors import SourceError
from dvm_hf.media.still.flow_images import read_flow
from dvm_hf.media.still.image_encoding import write_image


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def written(path: Path, red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> Path:
    """Write a PNG with three channels of 16 bits."""
    rows = np.stack([red, green, blue], axis=-1).astype(">u2")
    height, width, _ = rows.shape
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    )
    return path


def test_a_field_is_x_and_y_in_hundredths_of_a_pixel_and_unknown_where_red_is_0(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(-32768, 32768, (2, 11, 17))
    known = rng.integers(0, 3, (11, 17))
    flow = read_flow(written(tmp_path / "flow_0_1.png", known, y % 65536, x % 65536))
    assert flow.dtype == np.float32
    assert flow.shape == (11, 17, 2)
    is_known = known > 0
    assert np.isnan(flow[~is_known]).all()
    assert flow[is_known, 0] == pytest.approx(x[is_known] / 100)
    assert flow[is_known, 1] == pytest.approx(y[is_known] / 100)


def test_other_files_are_errors_that_name_them(tmp_path: Path) -> None:
    write_image(tmp_path / "grey.png", np.zeros((4, 5), np.uint8))
    write_image(tmp_path / "colour.png", np.zeros((4, 5, 3), np.uint8))
    (tmp_path / "text.png").write_text("flow")
    for name, text in (
        ("grey", "has L channels of 8 bits, but a flow field must be a PNG"),
        ("colour", "has RGB channels of 8 bits"),
        ("text", "cannot be read as an image"),
        ("missing", "cannot be read"),
    ):
        with pytest.raises(SourceError, match=rf"{name}.png: {text}"):
            read_flow(tmp_path / f"{name}.png")
    field = written(tmp_path / "cut.png", *np.zeros((3, 40, 50), int))
    field.write_bytes(field.read_bytes()[:-30])
    with pytest.raises(SourceError, match=r"cut.png: cannot be read as an image"):
        read_flow(field)
