"""Verified folders: every damage is found, repaired byte for byte, and nothing else is touched."""

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import FEW_ARGUMENTS, file_hashes
from PIL import Image
from test_cli import run

from dvm_hf.prepared import repair
from dvm_hf.prepared.folder import sealed, unsealed
from dvm_hf.prepared.repair import repaired
from dvm_hf.prepared.shard_plan import current_versions
from dvm_hf.prepared.shards import read_sidecar
from dvm_hf.prepared.verify import verify

CORRUPTIONS = 300
LOCAL = ".cache/huggingface/dvm_sources.json"  # of this machine: no part of the dataset


def flip(path: Path, rng: np.random.Generator) -> set[Path]:
    data = bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    return {path}


def truncate(path: Path, rng: np.random.Generator) -> set[Path]:
    data = path.read_bytes()
    path.write_bytes(data[: rng.integers(len(data))])
    return {path}


def delete(path: Path, rng: np.random.Generator) -> set[Path]:
    path.unlink()
    return {path}


def swap(path: Path, rng: np.random.Generator) -> set[Path]:
    others = sorted(other for other in path.parent.glob(f"*{path.suffix}") if other != path)
    other = others[rng.integers(len(others))]
    first, second = path.read_bytes(), other.read_bytes()
    path.write_bytes(second)
    other.write_bytes(first)
    return {path, other}


def repeat(path: Path, rng: np.random.Generator) -> set[Path]:
    path.write_bytes(path.read_bytes() * 2)
    return {path}


DAMAGES = (flip, flip, flip, truncate, delete, swap, repeat)


def test_a_whole_folder_has_no_fault(prepared_once: Path) -> None:
    for arguments in ([], ["--read-data"]):
        result = run("verify", str(prepared_once), *arguments)
        assert (result.exit_code, result.stdout) == (0, "6 shards, all as they were made\n")


def test_all_of_300_damages_are_found_and_repaired(prepared: Path, prepared_once: Path) -> None:
    rng, expected = np.random.default_rng(11), file_hashes(prepared_once)
    names = [name for name in expected if name != LOCAL]
    for number in range(CORRUPTIONS):
        damage = DAMAGES[number % len(DAMAGES)]
        pool = [name for name in names if damage is not swap or name.startswith(("data/", "shards/", "plan/"))]
        hurt = damage(prepared / pool[rng.integers(len(pool))], rng)
        changed = {name for name, digest in file_hashes(prepared).items() if digest != expected[name]}
        changed |= expected.keys() - file_hashes(prepared).keys()
        assert changed == {path.relative_to(prepared).as_posix() for path in hurt}
        found = verify(prepared)
        assert changed <= {fault.path for fault in found.faults}, (damage.__name__, hurt)
        of_shards = {name.split("/")[1].split(".")[0] for name in changed if name.startswith(("data/", "shards/"))}
        assert len(found.bad) == len(of_shards)  # and no other shard
        before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*.parquet")}
        assert repaired(prepared, found).faults == []
        after = {path: path.stat().st_mtime_ns for path in prepared.rglob("*.parquet")}
        made_again = {path.name.split(".")[0] for path in after if after[path] != before.get(path)}
        assert made_again == of_shards
        assert file_hashes(prepared) == expected


def test_many_damages_at_once_are_repaired(prepared: Path, prepared_once: Path) -> None:
    rng = np.random.default_rng(3)
    for name in ("data/train-00000-of-00003.parquet", "plan/test.json", "README.md", "shards/test-00001-of-00003.json"):
        flip(prepared / name, rng)
    (prepared / "manifest.json").unlink()
    # without the manifest, a plan that is damaged too has no second copy: its split has to be prepared again
    result = run("verify", str(prepared), "--repair")
    assert result.exit_code == 1
    assert "plan/test.json: is damaged" in result.stdout
    shutil.copy(prepared_once / "plan/test.json", prepared / "plan/test.json")
    assert run("verify", str(prepared), "--repair").exit_code == 0
    assert file_hashes(prepared) == file_hashes(prepared_once)


def test_strays_are_found_and_removed(prepared: Path, prepared_once: Path) -> None:
    shard = prepared / "data/train-00001-of-00003.parquet"
    strays = [
        shutil.copy(shard, prepared / "data/train-00003-of-00004.parquet"),
        shutil.copy(shard, prepared / "data" / f".{shard.name}.{'no_such_host'}-1-1-{'0' * 16}.tmp"),
        shutil.copy(prepared / "shards/train-00001-of-00003.json", prepared / "shards/train-00009-of-00009.json"),
    ]
    hour_ago = Path(strays[1]).stat().st_mtime - 3700
    os.utime(strays[1], (hour_ago, hour_ago))
    found = verify(prepared)
    assert {fault.path for fault in found.faults} == {Path(path).relative_to(prepared).as_posix() for path in strays}
    assert found.bad == []
    assert run("verify", str(prepared), "--repair").exit_code == 0
    assert file_hashes(prepared) == file_hashes(prepared_once)


def test_a_file_that_is_no_shard_is_named_and_left(prepared: Path) -> None:
    (prepared / "data/notes.txt").write_text("mine")
    result = run("verify", str(prepared), "--repair")
    assert result.exit_code == 1
    assert "data/notes.txt: is no file of this dataset; move it elsewhere" in result.stdout
    assert (prepared / "data/notes.txt").read_text() == "mine"


def test_a_shard_of_a_like_build_is_foreign(few_sources: Path, prepared: Path, tmp_path: Path) -> None:
    arguments = ("--clip-length", "2", "--num-shards", "3", "--seed", "7", "--config", "train")
    assert run("prepare", str(few_sources), str(tmp_path / "other"), *arguments).exit_code == 0
    for name in ("data/train-00002-of-00003.parquet", "shards/train-00002-of-00003.json"):
        shutil.copy(tmp_path / "other" / name, prepared / name)
    faults = [str(fault) for fault in verify(prepared).faults]
    assert len(faults) == 1
    assert faults[0].startswith("shards/train-00002-of-00003.json: is of another shard or plan")


def test_the_answer_as_json(prepared: Path) -> None:
    assert json.loads(run("verify", str(prepared), "--json").stdout)["ok"] is True
    (prepared / "README.md").unlink()
    result = run("verify", str(prepared), "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["ok"], answer["shards"]) == (1, False, 6)
    assert [fault["path"] for fault in answer["faults"]] == ["README.md"]
    mended = json.loads(run("verify", str(prepared), "--json", "--repair").stdout)
    assert (mended["ok"], [fault["path"] for fault in mended["repaired"]]) == (True, ["README.md"])


def test_repair_needs_the_sources_and_says_so(prepared: Path, few_sources: Path, prepared_once: Path) -> None:
    (prepared / LOCAL).unlink()
    (prepared / "data/test-00000-of-00003.parquet").unlink()
    result = run("verify", str(prepared), "--repair")
    assert result.exit_code == 2
    assert "--data-dir" in result.stderr
    assert run("verify", str(prepared), "--repair", "--data-dir", str(few_sources)).exit_code == 0
    assert file_hashes(prepared).items() >= {(k, v) for k, v in file_hashes(prepared_once).items() if k != LOCAL}


def test_repair_refuses_changed_sources_and_other_versions(
    prepared: Path, few_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (prepared / "data/test-00000-of-00003.parquet").unlink()
    copy = Path(shutil.copytree(few_sources, tmp_path / "copy"))
    for path in copy.glob("bg/test/*"):
        path.write_bytes(path.read_bytes() + b"!")
    result = run("verify", str(prepared), "--repair", "--data-dir", str(copy))
    assert result.exit_code == 2
    assert "changed since the plan was made" in result.stderr
    monkeypatch.setattr(repair, "current_versions", lambda: current_versions() | {"opencv": "1.0"})
    result = run("verify", str(prepared), "--repair")
    assert result.exit_code == 2
    assert f"opencv was {cv2.__version__}, is 1.0: shards made again would have other bytes" in result.stderr


@pytest.mark.parametrize("name", ["", "elsewhere"])
def test_a_folder_that_was_not_prepared_is_refused(tmp_path: Path, name: str) -> None:
    result = run("verify", str(tmp_path / name))
    assert result.exit_code == 2
    assert str(tmp_path / name) in result.stderr


# --- rows that are what they hash to, but not what they should be: only --read-data can tell ---


def png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, "PNG")
    return file.getvalue()


def edited(image: dict[str, Any], edit: Callable[[np.ndarray], Any]) -> dict[str, Any]:
    with Image.open(io.BytesIO(image["bytes"])) as opened:
        return {"bytes": png(edit(np.array(opened))), "path": None}


def inverted_trimap(row: dict[str, Any]) -> None:
    row["trimap"][0] = edited(row["trimap"][0], lambda pixels: 255 - pixels)


def grey_frame(row: dict[str, Any]) -> None:
    row["frames"][1] = edited(row["frames"][1], lambda pixels: pixels[..., 0])


def smaller_alpha(row: dict[str, Any]) -> None:
    row["alpha"][0] = edited(row["alpha"][0], lambda pixels: pixels[1:])


def broken_frame(row: dict[str, Any]) -> None:
    row["frames"][0]["bytes"] = row["frames"][0]["bytes"][:50]


def wrong_window(row: dict[str, Any]) -> None:
    row["window"] += 1


def wrong_seed(row: dict[str, Any]) -> None:
    row["seed"] += 1


def missing_frame(row: dict[str, Any]) -> None:
    row["frames"].pop()


def foreign_clip(row: dict[str, Any]) -> None:
    row["clip_id"] = "image_other_0000"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (inverted_trimap, "trimap says"),
        (grey_frame, "frames of frame 1 is"),
        (smaller_alpha, "alpha of frame 0 is"),
        (broken_frame, "frames of frame 0 cannot be decoded"),
        (wrong_window, "window is 1, by the plan 0"),
        (wrong_seed, "seed is"),
        (missing_frame, "frames has 1 pictures, motion 2 places"),
        (foreign_clip, "clip_id 'image_other_0000' is not of this shard"),
    ],
)
def test_read_data_finds_rows_that_only_hash_well(
    prepared: Path, change: Callable[[dict[str, Any]], None], named: str
) -> None:
    name = "train-00000-of-00003"
    path, sidecar_path = prepared / f"data/{name}.parquet", prepared / f"shards/{name}.json"
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows[0])
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    content = unsealed(sidecar_path) | {
        "bytes": path.stat().st_size,
        "sha256": file_hashes(prepared)[f"data/{name}.parquet"],
    }
    sidecar_path.write_bytes(sealed(content))
    assert read_sidecar(sidecar_path).sha256 == content["sha256"]
    assert {fault.path for fault in verify(prepared).faults} == {"manifest.json"}  # which has the former hash
    found = verify(prepared, read_data=True)
    assert [job.shard for job in found.bad] == [0]
    assert any(named in fault.text for fault in found.faults if fault.path == f"data/{name}.parquet"), found.faults


@pytest.mark.parametrize(
    "arguments",
    [
        ("--recipe", "reference"),
        ("--trimap", "0"),
        ("--trimap", "dvm-train", "--columns", "alpha,trimap"),
        ("--trimap", "provided", "--columns", "frames,alpha,trimap,foreground,background"),
        ("--encoding", "lossless", "--remainder", "repeat_last"),
        ("--encoding", "array", "--crop-size", "16", "--remainder", "drop"),
        ("--clip-length", "all"),
        ("--frame-step", "2", "--clip-step", "1"),
    ],
)
def test_every_kind_of_row_is_well_by_its_data(few_sources: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    out = str(tmp_path / "out")
    assert run("prepare", str(few_sources), out, *FEW_ARGUMENTS, *arguments).exit_code == 0
    result = run("verify", out, "--read-data")
    assert (result.exit_code, result.stdout) == (0, "6 shards, all as they were made\n")
