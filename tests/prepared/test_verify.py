"""Verified folders: all damage is found and repaired byte for byte, and nothing else is changed."""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_runs import run
from conftest import FEW_ARGUMENTS, TreeWriter, file_hashes
from numbered_films import voided
from PIL import Image
from prepared_folder import rewritten

import dvm_hf.prepared.shards
from dvm_hf.errors import DamagedError
from dvm_hf.prepared import repair
from dvm_hf.prepared.folder import checksummed, read_checksummed
from dvm_hf.prepared.placeholder_card import PLACEHOLDER_CARD
from dvm_hf.prepared.plans.shard_plan import current_versions
from dvm_hf.prepared.repair import fixed_faults, repaired
from dvm_hf.prepared.verify import Fault, verify

ROUNDS = 4  # of each kind of damage, at other places
NEW_SHARD = "train-00000-of-00004.parquet"
STRAYS = ".cache/huggingface/dvm_strays"
LOCAL = ".cache/huggingface/dvm_sources.sqlite"  # of this machine: no part of the dataset


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


def mistake(path: Path, rng: np.random.Generator) -> set[Path]:
    """Put another checksummed file of the folder in a file's place."""
    others = sorted(other for other in path.parents[path.parent.name in FOLDERS].rglob("*.json") if other != path)
    other = others[rng.integers(len(others))]
    path.write_bytes(other.read_bytes())
    return {path}


def cut_row(path: Path, rng: np.random.Generator) -> set[Path]:
    """Drop the last row of a shard, and update its sidecar."""
    table = pq.read_table(path)
    return rewritten(path, table.slice(0, table.num_rows - 1))


FOLDERS = ("data", "plan", "shards")
DAMAGES = (flip, truncate, delete, swap, repeat, mistake, cut_row)
POOLS = {swap: ("data/", "shards/", "plan/"), mistake: ("shards/", "plan/", "manifest"), cut_row: ("data/",)}


def test_a_complete_folder_has_no_fault(prepared_once: Path) -> None:
    for arguments in ([], ["--read-data"]):
        result = run("verify", str(prepared_once), *arguments)
        assert (result.exit_code, result.stdout) == (0, "6 shards, all valid\n")


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_repaired(prepared: Path, prepared_once: Path, damage: Callable[..., set[Path]]) -> None:
    rng, expected = np.random.default_rng(DAMAGES.index(damage)), file_hashes(prepared_once)
    pool = [name for name in expected if name != LOCAL and name.startswith(POOLS.get(damage, ("",)))]
    for _ in range(ROUNDS):
        hurt = damage(prepared / pool[rng.integers(len(pool))], rng)
        changed = {name for name, digest in file_hashes(prepared).items() if digest != expected[name]}
        changed |= expected.keys() - file_hashes(prepared).keys()
        assert changed == {path.relative_to(prepared).as_posix() for path in hurt}
        found = verify(prepared)
        assert changed <= {fault.path for fault in found.faults}, (damage.__name__, hurt)
        of_shards = {name.split("/")[1].split(".")[0] for name in changed if name.startswith(("data/", "shards/"))}
        assert len(found.to_rebuild) == len(of_shards)  # and no other shard
        before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*.parquet")}
        assert repaired(prepared, found).faults == []
        after = {path: path.stat().st_mtime_ns for path in prepared.rglob("*.parquet")}
        made_again = {path.name.split(".")[0] for path in after if after[path] != before.get(path)}
        assert made_again == of_shards
        assert file_hashes(prepared) == expected


def test_several_faults_are_repaired_at_once(prepared: Path, prepared_once: Path) -> None:
    rng = np.random.default_rng(3)
    before = {path.name: path.stat().st_mtime_ns for path in prepared.rglob("*.parquet")}
    for name in ("data/train-00000-of-00003.parquet", "plan/test.json", "README.md", "shards/test-00001-of-00003.json"):
        flip(prepared / name, rng)
    (prepared / "manifest.json").unlink()
    # without the manifest, a plan that is damaged too has no second copy: its split has to be prepared again
    result = run("verify", str(prepared), "--repair")
    assert result.exit_code == 1
    assert "plan/test.json: is damaged" in result.stdout
    # its shards are complete, although their plan is unknown
    assert set(file_hashes(prepared)) >= {name for name in file_hashes(prepared_once) if name.startswith("data/")}
    shutil.copy(prepared_once / "plan/test.json", prepared / "plan/test.json")
    assert run("verify", str(prepared), "--repair").exit_code == 0
    assert file_hashes(prepared) == file_hashes(prepared_once)
    made_again = {path.name for path in prepared.rglob("*.parquet") if path.stat().st_mtime_ns != before[path.name]}
    assert made_again == {"train-00000-of-00003.parquet", "test-00001-of-00003.parquet"}


@pytest.fixture
def other_plan(few_sources: Path, tmp_path: Path) -> Path:
    """A folder of the same sources with four shards; only the split train."""
    arguments = ("--clip-length", "2", "--num-shards", "4", "--config", "train")
    assert run("prepare", str(few_sources), str(tmp_path / "other"), *arguments).exit_code == 0
    return tmp_path / "other"


def test_an_unrelated_plan_does_not_discard_the_shards(prepared: Path, other_plan: Path) -> None:
    (prepared / "manifest.json").unlink()
    (prepared / LOCAL).unlink()  # so that nothing can be rebuilt
    shutil.copy(other_plan / "plan/train.json", prepared / "plan/train.json")
    before = {name: digest for name, digest in file_hashes(prepared).items() if name.startswith(("data/", "shards/"))}
    for arguments in ([], ["--repair"]):
        result = run("verify", str(prepared), *arguments)
        assert result.exit_code == 1
        assert "plan/train.json: is not the plan of the shards of 'train'" in result.stdout
        after = {n: digest for n, digest in file_hashes(prepared).items() if n.startswith(("data/", "shards/"))}
        assert after == before


@pytest.fixture
def same_names(few_sources: Path, tmp_path: Path) -> Path:
    """A folder of the same sources with another seed and the same shard names; only the split train."""
    arguments = (*FEW_ARGUMENTS, "--seed", "7", "--config", "train")
    assert run("prepare", str(few_sources), str(tmp_path / "same"), *arguments).exit_code == 0
    return tmp_path / "same"


def test_a_plan_in_the_manifest_overrides_the_sidecars(prepared: Path, prepared_once: Path, same_names: Path) -> None:
    """Every shard of train is of another plan; plan/train.json and manifest.json agree: the shards are wrong."""
    names = {f"train-0000{number}-of-00003" for number in range(3)}
    for name in names:
        for path in (f"data/{name}.parquet", f"shards/{name}.json"):
            shutil.copy(same_names / path, prepared / path)
    found = verify(prepared)
    assert found.unknown == []
    assert set(found.plans) == {"train", "test"}
    assert {(job.split, job.shard) for job in found.to_rebuild} == {("train", 0), ("train", 1), ("train", 2)}
    files = {f"data/{name}.parquet" for name in names} | {f"shards/{name}.json" for name in names}
    assert {fault.path for fault in found.faults} == files
    assert run("verify", str(prepared), "--repair").exit_code == 0
    aside = {path.name for path in (prepared / STRAYS).rglob("*.parquet")}
    assert aside == {f"{name}.parquet" for name in names}
    shutil.rmtree(prepared / STRAYS)
    assert file_hashes(prepared) == file_hashes(prepared_once)


def test_three_plans_of_one_split_leave_its_shards_unchecked(
    prepared: Path, other_plan: Path, same_names: Path
) -> None:
    """One plan in plan/train.json, another in manifest.json, and the shards of a third."""
    shutil.copy(same_names / "plan/train.json", prepared / "plan/train.json")
    shutil.copy(other_plan / "manifest.json", prepared / "manifest.json")
    found = verify(prepared)
    assert (found.unknown, list(found.plans)) == (["train"], ["test"])
    assert found.to_rebuild == {}
    assert found.unexpected == []


def changed_total(described: dict[str, Any]) -> None:
    described["rows"] += 1


def another_skipped_clip(described: dict[str, Any]) -> None:
    described["left_out"].append({"name": "image_disc_0000", "reason": "is broken"})


def another_order(described: dict[str, Any]) -> None:
    described["shards"].reverse()


@pytest.mark.parametrize("change", [changed_total, another_skipped_clip, another_order])
def test_a_manifest_that_differs_from_valid_shards_is_the_only_fault(
    prepared: Path, prepared_once: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    content = read_checksummed(prepared / "manifest.json", "manifest")
    change(content["splits"]["train"])
    (prepared / "manifest.json").write_bytes(checksummed(content))
    found = verify(prepared)
    text = "does not describe the shards in this folder; --repair rebuilds it"
    assert found.faults == [Fault("manifest.json", text)]
    assert repaired(prepared, found).faults == []
    assert file_hashes(prepared) == file_hashes(prepared_once)


def test_sidecars_without_shards_do_not_select_the_plan(few_sources: Path, prepared: Path) -> None:
    for path in (prepared / "plan/train.json", *prepared.glob("data/train-*")):
        path.unlink()
    arguments = ("--config", "train", "--clip-length", "3", "--num-shards", "4", "--shards", "0")
    assert run("prepare", str(few_sources), str(prepared), *arguments).exit_code == 0
    new = {prepared / name: (prepared / name).read_bytes() for name in ("plan/train.json", f"data/{NEW_SHARD}")}
    run("verify", str(prepared), "--repair")
    assert {path: path.read_bytes() for path in new} == new


def test_a_repair_without_a_plan_changes_nothing(prepared: Path, other_plan: Path) -> None:
    for path in {*prepared.glob("plan/*"), *prepared.glob("*/test-*")}:
        path.unlink()
    shutil.copy(other_plan / "manifest.json", prepared / "manifest.json")
    before = file_hashes(prepared)
    result = run("verify", str(prepared), "--repair")
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "neither checked nor changed until then" in result.stdout
    assert file_hashes(prepared) == before


def test_a_foreign_parquet_file_is_quarantined(prepared: Path, prepared_once: Path) -> None:
    pq.write_table(pa.table({"mine": [1, 2, 3]}), prepared / "data" / NEW_SHARD)
    mine = (prepared / "data" / NEW_SHARD).read_bytes()
    assert run("verify", str(prepared), "--repair").exit_code == 0
    aside = prepared / STRAYS / "others" / NEW_SHARD
    assert aside.read_bytes() == mine
    aside.unlink()
    assert file_hashes(prepared) == file_hashes(prepared_once)
    pq.write_table(pa.table({"mine": [4]}), prepared / "data" / NEW_SHARD)  # a second of that name costs not the first
    aside.write_bytes(mine)
    assert run("verify", str(prepared), "--repair").exit_code == 0
    assert aside.read_bytes() == mine
    assert len(list((prepared / STRAYS).glob("others*/*"))) == 2


def test_a_complete_shard_of_another_plan_is_quarantined_before_it_is_replaced(
    few_sources: Path, prepared: Path, prepared_once: Path, tmp_path: Path
) -> None:
    arguments = ("--clip-length", "2", "--num-shards", "3", "--seed", "7", "--config", "train")
    assert run("prepare", str(few_sources), str(tmp_path / "other"), *arguments).exit_code == 0
    names = ("data/train-00002-of-00003.parquet", "shards/train-00002-of-00003.json")
    for name in names:
        shutil.copy(tmp_path / "other" / name, prepared / name)
    assert run("verify", str(prepared), "--repair").exit_code == 0
    (aside,) = (prepared / STRAYS).iterdir()
    assert {path.name: path.read_bytes() for path in aside.iterdir()} == {
        Path(name).name: (tmp_path / "other" / name).read_bytes() for name in names
    }
    shutil.rmtree(prepared / STRAYS)
    assert file_hashes(prepared) == file_hashes(prepared_once)


def test_unexpected_shards_are_removed_last_and_complete_ones_quarantined(
    prepared: Path, other_plan: Path, few_sources: Path
) -> None:
    names = ("data/train-00003-of-00004.parquet", "shards/train-00003-of-00004.json")
    for name in names:
        shutil.copy(other_plan / name, prepared / name)
    (prepared / "data/train-00000-of-00003.parquet").unlink()
    (prepared / LOCAL).unlink()
    assert run("verify", str(prepared), "--repair").exit_code == 2  # the sources are not known
    assert all((prepared / name).exists() for name in names)
    assert run("verify", str(prepared), "--repair", "--data-dir", str(few_sources)).exit_code == 0
    (kept,) = (prepared / ".cache/huggingface/dvm_strays").iterdir()
    hashes = file_hashes(other_plan)
    assert {f"data/{path.name}" if path.suffix == ".parquet" else f"shards/{path.name}" for path in kept.iterdir()} == (
        set(names)
    )
    for name in names:
        assert hashlib.sha256((kept / Path(name).name).read_bytes()).hexdigest() == hashes[name]
    assert not any((prepared / name).exists() for name in names)


@pytest.mark.slow
def test_a_sidecar_that_names_other_clips_of_its_plan_is_a_fault(prepared: Path, prepared_once: Path) -> None:
    path = next((prepared / "shards").glob("train-*"))
    sidecar = read_checksummed(path, "sidecar")
    renamed = {f"{name}_other": rows for name, rows in sidecar["clips"].items()}
    path.write_bytes(checksummed({**sidecar, "clips": renamed}))
    result = run("verify", str(prepared))
    assert result.exit_code == 1
    assert "belongs to another shard or plan" in result.stdout
    assert run("verify", str(prepared), "--repair").exit_code == 0
    assert file_hashes(prepared) == file_hashes(prepared_once)


@pytest.mark.parametrize("witness", ["manifest", "sidecar"])
def test_a_shard_that_is_rebuilt_differently_replaces_nothing(
    prepared: Path, prepared_once: Path, monkeypatch: pytest.MonkeyPatch, witness: str
) -> None:
    path = prepared / "data/train-00000-of-00003.parquet"
    flip(path, np.random.default_rng(0))
    if witness == "sidecar":
        (prepared / "manifest.json").unlink()
    before = file_hashes(prepared)
    render = dvm_hf.prepared.shards.digested_windows
    with monkeypatch.context() as patch:
        patch.setattr(
            dvm_hf.prepared.shards,
            "digested_windows",
            lambda clip, digest, **given: render(replace(clip, seed=clip.seed + 1), digest, **given),
        )
        for _ in range(2):  # a second repair does not accept it either
            result = run("verify", str(prepared), "--repair")
            assert result.exit_code == 2
            assert "train-00000-of-00003.parquet: the rebuilt shard differs from the recorded one" in result.stderr
            after = file_hashes(prepared)
            assert after.pop("README.md") == hashlib.sha256(PLACEHOLDER_CARD).hexdigest()  # the folder is incomplete
            assert after.items() == {name: digest for name, digest in before.items() if name != "README.md"}.items()
    result = run("verify", str(prepared))
    assert ("README.md: is a placeholder" in result.stdout) == (witness == "manifest")
    assert run("verify", str(prepared), "--repair").exit_code == 0
    assert file_hashes(prepared) == file_hashes(prepared_once)


def test_a_repair_skips_the_recorded_clips_only(
    few_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, out = Path(shutil.copytree(few_sources, tmp_path / "DVM")), tmp_path / "out"
    alpha = sources / "fg/image/train/alpha/disc.png"
    alpha.write_bytes(alpha.read_bytes()[:40])
    arguments = (*FEW_ARGUMENTS, "--config", "train", "--on-error", "skip")
    assert run("prepare", str(sources), str(out), *arguments).exit_code == 0
    words = run("verify", str(out)).stdout
    assert words == "3 shards, all valid; 2 sources or clips skipped, listed in the manifest\n"
    assert len(json.loads(run("verify", str(out), "--json").stdout)["left_out"]) == 2
    expected = file_hashes(out)
    for name in ("train-00000-of-00003", "train-00001-of-00003"):
        (out / f"data/{name}.parquet").unlink()
    assert run("verify", str(out), "--repair").exit_code == 0
    assert file_hashes(out) == expected
    for name in ("data/train-00000-of-00003.parquet", "shards/train-00000-of-00003.json", "manifest.json"):
        (out / name).unlink()  # no record of the skipped clips remains
    result = run("verify", str(out), "--repair")
    assert result.exit_code == 2
    assert "image_disc_0000: " in result.stderr or "image_disc_0001: " in result.stderr
    assert "does not list it as skipped" in result.stderr


@pytest.mark.parametrize("read_data", [False, True])
@pytest.mark.parametrize("victim", ["manifest.json", "plan/train.json", "shards/train-00001-of-00003.json"])
def test_a_checksummed_file_in_place_of_another_is_a_fault(prepared: Path, victim: str, read_data: bool) -> None:
    for other in ("manifest.json", "plan/test.json", "shards/test-00001-of-00003.json", LOCAL):
        before = (prepared / victim).read_bytes()
        shutil.copy(prepared / other, prepared / victim) if other != victim else None
        faults = verify(prepared, read_data=read_data).faults
        assert (victim in {fault.path for fault in faults}) == (other != victim)
        (prepared / victim).write_bytes(before)


def test_a_checksummed_file_declares_its_kind(prepared_once: Path) -> None:
    with pytest.raises(DamagedError, match="is not a plan but a file of the kind 'manifest'"):
        read_checksummed(prepared_once / "manifest.json", "plan")


def test_one_of_two_faults_of_a_file_can_be_fixed() -> None:
    both = [Fault("README.md", "one"), Fault("README.md", "two")]
    assert fixed_faults(both, both[1:]) == both[:1]


def test_unexpected_files_are_found_and_removed(prepared: Path, prepared_once: Path) -> None:
    shard = prepared / "data/train-00001-of-00003.parquet"
    unexpected = [
        shutil.copy(shard, prepared / "data/train-00003-of-00004.parquet"),
        shutil.copy(shard, prepared / "data" / f".{shard.name}.{'no_such_host'}-1-1-{'0' * 16}.tmp"),
        shutil.copy(prepared / "shards/train-00001-of-00003.json", prepared / "shards/train-00009-of-00009.json"),
    ]
    hour_ago = Path(unexpected[1]).stat().st_mtime - 3700
    os.utime(unexpected[1], (hour_ago, hour_ago))
    found = verify(prepared)
    assert {fault.path for fault in found.faults} == {
        Path(path).relative_to(prepared).as_posix() for path in unexpected
    }
    assert found.to_rebuild == {}
    assert run("verify", str(prepared), "--repair").exit_code == 0
    assert file_hashes(prepared) == file_hashes(prepared_once)


def test_a_file_that_is_not_a_shard_is_named_and_kept(prepared: Path) -> None:
    (prepared / "data/notes.txt").write_text("mine")
    result = run("verify", str(prepared), "--repair")
    assert result.exit_code == 1
    assert "data/notes.txt: is not part of this dataset; move it elsewhere" in result.stdout
    assert (prepared / "data/notes.txt").read_text() == "mine"


def test_hidden_system_files_are_not_faults(prepared: Path) -> None:
    (prepared / "data/.DS_Store").write_bytes(b"Bud1")
    assert verify(prepared).faults == []


def test_a_shard_of_a_similar_build_is_foreign(few_sources: Path, prepared: Path, tmp_path: Path) -> None:
    arguments = ("--clip-length", "2", "--num-shards", "3", "--seed", "7", "--config", "train")
    assert run("prepare", str(few_sources), str(tmp_path / "other"), *arguments).exit_code == 0
    for name in ("data/train-00002-of-00003.parquet", "shards/train-00002-of-00003.json"):
        shutil.copy(tmp_path / "other" / name, prepared / name)
    faults = [str(fault) for fault in verify(prepared).faults]
    assert len(faults) == 2
    assert faults[0].startswith("shards/train-00002-of-00003.json: belongs to another shard or plan")
    assert faults[1].startswith("data/train-00002-of-00003.parquet: was changed after it was written")


def test_the_answer_as_json(prepared: Path) -> None:
    assert json.loads(run("verify", str(prepared), "--json").stdout)["ok"] is True
    (prepared / "README.md").unlink()
    result = run("verify", str(prepared), "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["ok"], answer["shards"]) == (1, False, 6)
    assert [fault["path"] for fault in answer["faults"]] == ["README.md"]
    fixed = json.loads(run("verify", str(prepared), "--json", "--repair").stdout)
    assert (fixed["ok"], [fault["path"] for fault in fixed["repaired"]]) == (True, ["README.md"])


def test_an_error_is_json_too(prepared: Path, tmp_path: Path) -> None:
    (prepared / LOCAL).unlink()
    (prepared / "data/test-00000-of-00003.parquet").unlink()
    for arguments in ([str(tmp_path)], [str(prepared), "--repair"]):
        result = run("verify", *arguments, "--json")
        report = json.loads(result.stdout)
        assert (result.exit_code, report["ok"]) == (2, False)
        assert report["error"] in result.stderr


def test_repair_without_the_sources_is_an_error(prepared: Path, few_sources: Path, prepared_once: Path) -> None:
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
    assert f"opencv was {cv2.__version__}, is 1.0: rebuilt shards would have different bytes" in result.stderr


@pytest.mark.parametrize("name", ["", "elsewhere"])
def test_an_unprepared_folder_is_refused(tmp_path: Path, name: str) -> None:
    result = run("verify", str(tmp_path / name))
    assert result.exit_code == 2
    assert str(tmp_path / name) in result.stderr


# --- rows with valid hashes but wrong contents: only --read-data detects them ---


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
        (inverted_trimap, "pixels whose alpha is not"),
        (grey_frame, "frames of frame 1 is"),
        (smaller_alpha, "alpha of frame 0 is"),
        (broken_frame, "frames of frame 0 cannot be decoded"),
        (wrong_window, "start is 0, but its plan has 2"),
        (wrong_seed, "seed is"),
        (missing_frame, "frames has 1 images, but motion has 2 placements"),
        (foreign_clip, "clip_id 'image_other_0000' does not belong to this shard"),
    ],
)
def test_read_data_finds_invalid_rows_with_valid_hashes(
    prepared: Path, prepared_once: Path, change: Callable[[dict[str, Any]], None], named: str
) -> None:
    name = "train-00000-of-00003"
    table = pq.read_table(prepared / f"data/{name}.parquet")
    rows = table.to_pylist()
    change(rows[0])
    damaged = rewritten(prepared / f"data/{name}.parquet", pa.Table.from_pylist(rows, schema=table.schema))
    reported = {fault.path for fault in verify(prepared).faults}  # by the manifest, which has the former hash
    assert reported == {path.relative_to(prepared).as_posix() for path in damaged}
    (prepared / "manifest.json").unlink()
    assert {fault.path for fault in verify(prepared).faults} == {"manifest.json"}
    found = verify(prepared, read_data=True)
    assert [job.shard for job in found.to_rebuild] == [0]
    assert any(named in fault.text for fault in found.faults if fault.path == f"data/{name}.parquet"), found.faults
    assert repaired(prepared, found, read_data=True).faults == []
    assert file_hashes(prepared) == file_hashes(prepared_once)


def test_read_data_counts_the_rows_of_each_clip(prepared: Path) -> None:
    path = prepared / "data/train-00000-of-00003.parquet"
    cut_row(path, np.random.default_rng(0))
    (prepared / "manifest.json").unlink()
    texts = [fault.text for fault in verify(prepared, read_data=True).faults]
    assert any(text.startswith("clip ") and "rows instead of" in text for text in texts), texts


def test_a_shard_that_lacks_a_column_is_named(prepared: Path) -> None:
    path = prepared / "data/train-00000-of-00003.parquet"
    rewritten(path, pq.read_table(path).drop_columns(["motion"]))
    (prepared / "manifest.json").unlink()
    result = run("verify", str(prepared), "--read-data")
    assert result.exit_code == 1
    assert "has the columns clip_id string" in result.stdout


@pytest.mark.slow
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
def test_every_kind_of_row_passes_read_data(few_sources: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    out = str(tmp_path / "out")
    assert run("prepare", str(few_sources), out, *FEW_ARGUMENTS, *arguments).exit_code == 0
    result = run("verify", out, "--read-data")
    assert (result.exit_code, result.stdout) == (0, "6 shards, all valid\n")


def write_damaged(path: Path) -> None:
    """A video of 24 frames, every ninth a keyframe, whose sixth packet is empty: frames 5 to 8 are damaged."""
    with av.open(str(path), "w") as container:
        options = {"bf": "0", "crf": "12", "g": "9", "x264-params": "scenecut=0"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width = 40, 56
        for index in range(24):
            picture = np.full((40, 56, 3), 20 + 8 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    voided(path, 5)


def test_windows_lost_to_damaged_frames_are_not_a_fault(tree: TreeWriter, tmp_path: Path) -> None:
    tree.still()
    write_damaged(tree.background(size=(40, 56)))
    out = tmp_path / "out"
    arguments = ("--config", "train", "--clip-length", "4", "--num-shards", "1", "--max-image-frames", "24")
    assert run("prepare", str(tree.root), str(out), *arguments, "--backgrounds-per-foreground", "1").exit_code == 0
    (shard,) = out.glob("data/*.parquet")
    assert pq.read_table(shard)["window"].to_pylist() == [0, 3, 4, 5]
    assert run("verify", str(out), "--read-data").stdout == "1 shard, all valid\n"
