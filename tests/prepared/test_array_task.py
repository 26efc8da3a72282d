"""Tasks of job arrays: they build a shard of a plan that exists, and what they read does not grow with the plan."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_runs import run
from conftest import FEW_ARGUMENTS, TreeWriter, file_hashes
from prepare_runs import answer, is_shown, prepare
from stored_plans import stored_plan

from dvm_hf.commands.array_task import run_if_plain
from dvm_hf.prepared import prepare as preparing
from dvm_hf.prepared import shards as building
from dvm_hf.prepared.array_task import ArrayTask, built_result, finished_result, planned_header
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.prepare import unlisted_shards
from dvm_hf.prepared.shard_task import Job

ROOT = Path(__file__).resolve().parents[2]
WATCHED: list[list[str]] = []  # the lists that opened files are added to


@pytest.fixture
def planned_once(few_sources: Path, tmp_path: Path) -> Path:
    """A folder with plans and no shard."""
    assert prepare(few_sources, tmp_path / "out", *FEW_ARGUMENTS, "--plan-only").exit_code == 0
    return tmp_path / "out"


def test_a_job_array_gives_the_same_folder(few_sources: Path, planned_once: Path, prepared_once: Path) -> None:
    assert not list(planned_once.glob("data/*"))
    for number in (2, 0, 1):
        for split in ("test", "train"):
            made = answer(few_sources, planned_once, "--config", split, "--shard-index", str(number))
            assert made["built"] == [f"{split}-0000{number}-of-00003.parquet"]
            assert not is_shown(planned_once)
        unfinished = prepare(few_sources, planned_once, "--finish")
        assert unfinished.exit_code == (1 if number != 1 else 0)
    assert file_hashes(planned_once) == file_hashes(prepared_once)


def test_a_finish_lists_the_missing_shards(few_sources: Path, planned_once: Path) -> None:
    answer(few_sources, planned_once, "--config", "train", "--shard-index", "1")
    done = prepare(few_sources, planned_once, "--finish", "--json")
    made = json.loads(done.stdout)
    assert (done.exit_code, made["complete"], made["missing"]) == (1, False, {"train": 2, "test": 3})
    assert "Missing: 2 of train (0,2), 3 of test (0-2)" in prepare(few_sources, planned_once, "--finish").stdout


def test_tasks_neither_scan_nor_plan_nor_describe(
    few_sources: Path, planned_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("clips_of", "made_plan", "found_shards", "describe_if_complete"):
        monkeypatch.setattr(preparing, name, None)
    assert answer(few_sources, planned_once, "--config", "test", "--shard-index", "2")["rows"] == 3
    monkeypatch.setattr(building, "build_shard", None)
    again = answer(few_sources, planned_once, "--config", "test", "--shard-index", "2")
    assert (again["built"], again["rows"]) == ([], 3)


@pytest.mark.parametrize("damage", ["cut", "sidecar", "other plan", "footer"])
def test_an_unfinished_shard_is_built(
    few_sources: Path, prepared: Path, prepared_once: Path, damage: str, tmp_path: Path
) -> None:
    name = "train-00001-of-00003"
    shard, sidecar = prepared / f"data/{name}.parquet", prepared / f"shards/{name}.json"
    if damage == "cut":
        shard.write_bytes(shard.read_bytes()[:-1])
    elif damage == "sidecar":
        sidecar.unlink()
    elif damage == "footer":
        shard.write_bytes(shard.read_bytes()[:-100] + bytes(100))
    else:
        answer(few_sources, tmp_path / "other", *FEW_ARGUMENTS, "--seed", "7", "--config", "train")
        for path in (shard, sidecar):
            shutil.copy(tmp_path / "other" / path.relative_to(prepared), path)
    task = ArrayTask(few_sources, prepared, 1, "train")
    assert finished_result(task, planned_header(task)) is None
    assert built_result(task).built
    assert not is_shown(prepared)  # while it was missing, the card listed it
    assert prepare(few_sources, prepared, "--finish").exit_code == 0
    assert file_hashes(prepared) == file_hashes(prepared_once)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--shard-index", "0"), "has plans of train and test; pass --config train or --config test"),
        (("--shard-index", "3", "--config", "train"), "shards=3: the split 'train' has 3 shards, numbered 0 to 2"),
        (
            ("--shard-index", "0", "--config", "train", "--clip-length", "3"),
            "clip_length=3: the plan in {out} has 2; a task builds a shard of that plan, so omit this option",
        ),
        (("--shard-index", "0", "--config", "train", "--num-shards", "4"), "num_shards=4: the plan in {out} has 3"),
        (("--shard-index", "0", "--config", "train", "--shutter", "1"), "shutter=1: the plan in {out} has 0.0"),
        (("--shard-index", "0", "--config", "train", "--light", "shadow"), "the plan in {out} has 'none'"),
        (("--plan-only", "--finish"), "plan_only and finish: each selects what to do; pass only one of them"),
        (("--shards", "0", "--shard-index", "0"), "shards and shard_index: each selects what to do"),
    ],
)
def test_wrong_use_of_a_task_is_refused(
    few_sources: Path, planned_once: Path, arguments: tuple[str, ...], text: str
) -> None:
    done = prepare(few_sources, planned_once, *arguments)
    assert done.exit_code == 2
    assert text.format(out=planned_once) in done.stderr
    assert not run_if_plain(["prepare", str(few_sources), str(planned_once), *arguments])  # errors are reported there


def test_a_folder_without_a_plan_has_no_task(few_sources: Path, tmp_path: Path) -> None:
    for arguments in (("--shard-index", "0"), ("--shard-index", "0", "--config", "test"), ("--finish",)):
        done = prepare(few_sources, tmp_path / "out", *arguments)
        assert done.exit_code == 2
        assert "run dvm prepare with --plan-only once, before the job array" in done.stderr
        assert not (tmp_path / "out").exists()


MEDIA = {
    "fg/image/train/fg": "fg/image/train/fg/disc.png",
    "fg/image/train/alpha": "fg/image/train/alpha/disc.png",
    "bg/train": "bg/train/0000.mp4",
}
PLAIN = ["prepare", "DVM", "OUT", "--config", "train", "--shard-index", "0"]


@pytest.mark.parametrize(
    ("more", "is_plain"),
    [
        ([], True),
        (["--clip-length=2", "--num-shards", "3", "--json", "--num-proc", "4"], True),
        (["--columns", "frames,alpha,trimap", "--trimap", "dvm-test", "--seed", "2019"], True),
        (["--clip-length", "3"], False),
        (["--background-blur"], False),
        (["--on-error", "never"], False),
        (["--help"], False),
        (["--shard-index", "1"], False),
        (["third"], False),
    ],
)
def test_only_plain_arguments_are_a_task(
    few_sources: Path, prepared: Path, capsys: pytest.CaptureFixture[str], more: list[str], is_plain: bool
) -> None:
    folders = {"DVM": str(few_sources), "OUT": str(prepared)}
    arguments = [folders.get(argument, argument) for argument in PLAIN + more]
    if is_plain:
        with pytest.raises(SystemExit) as ended:
            run_if_plain(arguments)
        assert ended.value.code == 0
        assert "5 rows" in capsys.readouterr().out or "--json" in more
    else:
        assert not run_if_plain(arguments)


@pytest.mark.slow
def test_a_finished_task_imports_neither_datasets_nor_what_renders(few_sources: Path, prepared: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "dvm_hf", "prepare", str(few_sources), str(prepared)]
    command += ["--config", "train", "--shard-index", "1"]
    for is_finished in (True, False):
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert ("was finished already" in done.stdout) == is_finished
        names = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]  # also those that were not found
        imported = {name.partition(".")[0] for name in names if "." in name}
        heavy = {"datasets", "pandas", "huggingface_hub", "tqdm"}
        heavy |= {"numpy", "pyarrow", "cv2", "av", "PIL"} if is_finished else set()
        assert {"click", "dvm_hf"} <= imported
        assert imported & heavy == set()
        (prepared / "data/train-00001-of-00003.parquet").unlink()


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("open", "sqlite3.connect") and WATCHED:
        for found in WATCHED:
            found.append(os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes | Path) else "")


@contextmanager
def reading() -> Iterator[dict[str, int]]:
    """Count the files that this process opens and the bytes that it reads, in this context."""
    if not hasattr(watch, "is_added"):
        sys.addaudithook(watch)  # for the rest of the process
        watch.is_added = True  # type: ignore[attr-defined]
    opened: list[str] = []
    counts = {"bytes": -bytes_read()}
    WATCHED.append(opened)
    yield counts
    WATCHED.remove(opened)
    counts |= {"bytes": counts["bytes"] + bytes_read(), "files": len(opened)}


def bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])  # rchar


@pytest.fixture(scope="module")
def plans_of_two_sizes(few_sources: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Path, Path]]:
    """Sources and planned folders of 20 and of 400 stills, with shards of two clips."""
    found = {}
    for count in (20, 400):
        folder = tmp_path_factory.mktemp("sizes")
        tree = TreeWriter(folder / "DVM")
        for folder_name, source in MEDIA.items():
            target = tree.root / folder_name
            target.mkdir(parents=True)
            shutil.copy(few_sources / source, first := target / f"0{Path(source).suffix}")
            for number in range(1, count):
                os.link(first, target / f"{number}{first.suffix}")
        arguments = ("--config", "train", "--clip-length", "2", "--backgrounds-per-foreground", "1")
        arguments += ("--num-shards", str(count // 2), "--plan-only")
        assert prepare(tree.root, folder / "out", *arguments).exit_code == 0
        found[count] = tree.root, folder / "out"
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the bytes are those of /proc/self/io")
def test_what_a_shard_reads_does_not_grow_with_the_plan(plans_of_two_sizes: dict[int, tuple[Path, Path]]) -> None:
    counts: dict[str, dict[int, dict[str, int]]] = {"built": {}, "finished": {}}
    for count, (sources, out) in plans_of_two_sizes.items():
        built_result(ArrayTask(sources, out, 0))  # imports
        with reading() as counts["built"][count]:
            assert built_result(ArrayTask(sources, out, 3)).built
        task = ArrayTask(sources, out, 3)
        with reading() as counts["finished"][count]:
            assert finished_result(task, planned_header(task)) is not None
    for of in counts.values():
        few, many = of[20], of[400]
        assert few["files"] == many["files"]
        assert few["bytes"] > 0
        # the cache of hashes is read by pages, of which a small cache has fewer; numbers in a plan have more digits
        assert many["bytes"] <= few["bytes"] + (30_000 if of is counts["built"] else 100), counts


@pytest.mark.skipif(sys.platform != "linux", reason="the bytes are those of /proc/self/io")
def test_the_scan_of_missing_shards_opens_no_file(prepared: Path) -> None:
    (prepared / "data/train-00001-of-00003.parquet").unlink()
    (prepared / "shards/test-00002-of-00003.json").unlink()
    plans = {split: stored_plan(prepared, split) for split in ("train", "test")}
    jobs = [Job(split, index) for split in plans for index in range(3)]
    with reading() as counts:
        missing = unlisted_shards(PreparedFolder(prepared), plans, jobs)
    assert missing == [Job("train", 1), Job("test", 2)]
    assert counts["files"] == 0


def test_a_shard_that_is_there_but_does_not_match_is_built_by_a_later_run(
    few_sources: Path, prepared: Path, prepared_once: Path
) -> None:
    path = prepared / "data/train-00001-of-00003.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    assert answer(few_sources, prepared)["built"] == [path.name]
    assert file_hashes(prepared) == file_hashes(prepared_once)
    assert run("verify", str(prepared)).exit_code == 0
