"""The demo draws once, builds once, and shows the result."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import TreeWriter, file_hashes
from datasets import load_dataset
from PIL import Image

from dvm_hf import DVM
from dvm_hf.commands import demo
from dvm_hf.dataset.loading import load_arguments
from dvm_hf.preview import pictures
from dvm_hf.preview.pictures import write_contact_sheet
from dvm_hf.synthetic.mixed_tree import draw_mixed_if_missing
from dvm_hf.synthetic.source_tree import draw_if_missing

pytestmark = pytest.mark.slow


def test_the_demo_builds_and_shows_synthetic_sources(
    drawn_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[str] = []
    monkeypatch.setattr(demo, "draw_if_missing", partial(draw_if_missing, scale=0.25))  # a quarter of the demo's size
    monkeypatch.setattr(demo, "draw_mixed_if_missing", partial(draw_mixed_if_missing, scale=0.25))
    monkeypatch.setattr(demo, "CROP_SIZE", 64)
    shown: list[str] = []

    def recorded_sheet(rows: list[dict[str, Any]], path: Path) -> None:
        shown.extend(row["clip_id"] for row in rows)
        write_contact_sheet(rows, path)

    monkeypatch.setattr(demo, "write_contact_sheet", recorded_sheet)
    folder = tmp_path / "deep" / "demo"
    made = demo.demonstrate(folder, say=messages.append)
    assert (made.sources, made.cache) == (folder / "DVM", folder / "cache")
    assert file_hashes(made.sources) == file_hashes(drawn_sources)
    assert len(messages) >= 4
    assert made.sources_file == folder / "mixed/sources.yaml"
    foregrounds = ("image_cutouts.dandelion_", "image_cutouts.red_hair_", "video_frames.jellyfish_")
    foregrounds += ("video_alpha_videos.smoke_",)
    assert made.mixed_rows == 4
    assert all(clip.startswith(name) for clip, name in zip(shown[-4:], foregrounds, strict=True))
    assert {clip.rpartition("_")[2].partition(".")[0] for clip in shown[-4:]} == {"DVM", "stills"}
    with Image.open(made.contact_sheet) as sheet:
        assert sheet.format == "PNG"
        assert len(sheet.getcolors(1 << 24) or []) > 10_000  # pictures, not paper
    pairs = str(made.sources / "test_fg_bg_names.txt")
    arguments = load_arguments() | {"data_dir": str(made.sources), "cache_dir": str(made.cache)}
    monkeypatch.setattr(DVM, "_generate_examples", None)  # the cache contains the test config, as documented
    rows = load_dataset(name="test", split="test", pairs=pairs, **arguments)
    assert len(rows) == made.test_rows
    assert made.streamed_rows == 4


def test_a_second_run_uses_the_cache(tree: TreeWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "demo"
    drawn = TreeWriter(folder / "DVM")
    for split in ("train", "test"):
        for name in ("a", "b", "c"):
            drawn.still(name, split=split)
        for name in ("0000", "0001"):
            drawn.background(name, split=split, frames=16)
    (drawn.root / "test_fg_bg_names.txt").write_text("image+a.png+0000.mp4\nimage+b.png+0001.mp4\n")
    monkeypatch.setattr(demo, "CROP_SIZE", 24)
    monkeypatch.setattr(pictures, "THUMBNAIL", (64, 56))  # a PNG of the full size takes seconds
    monkeypatch.setattr(demo, "draw_if_missing", lambda target: target)
    monkeypatch.setattr(demo, "draw_mixed_if_missing", partial(draw_mixed_if_missing, scale=0.25))
    draw_mixed_if_missing(folder / "mixed", scale=0.25)
    roots = (drawn.root, folder / "mixed")
    before = {path: path.stat().st_mtime_ns for root in roots for path in root.rglob("*")}
    first = demo.demonstrate(folder, say=str)
    built = {path: path.stat().st_mtime_ns for path in first.cache.rglob("*.arrow")}
    sheet = first.contact_sheet.read_bytes()
    assert len(built) == 1
    second = demo.demonstrate(folder, say=str)
    assert second == first
    assert {path: path.stat().st_mtime_ns for path in first.cache.rglob("*.arrow")} == built
    assert {path: path.stat().st_mtime_ns for root in roots for path in root.rglob("*")} == before
    assert second.contact_sheet.read_bytes() == sheet
