"""Prepared folders: resumed after any death, raced, refused where the plan is another, whole or not described."""

import contextlib
import errno
import hashlib
import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_runs import run
from conftest import FEW_ARGUMENTS, TreeWriter, file_hashes
from datasets import load_dataset

import dvm_hf.prepared.atomic_io
import dvm_hf.prepared.parquet_rows
import dvm_hf.prepared.shard_size
import dvm_hf.prepared.shards
from dvm_hf import PreparedError
from dvm_hf.commands.config_options import config
from dvm_hf.prepared import prepare as preparing
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.prepare import planned
from dvm_hf.prepared.shard_plan import ShardPlan, read_plan
from dvm_hf.prepared.shard_size import WantedShards

ROOT = Path(__file__).resolve().parents[2]
KILLS = 50
SHARDS = 6  # of both splits

Builders = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def builders() -> Iterator[Builders]:
    """`dvm` in forked children: see forked_builders.py."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "tests" / "forked_builders.py")]
    with subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def call(*arguments: str, count: int = 1, die: Any = None, without_locks: bool = False) -> dict[str, Any]:
            asked = {"arguments": arguments, "count": count, "die": die, "without_locks": without_locks}
            server.stdin.write(json.dumps(asked) + "\n")  # type: ignore[union-attr]
            server.stdin.flush()  # type: ignore[union-attr]
            return dict(json.loads(server.stdout.readline()))  # type: ignore[union-attr]

        yield call
        server.stdin.close()


def prepare(sources: Path, out: Path, *arguments: str) -> Any:
    return run("prepare", str(sources), str(out), *(arguments or FEW_ARGUMENTS))


def answer(sources: Path, out: Path, *arguments: str) -> dict[str, Any]:
    """What a run that succeeds prints with --json."""
    result = prepare(sources, out, *(arguments or FEW_ARGUMENTS), "--json")
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def finished_shards(out: Path) -> set[str]:
    """Shards with a sidecar, as the log names them: train-0."""
    found = (path.name.split("-") for path in (out / "shards").glob("*.json"))
    return {f"{split}-{int(index)}" for split, index, *_ in found}


def is_shown(out: Path) -> bool:
    """Whether a card is there that names the data."""
    path = out / "README.md"
    return path.exists() and b"not-complete-yet" not in path.read_bytes()


# --- what is made ---


def test_the_folder_holds_shards_sidecars_plans_manifest_and_card(prepared_once: Path) -> None:
    names = [f"{split}-0000{index}-of-00003" for split in ("train", "test") for index in range(3)]
    assert set(file_hashes(prepared_once)) == {
        *(f"data/{name}.parquet" for name in names),
        *(f"shards/{name}.json" for name in names),
        *("plan/train.json", "plan/test.json", "manifest.json", "README.md", "samples.jpg"),
        ".cache/huggingface/dvm_sources.json",
    }


def test_the_manifest_counts_what_is_there(prepared_once: Path) -> None:
    manifest = json.loads((prepared_once / "manifest.json").read_bytes())
    hashes = file_hashes(prepared_once)
    # 2 clips of a still with 6 frames and 2 of a video with 5, in windows of 2: test keeps the remainder
    assert {split: (held["rows"], held["frames"]) for split, held in manifest["splits"].items()} == {
        "train": (2 * 3 + 2 * 2, 2 * 6 + 2 * 4),
        "test": (2 * 3 + 2 * 3, 2 * 6 + 2 * 5),
    }
    for split in manifest["splits"].values():
        for shard in split["shards"]:
            assert shard["sha256"] == hashes[f"data/{shard['file']}"]
            assert shard["bytes"] == (prepared_once / "data" / shard["file"]).stat().st_size
        assert {"opencv", "av", "numpy", "libswscale", "dvm_hf"} <= set(split["plan"]["versions"])
    assert manifest["files"] == {name: hashes[name] for name in ("README.md", "samples.jpg")}


def test_nothing_that_is_published_tells_of_this_machine(few_sources: Path, prepared_once: Path) -> None:
    for path in (path for path in prepared_once.rglob("*") if path.is_file() and ".cache" not in path.parts):
        data = path.read_bytes()
        for secret in (str(few_sources), str(prepared_once)):
            assert secret.encode() not in data, path


def test_processes_and_order_change_no_byte(few_sources: Path, prepared_once: Path, tmp_path: Path) -> None:
    answer(few_sources, tmp_path / "two", *FEW_ARGUMENTS, "--num-proc", "2")
    for index in (2, 0, 1):
        made = answer(few_sources, tmp_path / "array", *FEW_ARGUMENTS, "--shard-index", str(index))
        assert made["built"] == [f"{split}-0000{index}-of-00003.parquet" for split in ("train", "test")]
        assert made["complete"] == (index == 1)
        assert is_shown(tmp_path / "array") == (index == 1)
    for split in ("test", "train"):
        answer(few_sources, tmp_path / "splits", "--config", split, *FEW_ARGUMENTS)
    expected = file_hashes(prepared_once)
    for out in ("two", "array", "splits"):
        assert file_hashes(tmp_path / out) == expected


def test_a_copy_of_the_sources_gives_the_same_bytes(few_sources: Path, prepared_once: Path, tmp_path: Path) -> None:
    shutil.copytree(few_sources, tmp_path / "copy", copy_function=shutil.copy)  # other times of modification
    answer(tmp_path / "copy", tmp_path / "out")
    local = ".cache/huggingface/dvm_sources.json"
    expected = file_hashes(prepared_once)
    assert file_hashes(tmp_path / "out") | {local: ""} == expected | {local: ""}


def test_a_span_of_shards_is_made_and_nothing_else(few_sources: Path, tmp_path: Path) -> None:
    made = answer(few_sources, tmp_path / "out", *FEW_ARGUMENTS, "--config", "train", "--shards", "1-2")
    assert made["built"] == ["train-00001-of-00003.parquet", "train-00002-of-00003.parquet"]
    assert made["missing"] == {"train": 1}


def assert_refuses_to_load(folder: Path, cache: Path) -> None:
    for streaming in (True, False):
        with pytest.raises(FileNotFoundError):
            load_dataset(str(folder), streaming=streaming, **({} if streaming else {"cache_dir": str(cache)}))


def test_a_half_does_not_load(few_sources: Path, tmp_path: Path) -> None:
    arguments = (*FEW_ARGUMENTS, "--config", "train")
    answer(few_sources, tmp_path / "out", *arguments, "--shards", "0-1")
    assert_refuses_to_load(tmp_path / "out", tmp_path / "cache")
    assert answer(few_sources, tmp_path / "out", *arguments)["complete"]
    assert len(list(load_dataset(str(tmp_path / "out"), split="train", streaming=True))) == 10


def test_a_described_folder_that_is_being_mended_does_not_load(
    few_sources: Path, prepared: Path, prepared_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (prepared / "data/test-00001-of-00003.parquet").unlink()

    def killed(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dvm_hf.prepared.shards, "retried_windows", killed)
        prepare(few_sources, prepared)
    assert_refuses_to_load(prepared, tmp_path / "cache")
    assert answer(few_sources, prepared)["complete"]
    assert file_hashes(prepared) == file_hashes(prepared_once)


def test_a_whole_split_stays_loadable_while_the_other_is_made(few_sources: Path, tmp_path: Path) -> None:
    answer(few_sources, tmp_path, *FEW_ARGUMENTS, "--config", "train")
    answer(few_sources, tmp_path, *FEW_ARGUMENTS, "--config", "test", "--shards", "0")
    loaded = load_dataset(str(tmp_path), streaming=True)
    assert list(loaded) == ["train"]
    assert len(list(loaded["train"])) == 10


def test_a_limit_of_size_makes_more_shards(few_sources: Path, tmp_path: Path) -> None:
    whole = answer(few_sources, tmp_path / "whole", "--config", "train", "--clip-length", "2")
    assert whole["shards"] == {"train": 1}
    limit = str(whole["bytes"] // 2)
    halves = answer(
        few_sources, tmp_path / "halves", "--config", "train", "--clip-length", "2", "--max-shard-size", limit
    )
    assert 2 <= halves["shards"]["train"] <= 4
    assert halves["rows"] == whole["rows"]
    again = answer(few_sources, tmp_path / "halves", "--config", "train", "--clip-length", "2")
    assert (again["built"], again["shards"]) == ([], halves["shards"])  # resuming needs no word of sizes


# --- resumed ---


def test_a_second_run_makes_nothing(few_sources: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*") if path.is_file()}
    monkeypatch.setattr(dvm_hf.prepared.shards, "retried_windows", None)
    monkeypatch.setattr(dvm_hf.prepared.shard_size, "render", None)
    assert answer(few_sources, prepared)["built"] == []
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob("*") if path.is_file()} == before


def test_killed_at_any_moment_a_build_goes_on_and_loses_at_most_one_shard(
    builders: Builders, few_sources: Path, prepared_once: Path, tmp_path: Path
) -> None:
    expected, rng = file_hashes(prepared_once), np.random.default_rng(5)
    undisturbed = builders("prepare", str(few_sources), str(tmp_path / "whole"), *FEW_ARGUMENTS)
    assert undisturbed["ends"] == [0]
    assert undisturbed["moments"] > 80  # or nothing is watched
    assert len(undisturbed["begun"]) == SHARDS
    kills: Counter[int] = Counter()
    number = 0
    while kills.total() < KILLS:
        out = tmp_path / f"out_{number}"
        command = ("prepare", str(few_sources), str(out), *FEW_ARGUMENTS)
        begun: Counter[str] = Counter()
        deaths = 0
        for _ in range(5):
            finished = finished_shards(out)
            die = {"after": float(rng.uniform(0.01, 0.25))} if number % 2 else {"at_moment": int(rng.integers(1, 60))}
            report = builders(*command, die=die)
            assert not finished & set(report["begun"])  # nothing twice
            begun.update(report["begun"])
            deaths += report["ends"][0] < 0
            kills[report["ends"][0]] += report["ends"][0] < 0
            is_described = out.exists() and is_shown(out)
            assert not is_described or finished_shards(out) == set(undisturbed["begun"])  # the card comes last
        last = builders(*command)
        assert last["ends"] == [0]
        begun.update(last["begun"])
        assert begun.total() <= SHARDS + deaths  # one worker: a death costs one shard at most
        assert file_hashes(out) == expected  # temporary files would be more files
        shutil.rmtree(out)
        number += 1
    assert set(kills) >= {-signal.SIGKILL, -signal.SIGALRM}


def test_killed_with_its_workers_a_build_goes_on(few_sources: Path, prepared_once: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "dvm_hf", "prepare", str(few_sources), str(out), *FEW_ARGUMENTS, "--num-proc", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for line in range(2):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True)
        while process.poll() is None and len(finished_shards(out)) < 2 * line + 1:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not is_shown(out)
    finished = {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir() if path.suffix == ".json"}
    answer(few_sources, out)
    assert file_hashes(out) == file_hashes(prepared_once)
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())


@pytest.mark.parametrize("without_locks", [False, True], ids=["flock", "flock is a no-op"])
@pytest.mark.parametrize("count", [2, 4])
def test_racing_builders_end_in_the_same_tree(
    builders: Builders, few_sources: Path, prepared_once: Path, tmp_path: Path, count: int, without_locks: bool
) -> None:
    expected = file_hashes(prepared_once)
    for number in range(3):
        out = tmp_path / str(number)
        command = ("prepare", str(few_sources), str(out), *FEW_ARGUMENTS)
        report = builders(*command, count=count, without_locks=without_locks)
        assert report["ends"] == [0] * count
        assert file_hashes(out) == expected


def test_of_racing_builders_one_may_die(
    builders: Builders, few_sources: Path, prepared_once: Path, tmp_path: Path
) -> None:
    for moment in (15, 30, 45):
        out = tmp_path / str(moment)
        command = ("prepare", str(few_sources), str(out), *FEW_ARGUMENTS)
        report = builders(*command, count=3, die={"at_moment": moment})
        assert report["ends"] == [-signal.SIGKILL, 0, 0]
        assert builders(*command)["ends"] == [0]
        assert file_hashes(out) == file_hashes(prepared_once)


def test_racing_builders_share_the_work(builders: Builders, few_sources: Path, tmp_path: Path) -> None:
    begun = 0
    for number in range(3):
        command = ("prepare", str(few_sources), str(tmp_path / str(number)), "--clip-length", "2", "--num-shards", "4")
        report = builders(*command, count=2)
        assert report["ends"] == [0, 0]
        begun += len(report["begun"])
    assert 3 * 8 <= begun <= 3 * 12  # of 8 shards; each builder for itself would make 16


def test_a_shard_without_its_sidecar_is_made_again(few_sources: Path, prepared: Path, prepared_once: Path) -> None:
    (prepared / "shards/train-00001-of-00003.json").unlink()
    assert answer(few_sources, prepared)["built"] == ["train-00001-of-00003.parquet"]
    assert file_hashes(prepared) == file_hashes(prepared_once)


# --- never mixed ---


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


def test_a_touched_source_is_no_changed_one(few_sources: Path, prepared: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(few_sources, tmp_path / "copy"))
    os.utime(copy / "bg/train/0000.mp4", ns=(1, 1))
    assert answer(copy, prepared)["built"] == []


def test_a_source_rewritten_under_its_old_size_and_time_is_a_changed_one(
    few_sources: Path, prepared: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(few_sources, tmp_path / "copy"))
    assert answer(copy, prepared)["built"] == []  # and remembers what it has hashed
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
    render = dvm_hf.prepared.shards.retried_windows

    def rewriting(plan: Any, **kwargs: Any) -> Any:
        for path in copy.glob("bg/train/*"):
            path.write_bytes(path.read_bytes() + b"!")
        return render(plan, **kwargs)

    monkeypatch.setattr(dvm_hf.prepared.shards, "retried_windows", rewriting)
    result = prepare(copy, tmp_path / "out")
    assert result.exit_code == 1
    assert "changed since the plan was made" in result.stderr
    assert not [name for name in finished_shards(tmp_path / "out") if name.startswith("train")]


@pytest.mark.parametrize("arguments", [("--clip-length", "2", "--num-shards", "2"), ("--seed", "1", *FEW_ARGUMENTS)])
def test_shards_that_have_lost_their_plan_are_not_mixed_in(
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


def few_plans(sources: Path, out: Path, num_shards: int) -> dict[str, ShardPlan]:
    """Plans of the split train alone, as `planned` writes them."""
    configs = [config("train", str(sources), {"clip_length": "2"})]
    return planned(configs, out, data_dir=sources, wanted=WantedShards(num_shards))


@pytest.mark.parametrize("has_links", [True, False], ids=["hard links", "no hard links"])
def test_of_two_runs_that_plan_at_once_the_first_one_stays(
    few_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    made_plan = preparing.made_plan
    inner: list[Any] = []

    def overtaken(*args: Any, **kwargs: Any) -> ShardPlan:
        plan = made_plan(*args, **kwargs)
        if not inner:  # the outer run is between looking for a plan and writing its own
            inner.append(None)
            few_plans(few_sources, tmp_path, 4)
        return plan

    def refused(*paths: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if not has_links:
        monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr(preparing, "made_plan", overtaken)
    with pytest.raises(PreparedError, match="num_shards was 4, is 3"):
        few_plans(few_sources, tmp_path, 3)
    assert read_plan(tmp_path / "plan/train.json").num_shards == 4


def test_a_run_whose_plan_was_replaced_adds_no_shard(few_sources: Path, tmp_path: Path) -> None:
    replaced = few_plans(few_sources, tmp_path, 3)
    (tmp_path / "plan/train.json").unlink()
    plans = few_plans(few_sources, tmp_path, 4)
    assert (tmp_path / "README.md").exists()  # before any shard: whoever calls build_shard makes no loadable half
    assert not is_shown(tmp_path)
    with pytest.raises(PreparedError, match="replaced by another plan"):
        preparing.prepare(replaced, tmp_path, data_dir=few_sources)
    assert preparing.prepare(plans, tmp_path, data_dir=few_sources).complete
    rows = list(load_dataset(str(tmp_path), split="train", streaming=True))
    assert len(rows) == 10
    assert len({(row["clip_id"], row["window"]) for row in rows}) == 10


def test_nothing_is_described_while_other_files_would_be_loaded_with_the_shards(
    few_sources: Path, prepared: Path
) -> None:
    folder = PreparedFolder(prepared)
    found = preparing.found_shards(folder)
    shutil.copy(prepared / "data/train-00000-of-00003.parquet", prepared / "data/train-extra.parquet")
    with pytest.raises(PreparedError, match="train-extra"):
        preparing.describe_if_complete(folder, found)
    result = prepare(few_sources, prepared)
    assert result.exit_code == 2
    assert "train-extra.parquet: is not a shard of this plan" in result.stderr


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
        result = run("check", str(place / "DVM"), *arguments)
        assert "udcff" in result.stdout
        assert type(result.exception) in (type(None), SystemExit)


def test_a_rotten_shard_is_named_with_what_to_do(few_sources: Path, prepared: Path) -> None:
    for path in prepared.glob("data/*.parquet"):
        data = path.read_bytes()
        path.write_bytes(data[:4] + bytes(400) + data[404:])
    result = prepare(few_sources, prepared)
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert f"{prepared / 'data'}: rows of a shard cannot be read back (" in result.stderr
    assert "dvm verify --repair rebuilds it" in result.stderr


# --- wrong use, bad data, full disks ---


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
        (("--shard-index", "0"), "--num-shards"),
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


def test_a_tree_with_one_split_is_prepared_and_said_so(tmp_path: Path, tree: TreeWriter) -> None:
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


@pytest.mark.parametrize("name", ["README.md", "manifest.json", "samples.jpg"])
def test_files_of_the_users_are_not_replaced(few_sources: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    result = prepare(few_sources, tmp_path)
    assert result.exit_code == 2
    assert f"{tmp_path / name}: exists, is not owned by dvm prepare" in result.stderr
    assert file_hashes(tmp_path) == {name: hashlib.sha256(b"mine").hexdigest()}


@pytest.mark.parametrize("place", ["", "fg", "bg/train"])
def test_sources_and_shards_are_kept_apart(few_sources: Path, tmp_path: Path, place: str) -> None:
    link = tmp_path / "link"
    link.symlink_to(few_sources)
    before = file_hashes(few_sources)
    result = prepare(few_sources, link / place)
    assert result.exit_code == 2
    assert "is the source folder, or inside it" in result.stderr
    assert file_hashes(few_sources) == before


def test_wrong_names_make_no_folder(few_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no such folder" in prepare(tmp_path / "typo", tmp_path / "out").stderr
    for arguments in (("prepare", str(few_sources), ""), ("prepare", "", "out"), ("verify", ""), ("push", "", "a/b")):
        result = run(*arguments)
        assert (result.exit_code, "is empty; pass a folder" in result.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_clips_that_are_all_too_short_are_refused_before_they_are_rendered(
    few_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dvm_hf.prepared.shards, "retried_windows", None)
    monkeypatch.setattr(dvm_hf.prepared.shard_size, "render", None)
    result = prepare(few_sources, tmp_path, "--config", "train", "--clip-length", "4", "--frame-step", "2")
    assert result.exit_code == 2
    assert "the longest clip of the split 'train' has 6 frames, too few for one window" in result.stderr


@pytest.mark.parametrize(
    ("text", "size"),
    [("500MB", 500_000_000), ("0.5GB", 500_000_000), ("1.5 KiB", 1536), ("2gib", 2 << 30), ("1000000", 1_000_000)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert dvm_hf.prepared.shard_size.size_in_bytes(text) == size


@pytest.fixture
def broken_sources(few_sources: Path, tmp_path: Path) -> Path:
    """As `few_sources`; the still to train on cannot be decoded."""
    copy = Path(shutil.copytree(few_sources, tmp_path / "broken"))
    path = copy / "fg/image/train/alpha/disc.png"
    path.write_bytes(path.read_bytes()[:40])
    return copy


def test_a_source_that_cannot_be_used_stops_the_build_and_keeps_finished_shards(
    broken_sources: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = prepare(broken_sources, out, "--clip-length", "2", "--num-shards", "4", "--num-proc", "2")
    assert result.exit_code == 1
    assert "image_disc_000" in result.stderr
    assert "fg/image/train/alpha/disc.png" in result.stderr
    assert "on_error='skip'" in result.stderr
    assert not list(out.rglob("*.tmp"))
    assert not is_shown(out)


def test_a_missing_source_is_bad_data_as_a_broken_one_is(few_sources: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(few_sources, tmp_path / "copy"))
    (copy / "fg/image/train/alpha/disc.png").unlink()
    result = prepare(copy, tmp_path / "out")
    assert result.exit_code == 1
    assert "has no usable alpha" in result.stderr
    assert not (tmp_path / "out").exists()
    assert prepare(copy, tmp_path / "out", *FEW_ARGUMENTS, "--pairs", "none.txt", "--config", "train").exit_code == 2


def test_what_is_left_out_tells_of_no_machine(few_sources: Path, tmp_path: Path) -> None:
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


def test_a_folder_in_a_sidecars_place_is_named_with_what_to_do(few_sources: Path, prepared: Path) -> None:
    path = prepared / "shards/train-00001-of-00003.json"
    path.unlink()
    path.mkdir()
    assert (
        f"{path}: cannot be written (Is a directory); a folder with this name exists"
        in prepare(few_sources, prepared).stderr
    )


def test_left_out_clips_are_listed_and_counted(broken_sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--clip-length", "2", "--num-shards", "4")
    assert prepare(broken_sources, out, *arguments).exit_code == 1
    assert prepare(broken_sources, out, *arguments, "--config", "train", "--shards", "2-3").exit_code == 0
    kept = finished_shards(out)
    assert {"train-2", "train-3"} <= kept
    made = answer(broken_sources, out, *arguments, "--on-error", "skip")  # the finished shards serve
    assert len(made["built"]) == 8 - len(kept)
    assert sorted(entry["name"] for entry in made["left_out"]) == ["image_disc_0000", "image_disc_0001"]
    assert all("cannot be read as an image" in entry["reason"] for entry in made["left_out"])
    assert not any(str(tmp_path) in entry["reason"] for entry in made["left_out"])
    held = json.loads((out / "manifest.json").read_bytes())["splits"]["train"]
    assert (held["left_out"], held["rows"]) == (made["left_out"], 2 * 2)
    assert "Skipped, with reasons in the manifest" in (out / "README.md").read_text()
    assert run("verify", str(out), "--read-data").exit_code == 0


def test_a_full_disk_is_named_and_a_rerun_goes_on(
    few_sources: Path, prepared_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, room = tmp_path / "out", [60_000]
    write = dvm_hf.prepared.parquet_rows._HashingSink.write

    def limited(sink: Any, data: bytes) -> int:
        room[0] -= len(data)
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(sink, data)

    with monkeypatch.context() as patch:
        patch.setattr(dvm_hf.prepared.parquet_rows._HashingSink, "write", limited)
        result = prepare(few_sources, out)
    assert result.exit_code == 2
    assert f"{out}/data/" in result.stderr
    assert "No space left on device" in result.stderr
    assert "finished shards are kept" in result.stderr
    assert 0 < len(finished_shards(out)) < SHARDS
    assert not list(out.rglob("*.tmp"))
    kept = finished_shards(out)
    assert len(answer(few_sources, out)["built"]) == SHARDS - len(kept)
    assert file_hashes(out) == file_hashes(prepared_once)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system in memory with the options given; skips where mounting is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()

    def mounted(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")
        return place

    yield mounted
    if os.path.ismount(place):
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("num_proc", ["1", "2"])
def test_a_really_full_disk_is_named_and_a_rerun_goes_on(
    few_sources: Path, prepared_once: Path, small_disk: Callable[[str], Path], num_proc: str
) -> None:
    out = small_disk("size=128k") / "out"
    arguments = (*FEW_ARGUMENTS, "--num-proc", num_proc)
    result = prepare(few_sources, out, *arguments)
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert not list(out.rglob("*.tmp"))
    assert len(finished_shards(out)) < SHARDS
    small_disk("remount,size=8m")
    answer(few_sources, out, *arguments)
    assert file_hashes(out) == file_hashes(prepared_once)


def test_a_read_only_folder_is_found_before_anything_is_rendered(
    few_sources: Path, small_disk: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dvm_hf.prepared.shards, "retried_windows", None)
    monkeypatch.setattr(dvm_hf.prepared.shard_size, "render", None)
    result = prepare(few_sources, small_disk("ro") / "out")
    assert result.exit_code == 2
    assert "Read-only file system" in result.stderr
    assert "another folder" in result.stderr


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_folder_that_refuses_is_named_with_what_to_do(
    few_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refusing(path: Path, data: bytes) -> int:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(Path, "write_bytes", refusing)
    monkeypatch.setattr(dvm_hf.prepared.shards, "retried_windows", None)
    result = prepare(few_sources, tmp_path / "out")
    assert result.exit_code == 2
    cause_last = f"{tmp_path / 'out'}: cannot be written ({os.strerror(code)}); "
    cause_first = f"{os.strerror(code)}: {tmp_path / 'out'} cannot be written; "
    assert (cause_first if code in (errno.ENOSPC, errno.EDQUOT) else cause_last) in result.stderr


def test_a_file_in_the_folders_place_is_refused(few_sources: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    result = prepare(few_sources, tmp_path / "out")
    assert result.exit_code == 2
    assert str(tmp_path / "out") in result.stderr


def test_progress_is_told_on_stderr(few_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(
        preparing, "tqdm", lambda **given: real(**{**given, "delay": 0, "file": shown, "mininterval": 0})
    )
    real = __import__("tqdm").tqdm
    result = prepare(few_sources, tmp_path / "out")
    assert result.exit_code == 0
    text = shown.getvalue()
    assert "8/8" in text
    assert "frames/s" in text
    assert "MB" in text
    assert "frames/s" not in result.stdout


def test_every_folder_that_is_written_to_is_named(tmp_path: Path) -> None:
    folder = PreparedFolder(tmp_path)
    files = (folder.card, folder.manifest, folder.samples, folder.local_sources, folder.plan("train"))
    files += (folder.shard("train", 1, 2), folder.sidecar("train", 1, 2))
    assert {path.parent for path in files} == set(folder.folders)
