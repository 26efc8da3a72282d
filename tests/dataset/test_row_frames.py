"""The frames of a row whose columns store videos, images and arrays, each as the reader of its kind gives them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from media_arrays import noise
from row_videos import encoded, mattes

from dvm_hf.dataset.row_frames import VIDEO, RowFrames, frames_fault
from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Box

FRAMES, HEIGHT, WIDTH = 4, 40, 56
ALPHAS = mattes(FRAMES, HEIGHT, WIDTH)
TRIMAPS = [noise(HEIGHT, WIDTH, seed=number) for number in range(FRAMES)]
IMAGES = pa.list_(VIDEO)


def row_of(alpha: Any, trimap: Any) -> RowFrames:
    """A row with a video in alpha and images in trimap."""
    columns = {"alpha": pa.array([alpha], VIDEO), "trimap": pa.array([trimap], IMAGES)}
    numbers = {"clip_id": ["image_cat_0"], "window": [3], "height": [HEIGHT], "width": [WIDTH]}
    return RowFrames(
        pa.table(numbers | columns), uses=dict.fromkeys(range(FRAMES), 1), kept_images=FRAMES, kept_frames=2
    )


def pngs() -> list[dict[str, Any]]:
    return [{"bytes": cv2.imencode(".png", trimap)[1].tobytes(), "path": None} for trimap in TRIMAPS]


@pytest.mark.parametrize("is_path", [False, True])
def test_columns_of_a_row_can_be_videos_and_images(tmp_path: Path, is_path: bool) -> None:
    """Their bytes are in the row, or in files whose paths it has."""
    video = {"bytes": encoded(ALPHAS), "path": "frames.mp4"}
    if is_path:
        (tmp_path / "alpha.mp4").write_bytes(video["bytes"])
        video = {"bytes": None, "path": str(tmp_path / "alpha.mp4")}
    row, box = row_of(video, pngs()), Box(5, 6, 25, 50)
    for column, wanted in (("alpha", ALPHAS), ("trimap", TRIMAPS)):
        assert np.array_equal(row.image(column, 2), wanted[2])
        parts = np.array(wanted)[1:3, box.top : box.bottom, box.left : box.right]
        assert np.array_equal(row.frames(column, range(1, 3), box), parts)


MISSING = "its file /no/such/file cannot be read"


@pytest.mark.parametrize(
    ("alpha", "trimap", "text"),
    [
        (None, [], "alpha is null; rebuild the dataset"),
        ({"bytes": None, "path": None}, [], "alpha is null; rebuild the dataset"),
        ({"bytes": None, "path": "/no/such/file"}, [], f"alpha: {MISSING}"),
        ({"bytes": b"", "path": "frames.mp4"}, [], r"alpha \(0 bytes\): cannot be read as a video"),
        ({}, [None], r"trimap\[0\] is null; rebuild the dataset"),
        ({}, [{"bytes": None, "path": "/no/such/file"}], rf"trimap\[0\]: {MISSING}"),
    ],
)
def test_frames_that_a_row_lacks_are_named(alpha: Any, trimap: Any, text: str) -> None:
    row = row_of(alpha, trimap)
    with pytest.raises(SourceError, match=rf"^image_cat_0, window 3: {text}"):
        row.image("trimap" if trimap else "alpha", 0)


@pytest.mark.parametrize(
    ("kind", "is_image", "fault"),
    [
        (VIDEO, False, ""),
        (IMAGES, False, ""),
        (pa.list_(IMAGES), False, ""),
        (pa.large_list(pa.list_(pa.list_(pa.uint8()))), False, ""),
        (VIDEO, True, "is an image, but must be a list of images, an array or a video"),
        (pa.string(), False, "is string, but must be"),
        (pa.uint8(), False, "is uint8, but must be"),
        (pa.list_(pa.list_(pa.uint8())), False, "is list<item: list<item: uint8>>, but must be"),
        (pa.list_(pa.struct({"bytes": pa.binary()})), False, "is list<item: struct<bytes: binary>>, but must be"),
        (pa.struct({"bytes": pa.large_binary(), "path": pa.string()}), False, "is struct<bytes: large_binary, path"),
        (pa.list_(pa.string()), False, "is list<item: string>, but must be"),
    ],
)
def test_types_that_cannot_contain_frames_are_named(kind: pa.DataType, is_image: bool, fault: str) -> None:
    found = frames_fault(kind, is_image=is_image)
    assert found.startswith(fault)
    assert bool(found) == bool(fault)
