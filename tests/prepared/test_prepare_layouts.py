"""`dvm prepare`, `dvm verify --repair` and `dvm bench` over source folders in other layouts than DVM's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_runs import run
from look_alikes import draw
from prepare_runs import answer, prepare

from dvm_hf.dataset.config import DVMConfig, plans
from dvm_hf.preview.samples import samples
from dvm_hf.sources import known_layouts
from dvm_hf.sources.known_layouts import register_layout
from dvm_hf.sources.layout import Layout, Match, Place
from dvm_hf.sources.layouts import bg20k, cutouts

OPTIONS = ("--clip-length", "3", "--num-shards", "1", "--backgrounds-per-foreground", "1")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A look-alike of VideoMatting108, which has foregrounds and backgrounds."""
    draw("videomatting108", tmp_path / "set")
    return tmp_path / "set"


@pytest.mark.slow
def test_the_layout_is_recorded_and_a_repair_needs_no_option(source: Path, tmp_path: Path) -> None:
    """The plan names the layout that was used, and lists the files: neither option changes the plan."""
    out = tmp_path / "out"
    first = answer(source, out, *OPTIONS, "--layout", "videomatting108")
    assert (first["complete"], first["shards"]) == (True, {"train": 1, "test": 1})
    for split in ("train", "test"):
        (entry,) = json.loads((out / f"plan/{split}.json").read_text())["entries"]
        assert (entry["layout"], entry["path"]) == ("videomatting108", ".")
    assert "in the layout `videomatting108`" in (out / "README.md").read_text()
    assert answer(source, out, *OPTIONS)["built"] == []
    shards = {path: path.read_bytes() for path in (out / "data").iterdir()}
    for more in ((), ("--data-dir", str(source))):
        for path, content in shards.items():
            path.write_bytes(content[:-1])
        assert run("verify", str(out)).exit_code == 1
        assert run("verify", str(out), "--read-data", "--repair", *more).exit_code == 0
        assert {path: path.read_bytes() for path in shards} == shards


@pytest.mark.slow
def test_a_set_is_timed(source: Path) -> None:
    for layout in ("auto", "videomatting108"):
        result = run("bench", str(source), "--runs", "1", "--clip-length", "2", "--layout", layout, "--json")
        assert result.exit_code == 0, result.stderr
        clips = json.loads(result.stdout)["clips"]
        assert {clip["clip_id"].split("_")[0] for clip in clips} == {"video"}


@pytest.fixture
def unsplit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in a registered layout that has both roles and no splits."""
    draw("cutouts", tmp_path / "set/people")
    draw("stills", tmp_path / "set/places")

    def of(layout: Layout, role: str, folder: str) -> Callable[[Place, str], Any]:
        return lambda place, split: getattr(layout, role)(Place(place.scan, place.path(folder)), split)

    monkeypatch.setattr(known_layouts, "_registered", {})
    register_layout(
        Layout(
            "parties",
            "people before places",
            lambda place: Match.of_folders(place, "people", "places"),
            foregrounds=of(cutouts.LAYOUT, "foregrounds", "people"),
            backgrounds=of(bg20k.LAYOUT, "backgrounds", "places"),
        )
    )
    return tmp_path / "set"


@pytest.mark.slow
def test_a_folder_without_splits_is_prepared_once(unsplit: Path, tmp_path: Path) -> None:
    assert answer(unsplit, tmp_path / "out", *OPTIONS)["shards"] == {"train": 1}
    assert answer(unsplit, tmp_path / "test", *OPTIONS, "--config", "test")["shards"] == {"test": 1}
    (sample,) = samples(str(unsplit), clips=1, frames=2)
    assert sample.facts["foreground_name"] in ("fern", "glass (2)")


def test_shards_are_not_written_among_the_files_of_a_set(source: Path) -> None:
    for inside in (source, source / "out", source / "FG_done" / "out"):
        result = prepare(source, inside, *OPTIONS)
        assert result.exit_code == 2
        assert "is the source folder, or inside it; pass another folder as OUT" in result.stderr
    assert not list(source.rglob("plan"))


@pytest.mark.parametrize("more", [(), ("--config", "train")])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("am-2k", "has foregrounds, but no backgrounds; list this folder and one with backgrounds in a sources file"),
        ("rvm-backgrounds", "has backgrounds, but no foregrounds; list this folder and one with foregrounds in a"),
        ("transparent-460/Train", "has foregrounds, but no backgrounds"),  # contains fg/, as DVM does
        ("cutouts", "fit equally"),
        ("other", "has no known layout"),
    ],
)
def test_a_folder_that_cannot_be_built_is_wrong_use(
    tmp_path: Path, name: str, text: str, more: tuple[str, ...]
) -> None:
    if name == "other":
        (tmp_path / "other/data").mkdir(parents=True)
        (tmp_path / "other/data/a.txt").write_text("x")
    else:
        draw(name.partition("/")[0], tmp_path / name.partition("/")[0])
    result = prepare(tmp_path / name, tmp_path / "out", *OPTIONS, *more)
    assert result.exit_code == 2
    assert text in result.stderr
    assert "Finished shards are kept" not in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_split_with_one_role_in_a_new_sources_file_is_not_prepared(tmp_path: Path) -> None:
    """As `dvm init` writes it for a set without splits and one with splits."""
    file, out = tmp_path / "sources.yaml", tmp_path / "out"
    for name in ("cutouts", "bg20k"):
        draw(name, tmp_path / name)
    assert run("init", str(file), str(tmp_path / "cutouts"), str(tmp_path / "bg20k")).exit_code == 0
    result = prepare(file, out, *OPTIONS)
    assert result.exit_code == 0, result.stderr
    assert "the split 'test' lacks foregrounds or backgrounds; using 'train' only" in result.stderr
    assert [path.name for path in (out / "plan").glob("*.json")] == ["train.json"]
    result = prepare(file, tmp_path / "other", *OPTIONS, "--config", "test")
    assert result.exit_code == 1
    assert "has no usable foregrounds for the split 'test'" in result.stderr


def test_an_invalid_sources_file_is_wrong_use(tmp_path: Path) -> None:
    file = tmp_path / "sources.yaml"
    file.write_text("train: {foregrounds: [pth: a]}")
    for more in ((), ("--config", "train")):
        result = prepare(file, tmp_path / "out", *OPTIONS, *more)
        assert result.exit_code == 2
        assert "sources.yaml, line 1: pth" in result.stderr


@pytest.mark.parametrize(("name", "shown"), [("videomatting108", "set"), ("dvm", "set/bg/train")])
def test_few_backgrounds_are_a_warning_with_the_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, shown: str
) -> None:
    draw(name, tmp_path / "set")
    plans(DVMConfig(name="train", data_dir=str(tmp_path / "set")))
    assert f"{tmp_path / shown}: 2 backgrounds for backgrounds_per_foreground=4" in caplog.text
