"""`dvm digest`: equal for the same pixels, however they are built and stored, and different for any other pixel."""

import io
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_runs import assert_plain_refusal, run
from own_alpha import write_pictures
from PIL import Image
from prepared_folder import rewritten
from row_digests import IMAGE_COLUMNS

from dvm_hf.clips.plan import Rendering
from dvm_hf.dataset.content_digest import ClipDigest, frame_digest, split_digest
from dvm_hf.prepared import row_check
from dvm_hf.prepared.folder import checksummed, read_checksummed

SOURCES = """
train:
  foregrounds:
    - {path: frames, layout: fgr-pha}
  backgrounds:
    - {path: stills, layout: bg20k}
"""
# Of `picture_sources`, whose pixels depend on no codec and on no interpolation: a pasted foreground and crops.
KNOWN = {
    "video_frames.blob_stills.plaid": "1f8db8e8102ec80e88d87df122586b80",
    "video_frames.blob_stills.ramp": "15e189131a9592fc552c05f348d7915f",
}
KNOWN_TRAIN = "c01d73e0922641fe0716cc1bb5f0d811"
FIELDS: dict[str, Any] = {"clip_length": 3, "remainder": "keep", "columns": IMAGE_COLUMNS, "encoding": "lossless"}


def options(fields: Mapping[str, Any]) -> list[str]:
    texts = {name: ",".join(value) if isinstance(value, tuple) else str(value) for name, value in fields.items()}
    return [part for name, text in texts.items() for part in (f"--{name.replace('_', '-')}", text)]


OPTIONS = ("--config", "train", *options(FIELDS))
OF_SOURCES = ("--config", "train", *options({name: FIELDS[name] for name in FIELDS if name != "encoding"}))


@pytest.fixture(scope="module")
def picture_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sources file: a folder of PNG frames with alpha over two PNG stills of other sizes. Integers only."""
    root = tmp_path_factory.mktemp("pictures")
    rows, columns = np.mgrid[:40, :52]
    colours, alphas = [], []
    for number in range(7):
        square = (rows - 20) ** 2 + (columns - 22 - number) ** 2
        alphas.append(np.clip(255 - (square - 120), 0, 255).astype(np.uint8))
        colour = (60 + 2 * rows, 40 + 3 * columns, rows + columns + 9 * number)
        colours.append(np.dstack(colour).astype(np.uint8))
    write_pictures(root / "frames/train/fgr/blob", colours)
    write_pictures(root / "frames/train/pha/blob", alphas)
    rows, columns = np.mgrid[:60, :80]
    write_still(root / "stills/train/ramp.png", rows * 4, columns * 3, rows + columns)
    write_still(root / "stills/train/plaid.png", rows * columns % 251, rows * rows % 241, columns * 7 % 256)
    (root / "sources.yaml").write_text(SOURCES)
    return root / "sources.yaml"


def write_still(path: Path, *channels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.dstack(channels).astype(np.uint8)).save(path)


def answer(*arguments: str) -> dict[str, Any]:
    result = run("digest", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def of_rows(rows: Iterable[Mapping[str, Any]], **rendering: Any) -> dict[str, str]:
    """Return the digests of decoded rows of a loaded dataset."""
    clips: dict[str, ClipDigest] = {}
    for row in rows:
        shown = [column for column in IMAGE_COLUMNS if column in row]
        frames = zip(*(row[column] for column in shown), strict=True)
        hashes = (frame_digest({c: np.asarray(p) for c, p in zip(shown, one, strict=True)}) for one in frames)
        clips.setdefault(row["clip_id"], ClipDigest(Rendering(**rendering))).add(row["window"], row["start"], hashes)
    return {name: clip.hex() for name, clip in clips.items()}


def test_the_digest_of_pictures_is_the_same_everywhere(picture_sources: Path) -> None:
    """In all lanes, so with the oldest and newest versions of all libraries."""
    found = answer(str(picture_sources), *OF_SOURCES)
    assert found["clips"] == KNOWN
    assert found["splits"] == {"train": KNOWN_TRAIN} == {"train": split_digest(KNOWN)}
    assert found["digest"] == split_digest({"train": KNOWN_TRAIN})
    assert set(found) == {"digest", "splits", "clips"}


@pytest.mark.slow
def test_streamed_cached_and_prepared_clips_have_the_same_digests(
    few_sources: Path, load: Callable[..., Any], tmp_path: Path
) -> None:
    fields = {"data_dir": str(few_sources), "split": "train", **FIELDS}
    expected = answer(str(few_sources), *OF_SOURCES)
    assert len(expected["clips"]) == 4
    assert of_rows(load("train", streaming=True, **fields)) == expected["clips"]
    assert of_rows(load("train", num_proc=2, **fields)) == expected["clips"]
    out = str(tmp_path / "lossless")
    assert run("prepare", str(few_sources), out, *OPTIONS, "--num-shards", "3", "--num-proc", "2").exit_code == 0
    assert answer(out) == answer(out, "--read-data") == expected
    assert run("verify", out, "--pixels").exit_code == 0
    other = [*options(FIELDS | {"clip_length": 4, "clip_step": 2, "encoding": "jpeg"}), "--num-shards", "1"]
    assert run("prepare", str(few_sources), str(tmp_path / "jpeg"), "--config", "train", *other).exit_code == 0
    assert answer(str(tmp_path / "jpeg")) == expected
    crops = FIELDS | {"crop_size": 16, "remainder": "drop", "encoding": "array"}
    assert (
        run("prepare", str(few_sources), str(tmp_path / "array"), "--config", "train", *options(crops)).exit_code == 0
    )
    cropped = answer(str(tmp_path / "array"), "--read-data")
    assert cropped["clips"].keys() == expected["clips"].keys()
    assert not set(cropped["clips"].values()) & set(expected["clips"].values())
    rows = load("train", data_dir=str(few_sources), split="train", **crops | {"encoding": "lossless"})
    assert of_rows(rows, crop_size=16) == cropped["clips"]


def test_both_splits_of_a_folder_that_share_names(few_sources: Path, prepared_once: Path) -> None:
    recorded = answer(str(prepared_once))
    assert recorded["splits"].keys() == {"train", "test"}
    assert {name.partition("/")[0] for name in recorded["clips"]} == {"train", "test"}  # the same clip_ids
    assert recorded == answer(str(few_sources), "--clip-length", "2")
    test = answer(str(prepared_once), "--config", "test")
    assert test["splits"] == {"test": recorded["splits"]["test"]}
    assert test["clips"] == {
        name.removeprefix("test/"): digest for name, digest in recorded["clips"].items() if name.startswith("test/")
    }
    lines = run("digest", str(prepared_once)).stdout.splitlines()
    assert lines[-1] == f"{recorded['digest']}  dataset"
    assert lines[-2] == f"{recorded['splits']['test']}  split test, 4 clips"
    assert dict(reversed(line.split("  ")) for line in lines[:-3]) == recorded["clips"]


def test_sidecars_manifest_and_card_have_the_digests(prepared_once: Path) -> None:
    found = answer(str(prepared_once), "--config", "train")
    manifest = read_checksummed(prepared_once / "manifest.json", "manifest")["splits"]["train"]
    assert manifest["digests"] == found["clips"]
    assert manifest["digest"] == found["splits"]["train"]
    sidecars = [read_checksummed(path, "sidecar") for path in sorted((prepared_once / "shards").glob("train-*.json"))]
    assert {name: one for sidecar in sidecars for name, one in sidecar["digests"].items()} == found["clips"]
    assert f"| `{found['splits']['train']}` |" in (prepared_once / "README.md").read_text()


@pytest.fixture
def lossless(picture_sources: Path, tmp_path: Path) -> Path:
    out = tmp_path / "out"
    result = run("prepare", str(picture_sources), str(out), *OPTIONS, "--num-shards", "1")
    assert result.exit_code == 0, result.stderr
    return out


def changed_pixel(out: Path) -> Path:
    """Change one value of one alpha of a shard by one level; the sidecar's checksums are those of the new file."""
    (path,) = (out / "data").glob("*.parquet")
    table = pq.read_table(path)
    rows = table.to_pylist()
    image = rows[-1]["alpha"][0]
    pixels = np.array(Image.open(io.BytesIO(image["bytes"])))
    pixels[20, 22] ^= 1
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    image["bytes"] = written.getvalue()
    rewritten(path, pa.Table.from_pylist(rows, schema=table.schema))
    return path


def test_one_changed_pixel_is_found_in_its_clip(lossless: Path) -> None:
    assert answer(str(lossless), "--read-data")["clips"] == KNOWN
    path = changed_pixel(lossless)
    name = pq.read_table(path)["clip_id"].to_pylist()[-1]
    result = run("digest", str(lossless), "--read-data")
    assert result.exit_code == 1
    assert f"{path}: the images of {name} have the content digest" in result.stderr
    without_digests(lossless)
    changed = answer(str(lossless), "--read-data")
    assert {clip for clip, digest in changed["clips"].items() if digest != KNOWN[clip]} == {name}
    assert changed["splits"]["train"] != KNOWN_TRAIN


def without_digests(out: Path) -> None:
    """Remove what earlier versions did not write."""
    for path in (out / "shards").glob("*.json"):
        content = read_checksummed(path, "sidecar")
        path.write_bytes(checksummed({name: value for name, value in content.items() if name != "digests"}))
    content = read_checksummed(out / "manifest.json", "manifest")
    for split in content["splits"].values():
        split.pop("digests")
        split.pop("digest")
    (out / "manifest.json").write_bytes(checksummed(content))


def test_a_folder_of_an_earlier_version_is_valid_and_lacks_digests(lossless: Path) -> None:
    without_digests(lossless)
    assert run("verify", str(lossless), "--pixels").stdout == "1 shard, all valid\n"
    assert_plain_refusal(["digest", str(lossless)], "lacks content digests, because an earlier version")
    assert answer(str(lossless), "--read-data")["clips"] == KNOWN


def test_verify_compares_a_fresh_rendering_with_the_recorded_digest(lossless: Path) -> None:
    """A folder whose images are as recorded, but not its digests: as if another version rendered other pixels."""
    (path,) = (lossless / "shards").glob("*.json")
    content = read_checksummed(path, "sidecar")
    content["digests"]["video_frames.blob_stills.ramp"] = "0" * 32
    path.write_bytes(checksummed(content))
    result = run("verify", str(lossless), "--pixels")
    assert result.exit_code == 1
    assert (
        f"clip video_frames.blob_stills.ramp has the content digest {'0' * 32}, but a fresh rendering has"
        in result.stdout
    )
    assert "video_frames.blob_stills.plaid" not in result.stdout


def test_a_fresh_rendering_of_other_pixels_names_the_clip(lossless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if a difference is too small for the comparison of lossy images, such as one level."""
    monkeypatch.setattr(row_check.FreshRendering, "difference", lambda *of: None)
    monkeypatch.setattr("dvm_hf.prepared.fresh_rendering.rendered_digest", lambda frame: bytes(16))
    result = run("verify", str(lossless), "--pixels")
    assert result.exit_code == 1
    assert all(f"clip {name} has the content digest {digest}" in result.stdout for name, digest in KNOWN.items())


def test_lossy_folders_and_incomplete_ones_are_refused(prepared: Path) -> None:
    assert_plain_refusal(["digest", str(prepared), "--read-data"], "encoding is 'jpeg', which changes pixels")
    assert_plain_refusal(["digest", str(prepared), "--seed", "3"], "applies only to a source folder")
    for path in (prepared / "plan/test.json", *(prepared / "shards").glob("test-*")):
        path.unlink()
    assert_plain_refusal(["digest", str(prepared), "--config", "test"], "has no plan of the split 'test'")
    (prepared / "shards/train-00001-of-00003.json").unlink()
    assert_plain_refusal(["digest", str(prepared)], "1 of 3 shards of 'train' are not built")


def test_a_folder_without_its_plans_is_named(prepared_once: Path, tmp_path: Path) -> None:
    """It is neither a source folder, nor a dataset of the other split."""
    out = shutil.copytree(prepared_once, tmp_path / "out")
    (out / "plan/test.json").unlink()
    missing = "plan/{}.json: is missing; dvm verify --repair rebuilds it"
    for name in ("test", "train"):  # one after the other
        (out / f"plan/{name}.json").unlink(missing_ok=True)
        lacking = run("digest", str(out))
        assert (lacking.exit_code, lacking.stdout) == (1, "")
        assert missing.format(name) in lacking.stderr
    assert_plain_refusal(["digest", str(out), "--clip-length", "2"], "applies only to a source folder")
    shutil.rmtree(out / "plan")
    assert_plain_refusal(["check", str(out)], "was built by dvm prepare, and contains no sources")
    assert missing.format("train") in run("digest", str(out)).stderr


def test_options_of_prepared_folders_and_sources_are_not_mixed(few_sources: Path, tmp_path: Path) -> None:
    assert_plain_refusal(["digest", str(few_sources), "--read-data"], "applies only to a prepared folder")
    assert_plain_refusal(["digest", str(tmp_path)], str(tmp_path))
    assert_plain_refusal(["digest", str(few_sources), "--seed", "x"], "seed='x'")


def test_a_broken_source_stops_or_is_skipped(tmp_path: Path, few_sources: Path) -> None:
    copy = tmp_path / "DVM"
    shutil.copytree(few_sources, copy)
    (copy / "bg/train/0001.mp4").write_bytes(b"no video")
    result = run("digest", str(copy), "--config", "train", "--clip-length", "2")
    assert result.exit_code == 1
    assert "0001.mp4" in result.stderr
    assert "pass on_error='skip'" in result.stderr
    result = run("digest", str(copy), "--config", "train", "--clip-length", "2", "--on-error", "skip", "--json")
    assert result.exit_code == 0
    assert {name[-4:] for name in json.loads(result.stdout)["clips"]} == {"0000"}
    assert result.stderr.count("skipped: ") == 2


@pytest.mark.slow
def test_several_processes_give_the_digests_and_errors_of_one(tmp_path: Path, few_sources: Path) -> None:
    """Two backgrounds of four clips are broken; the error names the first of these clips."""
    copy = tmp_path / "DVM"
    shutil.copytree(few_sources, copy)
    broken = copy / "bg/test/0000.mp4"
    broken.write_bytes(b"no video")
    for arguments in ((), ("--on-error", "skip")):
        command = ("digest", str(copy), "--clip-length", "2", "--json", *arguments)
        one, several = (run(*command, "--num-proc", count) for count in ("1", "2"))
        assert several.exit_code == one.exit_code == (0 if arguments else 1)
        assert several.stdout == one.stdout
        assert several.stderr == one.stderr
        assert several.stderr.count(str(broken)) == (2 if arguments else 1)
    assert len(json.loads(several.stdout)["clips"]) == 6
