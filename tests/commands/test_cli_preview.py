"""`dvm preview`, in process: its files, output and exit code."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from command_runs import assert_plain_refusal, run
from conftest import TreeWriter
from page_reader import PageReader
from PIL import Image

from dvm_hf.commands.preview import preview
from dvm_hf.dataset.config import own_fields
from dvm_hf.media.video.videos import Video


@pytest.fixture
def source(tree: TreeWriter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Two image foregrounds over one background in a tree named DVM in the working directory."""
    for name in ("a", "b"):
        tree.still(name)
    tree.background()
    monkeypatch.chdir(tmp_path)
    return tree.root.name


def test_a_page_is_written_and_named(source: str) -> None:
    result = run("preview", source)
    assert result.exit_code == 0, result.output
    assert "preview.html" in result.stdout
    assert result.stdout.startswith("2 clips, 24 frames")
    shown = PageReader(Path("preview.html").read_text(encoding="utf-8"))
    assert [clip["id"] for clip in shown.data["clips"]] == ["image_a_0000", "image_b_0000"]
    assert shown.one("h1").text == "DVM"


def test_json_is_a_single_object(source: str) -> None:
    options = ["-o", "p.html", "--png", "p.png", "--mp4", "p.mp4", "--clips", "1", "--frames", "3"]
    result = run("preview", source, *options, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"page": "p.html", "png": "p.png", "mp4": "p.mp4", "clips": 1, "frames": 3}
    assert "Encoding" not in result.stderr
    assert PageReader(Path("p.html").read_text(encoding="utf-8")).data["clips"][0]["frames"] == 3
    with Image.open("p.png") as sheet:
        assert sheet.format == "PNG"
    with Video(Path("p.mp4")) as video:
        assert len(list(video.colours(range(9)))) == 3


@pytest.mark.parametrize(("option", "file"), [("--png", "p.png"), ("--mp4", "p.mp4")])
def test_a_sheet_or_a_video_alone_does_not_write_a_page(source: str, option: str, file: str) -> None:
    assert run("preview", source, option, file, "--clips", "1", "--frames", "1").exit_code == 0
    assert Path(file).is_file()
    assert not Path("preview.html").exists()


def test_progress_is_written_to_stderr(source: str) -> None:
    result = run("preview", source, "--frames", "1")
    assert "Reading clips" in result.stderr
    assert "Encoding clips" in result.stderr
    assert "clips:" not in result.stdout.replace("2 clips, 2 frames:", "")


def test_config_fields_are_options(source: str) -> None:
    options = ["--crop-size", "16", "--trimap", "1", "--clip-length", "all", "--seed", "5", "--frame-step", "2"]
    assert run("preview", source, *options, "--clips", "1").exit_code == 0
    small = PageReader(Path("preview.html").read_text(encoding="utf-8"))
    assert small.data["clips"][0]["width"] == 16
    assert small.data["clips"][0]["frames"] == 6  # every second of 12
    trimap = small.layer(0, "trimap", 0)
    assert run("preview", source, *options, "--clips", "1", "--trimap", "6").exit_code == 0
    wide = PageReader(Path("preview.html").read_text(encoding="utf-8")).layer(0, "trimap", 0)
    assert np.count_nonzero(wide == 128) > np.count_nonzero(trimap == 128)


def test_every_field_that_changes_pixels_is_an_option() -> None:
    options = {name for parameter in preview.params for name in parameter.opts}
    unseen = {"columns", "encoding", "clip_step", "remainder"}
    assert {"--" + name.replace("_", "-") for name in set(own_fields()) - unseen} <= options


def test_values_are_parsed_like_in_other_commands(source: str) -> None:
    fields = ["--kinds", "image", "--background-blur", "--max-image-frames", "3", "--trimap", "dvm-train"]
    assert run("preview", source, *fields, "--clips", "1").exit_code == 0
    shown = PageReader(Path("preview.html").read_text(encoding="utf-8"))
    assert shown.data["clips"][0]["frames"] == 3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nowhere"], "nowhere"),
        (["DVM/fg"], "DVM/fg"),
        (["DVM", "--config", "valid"], "config='valid'"),
        (["DVM", "--crop-size", "0"], "crop_size='0'"),
        (["DVM", "--trimap", "thin"], "trimap='thin'"),
        (["DVM", "--config", "test"], "bg/test"),
        (["DVM", "--clips", "0"], "--clips"),
        (["DVM", "-o", "no/page.html"], "no/page.html"),
        (["DVM", "-o", "."], "."),
        ([], "SOURCE"),
    ],
)
def test_wrong_use_is_refused_with_a_message(source: str, arguments: list[str], named: str) -> None:
    assert_plain_refusal(["preview", *arguments], named)
    assert not Path("preview.html").exists()


def test_a_page_does_not_contain_parent_folders(source: str, tmp_path: Path) -> None:
    assert run("preview", str(tmp_path / source), "--clips", "1", "--frames", "1").exit_code == 0
    text = Path("preview.html").read_text(encoding="utf-8")
    assert PageReader(text).one("h1").text == "DVM"
    assert str(tmp_path) not in text


def test_a_page_can_be_written_to_a_symlink_and_a_pipe(source: str, tmp_path: Path) -> None:
    Path("link.html").symlink_to("page.html")
    Path("page.html").write_text("before")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR)  # so that neither end waits for the other
    for output in ("link.html", "pipe"):
        options = ("--clips", "1", "--frames", "1", "--crop-size", "8")
        assert run("preview", source, "-o", output, *options).exit_code == 0
        if output == "pipe":
            assert os.read(reader, 15).lower() == b"<!doctype html>"
    os.close(reader)
    assert Path("link.html").is_symlink()
    assert Path("page.html").read_text().lower().startswith("<!doctype html>")


def test_a_sheet_of_rows_without_numbers_is_refused(source: str) -> None:
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    layers = {name: [ImageFeature()] for name in ("frames", "alpha", "trimap")}
    picture = Image.new("L", (8, 6))
    rows = {"clip_id": ["image_a_0000"], "window": [0], **{name: [[picture]] for name in layers}}
    features = Features({"clip_id": Value("string"), "window": Value("int32"), **layers})
    Path("bare").mkdir()
    Dataset.from_dict(rows, features=features).to_parquet("bare/a.parquet")
    assert_plain_refusal(
        ["preview", "bare", "--png", "p.png"], "no column start and no column height and no column width"
    )


def test_a_sheet_of_data_without_mattes_is_refused(source: str, tmp_path: Path) -> None:
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    features = Features({"clip_id": Value("string"), "frames": [ImageFeature()]})
    rows = {"clip_id": ["image_a_0000"], "frames": [[Image.new("RGB", (8, 6))]]}
    (tmp_path / "bare").mkdir()
    Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "bare" / "a.parquet"))
    assert run("preview", "bare").exit_code == 0
    for option, file in (("--png", "p.png"), ("--mp4", "p.mp4")):
        assert_plain_refusal(["preview", "bare", "-o", "p.html", option, file], "no column alpha and no column trimap")
        assert not Path(file).exists()
    assert not Path("p.html").exists()
