"""Config fields: defaults, allowed values, errors, and the name of the cache folder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest
from conftest import TreeWriter

from dvm_hf.dataset.config import DVMConfig, checked_plans, plans, require_valid, source_tree
from dvm_hf.errors import ConfigError, MachineError, SourceError
from dvm_hf.sources.records import Problem

DEFAULTS = {  # the contract's table
    "pairs": None,
    "backgrounds_per_foreground": 4,
    "kinds": ("image", "video"),
    "seed": 2019,
    "recipe": "dvm",
    "clip_length": 16,
    "frame_step": 1,
    "clip_step": None,
    "columns": ("frames", "alpha", "trimap"),
    "trimap": "dvm-test",
    "encoding": "jpeg",
    "crop_size": None,
    "max_size": 1920,
    "max_image_frames": 60,
    "max_video_frames": 150,
    "background_blur": False,
    "motion": "dvm",
    "light": "none",
    "camera": "none",
    "preset": None,
    "shutter": 0,
    "on_error": "raise",
}
REFUSED: dict[str, tuple[list[Any], str]] = {  # field: values it may not have, and a word that its allowed ones share
    "pairs": ([3, True, ["list.txt"]], "path"),
    "backgrounds_per_foreground": ([0, -1, 2.0, "4", True], "integer of at least 1"),
    "kinds": (["image", [], ["film"], ["image", "image"], 3, [["image"]], [1]], "image"),
    "seed": ([-1, 1.5, "2019", True, 2**63], "integer from 0"),
    "recipe": (["DVM", 1, ""], "dvm"),
    "clip_length": ([0, -4, 8.0, "16", "whole", True, [16]], "'all'"),
    "frame_step": ([0, 1.0, "1", True], "integer of at least 1"),
    "clip_step": ([0, -1, 2.5, "all", True], "None"),
    "remainder": (["pad", True, 0], "repeat_last"),
    "columns": (["frames", [], ["frame"], ["frames", "frames"], 5, [["frames"]], [{}]], "background"),
    "trimap": (["test", -1, 2.5, True, False, [5]], "provided"),
    "encoding": (["png", "JPEG", 95], "lossless"),
    "crop_size": ([0, -320, 320.0, "320", (320, 320), True, False], "integer from 1"),
    "max_size": ([0, 1920.0, "1920", True], "integer from 16"),
    "max_image_frames": ([0, -1, 60.0, "60", True], "integer of at least 1"),
    "max_video_frames": ([0, -1, 150.0, "150", True], "integer of at least 1"),
    "background_blur": ([1, 0, "yes", 1.7], "True or False"),
    "motion": (["walk", True, 3, ""], "rvm"),
    "light": (["", "noise", "shadow=2", "shadow,shadow", True, ["shadow"]], "greenscreen (0 to 1, default 0.1-0.4)"),
    "camera": (["", "shadow", "jpeg=0", "jpeg:2", 95], "jpeg (1 to 100, default 40-95)"),
    "preset": (["RVM", "", True, "bgmv2"], "one of 'dvm', 'rvm', 'matanyone', 'otvm', or None"),
    "shutter": ([-0.1, 1.01, True, "0.5", float("nan"), (0, 1)], "number from 0 to 1"),
    "on_error": (["ignore", True, ""], "skip"),
}
ALLOWED: dict[str, list[Any]] = {
    "backgrounds_per_foreground": [1, 1000],
    "kinds": [["image"], ("video",), ["video", "image"]],
    "seed": [0, 2**63 - 1],
    "recipe": ["reference"],
    "clip_length": [1, 150, "all"],
    "frame_step": [1, 7],
    "clip_step": [1, 100],
    "remainder": ["drop", "keep", "repeat_last"],
    "columns": [["alpha"], ["trimap", "frames"], ("frames", "alpha", "trimap", "foreground", "background")],
    "trimap": ["dvm-test", "dvm-train", "provided", 0, 40],
    "encoding": ["jpeg", "lossless"],
    "crop_size": [1, 320],
    "max_size": [320, 4096],
    "max_image_frames": [1, 1000],
    "max_video_frames": [1, 1000],
    "background_blur": [True],
    "motion": ["rvm", "none"],
    "light": ["shadow", "matched=0.2:0.3,exposure"],
    "camera": ["noise,jpeg=60:0.5"],
    "preset": ["rvm"],
    "shutter": [0, 0.5, 1],
    "on_error": ["skip"],
}


@pytest.fixture
def one_still(tree: TreeWriter) -> TreeWriter:
    """A still over one background, for train and for test."""
    for split in ("train", "test"):
        tree.still(split=split)
        tree.background(split=split)
    return tree


@pytest.fixture
def builder(tmp_path: Path, tree: TreeWriter) -> Callable[..., Any]:
    """load_dataset_builder of the test's tree, with a temporary cache."""
    from datasets import load_dataset_builder

    from dvm_hf.dataset.loading import load_arguments

    def call(name: str = "train", **fields: Any) -> Any:
        arguments: dict[str, Any] = {"data_dir": str(tree.root), "cache_dir": str(tmp_path / "cache")}
        return load_dataset_builder(name=name, **load_arguments(), **arguments | fields)

    return call


@pytest.mark.parametrize(("name", "remainder"), [("train", "drop"), ("test", "keep")])
def test_defaults_are_those_of_the_contract(
    builder: Callable[..., Any], one_still: TreeWriter, name: str, remainder: str
) -> None:
    config = builder(name).config
    assert {field: getattr(config, field) for field in DEFAULTS} == DEFAULTS
    assert (config.name, config.remainder) == (name, remainder)
    assert DEFAULTS.keys() | {"remainder"} == REFUSED.keys()


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, (values, _) in REFUSED.items() for value in values]
)
def test_an_invalid_value_is_named_with_the_allowed_ones(
    load: Callable[..., Any], one_still: TreeWriter, tmp_path: Path, field: str, value: Any
) -> None:
    for streaming in (False, True):
        with pytest.raises(ConfigError) as raised:
            load(data_dir=str(one_still.root), streaming=streaming, **{field: value})
        text = str(raised.value)
        assert f"{field}={value!r}" in text
        assert REFUSED[field][1] in text
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert all(path.suffix == ".lock" for path in left)


@pytest.mark.parametrize("motion", ["rvm", "none"])
def test_the_published_pipeline_has_the_published_motion_only(motion: str) -> None:
    require_valid(DVMConfig(name="train", recipe="reference", motion="dvm"))
    with pytest.raises(ConfigError, match=f"^motion='{motion}': recipe='reference' allows motion='dvm' only"):
        require_valid(DVMConfig(name="train", recipe="reference", motion=motion))


@pytest.mark.parametrize(("field", "text"), [("light", "shadow:0.5"), ("camera", "noise")])
def test_the_published_pipeline_has_no_effects(field: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"^{field}='{text}': recipe='reference' allows {field}='none' only"):
        require_valid(DVMConfig(name="train", recipe="reference", **{field: text}))


def test_the_order_of_effects_does_not_change_the_cache_folder(
    builder: Callable[..., Any], one_still: TreeWriter
) -> None:
    names = [
        builder(camera=text).config.create_config_id({}) for text in ("noise,jpeg", "jpeg:1, noise=0-7.65", "noise")
    ]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in ALLOWED.items() for value in values])
def test_a_valid_value_is_accepted(builder: Callable[..., Any], one_still: TreeWriter, field: str, value: Any) -> None:
    if field == "kinds" and "image" not in value:
        one_still.moving()
    assert getattr(builder(**{field: value}).config, field) == value


@pytest.mark.parametrize(
    ("near", "field"), [("clip_lenght", "clip_length"), ("seeds", "seed"), ("croop_size", "crop_size")]
)
def test_an_unknown_field_is_named_with_the_nearest_known_one(
    load: Callable[..., Any], one_still: TreeWriter, tmp_path: Path, near: str, field: str
) -> None:
    with pytest.raises(ConfigError, match=f"{near}=4: .*'{near}'.*did you mean '{field}'"):
        load("train", data_dir=str(one_still.root), **{near: 4})
    with pytest.raises(ConfigError, match=r"zzz=4: .*clip_length.*on_error"):
        load("train", data_dir=str(one_still.root), zzz=4)
    assert all(path.suffix == ".lock" for path in (tmp_path / "cache").rglob("*") if path.is_file())


@pytest.mark.parametrize("streaming", [False, True])
def test_clip_step_with_complete_clips_is_refused(
    load: Callable[..., Any], one_still: TreeWriter, streaming: bool
) -> None:
    with pytest.raises(ConfigError, match=r"clip_step=3.*clip_length='all'"):
        load("train", data_dir=str(one_still.root), clip_length="all", clip_step=3, streaming=streaming)


@pytest.mark.parametrize(
    ("name", "fields", "need"),
    [
        ("train", {}, "crop_size"),
        ("train", {"crop_size": 16, "clip_length": "all"}, "clip_length"),
        ("train", {"crop_size": 16, "remainder": "keep"}, "remainder"),
        ("test", {"crop_size": 16}, "remainder"),  # whose default keeps it
    ],
)
def test_arrays_of_many_shapes_are_refused(
    load: Callable[..., Any], one_still: TreeWriter, name: str, fields: dict[str, Any], need: str
) -> None:
    with pytest.raises(ConfigError, match=f"encoding='array'.*{need}"):
        load(name, data_dir=str(one_still.root), encoding="array", **fields)


def test_the_cache_folder_names_config_and_recipe(builder: Callable[..., Any], one_still: TreeWriter) -> None:
    for name in ("train", "test"):
        folders = Path(builder(name).cache_dir).parts
        assert any(part.startswith(f"{name}-dvm-") for part in folders)
        assert "dvm" in folders
        assert f"{name}-reference-" in builder(name, recipe="reference").cache_dir


def test_an_explicit_default_has_the_same_cache_folder(builder: Callable[..., Any], one_still: TreeWriter) -> None:
    folder = builder("train").cache_dir
    for field, value in DEFAULTS.items():
        if value is not None:
            assert builder("train", **{field: value}).cache_dir == folder, field
    assert builder("train", remainder="drop").cache_dir == folder
    assert builder("train", columns=["frames", "alpha", "trimap"]).cache_dir == folder


@pytest.mark.parametrize(
    ("field", "orders"),
    [
        ("columns", (("frames", "alpha", "trimap"), ["trimap", "frames", "alpha"], ["alpha", "trimap", "frames"])),
        ("kinds", (("image", "video"), ["video", "image"])),
    ],
)
def test_names_in_another_order_have_the_same_cache_folder(
    builder: Callable[..., Any], one_still: TreeWriter, field: str, orders: tuple[Any, ...]
) -> None:
    one_still.moving()
    made = [builder("train", **{field: order}) for order in orders]
    assert len({one.cache_dir for one in made}) == 1
    assert len({tuple(one.info.features) for one in made}) == 1


def test_custom_features_have_a_separate_cache_folder(builder: Callable[..., Any], one_still: TreeWriter) -> None:
    plain = builder("train")
    features = plain.info.features.copy()
    features["frames"] = datasets.Sequence(datasets.Image(decode=False))
    other = builder("train", features=features)
    assert other.cache_dir == builder("train", features=features.copy()).cache_dir
    assert other.cache_dir != plain.cache_dir


def test_every_field_changes_the_cache_folder(builder: Callable[..., Any], one_still: TreeWriter) -> None:
    one_still.moving()
    (one_still.root / "list.txt").write_text("image+disc.png+0000.mp4\n")
    others: dict[str, Any] = {
        "pairs": "list.txt",
        "backgrounds_per_foreground": 1,
        "kinds": ["image"],
        "seed": 1,
        "recipe": "reference",
        "clip_length": 8,
        "frame_step": 2,
        "clip_step": 3,
        "remainder": "keep",
        "columns": ["alpha"],
        "trimap": 3,
        "encoding": "lossless",
        "crop_size": 16,
        "max_size": 320,
        "max_image_frames": 5,
        "max_video_frames": 5,
        "background_blur": True,
        "motion": "rvm",
        "light": "shadow",
        "camera": "noise",
        "preset": "rvm",
        "shutter": 0.5,
        "on_error": "skip",
    }
    assert others.keys() == REFUSED.keys()
    folders = {builder("train").cache_dir, builder("test").cache_dir}
    folders |= {builder("train", **{field: value}).cache_dir for field, value in others.items()}
    assert len(folders) == len(others) + 2


def test_the_reference_has_no_shutter() -> None:
    with pytest.raises(ConfigError, match=r"^shutter=0\.5: recipe='reference' allows shutter=0 only"):
        require_valid(DVMConfig(name="train", recipe="reference", shutter=0.5))


def test_equal_shutters_have_one_cache_folder(builder: Callable[..., Any], one_still: TreeWriter) -> None:
    assert builder(shutter=1).cache_dir == builder(shutter=1.0).cache_dir
    assert builder(shutter=0).cache_dir == builder().cache_dir


def test_two_trees_have_two_cache_folders(builder: Callable[..., Any], one_still: TreeWriter, tmp_path: Path) -> None:
    other = TreeWriter(tmp_path / "other")
    other.still(value=100)
    other.background()
    assert builder("train").cache_dir != builder("train", data_dir=str(other.root)).cache_dir


def test_a_pair_list_is_found_in_the_working_directory_and_in_data_dir(
    one_still: TreeWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_still.background("0001")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def background(pairs: str) -> str:
        (clip,) = plans(DVMConfig(name="train", data_dir=str(one_still.root), pairs=pairs)).clips
        return clip.background.name

    (one_still.root / "list.txt").write_text("image+disc.png+0000.mp4\n")
    assert background("list.txt") == "0000"
    (here / "list.txt").write_text("image+disc.png+0001.mp4\n")
    assert background("list.txt") == "0001"  # the working directory takes precedence
    assert background(str(one_still.root / "list.txt")) == "0000"


def test_a_missing_pair_list_is_named(load: Callable[..., Any], one_still: TreeWriter) -> None:
    for streaming in (False, True):
        with pytest.raises(SourceError, match=r"nowhere\.txt"):
            load("train", data_dir=str(one_still.root), pairs="nowhere.txt", streaming=streaming)


def test_kinds_filters_the_foregrounds_and_the_pair_list(one_still: TreeWriter) -> None:
    one_still.moving()
    pairs = one_still.root / "list.txt"
    pairs.write_text("image+disc.png+0000.mp4\nvideo+0000+0000.mp4\n")
    for listed in (None, str(pairs)):
        for kinds in (("image",), ("video",), ("image", "video")):
            config = DVMConfig(name="train", data_dir=str(one_still.root), kinds=kinds, pairs=listed)
            assert tuple(clip.foreground.kind for clip in plans(config).clips) == kinds
    pairs.write_text("image+disc.png+0000.mp4\n")
    with pytest.raises(SourceError, match=r"list\.txt.*video"):
        plans(DVMConfig(name="train", data_dir=str(one_still.root), kinds=("video",), pairs=str(pairs)))


def test_the_first_invalid_field_is_reported(one_still: TreeWriter) -> None:
    with pytest.raises(ConfigError, match="validation"):
        require_valid(DVMConfig(name="validation"))
    require_valid(DVMConfig(name="train"))


def test_an_unknown_config_is_refused_with_the_known_ones(load: Callable[..., Any], one_still: TreeWriter) -> None:
    with pytest.raises(ValueError, match=r"validation.*train.*test"):
        load("validation", data_dir=str(one_still.root))


@pytest.mark.parametrize("unusable", [1, 3, 4, 7])
def test_an_error_names_three_unusable_sources_and_counts_the_others(tree: TreeWriter, unusable: int) -> None:
    tree.background()
    tree.still("usable")
    for number in range(unusable):
        (tree.still(f"still_{number}").parents[1] / f"alpha/still_{number}.png").unlink()
    with pytest.raises(SourceError) as caught:
        plans(DVMConfig(name="train", data_dir=str(tree.root)))
    text = str(caught.value)
    assert sum(f"still_{number}" in text for number in range(unusable)) == min(unusable, 3)
    assert ("; and" in text) == (unusable > 3)
    assert unusable <= 3 or f"; and {unusable - 3} more (pass on_error='skip'" in text


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_files_that_the_machine_cannot_list_are_never_skipped(tree: TreeWriter, on_error: str) -> None:
    tree.still()
    tree.background()
    config = DVMConfig(name="train", data_dir=str(tree.root), on_error=on_error)
    found = source_tree(config)
    assert len(checked_plans(config, found, None).clips) == 1
    stale = Problem("bg/train/0001.mp4", "cannot be listed (Stale file handle)", "machine-fault")
    with pytest.raises(MachineError, match=r"bg/train/0001\.mp4: cannot be listed \(Stale file handle\)"):
        checked_plans(config, replace(found, problems=(stale,)), None)
