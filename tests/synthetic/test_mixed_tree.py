"""The demo's mixed sources: each folder has its layout, and the sources file makes one tree of them."""

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from check_runs import found
from command_runs import run
from conftest import file_hashes
from datasets import load_dataset
from PIL import Image

from dvm_hf.dataset.loading import load_arguments
from dvm_hf.errors import SourceError
from dvm_hf.sources.tree import scan
from dvm_hf.synthetic import mixed_tree
from dvm_hf.synthetic.canvas import Drawing
from dvm_hf.synthetic.foregrounds import dandelion, jellyfish
from dvm_hf.synthetic.mixed_tree import draw_mixed_if_missing, draw_mixed_tree

SCALE = 0.25


@pytest.fixture(scope="module")
def sources_file(drawn_sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mixed tree, small, beside a small DVM tree. Tests must not change it."""
    root = tmp_path_factory.mktemp("sets")
    shutil.copytree(drawn_sources, root / "DVM")
    return draw_mixed_tree(root / "mixed", scale=SCALE)


def test_each_folder_is_recognized_as_the_layout_of_its_files(sources_file: Path) -> None:
    tree = scan(sources_file, "train")
    assert not tree.problems
    assert [(one.role, one.name, one.layout) for one in tree.entries] == [
        ("foregrounds", "cutouts", "cutouts"),
        ("foregrounds", "frames", "fgr-pha"),
        ("foregrounds", "alpha_videos", "alpha-videos"),
        ("backgrounds", "stills", "bg20k"),
        ("backgrounds", "DVM", "dvm"),
    ]
    assert [(one.kind, one.name, one.has_own_alpha, one.colour.is_dir()) for one in tree.foregrounds] == [
        ("image", "cutouts.dandelion", True, False),
        ("image", "cutouts.red_hair", True, False),
        ("video", "frames.jellyfish", False, True),
        ("video", "alpha_videos.smoke", True, False),
    ]
    assert [one.path.suffix for one in tree.backgrounds] == [".jpg"] * 4 + [".mp4"] * 8


@pytest.mark.parametrize("deep", [False, True])
def test_a_check_finds_nothing_but_the_missing_split(sources_file: Path, tmp_path: Path, deep: bool) -> None:
    shutil.copytree(sources_file.parents[1], tmp_path / "sets")
    assert found(tmp_path / "sets/mixed/sources.yaml", deep=deep) == [("split-empty", ".")]


def test_the_files_contain_colours_and_alphas_as_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawings: dict[str, list[Drawing]] = {"dandelion": [], "jellyfish": [], "smoke": []}

    def recorded_still(*arguments: object) -> Drawing:
        drawings["dandelion"].append(dandelion(*arguments))
        return drawings["dandelion"][-1]

    def recorded_film(*arguments: object) -> Iterator[Drawing]:
        for drawing in jellyfish(*arguments):
            drawings["jellyfish"].append(drawing)
            yield drawing

    smoke = mixed_tree.smoke

    def recorded_smoke(*arguments: object, **options: object) -> Iterator[Drawing]:
        drawings["smoke"] += smoke(*arguments, **options)
        return iter(drawings["smoke"])

    monkeypatch.setitem(mixed_tree.CUTOUTS, "dandelion", (recorded_still, 300, 380))
    monkeypatch.setattr(mixed_tree, "jellyfish", recorded_film)
    monkeypatch.setattr(mixed_tree, "smoke", recorded_smoke)
    root = draw_mixed_tree(tmp_path / "mixed", scale=SCALE).parent

    (still,) = drawings["dandelion"]
    with Image.open(root / "cutouts/train/dandelion.png") as image:
        assert image.mode == "RGBA"
        assert np.array_equal(np.asarray(image), np.dstack([still.colour, still.alpha]))
    with av.open(str(root / "alpha_videos/train/smoke.mov")) as container:
        frames = [frame.to_ndarray(format="rgba") for frame in container.decode(video=0)]
    expected = [np.dstack([one.colour, one.alpha]) for one in drawings["smoke"]]
    assert len(frames) == 16
    assert np.array_equal(frames, expected)
    for number, drawing in enumerate(drawings["jellyfish"]):
        with Image.open(root / f"frames/train/pha/jellyfish/{number:05}.png") as alpha:
            assert np.array_equal(np.asarray(alpha), drawing.alpha)
        with Image.open(root / f"frames/train/fgr/jellyfish/{number:05}.jpg") as colour:
            assert np.abs(np.asarray(colour).astype(int) - drawing.colour).mean() < 4  # level; JPEG halves chroma
    assert len(drawings["jellyfish"]) == len(list((root / "frames/train/fgr/jellyfish").iterdir())) == 16


@pytest.mark.slow
def test_rows_have_all_foregrounds_and_as_many_stills_as_videos_behind_them(sources_file: Path) -> None:
    fields = {"clip_length": 2, "max_image_frames": 2, "max_video_frames": 2, "backgrounds_per_foreground": 2}
    rows = load_dataset(
        name="train", split="train", data_dir=str(sources_file), streaming=True, **fields, **load_arguments()
    )
    names = [(row["foreground_name"], row["background_name"].partition(".")[0]) for row in rows]
    foregrounds = ["cutouts.dandelion", "cutouts.red_hair", "frames.jellyfish", "alpha_videos.smoke"]
    assert [name for name, _ in names] == [name for name in foregrounds for _ in range(2)]
    assert sorted(entry for _, entry in names) == ["DVM"] * 4 + ["stills"] * 4


@pytest.mark.slow
def test_the_dataset_card_describes_the_sources_as_synthetic(sources_file: Path, tmp_path: Path) -> None:
    arguments = ("--backgrounds-per-foreground", "1", "--max-image-frames", "2", "--max-video-frames", "2")
    made = run("prepare", str(sources_file), str(tmp_path / "out"), "--clip-length", "2", *arguments)
    assert made.exit_code == 0, made.output
    text = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "license_name: drawn-sources-free-of-claims" in text
    assert "`DVM`, backgrounds in the layout `dvm`: synthetic." in text
    assert "Adobe" not in text


@pytest.mark.slow
def test_the_same_seed_draws_the_same_files(sources_file: Path, tmp_path: Path) -> None:
    expected = file_hashes(sources_file.parent)
    assert file_hashes(draw_mixed_tree(tmp_path / "a", scale=SCALE).parent) == expected
    other = file_hashes(draw_mixed_tree(tmp_path / "b", scale=SCALE, seed=1).parent)
    changed = {name for name in expected if other[name] != expected[name]}
    assert {name.partition("/")[0] for name in changed} == {"cutouts", "frames", "alpha_videos", "stills"}


def test_a_second_call_draws_nothing(sources_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(sources_file.parent, tmp_path / "mixed")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    monkeypatch.setattr(mixed_tree, "draw_mixed_tree", None)
    assert draw_mixed_if_missing(tmp_path / "mixed") == tmp_path / "mixed/sources.yaml"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.slow
@pytest.mark.parametrize("part", ["_cutouts", "_frame_folders", "_alpha_videos", "_stills"])
def test_an_interrupted_drawing_is_no_tree_and_is_completed_by_the_next_call(
    sources_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    draw = getattr(mixed_tree, part)

    def interrupted(*arguments: object) -> Iterator[Path]:
        yield from islice(draw(*arguments), 1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(mixed_tree, part, interrupted)
        with pytest.raises(KeyboardInterrupt):
            draw_mixed_if_missing(tmp_path / "mixed", scale=SCALE)
    assert list(tmp_path.iterdir()) == []
    draw_mixed_if_missing(tmp_path / "mixed", scale=SCALE)
    assert file_hashes(tmp_path / "mixed") == file_hashes(sources_file.parent)


def test_a_folder_without_the_mark_is_refused_and_stays(tmp_path: Path) -> None:
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed/sources.yaml").write_text("train: {}\n")
    with pytest.raises(SourceError, match="mixed: exists and is not a synthetic source folder of dvm demo; pass"):
        draw_mixed_if_missing(tmp_path / "mixed", scale=SCALE)
    assert file_hashes(tmp_path).keys() == {"mixed/sources.yaml"}
