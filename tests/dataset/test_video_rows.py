"""load_dataset with encoding="video": the same bytes however it builds, exact mattes, and errors before rendering."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from datasets import Video
from row_digests import IMAGE_COLUMNS
from row_videos import decoded, planes

import dvm_hf.dataset.encoders
from dvm_hf.clips import windows
from dvm_hf.dataset.config import DVMConfig, require_valid
from dvm_hf.errors import ConfigError
from dvm_hf.media.row_videos import encoding
from dvm_hf.media.row_videos.encoding import encoder_frame

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # fork

Load = Callable[..., Any]


def stored(rows: Any, columns: tuple[str, ...] = IMAGE_COLUMNS) -> list[dict[str, Any]]:
    """Return rows with their videos as stored."""
    for column in columns:
        rows = rows.cast_column(column, Video(decode=False))
    return sorted(rows, key=lambda row: (row["clip_id"], row["window"]))


def assert_rows_match(videos: list[dict[str, Any]], lossless: Any) -> None:
    """Alpha and trimap are equal; the planes of the other columns are within 44 dB."""
    exact = sorted(lossless, key=lambda row: (row["clip_id"], row["window"]))
    for row, other in zip(videos, exact, strict=True):
        for column in (column for column in IMAGE_COLUMNS if column in row):
            frames = decoded(row[column]["bytes"])
            assert len(frames) == len(other[column]) == len(row["motion"])
            for frame, picture in zip(frames, other[column], strict=True):
                pixels = np.asarray(picture)
                if column in ("alpha", "trimap"):
                    assert np.array_equal(planes(frame)[0][: row["height"], : row["width"]], pixels)
                    continue
                wanted = planes(encoder_frame(pixels, "colour_h264"))
                for one, two in zip(planes(frame), wanted, strict=True):
                    assert np.square(one.astype(float) - two).mean() < 255**2 / 10**4.4
        for name in set(row) - set(IMAGE_COLUMNS):
            assert row[name] == other[name]


@pytest.mark.slow
def test_all_ways_to_load_store_the_same_videos(few_sources: Path, load: Load) -> None:
    fields = {"data_dir": str(few_sources), "split": "test", "clip_length": 4, "columns": IMAGE_COLUMNS}
    cached = stored(load("test", encoding="video", **fields))
    assert len(cached) == 8  # four clips: windows of 4, and a partial one
    assert {row["frames"]["path"] for row in cached} == {"frames.mp4"}
    assert_rows_match(cached, load("test", encoding="lossless", **fields))
    assert stored(load("test", encoding="video", streaming=True, **fields)) == cached
    again = load("test", encoding="video", num_proc=2, download_mode="force_redownload", **fields)
    assert stored(again) == cached


@pytest.mark.parametrize(
    "fields",
    [
        {"clip_length": 4, "clip_step": 2},
        {"clip_length": 4, "remainder": "repeat_last"},
        {"clip_length": 1},
        {"clip_length": "all", "recipe": "reference"},
        {"clip_length": 3, "crop_size": 15, "frame_step": 2},
    ],
)
def test_videos_have_the_pixels_of_lossless_rows(few_sources: Path, load: Load, fields: dict[str, Any]) -> None:
    fields |= {"data_dir": str(few_sources), "split": "train", "streaming": True, "backgrounds_per_foreground": 1}
    columns = ("frames", "alpha", "trimap")
    assert_rows_match(
        stored(load("train", encoding="video", **fields), columns), load("train", encoding="lossless", **fields)
    )


def test_the_version_of_the_encoder_names_the_cache_of_videos_only(
    few_sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names() -> list[str]:
        configs = [DVMConfig(name="test", data_dir=str(few_sources), encoding=one) for one in ("video", "jpeg")]
        return [config.create_config_id({}) for config in configs]

    before = names()
    monkeypatch.setattr(dvm_hf.dataset.encoders, "encoder_version", lambda: "core 999")
    after = names()
    assert before[0] != after[0]
    assert before[1] == after[1]


@pytest.fixture
def no_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make rendering a frame an error."""
    monkeypatch.setattr(windows, "Scene", None)


@pytest.mark.usefixtures("no_rendering")
def test_a_missing_encoder_is_an_error_before_anything_is_rendered(
    few_sources: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "codecs_available", frozenset({"h264"}))
    for streaming in (False, True):
        with pytest.raises(ConfigError, match=r"^encoding='video': the imported PyAV .* without libx264"):
            load("test", data_dir=str(few_sources), split="test", encoding="video", streaming=streaming)


@pytest.mark.usefixtures("no_rendering")
def test_a_file_with_the_name_of_a_video_is_an_error_before_anything_is_rendered(
    few_sources: Path, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`datasets` would store the name of that file instead of the bytes of each row."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alpha.mp4").write_bytes(b"of someone else")
    with pytest.raises(ConfigError, match=r"^encoding='video': the working directory .* has a file alpha\.mp4"):
        load("test", data_dir=str(few_sources), split="test", encoding="video")


@pytest.mark.usefixtures("no_rendering")
def test_a_broken_video_library_is_an_error_before_anything_is_rendered(
    few_sources: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`datasets` imports it to encode, too."""
    reader = "TORCHVISION_AVAILABLE" if datasets.__version__.startswith("3.") else "TORCHCODEC_AVAILABLE"
    monkeypatch.setattr(datasets.config, reader, True)
    for module in ("torchcodec", "torchcodec.decoders", "torchvision", "torchvision.io"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=r"^encoding='video': `datasets` cannot store videos here \((Module|Import)"):
        load("test", data_dir=str(few_sources), split="test", encoding="video")


def test_sizes_beyond_the_encoder_are_refused() -> None:
    require_valid(DVMConfig(name="train", encoding="video", max_size=16384))
    require_valid(DVMConfig(name="train", encoding="video", max_size=20000, crop_size=512))
    require_valid(DVMConfig(name="train", max_size=20000))
    for fields in ({"max_size": 16385}, {"crop_size": 16385}):
        with pytest.raises(ConfigError, match=r"^(max|crop)_size=16385: encoding='video' allows frames of up to 16384"):
            require_valid(DVMConfig(name="train", encoding="video", **fields))
