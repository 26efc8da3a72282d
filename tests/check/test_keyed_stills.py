"""Stills whose colours are black or white outside their matte, as after multiplying by alpha."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dvm_hf.check.check_cache import CheckCache
from dvm_hf.check.report import check
from dvm_hf.check.source import Source
from dvm_hf.check.stills import by_pixels

ROWS, COLUMNS = np.ogrid[:600, :220]  # more than two bands of rows
DISC = np.clip((90 - np.hypot(ROWS - 300, COLUMNS - 110)) * 8 + 128, 0, 255).astype(np.uint8)


def hair() -> np.ndarray:
    """An alpha of thin, soft strands."""
    rng, alpha = np.random.default_rng(0), np.zeros((600, 220), np.uint8)
    for _ in range(80):
        points = np.cumsum(rng.normal(0, 12, (20, 2)), 0) + np.array([110, 300])
        pairs = itertools.pairwise(points.astype(int).tolist())
        for start, end in pairs:
            cv2.line(alpha, start, end, int(rng.integers(60, 255)), 1, cv2.LINE_AA)
    return alpha


MATTES = {"disc": DISC, "hair": hair(), "specks of a JPEG": np.maximum(DISC, (ROWS + COLUMNS) % 3).astype(np.uint8)}
PICTURE = np.dstack([60 + ROWS % 120 + 0 * COLUMNS, 90 + COLUMNS % 100 + 0 * ROWS, 140 + (ROWS + COLUMNS) % 40])


def codes(folder: Path, colour: np.ndarray, alpha: np.ndarray, **options: object) -> list[str]:
    suffix = "jpg" if options else "png"
    Image.fromarray(np.rint(colour).astype(np.uint8)).save(folder / f"f.{suffix}", **options)
    Image.fromarray(alpha).save(folder / "a.png")
    found = by_pixels(Source(folder, "image", "train", "f", f"f.{suffix}", "a.png"))
    return [f"{one.code}: {one.text}" for one in found if one.code == "colour-keyed"]


@pytest.mark.parametrize("options", [{}, {"quality": 75}], ids=["PNG", "JPEG"])
@pytest.mark.parametrize("matte", MATTES)
@pytest.mark.parametrize("behind", [0, 255])
def test_colours_multiplied_by_alpha_are_found(tmp_path: Path, matte: str, behind: int, options: dict) -> None:
    alpha = MATTES[matte]
    share = alpha[..., None] / 255
    (told,) = codes(tmp_path, PICTURE * share + behind * (1 - share), alpha, **options)
    assert told.startswith(f"colour-keyed: is {'black' if behind == 0 else 'white'} in ")


@pytest.mark.parametrize("matte", MATTES)
def test_unpremultiplied_colours_are_not_found(tmp_path: Path, matte: str) -> None:
    assert codes(tmp_path, PICTURE, MATTES[matte]) == []


def test_a_dark_corner_is_not(tmp_path: Path) -> None:
    picture = PICTURE.copy()
    picture[:200] = 0
    assert codes(tmp_path, picture, DISC) == []


@pytest.mark.parametrize(("stored", "is_found"), [("straight", True), ("premultiplied", False), ("estimate", False)])
def test_black_outside_is_expected_if_the_sources_file_says_so(tmp_path: Path, stored: str, is_found: bool) -> None:
    """The second check reads the results of the first from the cache."""
    premultiplied = np.rint(PICTURE * (DISC[..., None] / 255)).astype(np.uint8)
    (tmp_path / "cutouts").mkdir()
    Image.fromarray(np.dstack([premultiplied, DISC])).save(tmp_path / "cutouts/disc.png")
    for colour in ("straight", stored):
        sources = tmp_path / "sources.yaml"
        sources.write_text(
            f"train:\n  foregrounds: [{{path: cutouts, layout: cutouts, colour: {colour}}}]\n", encoding="utf-8"
        )
        report = check(sources, configs=[], checked=CheckCache(tmp_path / "cache", tmp_path), processes=0)
    assert ("colour-keyed" in {one.code for one in report.findings}) is is_found
