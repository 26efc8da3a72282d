"""Inputs of a builder: names, splits, folders and lists, read once."""

import os
import pickle
import re
from pathlib import Path

import datasets
import fsspec
import pytest
from command_runs import run
from conftest import TreeWriter
from datasets import load_dataset
from packaging.version import Version

import dvm_hf


@pytest.fixture
def small(tree: TreeWriter) -> TreeWriter:
    """A still and two backgrounds of 6 frames in the split train."""
    tree.still(size=(32, 24))
    for number in range(2):
        tree.background(f"{number:04d}", size=(40 + 4 * number, 56), frames=6)
    return tree


@pytest.mark.skipif(
    Version(datasets.__version__) < Version("4.0.0"), reason="older releases run the script by its path"
)
def test_a_folder_of_the_same_name_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dvm_hf.__version__
    (tmp_path / "dvm").mkdir()
    (tmp_path / "dvm/rows.csv").write_text("a,b\n1,2\n3,4\n")
    monkeypatch.chdir(tmp_path)
    rows = load_dataset("dvm", split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["a"][:] == [1, 3]


@pytest.mark.parametrize("split", ["test", "test[:2]", "train+test", datasets.Split.TEST])
def test_the_split_of_the_other_config_is_refused_before_anything_is_built(
    few_sources: Path, tmp_path: Path, load: "object", split: object
) -> None:
    with pytest.raises(dvm_hf.ConfigError, match=re.escape('load_dataset("dvm.py", "test", ..., split="test")')):
        load(None, data_dir=str(few_sources), split=split, clip_length=2)  # type: ignore[operator]
    assert not list((tmp_path / "cache").rglob("*.arrow"))


READ = datasets.ReadInstruction


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("validation", "split='validation': the config 'train' has the split 'train' only, and not 'validation'; use"),
        ("tran[:10%]", "and not 'tran'; use split='train'"),
        ("train+trains[5:]", "and not 'trains'"),
        (datasets.Split.VALIDATION, "and not 'validation'"),
        (READ("train") + READ("val", to=5, unit="abs"), "and not 'val'"),
        (["train", "validation"], "and not 'validation'"),
        ({"a": "train[:50%]", "b": ["train", "tests"]}, "and not 'tests'"),
        (READ(datasets.Split.VALIDATION), "and not 'validation'"),
        (READ("all"), "and not 'all'"),
        ("all[:5]", "and not 'all'"),
        ("train[:10", "split='train[:10': Unrecognized instruction format: train[:10; pass the name of a split"),
        ("train[:150%]", "split='train[:150%]': Percent slice boundaries must be"),
        ("", "split='': Unrecognized instruction format"),
        ([READ("test", to=1, unit="abs")], 'load_dataset("dvm.py", "test", ..., split="test")'),
    ],
    ids=repr,
)
def test_a_split_that_no_config_has_is_refused_before_anything_is_built(
    few_sources: Path, tmp_path: Path, load: "object", split: object, words: str
) -> None:
    with pytest.raises(dvm_hf.ConfigError, match=re.escape(words)):
        load(None, data_dir=str(few_sources), split=split, clip_length=2)  # type: ignore[operator]
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("*.arrow"))


@pytest.fixture(scope="module")
def built_once(few_sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the split train of `few_sources`, with clips of 2 frames."""
    from dvm_hf.dataset.loading import load_arguments

    cache = tmp_path_factory.mktemp("built")
    fields = {"data_dir": str(few_sources), "clip_length": 2, "cache_dir": str(cache)}
    load_dataset(name="train", **load_arguments(), **fields)
    return cache


@pytest.mark.parametrize(
    "split",
    [
        None,
        "all",
        "train",
        "train[:10%]",
        "train[1:2]+train[3:]",
        "train[:50%](closest)",
        datasets.Split.TRAIN,
        datasets.Split.ALL,
        READ("train", to=2, unit="abs"),
        ["train", "train[1:]"],
        {"a": "train[:1]", "b": READ("train")},
    ],
    ids=repr,
)
def test_slices_of_the_split_are_read(few_sources: Path, built_once: Path, load: "object", split: object) -> None:
    fields = {"data_dir": str(few_sources), "clip_length": 2, "cache_dir": str(built_once)}
    assert len(load("train", split=split, **fields))  # type: ignore[operator]


def test_an_empty_data_dir_is_an_error(load: "object") -> None:
    with pytest.raises(dvm_hf.ConfigError, match="data_dir='': is empty"):
        load("train", data_dir="", split="train")  # type: ignore[operator]


ADDRESSES = ["s3://bucket/DVM", "hf://datasets/user/DVM", "https://host/DVM", "file://DVM", "FILE://host/DVM"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_as_data_dir_is_refused_before_anything_is_read(load: "object", address: str, monkeypatch) -> None:
    text = re.escape(f"data_dir={address!r}: is an address, but sources must be in a local folder")
    with pytest.raises(dvm_hf.ConfigError, match=text):
        load("train", data_dir=address, split="train")  # type: ignore[operator]
    monkeypatch.setenv("DVM_DATA_DIR", address)
    with pytest.raises(dvm_hf.ConfigError, match=text):
        load("train", split="train", streaming=True)  # type: ignore[operator]
    for command in (
        ["check", address],
        ["prepare", address, "out"],
        ["bench", address],
        ["verify", ".", "--data-dir", address],
    ):
        done = run(*command)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
        assert re.search(text, done.stderr)


@pytest.mark.parametrize("start", ["file://", "file://localhost", "FILE://"])
def test_a_file_address_is_the_path_of_a_local_folder(small: TreeWriter, load: "object", start: str) -> None:
    folder = small.root.rename(small.root.with_name("DVM 100%25"))  # a path, as in fsspec: no escapes
    address = f"{start}{folder.as_posix()}"
    rows = load("train", data_dir=address, split="train", streaming=True, clip_length=6)  # type: ignore[operator]
    assert len(list(rows)) == 2
    assert run("check", address, "--config", "train", "--clip-length", "6", "--num-proc", "0").exit_code == 0


@pytest.mark.parametrize("name", ["my data", "é 100%", "a%20b", "x#y?z"])
def test_the_escapes_of_a_file_address_are_decoded(small: TreeWriter, load: "object", name: str) -> None:
    address = small.root.rename(small.root.with_name(name)).as_uri()
    assert "%" in address
    rows = load("train", data_dir=address, split="train", streaming=True, clip_length=6)  # type: ignore[operator]
    assert len(list(rows)) == 2


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: path.mkdir(), "the pair list cannot be read (a folder); pass a file"),
        (os.mkfifo, "the pair list cannot be read (a pipe or a device); pass a file"),
        (lambda path: path.symlink_to(os.devnull), "the pair list cannot be read (a pipe or a device); pass a file"),
        (lambda path: path.touch(), "the pair list is empty; add a line"),
        (lambda path: None, "no such pair list"),
    ],
)
def test_a_pair_list_that_is_not_one_is_described(small: TreeWriter, load: "object", make: "object", text: str) -> None:
    make(small.root / "list.txt")  # type: ignore[operator]
    for streaming in (False, True):
        with pytest.raises(dvm_hf.SourceError, match=re.escape(text)):
            load("train", data_dir=str(small.root), split="train", pairs="list.txt", streaming=streaming)  # type: ignore[operator]
    root = str(small.root)
    for command in (["check", root], ["prepare", root, "out"]):
        done = run(*command, "--config", "train", "--pairs", "list.txt")
        assert done.exit_code in (1, 2)
        assert text in done.stdout + done.stderr


def test_an_empty_name_of_a_pair_list_is_an_error(small: TreeWriter, load: "object") -> None:
    with pytest.raises(dvm_hf.ConfigError, match="pairs='': is empty; pass the path of a pair list, or omit pairs"):
        load("train", data_dir=str(small.root), split="train", pairs="")  # type: ignore[operator]


@pytest.mark.slow
def test_a_builder_uses_the_inputs_it_was_created_with(few_sources: Path, tmp_path: Path, monkeypatch) -> None:
    from dvm_hf.dataset.loading import load_arguments

    monkeypatch.chdir(tmp_path)
    pairs = tmp_path / "list.txt"
    pairs.write_text("image+disc.png+0000.mp4\n")
    fields = {"name": "train", "data_dir": str(few_sources), "pairs": "list.txt", "clip_length": 2}
    builder = datasets.load_dataset_builder(**load_arguments(), **fields, cache_dir=str(tmp_path / "cache"))
    monkeypatch.chdir("/")
    builder.download_and_prepare()
    assert set(builder.as_dataset(split="train")["clip_id"]) == {"image_disc_0000"}
    monkeypatch.chdir(tmp_path)
    builder = datasets.load_dataset_builder(**load_arguments(), **fields, cache_dir=str(tmp_path / "other"))
    pairs.write_text("image+disc.png+0001.mp4\n")
    with pytest.raises(dvm_hf.SourceError, match="the pair list changed after this builder was created"):
        builder.download_and_prepare()


@pytest.mark.slow
@pytest.mark.parametrize("num_proc", [None, 2])
@pytest.mark.parametrize("change", ["touched", "rewritten", "removed"])
def test_a_source_replaced_during_a_build_fails_the_build(
    small: TreeWriter, tmp_path: Path, load: "object", monkeypatch, change: str, num_proc: "int | None"
) -> None:
    """Replaced after all sources are read, so that no other check detects it."""
    background, before = small.root / "bg/train/0001.mp4", (small.root / "bg/train/0001.mp4").read_bytes()
    stat, real = background.stat(), datasets.GeneratorBasedBuilder._download_and_prepare

    def replacing(*args: object, **kwargs: object) -> None:
        real(*args, **kwargs)
        if change == "removed":
            background.unlink()
        else:
            background.write_bytes(before + b"x" * (change == "rewritten"))
            moment = stat.st_mtime_ns + (change == "touched")
            os.utime(background, ns=(moment, moment))

    monkeypatch.setattr(datasets.GeneratorBasedBuilder, "_download_and_prepare", replacing)
    fields = {"data_dir": str(small.root), "split": "train", "clip_length": 2, "num_proc": num_proc}
    words = re.escape(f"{background}: was replaced or removed during the build")
    for on_error in ("raise", "skip"):
        with pytest.raises(dvm_hf.SourceError, match=words):
            load("train", on_error=on_error, **fields)  # type: ignore[operator]
        background.write_bytes(before)
        os.utime(background, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    assert not list((tmp_path / "cache").rglob("*.arrow"))
    monkeypatch.undo()
    assert len(load("train", **fields))  # type: ignore[operator]


def test_an_unused_file_may_change(small: TreeWriter, load: "object", monkeypatch) -> None:
    (small.root / "list.txt").write_text("image+disc.png+0000.mp4\n", encoding="utf-8")
    real = datasets.GeneratorBasedBuilder._download_and_prepare

    def replacing(*args: object, **kwargs: object) -> None:
        real(*args, **kwargs)
        (small.root / "bg/train/0001.mp4").unlink()

    monkeypatch.setattr(datasets.GeneratorBasedBuilder, "_download_and_prepare", replacing)
    assert len(load("train", data_dir=str(small.root), pairs="list.txt", clip_length=2)["train"])  # type: ignore[operator]


def test_workers_do_not_receive_the_list_of_files(small: TreeWriter, tmp_path: Path, monkeypatch) -> None:
    from dvm_hf.dataset.loading import load_arguments

    fields = {"name": "train", "data_dir": str(small.root), "clip_length": 2, "cache_dir": str(tmp_path / "cache")}
    builder = datasets.load_dataset_builder(**load_arguments(), **fields)
    builder.download_and_prepare()
    assert len(builder._files) == 4
    assert pickle.loads(pickle.dumps(builder))._files == {}


def test_save_infos_does_not_write_into_the_package(
    small: TreeWriter, tmp_path: Path, load: "object", caplog: pytest.LogCaptureFixture
) -> None:
    package = Path(dvm_hf.__file__).parent
    before = sorted(package.rglob("*"))
    for _ in range(2):
        rows = load("train", data_dir=str(small.root), split="train", clip_length=2, save_infos=True)  # type: ignore[operator]
        assert len(rows)
    assert [path for path in sorted(package.rglob("*")) if path not in before and "__pycache__" not in path.parts] == []
    if Version(datasets.__version__) < Version("4"):  # later versions check only what they build
        (folder,) = {path.parent for path in (tmp_path / "cache").rglob("*.arrow")}
        assert f"are in {folder}" in caplog.text


def test_skipped_clips_are_saved_on_other_file_systems(small: TreeWriter, tmp_path: Path, caplog) -> None:
    from dvm_hf.dataset.loading import load_arguments

    broken = small.root / "bg/train/0001.mp4"
    intact = broken.read_bytes()
    fields = {"name": "train", "data_dir": str(small.root), "on_error": "skip", "clip_length": 2}

    def built(**options: object) -> list[str]:
        """Return the log at the end of a build in memory."""
        caplog.clear()
        builder = datasets.load_dataset_builder(**load_arguments(), **fields, cache_dir=str(tmp_path / "cache"))
        builder.download_and_prepare("memory://left/out", file_format="parquet", **options)
        return [record.getMessage() for record in caplog.records if record.name == "dvm_hf.dataset.skipped"]

    broken.write_bytes(intact[: len(intact) // 2])
    first, second = built(), built()
    assert len(first) == 1
    assert "image_disc_0001" in first[0]
    assert second == first
    assert fsspec.filesystem("memory").exists("memory://left/out/left_out.jsonl")
    broken.write_bytes(intact)
    assert built(download_mode="force_redownload") == []
    assert built() == []
