"""Wrong use, unusable sources and folders are refused by name."""

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_runs import run
from conftest import FEW_ARGUMENTS, TreeWriter, file_hashes
from prepare_runs import answer, finished_shards, is_shown, prepare

import dvm_hf.prepared.atomic_io
import dvm_hf.prepared.parquet_rows
import dvm_hf.prepared.plans.shard_size
import dvm_hf.prepared.shards
from dvm_hf.prepared.folder import PreparedFolder


@pytest.mark.slow
def test_paths_that_are_not_utf8(few_sources: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="dvm_hf")  # a parallel run could not report a log with such names
    place = tmp_path / os.fsdecode(b"\xff")
    shutil.copytree(few_sources, place / "DVM")
    result = prepare(place / "DVM", place / "out", *FEW_ARGUMENTS)
    assert result.exit_code == 2
    assert "its path is not UTF-8" in result.stderr
    assert not (place / "out").exists()
    assert prepare(place / "DVM", tmp_path / "out", *FEW_ARGUMENTS, "--config", "test").exit_code == 0
    assert run("verify", str(tmp_path / "out")).exit_code == 0
    page = place / "page.html"
    assert run("preview", str(place / "DVM"), "-o", str(page), "--clips", "1", "--frames", "1").exit_code == 0
    for arguments in ((), ("--json",)):
        result = run("check", str(place / "DVM"), "--num-proc", "0", *arguments)
        assert "udcff" in result.stdout
        assert type(result.exception) in (type(None), SystemExit)


def test_a_corrupt_shard_is_named_with_a_hint(few_sources: Path, prepared: Path) -> None:
    for path in prepared.glob("data/*.parquet"):
        data = path.read_bytes()
        path.write_bytes(data[:4] + bytes(400) + data[404:])
    result = prepare(few_sources, prepared)
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert f"{prepared / 'data'}: rows of a shard cannot be read back (" in result.stderr
    assert "dvm verify --repair rebuilds it" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (
            ("--clip-length", "0"),
            "clip_length='0': not allowed; --clip-length must be an integer of at least 1, or 'all'",
        ),
        (("--clip-length", "2", "--num-shards", "5"), "num_shards=5"),
        (("--max-shard-size", "huge"), "max_shard_size='huge'"),
        (("--num-shards", "1", "--max-shard-size", "1GB"), "pass only one of them"),
        (("--shards", "9-4"), "shards='9-4'"),
        (("--shard-index", "0"), "--plan-only"),
        (
            ("--clip-length", "2", "--num-shards", "2", "--shards", "1-2"),
            "the split 'train' has 2 shards, numbered 0 to 1",
        ),
        ((*FEW_ARGUMENTS, "--shards", "0-999999999"), "shards=3: the split 'train' has 3 shards"),
        (("--pairs", "list.txt"), "--config"),
        (("--encoding", "array"), "crop_size"),
    ],
)
def test_wrong_use_is_refused(few_sources: Path, tmp_path: Path, arguments: tuple[str, ...], named: str) -> None:
    result = prepare(few_sources, tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert named in result.stderr
    assert "Traceback" not in result.stderr


def test_a_tree_with_one_split_is_prepared_and_reported(tmp_path: Path, tree: TreeWriter) -> None:
    tree.still(size=(32, 24))
    tree.background(frames=4)
    result = prepare(tree.root, tmp_path / "out", "--clip-length", "2")
    assert result.exit_code == 0
    assert "'test'" in result.stderr
    assert not (tmp_path / "out/plan/test.json").exists()


def test_a_tree_with_neither_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = prepare(tmp_path / "empty", tmp_path / "out")
    assert result.exit_code == 2
    assert "data_dir must be the folder that contains fg/ and bg/" in result.stderr


@pytest.mark.parametrize("name", ["README.md", "manifest.json", "samples.jpg", "croissant.json"])
def test_user_files_are_not_replaced(few_sources: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    result = prepare(few_sources, tmp_path)
    assert result.exit_code == 2
    assert f"{tmp_path / name}: exists, is not owned by dvm prepare" in result.stderr
    assert file_hashes(tmp_path) == {name: hashlib.sha256(b"mine").hexdigest()}


@pytest.mark.parametrize("place", ["", "fg", "bg/train"])
def test_sources_and_shards_must_be_in_separate_folders(few_sources: Path, tmp_path: Path, place: str) -> None:
    link = tmp_path / "link"
    link.symlink_to(few_sources)
    before = file_hashes(few_sources)
    result = prepare(few_sources, link / place)
    assert result.exit_code == 2
    assert "is the source folder, or inside it" in result.stderr
    assert file_hashes(few_sources) == before


def test_invalid_names_do_not_create_a_folder(
    few_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no such folder" in prepare(tmp_path / "typo", tmp_path / "out").stderr
    for arguments in (("prepare", str(few_sources), ""), ("prepare", "", "out"), ("verify", ""), ("push", "", "a/b")):
        result = run(*arguments)
        assert (result.exit_code, "is empty; pass a folder" in result.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_clips_that_are_all_too_short_are_refused_before_rendering(
    few_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dvm_hf.prepared.shards, "digested_windows", None)
    monkeypatch.setattr(dvm_hf.prepared.plans.shard_size, "render", None)
    result = prepare(few_sources, tmp_path, "--config", "train", "--clip-length", "4", "--frame-step", "2")
    assert result.exit_code == 2
    assert "the longest clip of the split 'train' has 6 frames, too few for one window" in result.stderr


@pytest.fixture
def broken_sources(few_sources: Path, tmp_path: Path) -> Path:
    """`few_sources` with a training image that cannot be decoded."""
    copy = Path(shutil.copytree(few_sources, tmp_path / "broken"))
    path = copy / "fg/image/train/alpha/disc.png"
    path.write_bytes(path.read_bytes()[:40])
    return copy


@pytest.mark.slow
def test_an_unusable_source_stops_the_build_and_keeps_finished_shards(broken_sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = prepare(broken_sources, out, "--clip-length", "2", "--num-shards", "4", "--num-proc", "2")
    assert result.exit_code == 1
    assert "image_disc_000" in result.stderr
    assert "fg/image/train/alpha/disc.png" in result.stderr
    assert "on_error='skip'" in result.stderr
    assert not list(out.rglob("*.tmp"))
    assert not is_shown(out)


def test_a_missing_source_is_invalid_data_like_a_broken_one(few_sources: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(few_sources, tmp_path / "copy"))
    (copy / "fg/image/train/alpha/disc.png").unlink()
    result = prepare(copy, tmp_path / "out")
    assert result.exit_code == 1
    assert "has no usable alpha" in result.stderr
    assert not (tmp_path / "out").exists()
    assert prepare(copy, tmp_path / "out", *FEW_ARGUMENTS, "--pairs", "none.txt", "--config", "train").exit_code == 2


def test_skipped_clips_contain_no_machine_information(few_sources: Path, tmp_path: Path) -> None:
    plans = []
    for place in ("one place", "another/place, (the 2nd): all [new]; 7"):
        (tmp_path / place).mkdir(parents=True)
        copy = Path(shutil.copytree(few_sources, tmp_path / place / "DVM"))
        outside = shutil.move(copy / "bg/train/0001.mp4", tmp_path / place / "0001.mp4")
        (copy / "bg/train/0001.mp4").symlink_to(outside)
        out = tmp_path / place / "out"
        answer(copy, out, "--clip-length", "2", "--num-shards", "2", "--on-error", "skip", "--config", "train")
        plans.append((out / "plan/train.json").read_bytes())
        assert b"points outside the source folder, to \xe2\x80\xa6; move" in plans[-1]
        for path in (path for path in out.rglob("*") if path.is_file() and ".cache" not in path.parts):
            assert str(tmp_path).encode() not in path.read_bytes(), path
    assert plans[0] == plans[1]


def test_a_folder_in_place_of_a_sidecar_is_named_with_a_hint(few_sources: Path, prepared: Path) -> None:
    path = prepared / "shards/train-00001-of-00003.json"
    path.unlink()
    path.mkdir()
    assert (
        f"{path}: cannot be written (Is a directory); a folder with this name exists"
        in prepare(few_sources, prepared).stderr
    )


def test_skipped_clips_are_listed_and_counted(broken_sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--clip-length", "2", "--num-shards", "4")
    assert prepare(broken_sources, out, *arguments).exit_code == 1
    assert prepare(broken_sources, out, *arguments, "--config", "train", "--shards", "2-3").exit_code == 0
    kept = finished_shards(out)
    assert {"train-2", "train-3"} <= kept
    made = answer(broken_sources, out, *arguments, "--on-error", "skip")  # finished shards are reused
    assert len(made["built"]) == 8 - len(kept)
    assert sorted(entry["name"] for entry in made["left_out"]) == ["image_disc_0000", "image_disc_0001"]
    assert all("cannot be read as an image" in entry["reason"] for entry in made["left_out"])
    assert not any(str(tmp_path) in entry["reason"] for entry in made["left_out"])
    held = json.loads((out / "manifest.json").read_bytes())["splits"]["train"]
    assert (held["left_out"], held["rows"]) == (made["left_out"], 2 * 2)
    assert "Skipped, with reasons in the manifest" in (out / "README.md").read_text()
    assert run("verify", str(out), "--read-data").exit_code == 0


def test_a_read_only_folder_is_detected_before_rendering(
    few_sources: Path, small_disk: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dvm_hf.prepared.shards, "digested_windows", None)
    monkeypatch.setattr(dvm_hf.prepared.plans.shard_size, "render", None)
    result = prepare(few_sources, small_disk("ro") / "out")
    assert result.exit_code == 2
    assert "Read-only file system" in result.stderr
    assert "another folder" in result.stderr


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_an_unwritable_folder_is_named_with_a_hint(
    few_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refusing(path: Path, data: bytes) -> int:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(Path, "write_bytes", refusing)
    monkeypatch.setattr(dvm_hf.prepared.shards, "digested_windows", None)
    result = prepare(few_sources, tmp_path / "out")
    assert result.exit_code == 2
    cause_last = f"{tmp_path / 'out'}: cannot be written ({os.strerror(code)}); "
    cause_first = f"{os.strerror(code)}: {tmp_path / 'out'} cannot be written; "
    assert (cause_first if code in (errno.ENOSPC, errno.EDQUOT) else cause_last) in result.stderr


def test_a_file_in_place_of_the_folder_is_refused(few_sources: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    result = prepare(few_sources, tmp_path / "out")
    assert result.exit_code == 2
    assert str(tmp_path / "out") in result.stderr


def test_folders_lists_every_output_folder(tmp_path: Path) -> None:
    folder = PreparedFolder(tmp_path)
    files = (folder.card, folder.manifest, folder.samples, folder.local_sources, folder.plan("train"))
    files += (folder.shard("train", 1, 2), folder.sidecar("train", 1, 2))
    assert {path.parent for path in files} == set(folder.folders)
