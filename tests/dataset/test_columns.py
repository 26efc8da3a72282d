"""The types of the columns, and the loss of encoding a frame."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasets import Array3D, Array4D, ClassLabel, Features, Video
from datasets import Image as ImageFeature
from PIL import Image
from row_videos import decoded, planes

from dvm_hf.clips.motion import Placement
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.scene import Frame
from dvm_hf.clips.windows import Window
from dvm_hf.dataset.columns import frame_collector, frame_encoder, row, stored_bytes
from dvm_hf.dataset.features import features
from dvm_hf.media.pixels import Box
from dvm_hf.sources.records import Background, Foreground

ALL = ("frames", "alpha", "trimap", "foreground", "background")
LAYERS = ("composite", "alpha", "trimap", "foreground", "background")
PLAIN = {  # column: its Arrow type, as the contract has it
    "clip_id": pa.string(),
    "window": pa.int32(),
    "start": pa.int32(),
    "foreground_kind": pa.int64(),  # storage type of a ClassLabel
    "foreground_name": pa.string(),
    "background_name": pa.string(),
    "height": pa.int32(),
    "width": pa.int32(),
    "seed": pa.int64(),
    "motion": pa.list_(pa.list_(pa.float32(), 4)),
}


def made_features(columns: tuple[str, ...] = ALL, **fields: Any) -> Features:
    return features(columns, **{"encoding": "jpeg", "clip_length": 3, "crop_size": None} | fields)


def one_frame(height: int = 24, width: int = 32) -> Frame:
    """Smooth colours, an alpha ramp, and a trimap with its three values."""
    rows, columns = np.mgrid[:height, :width]
    colours = np.dstack([4 * rows, 4 * columns, 2 * rows + 2 * columns]).astype(np.uint8)
    alpha = (columns * 255 // (width - 1)).astype(np.uint8)
    trimap = np.select([alpha == 0, alpha == 255], [0, 255], 128).astype(np.uint8)
    return Frame(colours, alpha, trimap, colours[::-1].copy(), colours[:, ::-1].copy())


def image_of(cell: dict[str, Any]) -> Image.Image:
    assert cell.keys() == {"bytes", "path"}
    assert cell["path"] is None
    return Image.open(io.BytesIO(cell["bytes"]))


def test_every_plain_column_has_the_type_of_the_contract() -> None:
    made = made_features()
    assert {name: made.arrow_schema.field(name).type for name in PLAIN} == PLAIN
    assert isinstance(made["foreground_kind"], ClassLabel)
    assert made["foreground_kind"].names == ["image", "video"]


@pytest.mark.parametrize("encoding", ["jpeg", "lossless"])
def test_image_columns_are_lists_of_images(encoding: str) -> None:
    made = made_features(encoding=encoding)
    for column in ALL:
        inner = made[column][0] if isinstance(made[column], list) else made[column].feature
        assert isinstance(inner, ImageFeature)
        assert pa.types.is_list(made.arrow_schema.field(column).type)


def test_array_columns_have_the_shape_of_a_window() -> None:
    made = made_features(encoding="array", clip_length=3, crop_size=20)
    for column in ("frames", "foreground", "background"):
        assert isinstance(made[column], Array4D)
        assert (tuple(made[column].shape), made[column].dtype) == ((3, 20, 20, 3), "uint8")
    for column in ("alpha", "trimap"):
        assert isinstance(made[column], Array3D)
        assert (tuple(made[column].shape), made[column].dtype) == ((3, 20, 20), "uint8")


@pytest.mark.parametrize("columns", [ALL, ALL[::-1], ("trimap", "frames"), ("background",)])
def test_columns_have_a_fixed_order(columns: tuple[str, ...]) -> None:
    images = [column for column in ALL if column in columns]
    names = list(PLAIN)
    assert list(made_features(columns)) == names[:3] + images + names[3:]


@pytest.mark.parametrize("streaming", [False, True])
def test_lossless_files_store_exact_pixels(streaming: bool) -> None:
    frame = one_frame()
    cells = frame_encoder(ALL, encoding="lossless", streaming=streaming)(frame)
    assert list(cells) == list(ALL)
    for column, layer in zip(ALL, LAYERS, strict=True):
        image = image_of(cells[column])
        assert image.mode == ("L" if column in ("alpha", "trimap") else "RGB")
        assert np.array_equal(np.asarray(image), getattr(frame, layer))


@pytest.mark.parametrize("streaming", [False, True])
def test_jpeg_encodes_colours_as_jpeg_95_and_mattes_as_png(streaming: bool) -> None:
    frame = one_frame()
    cells = frame_encoder(ALL, encoding="jpeg", streaming=streaming)(frame)
    reference = io.BytesIO()
    Image.fromarray(frame.composite).save(reference, "JPEG", quality=95)  # type: ignore[arg-type]
    tables = Image.open(reference).quantization  # type: ignore[attr-defined]
    for column, layer in zip(ALL, LAYERS, strict=True):
        image = image_of(cells[column])
        if column in ("alpha", "trimap"):
            assert (image.format, image.mode) == ("PNG", "L")
            assert np.array_equal(np.asarray(image), getattr(frame, layer))
        else:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            assert image.quantization == tables  # type: ignore[attr-defined]
            assert np.abs(np.asarray(image, int) - getattr(frame, layer)).max() <= 12  # channels in their order


def test_arrays_are_passed_on_unchanged() -> None:
    frame = one_frame()
    cells = frame_encoder(ALL, encoding="array", streaming=True)(frame)
    assert all(cells[column] is getattr(frame, layer) for column, layer in zip(ALL, LAYERS, strict=True))


def test_video_columns_are_one_file_per_row() -> None:
    made = made_features(encoding="video")
    for column in ALL:
        assert isinstance(made[column], Video)
        assert made.arrow_schema.field(column).type == pa.struct({"bytes": pa.binary(), "path": pa.string()})


@pytest.mark.parametrize("streaming", [False, True])
def test_a_window_becomes_one_video_per_column(streaming: bool) -> None:
    """Three frames: the last is a copy of the second, as repeat_last makes it."""
    frames = [one_frame(), dataclasses.replace(one_frame(), alpha=255 - np.asarray(one_frame().alpha))]
    encode = frame_encoder(ALL, encoding="video", streaming=streaming)
    collected = frame_collector(ALL, encoding="video")()
    cells = [encode(frame) for frame in frames]
    for cell in (*cells, cells[-1]):
        collected.append(cell)
    made = row(a_window(collected.frames()), encoding="video")
    for column, layer in zip(ALL, LAYERS, strict=True):
        assert made[column]["path"] == f"{column}.mp4"
        found = decoded(made[column]["bytes"])
        assert len(found) == 3
        for frame, source in zip(found, (*frames, frames[-1]), strict=True):
            if column in ("alpha", "trimap"):
                assert np.array_equal(planes(frame)[0], getattr(source, layer))
            else:
                assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - getattr(source, layer)).max() <= 12


def test_the_size_of_a_window_is_that_of_its_images() -> None:
    for encoding in ("jpeg", "array", "video"):
        encode = frame_encoder(ALL, encoding=encoding, streaming=False)
        collected = frame_collector(ALL, encoding=encoding)()
        for _ in range(2):
            collected.append(encode(one_frame()))
        frames = collected.frames()
        assert len(frames) == 2
        made = row(a_window(frames), encoding=encoding)
        if encoding == "array":
            assert stored_bytes(frames) == sum(made[column].nbytes for column in ALL)
        else:
            files = [[made[column]] if encoding == "video" else made[column] for column in ALL]
            assert stored_bytes(frames) == sum(len(file["bytes"]) for column in files for file in column)


def a_window(frames: tuple[dict[str, Any], ...]) -> Window[tuple[dict[str, Any], ...]]:
    plan = ClipPlan(
        "video_0003_0041",
        Foreground("video", "0003", Path("f.mp4"), Path("a.mp4")),
        Background("0041", Path("0041.mp4")),
        2**62 + 1,
    )
    places = tuple(Placement(10.1 + i, 20.25, -1.5, 0.9) for i in range(len(frames)))
    return Window(plan, 2, 6, Box(5, 7, 29, 39), places, frames, tuple(place.pose for place in places))


def test_a_row_names_its_window() -> None:
    encoder = frame_encoder(("alpha",), encoding="jpeg", streaming=False)
    cells = tuple(encoder(one_frame()) for _ in range(3))
    made = row(a_window(cells), encoding="jpeg")
    assert list(made) == list(made_features(("alpha",)))
    assert made["alpha"] == [cell["alpha"] for cell in cells]
    expected = {
        "clip_id": "video_0003_0041",
        "window": 2,
        "start": 6,
        "foreground_kind": "video",
        "foreground_name": "0003",
        "background_name": "0041",
        "height": 24,
        "width": 32,
        "seed": 2**62 + 1,
    }
    assert {name: made[name] for name in expected} == expected
    single = float(np.float32(10.1))  # motion is float32 whether or not the row has been through Arrow
    assert made["motion"] == [[single, 20.25, -1.5, float(np.float32(0.9))]] + [
        [float(np.float32(10.1 + i)), 20.25, -1.5, float(np.float32(0.9))] for i in (1, 2)
    ]


def test_a_row_of_arrays_stacks_its_frames() -> None:
    encoder = frame_encoder(ALL, encoding="array", streaming=False)
    frame = one_frame()
    made = row(a_window((encoder(frame), encoder(frame))), encoding="array")
    for column, layer in zip(ALL, LAYERS, strict=True):
        assert made[column].dtype == np.uint8
        assert np.array_equal(made[column], [getattr(frame, layer)] * 2)
