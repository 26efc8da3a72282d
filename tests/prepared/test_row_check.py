"""Rows that differ from their plan: each kind of difference is one fault."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.config import DVMConfig, rendering_of
from dvm_hf.dataset.features import features_of, file_schema
from dvm_hf.prepared.parquet_rows import parquet_rows
from dvm_hf.prepared.row_check import row_faults
from dvm_hf.prepared.shards import PlannedShard, Sidecar
from dvm_hf.sources.records import Background, Foreground

ALPHA = np.array([[0, 0, 9, 255], [0, 0, 9, 255]], np.uint8)
TRIMAP = np.array([[0, 128, 128, 255], [0, 0, 128, 255]], np.uint8)


def png(pixels: np.ndarray) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def row(clip: int, window: int, *, frames: int = 2, **changed: Any) -> dict[str, Any]:
    """A valid row of clip 0 or 1, with the changes."""
    return {
        "clip_id": f"image_cat_{clip}",
        "window": window,
        "start": 2 * window,
        "alpha": [png(ALPHA)] * frames,
        "trimap": [png(TRIMAP)] * frames,
        "foreground_kind": "image",
        "foreground_name": "cat",
        "background_name": str(clip),
        "height": 2,
        "width": 4,
        "seed": 7,
        "motion": [[1.0, 2.0, 0.0, 1.0]] * frames,
    } | changed


def faults(
    folder: Path, rows: list[dict[str, Any]], *, counts: dict[str, int] | None = None, skipped: str = "", **fields: Any
) -> list[str]:
    """Return the faults of a shard with these rows, whose plan has the clips 0 and 1 in windows of two frames."""
    config = DVMConfig(name="train", version=DVM.VERSION, **{"clip_length": 2, "columns": ("alpha", "trimap")} | fields)
    foreground = Foreground("image", "cat", Path("cat.png"), Path("alpha/cat.png"))
    clips = tuple(
        ClipPlan(f"image_cat_{number}", foreground, Background(str(number), Path("x.mp4")), 7, rendering_of(config))
        for number in range(2)
    )
    schema = file_schema(features_of(config))
    shard = PlannedShard("train", 0, 1, "0" * 64, clips, {}, config.encoding, schema.serialize().to_pybytes())
    path = folder / "x.parquet"
    with parquet_rows(path, schema, {}) as file:
        for one in rows:
            file.append(one)
    counts = dict(Counter(one["clip_id"] for one in rows)) if counts is None else counts
    skips = ((skipped, "broken"),) if skipped else ()
    return list(row_faults(path, shard, Sidecar(path.name, shard.plan, counts, 0, 0, 0, 0, "", skips)))


VALID = [row(0, 0), row(0, 1), row(1, 0)]


def test_valid_rows_have_no_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, VALID) == []
    assert faults(tmp_path, [row(0, 1), row(0, 4), row(1, 2)]) == []  # windows lost to damaged frames
    assert faults(tmp_path, [row(0, 0, frames=1), row(1, 0)], remainder="keep") == []


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([row(0, 0), row(0, 0), row(1, 0)], "row 1 (image_cat_0, window 0): window is 0, after 0; "),
        ([row(0, 1), row(0, 0), row(1, 0)], "row 1 (image_cat_0, window 0): window is 0, after 1; "),
        ([row(1, 0), row(0, 0)], "row 1: clip image_cat_0 comes after image_cat_1"),
        ([row(0, 0), row(1, 0, frames=0)], "row 1 (image_cat_1, window 0): has 0 frames; "),
        ([row(0, 0, frames=3), row(1, 0)], "row 0 (image_cat_0, window 0): has 3 frames; "),
        ([row(0, 0, frames=1), row(1, 0)], "row 0 (image_cat_0, window 0): has 1 frames; "),
        ([row(0, 0, foreground_kind="video"), row(1, 0)], "row 0 (image_cat_0, window 0): foreground_kind is 1, "),
        ([row(0, 0, foreground_name="dog"), row(1, 0)], "row 0 (image_cat_0, window 0): foreground_name is 'dog'"),
        ([row(0, 0), row(1, 0, background_name="0")], "row 1 (image_cat_1, window 0): background_name is '0'"),
        ([row(0, 0)], "clip image_cat_1 has no row"),
    ],
)
def test_one_difference_is_one_fault(tmp_path: Path, rows: list[dict[str, Any]], fault: str) -> None:
    (found,) = faults(tmp_path, rows, remainder="drop")
    assert found.startswith(fault)


@pytest.mark.parametrize("fields", [{"remainder": "keep"}, {"clip_length": "all"}])
def test_a_row_without_frames_is_a_fault_even_if_windows_can_be_partial(tmp_path: Path, fields: dict[str, Any]) -> None:
    assert faults(tmp_path, [row(0, 0), row(1, 0)], **fields) == []
    (found,) = faults(tmp_path, [row(0, 0), row(1, 0, frames=0)], **fields)
    assert found.startswith("row 1 (image_cat_1, window 0): has 0 frames; ")


@pytest.mark.parametrize(
    ("column", "pixels", "fault"),
    [
        ("alpha", ALPHA.astype(np.uint16) * 257, "alpha of frame 1 is (2, 4) uint16, but must be (2, 4) uint8"),
        ("alpha", np.dstack([ALPHA] * 3), "alpha of frame 1 is (2, 4, 3) uint8, but must be (2, 4) uint8"),
        ("trimap", np.where(TRIMAP == 128, 127, TRIMAP).astype(np.uint8), "trimap has values other than 0, 128, 255"),
        ("trimap", np.full_like(TRIMAP, 128) * (ALPHA != 9), "trimap is background at 2 pixels whose alpha is not 0"),
        ("alpha", np.minimum(ALPHA, 254), "trimap is foreground at 2 pixels whose alpha is not 255"),
    ],
)
def test_invalid_pixels_are_named_with_their_frame(tmp_path: Path, column: str, pixels: np.ndarray, fault: str) -> None:
    pictures = [*VALID[0][column][:1], png(pixels)]
    found = faults(tmp_path, [row(0, 0, **{column: pictures}), row(1, 0)])
    assert found
    assert all("row 0 (image_cat_0, window 0): " in one and "frame 1" in one for one in found)
    assert any(fault in one for one in found)


def test_a_provided_trimap_need_not_match_its_alpha(tmp_path: Path) -> None:
    trimap = [png(255 - TRIMAP)] * 2
    assert len(faults(tmp_path, [row(0, 0, trimap=trimap), row(1, 0)])) > 0
    assert faults(tmp_path, [row(0, 0, trimap=trimap), row(1, 0)], trimap="provided") == []


def test_rows_are_counted_as_the_sidecar_counts_them(tmp_path: Path) -> None:
    counts = {"image_cat_0": 3, "image_cat_1": 1}
    assert faults(tmp_path, VALID, counts=counts) == ["clip image_cat_0 has 2 rows instead of 3"]
    assert faults(tmp_path, [row(0, 0)], skipped="image_cat_1") == []
