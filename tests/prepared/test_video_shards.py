"""Shards with videos: the same bytes from any number of processes, verified, repaired, shown and loaded back."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_runs import run
from conftest import file_hashes
from datasets import Video, load_dataset
from prepare_runs import answer, prepare
from prepared_folder import rewritten
from row_videos import decoded, encoded, planes

from dvm_hf.media.row_videos import encoding
from dvm_hf.prepared.repair import repaired
from dvm_hf.prepared.verify import verify
from dvm_hf.preview.samples import samples

COLUMNS = ("frames", "alpha", "trimap", "foreground", "background")
ARGUMENTS = ("--encoding", "video", "--config", "test", "--clip-length", "3", "--columns", ",".join(COLUMNS))
SHARDS = ("--num-shards", "2")


@pytest.fixture(scope="module")
def built_once(few_sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The split test of `few_sources` as videos, in two shards of two clips. Tests must not change it."""
    out = tmp_path_factory.mktemp("videos") / "out"
    answer(few_sources, out, *ARGUMENTS, *SHARDS)
    return out


@pytest.fixture
def built(built_once: Path, tmp_path: Path) -> Path:
    """A copy of `built_once` to change."""
    return Path(shutil.copytree(built_once, tmp_path / "built"))


def shard(out: Path, index: int = 0) -> Path:
    return out / f"data/test-0000{index}-of-00002.parquet"


@pytest.mark.slow
def test_processes_and_reruns_do_not_change_the_bytes(few_sources: Path, built_once: Path, tmp_path: Path) -> None:
    two = tmp_path / "two"
    answer(few_sources, two, *ARGUMENTS, *SHARDS, "--num-proc", "2")
    hashes = file_hashes(two)
    assert hashes == file_hashes(built_once)
    for path in (shard(two), two / "shards" / f"{shard(two).stem}.json"):
        path.unlink()
    assert answer(few_sources, two, *ARGUMENTS, *SHARDS)["built"] == [shard(two).name]
    assert file_hashes(two) == hashes


def test_the_plan_has_the_version_of_the_encoder(built_once: Path, prepared_once: Path) -> None:
    plans = [json.loads((out / "plan/test.json").read_bytes()) for out in (built_once, prepared_once)]
    assert plans[0]["versions"]["x264"] == encoding.encoder_version()
    assert "x264" not in plans[1]["versions"]


def test_a_valid_folder_passes_every_check(built_once: Path) -> None:
    for arguments in ([], ["--read-data"], ["--pixels"]):
        result = run("verify", str(built_once), *arguments)
        assert (result.exit_code, result.stdout) == (0, "2 shards, all valid\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("--encoding", "jpeg"),
        ("--encoding", "lossless", "--clip-length", "all", "--recipe", "reference"),
        ("--encoding", "array", "--crop-size", "16", "--remainder", "drop"),
        ("--encoding", "video", "--clip-length", "4", "--clip-step", "2", "--crop-size", "15"),
        ("--encoding", "video", "--remainder", "repeat_last", "--columns", "alpha"),
    ],
)
def test_rows_of_every_encoding_match_a_fresh_rendering(
    few_sources: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    answer(few_sources, out, "--config", "train", "--clip-length", "3", *SHARDS, *arguments)
    result = run("verify", str(out), "--pixels")
    assert (result.exit_code, result.stdout) == (0, "2 shards, all valid\n")


Edit = Callable[[list[np.ndarray]], list[np.ndarray]]


def with_one_level_more(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Change one soft pixel of the second frame, which leaves the trimap valid."""
    changed = frames[1].copy()
    row, column = np.argwhere((changed > 9) & (changed < 240))[0]
    changed[row, column] += 1
    return [frames[0], changed, *frames[2:]]


def brighter(frames: list[np.ndarray]) -> list[np.ndarray]:
    return [*frames[:2], np.where(frames[2] < 250, frames[2] + 5, frames[2]).astype(np.uint8)]


def swapped_channels(frames: list[np.ndarray]) -> list[np.ndarray]:
    return [np.ascontiguousarray(frame[..., ::-1]) for frame in frames]


def frames_in_another_order(frames: list[np.ndarray]) -> list[np.ndarray]:
    return frames[::-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "edit", "fault"),
    [
        ("alpha", with_one_level_more, r"alpha of frame 1 differs from a fresh rendering in 1 values"),
        ("frames", brighter, r"frames of frame 2 has a PSNR of 3\d\.\d dB against a fresh rendering, .* 44 dB"),
        ("foreground", swapped_channels, r"foreground of frame 0 has a PSNR of"),
        ("background", frames_in_another_order, r"background of frame 0 has a PSNR of"),
    ],
)
def test_a_fresh_rendering_finds_changed_pixels_with_valid_hashes(
    built: Path, built_once: Path, column: str, edit: Edit, fault: str
) -> None:
    change(built, column, edit)
    assert {one.path for one in verify(built, read_data=True).faults} == {"manifest.json"}  # it is missing
    found = verify(built, render=True)
    texts = [one.text for one in found.faults if one.path != "manifest.json"]
    assert any(re.search(fault, text) for text in texts), texts
    assert all(text.startswith(("row 0 (", "has more faults")) for text in texts)
    assert repaired(built, found, render=True).faults == []
    assert file_hashes(built) == file_hashes(built_once)


def change(out: Path, column: str, edit: Edit) -> None:
    """Encode the edited frames of the first row's video again, with a matching sidecar and without a manifest."""
    table = pq.read_table(shard(out))
    rows = table.to_pylist()
    height, width = rows[0]["height"], rows[0]["width"]
    stored = decoded(rows[0][column]["bytes"])
    if column in ("alpha", "trimap"):
        frames = [planes(frame)[0][:height, :width] for frame in stored]
    else:
        frames = [frame.to_ndarray(format="rgb24")[:height, :width] for frame in stored]
    rows[0][column]["bytes"] = encoded(edit(frames))
    rewritten(shard(out), pa.Table.from_pylist(rows, schema=table.schema))
    (out / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("column", "edit", "fault"),
    [
        ("alpha", lambda frames: frames[:2], r"alpha has 2 images, but motion has 3 placements"),
        (
            "trimap",
            lambda frames: [255 - frame for frame in frames],
            r"frame 0: trimap has values other than 0, 128, 255",
        ),
        (
            "frames",
            lambda frames: [frame[:-2] for frame in frames],
            r"frames of frame 0 cannot be decoded \(video: has frames of",
        ),
    ],
)
def test_reading_the_data_finds_invalid_videos(built: Path, column: str, edit: Edit, fault: str) -> None:
    change(built, column, edit)
    texts = [one.text for one in verify(built, read_data=True).faults]
    assert any(re.search(fault, text) for text in texts), texts


def test_a_damaged_video_is_a_fault(built: Path) -> None:
    table = pq.read_table(shard(built))
    rows = table.to_pylist()
    rows[0]["trimap"]["bytes"] = rows[0]["trimap"]["bytes"][:700]
    rewritten(shard(built), pa.Table.from_pylist(rows, schema=table.schema))
    (built / "manifest.json").unlink()
    texts = [one.text for one in verify(built, read_data=True).faults]
    assert any("trimap of frame 0 cannot be decoded (video (700 bytes): cannot be read" in text for text in texts), (
        texts
    )


def test_a_fresh_rendering_needs_the_sources_of_the_build(built: Path, few_sources: Path, tmp_path: Path) -> None:
    (built / ".cache/huggingface/dvm_sources.sqlite").unlink()
    result = run("verify", str(built), "--pixels")
    assert result.exit_code == 2
    assert "a fresh rendering needs the sources, but their location is unknown" in result.stderr
    assert run("verify", str(built), "--pixels", "--data-dir", str(few_sources)).exit_code == 0
    copy = Path(shutil.copytree(few_sources, tmp_path / "copy"))
    for path in copy.glob("bg/test/*"):
        path.write_bytes(path.read_bytes() + b"!")
    result = run("verify", str(built), "--pixels", "--data-dir", str(copy))
    assert result.exit_code == 2
    assert "changed since the plan was made" in result.stderr


def test_a_missing_encoder_is_an_error_before_anything_is_written(
    few_sources: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "codecs_available", frozenset({"h264"}))
    result = prepare(few_sources, tmp_path / "out", *ARGUMENTS)
    assert result.exit_code == 2
    assert "encoding='video': the imported PyAV" in result.stderr
    assert not (tmp_path / "out").exists()
    assert run("verify", str(built), "--read-data").exit_code == 0  # reading needs no encoder
    shard(built).unlink()
    assert "without libx264" in run("verify", str(built), "--repair").stderr


def test_a_file_with_the_name_of_a_video_does_not_replace_the_bytes(
    few_sources: Path, built_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames.mp4").write_bytes(b"of someone else")
    answer(few_sources, tmp_path / "out", *ARGUMENTS, *SHARDS, "--shards", "0")
    assert shard(tmp_path / "out").read_bytes() == shard(built_once).read_bytes()


def test_rows_load_back_as_videos(built_once: Path, tmp_path: Path) -> None:
    stored = {row["clip_id"]: row for index in range(2) for row in pq.read_table(shard(built_once, index)).to_pylist()}
    rows = load_dataset(str(built_once), split="test", cache_dir=str(tmp_path))
    assert all(isinstance(rows.features[column], Video) for column in COLUMNS)
    for column in COLUMNS:
        rows = rows.cast_column(column, Video(decode=False))
    streamed = load_dataset(str(built_once), split="test", streaming=True).decode(False)
    for one, other in zip(rows, streamed, strict=True):
        assert {column: one[column] for column in COLUMNS} == {column: other[column] for column in COLUMNS}
    assert {row["clip_id"] for row in rows} == set(stored)
    assert rows[0]["alpha"]["path"] == "alpha.mp4"


@pytest.mark.slow
def test_the_examples_of_the_card_read_a_row(built_once: Path) -> None:
    """Without this package and without torchcodec."""
    text = (built_once / "README.md").read_text(encoding="utf-8")
    blocks = [block.replace("REPO", str(built_once)) for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]
    without = [block for block in blocks if "torch" not in block and "[0]\n" not in block]
    assert len(without) == 2
    script = "\n".join(
        [
            "import sys; sys.modules['dvm_hf'] = None",
            *without,
            "print(len(frames), frames[0].shape, height, width); del stream, rows",
            "import gc, time; gc.collect(); time.sleep(0.3)",  # Arrow's threads
        ]
    )
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    count, *shape, height, width = map(int, re.findall(r"\d+", made.stdout.splitlines()[-1]))
    assert (count, shape) == (3, [height, width, 3])
    assert "| `alpha` | Video |" in text
    assert "`alpha` and `trimap` are lossless. The other columns are lossy" in text


def test_the_preview_shows_the_frames_of_the_videos(built_once: Path) -> None:
    rows = {
        row["clip_id"]: row for index in range(2) for row in pq.read_table(shard(built_once, index)).to_pylist()[::-1]
    }
    for sample in samples(str(built_once), clips=4, frames=2):
        row: dict[str, Any] = rows[sample.facts["clip_id"]]
        assert sample.row_frames == 3
        assert sample.frame_count == 2
        for column in COLUMNS:
            for index in (1, 0, 1):
                shown = np.asarray(sample.layers[column][index])
                assert shown.shape[:2] == (row["height"], row["width"])
                frame = decoded(row[column]["bytes"])[index]
                if column in ("alpha", "trimap"):
                    assert np.array_equal(shown, planes(frame)[0][: row["height"], : row["width"]])
                else:
                    whole = frame.to_ndarray(format="rgb24")[: row["height"], : row["width"]]
                    assert np.abs(shown.astype(int) - whole).max() <= 1


def test_shards_are_estimated_with_the_first_frame_of_each_row(few_sources: Path, tmp_path: Path) -> None:
    """The first frame of a video takes most of its bytes, so an estimate from four frames would be too high."""
    answer(few_sources, tmp_path / "out", *ARGUMENTS, "--max-shard-size", "1GB")
    plan = json.loads((tmp_path / "out/plan/test.json").read_bytes())
    actual = sum(path.stat().st_size for path in (tmp_path / "out/data").iterdir()) / plan["counts"]["clips"]
    assert plan["sharding"]["bytes_per_clip"] == pytest.approx(actual, rel=0.3)
