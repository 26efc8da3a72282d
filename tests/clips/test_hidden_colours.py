"""Colours of transparent pixels do not reach the edge of the matte."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from media_arrays import weighted_means

from dvm_hf.clips import hidden_colours
from dvm_hf.clips.hidden_colours import continued
from dvm_hf.media.still.image_encoding import write_image


def hair(height: int, width: int, *, softness: float = 3) -> np.ndarray:
    """Alpha (H, W) of a disc with strands, which end in a few transparent pixels between opaque ones."""
    rows, columns = np.mgrid[:height, :width] - np.array([height / 2, width / 2])[:, None, None]
    strands = np.abs(np.sin(19 * np.arctan2(rows, columns))) ** 4
    away = np.hypot(rows, columns) / min(height, width)
    return np.clip((0.25 + 0.15 * strands - away) * min(height, width) / softness * 255 + 128, 0, 255).astype(np.uint8)


def smooth_colours(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    return np.dstack([180 + 60 * rows, 90 + 80 * columns, 220 - 90 * rows * columns]).astype(np.uint8)


@pytest.mark.parametrize("reach", [1, 3])
@pytest.mark.parametrize("shape", [(40, 56), (7, 90), (1, 5)])
def test_transparent_pixels_get_the_mean_of_the_colours_around_weighted_by_alpha(
    shape: tuple[int, int], reach: int
) -> None:
    rng = np.random.default_rng(reach)
    colour = rng.integers(0, 256, (*shape, 3), np.uint8)
    alpha = rng.integers(0, 256, shape, np.uint8) * (rng.random(shape) < 0.2)
    assert np.array_equal(continued(colour, alpha, reach), weighted_means(colour, alpha, reach=reach))


def test_bands_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    colour, alpha = np.random.default_rng(0).integers(0, 256, (60, 40, 3), np.uint8), hair(60, 40)
    monkeypatch.setattr(hidden_colours, "BAND", 7)
    assert np.array_equal(continued(colour, alpha, 3), weighted_means(colour, alpha, reach=3))


@pytest.mark.parametrize("level", [0, 1, 255])
def test_without_an_edge_the_colours_are_unchanged(level: int) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    before = colour.copy()
    assert continued(colour, np.full((9, 9), level, np.uint8), 3) is colour
    assert np.array_equal(colour, before)


@pytest.mark.parametrize("size", [(90, 120), (260, 350)], ids=["as drawn", "reduced"])
@pytest.mark.parametrize("hidden", [(0, 0, 0), (0, 255, 0)], ids=["black", "green"])
@pytest.mark.parametrize("has_own_alpha", [False, True], ids=["two files", "RGBA"])
def test_colours_under_alpha_0_do_not_change_a_composite(
    tmp_path: Path, load: Callable, size: tuple[int, int], hidden: tuple[int, int, int], has_own_alpha: bool
) -> None:
    """Composites of a still whose colours continue beyond the matte are the expected values."""
    alpha, colour = hair(*size), smooth_colours(*size)
    frames = {}
    for name, beyond in (("continued", colour), ("hidden", np.broadcast_to(np.uint8(hidden), colour.shape))):
        root = tmp_path / name
        stored = np.where(alpha[..., None] > 0, colour, beyond)
        if has_own_alpha:
            write(root / "cutouts/disc.png", np.dstack([stored, alpha]))
        else:
            write(root / "cutouts/fgr/disc.png", stored)
            write(root / "cutouts/pha/disc.png", alpha)
        write(root / "backgrounds/white.png", np.full((100, 140, 3), 255, np.uint8))
        (root / "sources.yaml").write_text(
            f"train:\n  foregrounds: [{{path: cutouts, layout: {'cutouts' if has_own_alpha else 'fgr-pha'}}}]\n"
            "  backgrounds: [{path: backgrounds, layout: bg20k}]\n",
            encoding="utf-8",
        )
        options = {
            "encoding": "lossless",
            "clip_length": 3,
            "max_image_frames": 3,
            "max_size": 160,
            "columns": ["frames", "alpha"],
        }
        rows = load("train", data_dir=str(root / "sources.yaml"), split="train", streaming=True, **options)
        (row,) = list(rows)
        frames[name] = np.stack([np.asarray(frame) for frame in row["frames"]]).astype(int)
        matte = np.stack([np.asarray(frame) for frame in row["alpha"]])
    assert ((matte > 20) & (matte < 235)).sum() > 1000  # pixels at the edge
    assert np.abs(frames["hidden"] - frames["continued"]).max() <= 2


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA))
    else:
        write_image(path, pixels)
