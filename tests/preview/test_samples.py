"""A few clips of any kind of source: the same pixels as the rows of the dataset, spread over the source."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import TreeWriter
from datasets import load_dataset
from look_alikes import draw, save, scenery

from dvm_hf.dataset import row_sources
from dvm_hf.dataset.row_sources import HUB_ID
from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.preview import samples as samples_module
from dvm_hf.preview.row_frames import ImageFrames
from dvm_hf.preview.samples import Sample, samples
from dvm_hf.sources.folder_scan import FolderScan
from dvm_hf.sources.known_layouts import recognized
from dvm_hf.sources.layout import Place

IMAGE_COLUMNS = ("frames", "alpha", "trimap", "foreground", "background")


@pytest.fixture
def small_tree(tree: TreeWriter) -> Path:
    """Four training images, one test image and two backgrounds: 12 frames each."""
    for name in "abcd":
        tree.still(name)
    for name in ("0000", "0001"):
        tree.background(name)
    tree.still("t", split="test")
    tree.background("9999", split="test")
    return tree.root


@pytest.fixture
def prepared(small_tree: Path, load: Callable[..., Any], tmp_path: Path) -> Path:
    """A folder with two Parquet shards per config, listed in the card: windows of 4 frames."""
    out = tmp_path / "prepared"
    (out / "data").mkdir(parents=True)
    card = ["---", "configs:"]
    for name in ("train", "test"):
        rows = load(name, split=name, data_dir=str(small_tree), clip_length=4, backgrounds_per_foreground=1)
        for index in range(2):
            file = f"{name}-{index:05d}-of-00002.parquet"
            rows.shard(2, index, contiguous=True).to_parquet(str(out / "data" / file))
        card += [f"- config_name: {name}", "  data_files:", f"  - split: {name}", f"    path: data/{name}-*"]
    (out / "README.md").write_text("\n".join([*card, "---", ""]))
    return out


def pixels(frames: Any) -> list[np.ndarray]:
    return [np.asarray(frames[index]) for index in range(len(frames))]


def assert_same_row(sample: Sample, row: dict[str, Any], *, frames: int) -> None:
    """Assert that the sample has the row's names, numbers and the pixels of its first frames."""
    assert sample.facts["clip_id"] == row["clip_id"]
    for column in ("window", "start", "height", "width", "seed", "background_name"):
        assert sample.facts[column] == row[column]
    for column in sample.layers:
        expected = [np.asarray(image) for image in row[column][:frames]]
        assert all(np.array_equal(a, b) for a, b in zip(pixels(sample.layers[column]), expected, strict=True))
    assert np.array_equal(np.float32(sample.motion), np.float32(row["motion"][:frames]))
    assert sample.row_frames == len(row["frames"])


def test_a_source_tree_is_rendered_in_every_layer(small_tree: Path, load: Callable[..., Any]) -> None:
    found = samples(str(small_tree), clips=2, frames=5)
    rows = load("train", split="train", data_dir=str(small_tree), columns=IMAGE_COLUMNS, clip_length=5)
    by_name = {(row["clip_id"], row["window"]): row for row in rows}
    assert len(found) == 2
    for sample in found:
        assert tuple(sample.layers) == IMAGE_COLUMNS
        assert sample.facts["foreground_kind"] == "image"
        assert_same_row(sample, by_name[sample.facts["clip_id"], 0], frames=5)


def test_clips_are_spread_over_the_source(small_tree: Path) -> None:
    names = [sample.facts["foreground_name"] for sample in samples(str(small_tree), clips=4, frames=1)]
    assert names == ["a", "b", "c", "d"]  # of eight clips, two of each
    assert len({sample.facts["clip_id"] for sample in samples(str(small_tree), clips=8, frames=1)}) == 8


def test_further_windows_are_added_if_clips_are_few(small_tree: Path) -> None:
    found = samples(str(small_tree), clips=3, frames=5, config="test")
    assert [(s.facts["clip_id"], s.facts["start"]) for s in found] == [
        ("image_t_9999", 0),
        ("image_t_9999", 5),
        ("image_t_9999", 10),
    ]
    assert len(samples(str(small_tree), clips=9, frames=5, config="test")) == 3


def test_config_fields_are_those_of_the_dataset(small_tree: Path, load: Callable[..., Any]) -> None:
    fields = {"crop_size": 24, "trimap": 2, "seed": 7, "clip_length": 6}
    (found,) = samples(str(small_tree), clips=1, frames=4, fields=fields)
    rows = load("train", split="train", data_dir=str(small_tree), columns=IMAGE_COLUMNS, **fields)
    assert_same_row(found, rows[0], frames=4)
    assert (found.frame_count, found.row_frames) == (4, 6)
    assert found.layers["frames"][0].size == (24, 24)
    with pytest.raises(ConfigError, match="crop_size=-1"):
        samples(str(small_tree), fields={"crop_size": -1})
    with pytest.raises(ConfigError, match="no config field 'crop'"):
        samples(str(small_tree), fields={"crop": 24})


@pytest.mark.slow
def test_a_prepared_folder_gives_its_rows(prepared: Path, tmp_path: Path) -> None:
    for config, clips in (("train", 4), ("test", 1)):
        rows = load_dataset(str(prepared), config, split=config, cache_dir=str(tmp_path / "other_cache"))
        first = {row["clip_id"]: row for row in reversed(list(rows))}
        found = samples(str(prepared), clips=clips, frames=3, config=config)
        assert len(found) == clips
        assert {sample.facts["clip_id"] for sample in found} == first.keys()
        for sample in found:
            assert tuple(sample.layers) == ("frames", "alpha", "trimap")
            assert sample.facts["foreground_kind"] == "image"
            assert_same_row(sample, first[sample.facts["clip_id"]], frames=3)


def test_a_prepared_folder_is_not_copied_into_the_cache(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("built instead of streamed")

    monkeypatch.setattr(datasets.DatasetBuilder, "download_and_prepare", refuse)
    assert samples(str(prepared), clips=1)


@pytest.mark.slow
def test_train_is_the_default_split(small_tree: Path, prepared: Path) -> None:
    for source in (small_tree, prepared):
        assert samples(str(source), clips=1)[0].facts["foreground_name"] == "a"
        assert samples(str(source), clips=1, config="test")[0].facts["foreground_name"] == "t"
    assert samples(str(prepared), clips=1, config="test", split="test")[0].facts["foreground_name"] == "t"


@pytest.mark.slow
def test_arrays_are_shown_like_images(load: Callable[..., Any], small_tree: Path, tmp_path: Path) -> None:
    rows = load("train", split="train", data_dir=str(small_tree), encoding="array", crop_size=20, clip_length=3)
    out = tmp_path / "arrays"
    out.mkdir()
    rows.to_parquet(str(out / "train.parquet"))
    (found,) = samples(str(out), clips=1)
    assert [found.layers[column][0].mode for column in ("frames", "alpha", "trimap")] == ["RGB", "L", "L"]
    for column in ("frames", "alpha", "trimap"):
        assert np.array_equal(np.stack(pixels(found.layers[column])), np.asarray(rows[0][column]))


@pytest.mark.parametrize(
    ("source", "path", "revision"),
    [
        ("hf://somebody/clips", "somebody/clips", {}),
        ("hf://datasets/somebody/clips@v1.0", "somebody/clips", {"revision": "v1.0"}),
        ("somebody/clips", "somebody/clips", {}),
    ],
)
def test_a_hub_id_is_streamed_from_the_hub(
    source: str, path: str, revision: dict[str, str], prepared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []

    def load_from_hub(path: str, name: str, **kwargs: Any) -> Any:
        asked.append((path, name, kwargs))
        return load_dataset(str(prepared), name, streaming=True)

    def configs_on_hub(name: str, **kwargs: Any) -> list[str]:
        asked.append((name, kwargs))
        return ["test", "train"]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(samples_module, "load_dataset", load_from_hub)
    monkeypatch.setattr(row_sources, "get_dataset_config_names", configs_on_hub)
    assert samples(source, clips=1)[0].facts["foreground_name"] == "a"
    assert asked == [(path, revision), (path, "train", {"streaming": True, **revision})]


def test_a_misspelled_path_is_not_sent_to_the_hub(
    small_tree: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def configs_on_hub(name: str, **kwargs: Any) -> list[str]:
        asked.append(name)
        raise ValueError("no such dataset")

    monkeypatch.setattr(row_sources, "get_dataset_config_names", configs_on_hub)
    monkeypatch.chdir(small_tree.parent)
    (tmp_path / "demo").mkdir()
    with pytest.raises(
        SourceError, match="demo/DVN: is neither an existing folder nor the name of a dataset on the Hub; pass"
    ):
        samples("demo/DVN")
    assert asked == []
    with pytest.raises(SourceError, match=r"someone/DVN: cannot be read \(.*\), and no such folder exists;"):
        samples("someone/DVN")
    with pytest.raises(SourceError, match=r"hf://demo/DVN: cannot be read \(no such dataset\); pass"):
        samples("hf://demo/DVN")
    assert asked == ["someone/DVN", "demo/DVN"]


def test_a_folder_takes_precedence_over_a_hub_id(small_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small_tree.parent.parent)
    name = f"{small_tree.parent.name}/{small_tree.name}"
    assert HUB_ID.fullmatch(name)
    assert samples(name, clips=1)[0].facts["foreground_name"] == "a"


def test_an_invalid_source_is_refused_with_a_message(tmp_path: Path, small_tree: Path, prepared: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "nowhere"):
        with pytest.raises(SourceError, match="pass a source folder, a sources file") as refusal:
            samples(str(path))
        assert str(path) in str(refusal.value)
    for options in ({"config": "valid"}, {"split": "valid"}, {"config": "train", "split": "test"}):
        for source in (small_tree, prepared):
            with pytest.raises(ConfigError, match=r"=.*has no such (config|split); allowed: 't"):
                samples(str(source), **options)
    with pytest.raises(ConfigError, match=r"seed=3: applies only to a source folder, but .* contains Parquet files"):
        samples(str(prepared), fields={"seed": 3})
    with pytest.raises(ConfigError, match=r"seed=3: applies only to .* but hf://a/b is a dataset on the Hub; omit"):
        samples("hf://a/b", fields={"seed": 3})


# Source folders in other layouts


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_set_with_both_roles_gives_its_clips(tmp_path: Path, split: str) -> None:
    root = tmp_path / "set"
    expected = draw("videomatting108", root)
    for source, fields in ((str(root), {}), (root.as_uri(), {"layout": "videomatting108"})):
        found = samples(source, clips=2, frames=3, config=split, fields=fields)
        assert {one.facts["foreground_name"] for one in found} == set(expected.foregrounds[split])
        assert all(one.frame_count == 3 for one in found)


def test_the_default_config_is_the_first_split_of_the_set(tmp_path: Path) -> None:
    draw("imagematte", tmp_path / "set")
    draw("stills", tmp_path / "stills")
    file = tmp_path / "sources.yaml"
    file.write_text("test: {foregrounds: [path: set], backgrounds: [path: stills]}")
    assert samples(str(file), clips=1, frames=1)[0].facts["foreground_name"] == "set.man-2"


def test_the_error_of_load_dataset_comes_through(load: Callable[..., Any], small_tree: Path, tmp_path: Path) -> None:
    for name in ("adobe", "bg20k", "cutouts"):
        draw(name, tmp_path / name)
    for name in ("empty", "half/fgr", "other/data"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "other/data/a.txt").write_text("x")
    shutil.rmtree(small_tree / "bg")
    said = {}
    for name in ("adobe", "bg20k", "cutouts", "empty", "half", "other", "DVM"):
        path = tmp_path / name
        with pytest.raises(SourceError) as expected:
            load("train", data_dir=str(path), split="train", streaming=True)
        with pytest.raises(SourceError) as found:
            samples(str(path))
        said[name] = str(found.value)
        assert said[name] == str(expected.value)
    assert "has foregrounds, but no backgrounds; list this folder" in said["adobe"]
    assert "has backgrounds, but no foregrounds; list this folder" in said["bg20k"]
    assert all("which `dvm init` writes" in said[name] for name in ("adobe", "bg20k", "DVM"))
    assert "dvm init" not in said["cutouts"]  # which does not know either what the folder is
    assert "looks most like 'fgr-pha'" in said["half"]
    assert "dvm init" not in said["empty"]


def test_a_prepared_folder_is_not_taken_for_backgrounds(prepared: Path) -> None:
    save(prepared / "samples.jpg", scenery(1))
    assert recognized(Place(FolderScan(prepared)))[0].name == "bg20k"
    assert samples(str(prepared), clips=1)[0].facts["foreground_name"] == "a"


def test_a_source_folder_with_a_prepared_folder_inside_is_a_source_folder(small_tree: Path, prepared: Path) -> None:
    prepared.rename(small_tree / "prepared")
    assert samples(str(small_tree), clips=1, fields={"seed": 3})[0].frame_count == 12


def test_a_broken_shard_and_foreign_columns_are_named(tmp_path: Path) -> None:
    from datasets import Dataset

    for name in ("broken", "foreign", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "broken" / "a.parquet").write_bytes(b"PAR1 no parquet PAR1")
    Dataset.from_dict({"text": ["a"]}).to_parquet(str(tmp_path / "foreign" / "a.parquet"))
    with pytest.raises(SourceError, match="broken: cannot be read"):
        samples(str(tmp_path / "broken"))
    with pytest.raises(SourceError, match="foreign: has the columns text"):
        samples(str(tmp_path / "foreign"))


def test_a_broken_source_is_named(small_tree: Path) -> None:
    broken = small_tree / "fg/image/train/alpha/b.png"
    broken.write_bytes(broken.read_bytes()[:50])
    with pytest.raises(SourceError, match=r"alpha/b\.png"):
        samples(str(small_tree), clips=4)
    names = [s.facts["foreground_name"] for s in samples(str(small_tree), clips=4, fields={"on_error": "skip"})]
    assert len(names) == 4
    assert "b" not in names


def test_frames_are_decoded_lazily() -> None:
    encoded = [{"bytes": b"no image", "path": None}, np.zeros((4, 6, 3), np.uint8), None, {"bytes": None}]
    frames = ImageFrames(encoded, mode="L", name="image_a_0000: alpha")
    assert len(frames) == 4
    assert (frames[1].mode, frames[1].size) == ("L", (6, 4))
    for index in (0, 2, 3):
        with pytest.raises(SourceError, match=f"image_a_0000: alpha, frame {index}: cannot be decoded"):
            frames[index]


@pytest.mark.parametrize(
    "columns",
    [
        {"frames": [], "alpha": []},
        {"frames": None, "alpha": None},
        {"frames": [1, 2], "alpha": [1]},
        {"frames": [1, 2], "alpha": [1, 2], "motion": [[0.0, 0.0, 0.0, 1.0]]},
    ],
)
def test_a_row_whose_frames_do_not_match_is_named(tmp_path: Path, columns: dict[str, Any]) -> None:
    pq.write_table(pa.Table.from_pylist([{"clip_id": "image_a_0000", **columns}]), tmp_path / "rows.parquet")
    with pytest.raises(SourceError, match="image_a_0000: its columns have different numbers of frames"):
        samples(str(tmp_path), clips=1, frames=4)
