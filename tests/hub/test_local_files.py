"""A prepared folder is compared with its manifest before anything is uploaded."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_runs import run
from look_alikes import draw
from prepared_folder import write_prepared

from dvm_hf.errors import DamagedError
from dvm_hf.hub.local_files import read_folder, require_complete, total_bytes
from dvm_hf.prepared.folder import checksummed, read_checksummed
from dvm_hf.prepared.manifest import manifest_from_content
from dvm_hf.prepared.placeholder_card import PLACEHOLDER_CARD

SHARD = "data/train-00001-of-00002.parquet"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A complete prepared folder."""
    return write_prepared(tmp_path / "out", shards={"train": 2, "test": 1})


def test_a_complete_folder_is_read_with_its_hashes(out: Path) -> None:
    hashed: list[int] = []
    folder = read_folder(out, hashed=hashed.append)
    there = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    del there[".cache/sources.json"]
    assert {file.path: file.sha256 for file in folder.files} == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in there.items()
    }
    assert folder.splits == {"train": ("data/train-00000-of-00002.parquet", SHARD), "test": (TEST_SHARD,)}
    assert sum(hashed) == total_bytes(out) == sum(path.stat().st_size for path in there.values())
    assert folder.left_here == ()


TEST_SHARD = "data/test-00000-of-00001.parquet"


def test_other_files_are_named_and_not_uploaded(out: Path) -> None:
    (out / "notes.txt").write_text("mine")
    (out / ".hidden").write_text("of this machine")
    folder = read_folder(out)
    assert folder.left_here == ("notes.txt",)
    assert "notes.txt" not in {file.path for file in folder.files}


def test_the_card_text_can_be_edited(out: Path) -> None:
    with (out / "README.md").open("a") as card:
        card.write("by hand")
    replaced(out / "README.md", "license: other", "license: mit")
    read_folder(out)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def other_seed(path: Path) -> None:
    replaced(path, '"seed": 0', '"seed": 1')


def one_row_more(path: Path) -> None:
    content = read_checksummed(path, "sidecar")
    path.write_bytes(checksummed(content | {"rows": content["rows"] + 1}))


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage", "rule"),
    [
        ("manifest.json", Path.unlink, "dvm prepare"),
        ("manifest.json", cut_short, "damaged"),
        ("manifest.json", lambda path: path.write_text("{}"), "was edited"),
        ("manifest.json", other_seed, "was edited"),
        ("plan/test.json", other_seed, "was edited"),
        ("plan/test.json", lambda path: shutil.copy(path.with_name("train.json"), path), "is the plan of"),
        ("README.md", Path.unlink, "is missing"),
        ("README.md", lambda path: path.write_bytes(PLACEHOLDER_CARD), "not complete"),
        ("README.md", lambda path: path.write_text("# no front matter"), "configs and dataset_info do not match"),
        ("README.md", lambda path: replaced(path, "num_examples: 6", "num_examples: 7"), "dataset_info do not match"),
        ("README.md", lambda path: replaced(path, "data/train-*", "data/*"), "its configs do not match"),
        ("samples.jpg", flipped, "sha256"),
        ("plan/test.json", Path.unlink, "is missing"),
        (SHARD, Path.unlink, "is missing"),
        (SHARD, cut_short, "bytes instead of"),
        (SHARD, flipped, "sha256"),
        ("shards/train-00001-of-00002.json", Path.unlink, "is missing"),
        ("shards/train-00001-of-00002.json", cut_short, "damaged"),
        ("shards/train-00001-of-00002.json", one_row_more, "different shard"),
        ("data/more.parquet", Path.touch, "is not in manifest.json"),
        ("more.parquet", Path.touch, "is not in manifest.json"),
    ],
)
def test_an_incomplete_folder_is_refused(out: Path, name: str, damage: Callable[[Path], object], rule: str) -> None:
    damage(out / name)
    with pytest.raises(DamagedError) as error:
        read_folder(out)
    assert str(error.value).startswith(f"{out / name}: ")
    assert rule in str(error.value)


def test_a_folder_that_was_not_prepared_is_wrong_use_and_not_damage(tmp_path: Path, few_sources: Path) -> None:
    """Exit code 2, with the command that makes such a folder."""
    for name in ("empty", "site", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "site/manifest.json").write_text('{"name": "a web page"}')
    (tmp_path / "other/train.parquet").write_bytes(b"PAR1")
    (tmp_path / "file").touch()
    lacks = "contains neither a plan/ nor a valid manifest.json"
    texts = {"none": "no such folder", "file": "is not a folder", "empty": lacks, "site": lacks, "other": lacks}
    draw("videomatting108", tmp_path / "set")
    folders = [(few_sources, "is a source folder"), (tmp_path / "set", "is a source folder")]
    for out, text in [*((tmp_path / name, text) for name, text in texts.items()), *folders]:
        done = run("push", str(out), "alice/mattes", "--dry-run")
        assert done.exit_code == 2
        assert done.stderr.startswith(f"Error: {out}: {text}")
        assert "`dvm prepare" in done.stderr
        assert done.stderr.count("\n") == 1


def test_an_unfinished_folder_is_not_taken_for_an_unprepared_one(out: Path) -> None:
    (out / "manifest.json").unlink()
    done = run("push", str(out), "alice/mattes", "--dry-run")
    assert done.exit_code == 1
    assert "run `dvm prepare` again to finish" in done.stderr


def test_swapped_sidecars_are_found(out: Path) -> None:
    first, second = (out / "shards" / f"train-0000{n}-of-00002.json" for n in range(2))
    first.rename(out / "x")
    second.rename(first)
    (out / "x").rename(second)
    with pytest.raises(DamagedError, match="different shard"):
        require_complete(out)


def test_a_changed_file_is_detected(out: Path) -> None:
    folder = read_folder(out)
    for file in folder.files:
        file.require_unchanged()
    flipped(out / SHARD)
    (changed,) = (file for file in folder.files if file.path == SHARD)
    with pytest.raises(DamagedError, match="changed during"):
        changed.require_unchanged()


def test_an_unfinished_split_is_named(out: Path, tmp_path: Path) -> None:
    """A hint to move its shards away would be wrong."""
    whole = write_prepared(tmp_path / "train", shards={"train": 1})
    for name in ("plan/test.json", TEST_SHARD):
        shutil.copy(out / name, whole / name)
    with pytest.raises(DamagedError, match=r"the split 'test' is not finished; run `dvm prepare` again"):
        require_complete(whole)


NOT_OURS = [
    [],
    1,
    {},
    {"kind": "plan"},
    {"kind": "manifest", "splits": []},
    {"kind": "manifest", "splits": {"train": {}}},
    {"kind": "manifest", "splits": {}, "files": {}},
    {"kind": "manifest", "splits": {"train": {"shards": [{"file": "../../x", "sha256": "", "bytes": 1}]}}},
]


@pytest.mark.parametrize("content", NOT_OURS)
def test_a_foreign_manifest_is_ignored(content: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        manifest_from_content(content)
