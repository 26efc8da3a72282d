"""`dvm prepare`, `dvm verify --repair` and `dvm bench` over source folders in other layouts than DVM's."""

import json
from pathlib import Path

import pytest
from command_runs import run
from look_alikes import draw
from prepare_runs import answer, prepare

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


def test_an_invalid_sources_file_is_wrong_use(tmp_path: Path) -> None:
    file = tmp_path / "sources.yaml"
    file.write_text("train: {foregrounds: [pth: a]}")
    for more in ((), ("--config", "train")):
        result = prepare(file, tmp_path / "out", *OPTIONS, *more)
        assert result.exit_code == 2
        assert "sources.yaml, line 1: pth" in result.stderr
