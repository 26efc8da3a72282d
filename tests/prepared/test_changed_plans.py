"""A folder holds the shards of one plan: other configs, versions and sources are refused by name."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import FEW_ARGUMENTS, TreeWriter, file_hashes
from prepare_runs import answer, finished_shards, prepare
from stored_plans import plan_in, stored_plan
from zlib_ng import zlib_ng

import dvm_hf.prepared.atomic_io
import dvm_hf.prepared.parquet_rows
import dvm_hf.prepared.plans.shard_size
import dvm_hf.prepared.shards
from dvm_hf import PreparedError
from dvm_hf.cli import main
from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.config import DVMConfig
from dvm_hf.prepared import prepare as preparing
from dvm_hf.prepared.folder import PreparedFolder, checksummed, content_checksum, read_checksummed
from dvm_hf.prepared.plans.shard_plan import current_versions, planned_fields


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--clip-length", "3", "--num-shards", "3"), ["clip_length was 2, is 3"]),
        ((*FEW_ARGUMENTS, "--trimap", "5"), ["trimap was 'dvm-test', is 5"]),
        (("--clip-length", "2", "--num-shards", "2"), ["num_shards was 3, is 2"]),
        (
            (*FEW_ARGUMENTS, "--seed", "7", "--recipe", "reference"),
            ["seed was 2019, is 7", "was 'dvm', is 'reference'"],
        ),
        ((*FEW_ARGUMENTS, "--backgrounds-per-foreground", "1"), ["clips were 4, are 2", "image_disc_0000"]),
    ],
)
def test_another_config_is_refused_by_name(
    few_sources: Path, prepared: Path, arguments: tuple[str, ...], named: list[str]
) -> None:
    before = file_hashes(prepared)
    result = prepare(few_sources, prepared, *arguments)
    assert result.exit_code == 2
    for text in (*named, str(prepared), "another folder"):
        assert text in result.stderr
    assert file_hashes(prepared) == before


def test_other_versions_are_refused_by_name(few_sources: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cv2.__version__", "99.0")
    result = prepare(few_sources, prepared)
    assert result.exit_code == 2
    assert "opencv was '" in result.stderr
    assert "', is '99.0'" in result.stderr


def test_shards_of_a_version_without_restart_markers_and_zlib_ng_are_refused(
    few_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes of images differ, and their pixels do not; plans before zlib-ng do not have its version."""
    with monkeypatch.context() as former:
        earlier = {name: version for name, version in current_versions().items() if name != "zlib-ng"}
        former.setattr("dvm_hf.prepared.plans.shard_plan.current_versions", lambda: earlier)
        answer(few_sources, tmp_path / "out", *FEW_ARGUMENTS)
    before = file_hashes(tmp_path / "out")
    result = prepare(few_sources, tmp_path / "out", *FEW_ARGUMENTS)
    assert result.exit_code == 2
    assert f"zlib-ng was None, is '{zlib_ng.ZLIBNG_RUNTIME_VERSION}'" in result.stderr
    assert file_hashes(tmp_path / "out") == before


def test_changed_added_and_removed_sources_are_named(few_sources: Path, prepared: Path, tmp_path: Path) -> None:
    changes: dict[str, Callable[[TreeWriter], Any]] = {
        "changed sources: bg/test/0001.mp4": lambda tree: tree.background("0001", split="test", frames=7),
        "new sources: bg/train/0002.mp4": lambda tree: tree.background("0002", frames=6),
        "removed sources: fg/video/train/0000/a.mp4": lambda tree: shutil.rmtree(tree.root / "fg/video/train/0000"),
    }
    for number, (named, change) in enumerate(changes.items()):
        tree = TreeWriter(tmp_path / str(number))
        shutil.copytree(few_sources, tree.root)
        change(tree)
        result = prepare(tree.root, prepared)
        assert result.exit_code == 2
        assert named in result.stderr


def test_a_touched_source_counts_as_unchanged(few_sources: Path, prepared: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(few_sources, tmp_path / "copy"))
    os.utime(copy / "bg/train/0000.mp4", ns=(1, 1))
    assert answer(copy, prepared)["built"] == []


def test_a_source_rewritten_with_the_same_size_and_time_counts_as_changed(
    few_sources: Path, prepared: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(few_sources, tmp_path / "copy"))
    assert answer(copy, prepared)["built"] == []  # and caches the hashes
    path = copy / "bg/train/0000.mp4"
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    result = prepare(copy, prepared)
    assert result.exit_code == 2
    assert "changed sources: bg/train/0000.mp4" in result.stderr


def test_a_source_that_changes_during_the_build_stops_it(
    few_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(few_sources, tmp_path / "copy"))
    render = dvm_hf.prepared.shards.digested_windows

    def rewriting(*args: Any, **kwargs: Any) -> Any:
        for path in copy.glob("bg/train/*"):
            path.write_bytes(path.read_bytes() + b"!")
        return render(*args, **kwargs)

    monkeypatch.setattr(dvm_hf.prepared.shards, "digested_windows", rewriting)
    result = prepare(copy, tmp_path / "out")
    assert result.exit_code == 1
    assert "changed since the plan was made" in result.stderr
    assert not [name for name in finished_shards(tmp_path / "out") if name.startswith("train")]


@pytest.mark.parametrize("arguments", [("--clip-length", "2", "--num-shards", "2"), ("--seed", "1", *FEW_ARGUMENTS)])
def test_shards_without_their_plan_are_not_mixed_in(
    few_sources: Path, prepared: Path, prepared_once: Path, arguments: tuple[str, ...]
) -> None:
    (prepared / "plan/train.json").unlink()
    result = prepare(few_sources, prepared, "--config", "train", *arguments)
    assert result.exit_code == 2
    assert "data/train-00000-of-00003.parquet: belongs to another plan" in result.stderr
    assert answer(few_sources, prepared)["built"] == []  # the same plan again finds its own
    assert file_hashes(prepared) == file_hashes(prepared_once)


def test_splits_with_other_columns_are_refused(few_sources: Path, tmp_path: Path) -> None:
    answer(few_sources, tmp_path / "out", "--config", "train", "--columns", "frames,alpha", "--clip-length", "2")
    result = prepare(few_sources, tmp_path / "out", "--config", "test", "--clip-length", "2")
    assert result.exit_code == 2
    assert "columns=('frames', 'alpha') in train" in result.stderr


def test_a_folder_with_foreign_parquet_files_gets_no_card(few_sources: Path, prepared: Path) -> None:
    folder = PreparedFolder(prepared)
    found = preparing.found_shards(folder)
    for name in ("extra", "more"):
        shutil.copy(prepared / "data/train-00000-of-00003.parquet", prepared / f"data/train-{name}.parquet")
    with pytest.raises(PreparedError, match="train-extra"):
        preparing.describe_if_complete(folder, found)
    result = prepare(few_sources, prepared)
    assert result.exit_code == 2
    assert "train-extra.parquet: is not a shard of this plan" in result.stderr
    assert "one of 'train' (2 such files)" in result.stderr


def former_content(out: Path, split: str) -> dict[str, Any]:
    """Return a plan as one JSON object with all clips and sources, as earlier versions wrote it."""
    header = read_checksummed(PreparedFolder(out).plan(split), "plan")
    plan = plan_in(out, split)
    clips = [
        {
            "clip_id": clip.clip_id,
            "kind": clip.foreground.kind,
            "name": clip.foreground.name,
            "colour": str(clip.foreground.colour),
            "alpha": str(clip.foreground.alpha),
            "trimap": clip.foreground.trimap and str(clip.foreground.trimap),
            "background": str(clip.background.path),
        }
        for clip in plan.clips
    ]
    names = ("kind", "split", "config", "pairs", "versions", "sharding", "drawn", "left_out")
    return {"format": 1, **{name: header[name] for name in names}, "clips": clips, "sources": dict(plan.sources)}


@pytest.mark.slow
def test_a_folder_of_the_former_format_is_named_and_converted(few_sources: Path, prepared: Path) -> None:
    expected = file_hashes(prepared)
    manifest = read_checksummed(prepared / "manifest.json", "manifest")
    for split in ("train", "test"):
        content = former_content(prepared, split)
        assert content_checksum(content) == stored_plan(prepared, split).digest  # that of shards and sidecars
        stored_plan(prepared, split).table.unlink()
        (prepared / f"plan/{split}.json").write_bytes(checksummed(content))
        manifest["splits"][split]["plan"] = content
    (prepared / "manifest.json").write_bytes(checksummed({**manifest, "format": 1}))
    refused = CliRunner().invoke(main, ["verify", str(prepared)])
    assert refused.exit_code != 0
    assert "has the format 1 of an earlier release" in refused.output
    changed = prepare(few_sources, prepared, *FEW_ARGUMENTS, "--seed", "7")
    assert changed.exit_code == 2
    assert "in the format of an earlier release: seed was 2019, is 7" in changed.stderr
    assert answer(few_sources, prepared, *FEW_ARGUMENTS)["built"] == []
    assert file_hashes(prepared) == expected


def test_the_fields_of_a_plan_do_not_depend_on_the_order_in_which_they_are_given() -> None:
    def planned(**fields: Any) -> dict[str, Any]:
        return planned_fields(DVMConfig(name="test", version=DVM.VERSION, data_dir="DVM", **fields))

    fields = planned(columns=("trimap", "frames", "alpha"), kinds=("video", "image"))
    assert fields == planned(columns=("frames", "alpha", "trimap"), kinds=("image", "video"))
    assert (fields["columns"], fields["kinds"]) == (["frames", "alpha", "trimap"], ["image", "video"])
    assert not {"data_dir", "pairs", "layout", "on_error"} & fields.keys()  # what differs between machines and runs
    assert {"seed", "recipe", "motion", "frame_step", "crop_size", "encoding"} <= fields.keys()
