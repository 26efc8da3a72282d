"""`dvm evaluate`, in process: numbers against plain NumPy, JSON, refused predictions, and exit codes."""

import base64
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import datasets
import numpy as np
import pytest
from click.testing import Result
from command_runs import assert_plain_refusal, run
from page_reader import PageReader
from PIL import Image
from predicted_mattes import Mattes, changed, rows_of, stored_layers, write_pictures

from dvm_hf.commands.evaluate import evaluate_command
from dvm_hf.dataset.config import own_fields
from dvm_hf.media.video.video_writing import write_video

REGIONS = {"whole", "unknown", "foreground", "background"}
ROWS = {
    "clip_id": datasets.Value("string"),
    "start": datasets.Value("int32"),
    "alpha": datasets.Sequence(datasets.Image()),
}
METRICS = {"sad", "mad", "mse", "grad", "conn", "dtssd", "messddt"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVM_EVALUATION_CACHE", str(tmp_path / "evaluated"))


@pytest.fixture(scope="module")
def truth(prepared_once: Path) -> Mattes:
    return stored_layers(prepared_once, "alpha")


@pytest.fixture(scope="module")
def trimaps(prepared_once: Path) -> Mattes:
    return stored_layers(prepared_once, "trimap")


@pytest.fixture
def exact(truth: Mattes, tmp_path: Path) -> Path:
    """Predictions that are the truth."""
    return write_pictures(tmp_path / "exact", truth)


def shifted(alpha: np.ndarray) -> np.ndarray:
    return np.roll(alpha, 1, axis=1)


def evaluated(*arguments: str | Path) -> dict[str, Any]:
    result = run("evaluate", *map(str, arguments), "--json")
    assert result.exit_code == 0, result.output + result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def refused(*arguments: str | Path) -> Result:
    result = run("evaluate", *map(str, arguments))
    assert result.exit_code == 1, result.output + result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    return result


def test_the_truth_has_no_error(exact: Path, prepared_once: Path, truth: Mattes) -> None:
    found = evaluated(exact, prepared_once)
    assert found.keys() == {"convention", "flow", "clips", "mean"}
    assert found["convention"] == "default"
    assert found["clips"].keys() == truth.keys()
    for regions in (*found["clips"].values(), found["mean"]):
        assert regions.keys() == REGIONS
        for metrics in regions.values():
            assert metrics.keys() == METRICS
            assert set(metrics.values()) <= {0.0, None}
    assert all(value == 0 for value in found["mean"]["whole"].values())


def plain_values(predicted: Mattes, truth: Mattes, trimaps: Mattes, level: int | None) -> dict[str, float]:
    """MAD, MSE, SAD and dtSSD of the default convention, as docs/metrics.md defines them. level: of the trimap."""
    clips: dict[str, list[float]] = {"sad": [], "mad": [], "mse": [], "dtssd": []}
    for clip in truth:
        indices = sorted(truth[clip])
        errors = [(predicted[clip][i].astype(float) - truth[clip][i]) / 255 for i in indices]
        masks = [
            np.ones_like(e, bool) if level is None else trimaps[clip][i] == level
            for i, e in zip(indices, errors, strict=True)
        ]
        pairs = zip(errors, errors[1:], masks, masks[1:], strict=False)
        frames = [(e[m], m) for e, m in zip(errors, masks, strict=True) if m.any()]
        clips["sad"].append(np.mean([np.abs(e).sum() / 1000 for e, _ in frames]))
        clips["mad"].append(np.mean([1000 * np.abs(e).mean() for e, _ in frames]))
        clips["mse"].append(np.mean([1000 * (e**2).mean() for e, _ in frames]))
        clips["dtssd"].append(np.mean([100 * np.sqrt(((b - a)[m | n] ** 2).mean()) for a, b, m, n in pairs]))
    return {name: float(np.mean(values)) for name, values in clips.items()}


@pytest.mark.parametrize(("region", "level", "pixels"), [("whole", None, 1), ("unknown", 128, 1), ("background", 0, 6)])
def test_a_known_shift_has_the_error_of_a_plain_formula(
    truth: Mattes, trimaps: Mattes, prepared_once: Path, tmp_path: Path, region: str, level: int | None, pixels: int
) -> None:
    predicted = changed(truth, lambda alpha: np.roll(alpha, pixels, axis=1))
    expected = plain_values(predicted, truth, trimaps, level)
    assert expected["mad"] > 0.1
    found = evaluated(write_pictures(tmp_path / "p", predicted), prepared_once)["mean"][region]
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_sources_and_their_prepared_rows_give_the_same_numbers(
    truth: Mattes, few_sources: Path, prepared_once: Path, tmp_path: Path
) -> None:
    predicted = write_pictures(tmp_path / "p", changed(truth, shifted))
    stored = evaluated(predicted, prepared_once, "--flow", "none")
    assert evaluated(predicted, few_sources, "--flow", "none") == stored
    assert stored["flow"] == "none"
    assert evaluated(predicted, few_sources)["flow"] == "affine+dis"
    assert evaluated(predicted, prepared_once)["flow"] == "affine+dis-alpha"  # it has no column foreground


@pytest.mark.slow
def test_pictures_rows_and_lossless_videos_give_the_same_numbers(
    truth: Mattes, prepared_once: Path, tmp_path: Path
) -> None:
    predicted = changed(truth, shifted)
    expected = evaluated(write_pictures(tmp_path / "p", predicted), prepared_once)
    rows = datasets.Dataset.from_dict(rows_of(predicted), features=datasets.Features(ROWS))
    rows.to_parquet(str(tmp_path / "rows.parquet"))
    (tmp_path / "folder").mkdir()
    shutil.copy(tmp_path / "rows.parquet", tmp_path / "folder" / "test.parquet")
    assert evaluated(tmp_path / "rows.parquet", prepared_once) == expected
    assert evaluated(tmp_path / "folder", prepared_once) == expected
    stacks = [np.stack([frames[index] for index in sorted(frames)]) for frames in predicted.values()]
    arrays = rows_of(predicted) | {"alpha": stacks}
    levels = datasets.Sequence(datasets.Sequence(datasets.Sequence(datasets.Value("uint8"))))
    kinds = datasets.Features(ROWS | {"alpha": levels})
    datasets.Dataset.from_dict(arrays, features=kinds).to_parquet(str(tmp_path / "arrays.parquet"))
    assert evaluated(tmp_path / "arrays.parquet", prepared_once) == expected


def test_videos_are_read_frame_by_frame(truth: Mattes, prepared_once: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for clip, frames in truth.items():
        write_video(tmp_path / "videos" / f"{clip}.mp4", [frames[index] for index in sorted(frames)], crf=1)
    found = evaluated(tmp_path / "videos", prepared_once)
    assert 0 < found["mean"]["whole"]["mad"] < 5  # per mille: limited range and H.264


@pytest.fixture
def clip(truth: Mattes) -> str:
    return next(name for name in truth if name.startswith("video"))


Change = Callable[[Path], object]  # of the folder of a clip's pictures


def resaved(change: Callable[[Image.Image], Image.Image]) -> Change:
    """Save frame 2 otherwise."""

    def save(folder: Path) -> None:
        change(Image.open(folder / "00002.png")).save(folder / "00002.png")

    return save


REFUSED: dict[str, tuple[Change, str, str]] = {  # change, error, option that allows it
    "missing clip": (shutil.rmtree, "{clip}: has no prediction; add it, or pass --allow-missing", "--allow-missing"),
    "missing frame": (
        lambda folder: os.remove(folder / "00002.png"),
        "{clip}: has 4 frames, but {clip} has 5; missing: 00002; add it, or pass --allow-missing",
        "--allow-missing",
    ),
    "extra clip": (
        lambda folder: shutil.copytree(folder, folder.parent / "other"),
        "other: the reference has no clip other; remove it, or pass --allow-extra",
        "--allow-extra",
    ),
    "extra frame": (
        lambda folder: shutil.copy(folder / "00002.png", folder / "00005.png"),
        "{clip}: has 6 frames, but {clip} has 5; unexpected: 00005; remove it, or pass --allow-extra",
        "--allow-extra",
    ),
    "another size": (
        resaved(lambda image: image.resize((24, 16))),
        "{clip}: 00002.png: is 24 x 16 px, but the reference is",
        "--resize",
    ),
    "16 bits": (
        resaved(lambda image: Image.fromarray(np.asarray(image).astype(np.uint16) * 257)),
        "{clip}: 00002.png: has 16 bits per channel, but must have 8; pass --convert",
        "--convert",
    ),
    "colour": (
        resaved(lambda image: image.convert("RGB")),
        "{clip}: 00002.png: has the channels RGB, but must be grey; pass --convert",
        "--convert",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_predictions_that_do_not_fit_are_named_and_refused(
    exact: Path, prepared_once: Path, clip: str, case: str
) -> None:
    change, text, option = REFUSED[case]
    change(exact / clip)
    error = refused(exact, prepared_once).stderr
    assert text.format(clip=clip) in error
    result = run("evaluate", str(exact), str(prepared_once), option, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    if option.startswith("--allow"):
        assert len(found["left_out"]) == 1
        assert f"skipped: {found['left_out'][0]}" in result.stderr
    if case != "another size":
        assert found["mean"]["whole"]["mad"] == 0
    assert (clip in found["clips"]) == (case != "missing clip")


UNREADABLE: dict[str, tuple[Change, str]] = {
    "damaged": (lambda folder: (folder / "00001.png").write_bytes(b"\x89PNG\r\n\x1a\nno"), "00001.png"),
    "name": (lambda folder: os.rename(folder / "00001.png", folder / "a.png"), "a.png: is not named like 00000.png"),
    "number": (
        lambda folder: shutil.copy(folder / "00001.png", folder / "1.png"),
        "1.png: 00001.png has the same",
    ),
    "pipe": (lambda folder: os.mkfifo(folder / "00009.png"), "00009.png: is not an existing file; replace or remove"),
    "file": (lambda folder: (folder.parent / "a.txt").write_text("a"), "a.txt: is neither a folder of pictures nor a"),
    "both": (
        lambda folder: write_video(folder.parent / f"{folder.name}.mp4", [np.zeros((32, 48), np.uint8)] * 5),
        "is a prediction of the same clip; remove one of them",
    ),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_files_that_are_no_predictions_are_named(exact: Path, prepared_once: Path, clip: str, case: str) -> None:
    change, text = UNREADABLE[case]
    change(exact / clip)
    assert text in refused(exact, prepared_once).stderr


def test_all_problems_are_listed_at_once(exact: Path, prepared_once: Path, truth: Mattes) -> None:
    names = sorted(truth)
    shutil.rmtree(exact / names[0])
    os.remove(exact / names[1] / "00000.png")
    REFUSED["16 bits"][0](exact / names[2])
    error = refused(exact, prepared_once).stderr
    assert "3 problems of the predictions" in error
    assert all(name in error for name in names[:3])


@pytest.mark.slow
def test_rows_and_videos_that_do_not_fit_are_refused(
    truth: Mattes, prepared_once: Path, clip: str, tmp_path: Path
) -> None:
    colourful = changed(truth, lambda alpha: np.dstack([alpha, alpha // 2, alpha]))
    file = tmp_path / "rows.parquet"
    features = datasets.Features(ROWS)
    datasets.Dataset.from_dict(rows_of(colourful), features=features).to_parquet(str(file))
    error = refused(file, prepared_once).stderr
    assert "has the channels RGB, but must be grey; pass --convert" in error
    assert "Results of finished clips are cached; run the command again" in error
    assert evaluated(file, prepared_once, "--convert")["mean"]["whole"]["mad"] > 0
    rows = rows_of(truth)
    file = tmp_path / "twice.parquet"
    twice = {name: [*values, values[0]] for name, values in rows.items()}
    datasets.Dataset.from_dict(twice, features=features).to_parquet(str(file))
    text = f"several rows of {rows['clip_id'][0]} have the same frames: 00000 to 0000"
    assert text in refused(file, prepared_once).stderr
    assert evaluated(file, prepared_once, "--allow-extra")["mean"]["whole"]["mad"] == 0
    file = tmp_path / "floats.parquet"
    floats = datasets.Sequence(datasets.Sequence(datasets.Sequence(datasets.Value("float32"))))
    stacks = [np.stack([frames[index] for index in sorted(frames)]) / 255 for frames in truth.values()]
    kinds = datasets.Features(ROWS | {"alpha": floats})
    datasets.Dataset.from_dict(rows | {"alpha": stacks}, features=kinds).to_parquet(str(file))
    assert "has the dtype float32, but metrics compare levels 0 to 255" in refused(file, prepared_once).stderr
    folder = write_pictures(tmp_path / "p", truth)
    shutil.rmtree(folder / clip)
    for frames, size, colour, text in (
        (4, (38, 56), 1, f"{clip}.mp4: has 4 frames, but {clip} has 5; missing: 00004"),
        (7, (38, 56), 1, f"{clip}.mp4: has 7 frames, but {clip} has 5; unexpected: 00005 to 00006"),
        (5, (32, 64), 1, f"{clip}.mp4: is 64 x 32 px, but the reference is 56 x 38 px; pass --resize"),
        (5, (38, 56), 0, f"{clip}.mp4: has the channels RGB, but must be grey; pass --convert"),
    ):
        pixels = np.full((*size, 3), (200, 200 * colour, 200), np.uint8)
        write_video(folder / f"{clip}.mp4", [pixels] * frames)
        assert text in refused(folder, prepared_once).stderr


def test_wrong_use_is_refused(exact: Path, prepared_once: Path, few_sources: Path, tmp_path: Path) -> None:
    good, stored, sources = str(exact), str(prepared_once), str(few_sources)
    for arguments, text in (
        ([str(tmp_path / "none"), stored], "no such file or folder; pass a folder with CLIP_ID/00000.png"),
        ([str(prepared_once / "README.md"), stored], "is a .md, but predictions must be"),
        ([good, str(tmp_path / "none")], "is neither an existing folder nor the name of a dataset"),
        ([good, stored, "--seed", "3"], "applies only to a source folder"),
        ([good, stored, "--config", "valid"], "has no such config"),
        ([good, stored, "--split", "valid"], "has no such split"),
        ([good, sources, "--config", "valid"], "has no such config"),
        ([good, sources, "--split", "test"], "applies only to a stored dataset"),
        ([good, stored, "--flow", "stored"], "--flow stored and --flow-folder DIR belong together"),
        ([good, stored, "--flow", "affine"], "has no exact motion"),
        ([good, stored, "--flow", "dis"], "has no column foreground"),
        ([good, stored, "--compare", "bad"], "is not NAME=PATH"),
        ([good, stored, "--compare", f"exact={good}"], "another method has the name"),
        ([good, stored, "-o", str(tmp_path / "no" / "page.html")], "does not exist"),
    ):
        assert_plain_refusal(["evaluate", *arguments], text)


@pytest.mark.slow
def test_methods_are_compared(exact: Path, truth: Mattes, prepared_once: Path, tmp_path: Path) -> None:
    other = write_pictures(tmp_path / "other", changed(truth, shifted))
    found = evaluated(exact, prepared_once, "--compare", f"shift={other}")
    assert found.pop("compared") == {"shift": evaluated(other, prepared_once)}
    assert found == evaluated(exact, prepared_once)
    shown = run("evaluate", str(exact), str(prepared_once), "--compare", f"shift={other}").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert lines[:2] == [
        ["Mean", "over", "the", "clips,", "region", "whole"],
        [*"SAD MAD MSE Grad Conn dtSSD MESSDdt".split()],
    ]
    assert lines[2] == ["exact", *["0.000"] * 7]
    numbers = evaluated(other, prepared_once)["mean"]["whole"]
    assert [*map(float, lines[3][1:])] == pytest.approx([*numbers.values()], rel=1e-3)


@pytest.mark.slow
def test_methods_with_other_clips_are_marked(exact: Path, truth: Mattes, prepared_once: Path, tmp_path: Path) -> None:
    other = write_pictures(tmp_path / "other", truth)
    allowed = ("--compare", f"second={other}", "--allow-missing", "--json")
    assert run("evaluate", str(exact), str(prepared_once), *allowed).stderr == ""
    names = sorted(truth)
    shutil.rmtree(exact / names[0])
    text = "other clips or frames than those of exact, so the means cannot be compared"
    for change in (lambda: shutil.rmtree(other / names[1]), lambda: os.remove(other / names[2] / "00002.png")):
        change()
        result = run("evaluate", str(exact), str(prepared_once), *allowed)
        assert f"skipped: exact: {names[0]}: has no prediction\n" in result.stderr
        assert f"skipped: second: {text}\n" in result.stderr
        found = json.loads(result.stdout)
        assert text not in found["left_out"]
        assert found["compared"]["second"]["left_out"][0] == text


def test_a_published_convention_prints_the_numbers_of_its_tables(
    truth: Mattes, trimaps: Mattes, prepared_once: Path, tmp_path: Path
) -> None:
    """Composition-1k's MSE x 10^3: the mean over all images, each over its unknown region."""
    predicted = changed(truth, shifted)
    errors = [
        ((predicted[clip][i].astype(float) - truth[clip][i]) / 255)[trimaps[clip][i] == 128]
        for clip in truth
        for i in truth[clip]
    ]
    folder = write_pictures(tmp_path / "p", predicted)
    lines = run("evaluate", str(folder), str(prepared_once), "--convention", "dim").stdout.splitlines()
    assert lines[1].split() == "SAD MSE x 10^3 Grad Conn".split()
    numbers = dict(zip(("SAD", "MSE"), map(float, lines[2].split()[1:3]), strict=True))
    assert numbers["SAD"] == pytest.approx(np.mean([np.abs(e).sum() / 1000 for e in errors]), rel=1e-3)
    assert numbers["MSE"] == pytest.approx(np.mean([1000 * (e**2).mean() for e in errors]), rel=1e-3)
    assert evaluated(folder, prepared_once, "--convention", "dim")["mean"]["unknown"]["mse"] == pytest.approx(
        numbers["MSE"] / 1000, rel=1e-3
    )


@pytest.mark.slow
def test_clips_are_listed_if_asked(exact: Path, truth: Mattes, prepared_once: Path) -> None:
    shown = run("evaluate", str(exact), str(prepared_once), "--per-clip").stdout
    assert all(sum(line.startswith(clip) for line in shown.splitlines()) == len(REGIONS) for clip in truth)
    assert not any(clip in run("evaluate", str(exact), str(prepared_once)).stdout for clip in truth)


def test_every_field_that_changes_the_reference_is_an_option() -> None:
    options = {name for parameter in evaluate_command.params for name in parameter.opts}
    unused = {"columns", "encoding", "clip_length", "clip_step", "remainder", "crop_size", "on_error"}
    assert {f"--{name.replace('_', '-')}" for name in set(own_fields()) - unused} <= options


def test_a_page_is_written_and_shows_the_frame_with_the_largest_error(
    truth: Mattes, few_sources: Path, tmp_path: Path, clip: str
) -> None:
    predicted = changed(truth, np.copy)
    predicted[clip][3] = 255 - predicted[clip][3]
    predicted[clip][1] = np.roll(predicted[clip][1], 1, axis=1)
    folder, page = write_pictures(tmp_path / "mine", predicted), tmp_path / "page.html"
    result = run("evaluate", str(folder), str(few_sources), "-o", str(page))
    assert result.exit_code == 0, result.stderr
    read = PageReader(page.read_text(encoding="utf-8"))
    assert read.one("h1").text == f"mine on {few_sources.name}"
    assert str(tmp_path) not in read.one("main").text
    worst = read.all("figure", class_="worst")
    assert f"{clip}, frame 3: mean absolute error" in worst[0].text
    shown = {
        str(element.attributes["alt"]).partition(":")[0]: decoded(str(element.attributes["src"]))
        for element in worst[0].inside
        if element.tag == "img"
    }
    assert [*shown] == ["composite", "reference", "prediction", "error"]
    assert np.array_equal(shown["reference"][..., 0], truth[clip][3])
    assert np.array_equal(shown["prediction"][..., 0], predicted[clip][3])


def decoded(uri: str) -> np.ndarray:
    """Return a picture of a page, RGB."""
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.slow
def test_stored_flow_is_read_for_each_pair(truth: Mattes, prepared_once: Path, clip: str, tmp_path: Path) -> None:
    """Without motion it gives what `none` gives; with motion that leaves the frame, there is no valid pixel."""
    other = write_pictures(tmp_path / "other", changed(truth, shifted))
    for pixels in (0, 300):
        for name, frames in truth.items():
            folder = tmp_path / f"flow_{pixels}" / name
            folder.mkdir(parents=True)
            field = np.zeros((*frames[0].shape, 3), np.uint16)
            field[..., 0], field[..., 2] = 100 * pixels, 1  # in 1/100 px, valid
            for number in range(len(frames) - 1):
                cv2.imwrite(str(folder / f"flow_{number:05d}.png"), field)
    still = evaluated(other, prepared_once, "--flow", "stored", "--flow-folder", tmp_path / "flow_0")
    assert still["flow"] == "stored"
    assert still["mean"] == evaluated(other, prepared_once, "--flow", "none")["mean"]
    away = evaluated(other, prepared_once, "--flow", "stored", "--flow-folder", tmp_path / "flow_300")
    assert away["mean"]["whole"]["messddt"] is None
    next((tmp_path / "flow_0" / clip).iterdir()).unlink()
    text = refused(other, prepared_once, "--flow", "stored", "--flow-folder", tmp_path / "flow_0").stderr
    assert f"{clip}: has 3 flow fields, but {clip} needs 4, one .png for each pair of frames" in text
