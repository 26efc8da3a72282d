"""Shards of clips with several foregrounds: plan, rows, checks, digests, metadata, and what `datasets` reads back."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_runs import run
from datasets import load_dataset
from prepare_runs import answer
from prepared_folder import rewritten

from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.config import DVMConfig, plans
from dvm_hf.dataset.row_sources import row_source
from dvm_hf.dataset.stage_times import stage_times
from dvm_hf.evaluation.references import stored_clips
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.plans.stored_plan import open_plan
from dvm_hf.prepared.row_check import row_faults
from dvm_hf.prepared.shards import read_sidecar
from dvm_hf.preview.samples import samples

COLUMNS = "frames,alpha,trimap,instances"
ARGUMENTS = ("--config", "test", "--foregrounds-per-clip", "2", "--clip-length", "3", "--columns", COLUMNS)


def built(sources: Path, out: Path, encoding: str) -> Path:
    crop = ("--crop-size", "24", "--remainder", "drop") if encoding == "array" else ()
    answer(sources, out, *ARGUMENTS, "--encoding", encoding, "--num-shards", "2", *crop)
    return out


@pytest.fixture(scope="module")
def lossless(few_sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The split test of `few_sources` with two foregrounds in each clip. Tests must not change it."""
    return built(few_sources, tmp_path_factory.mktemp("instances") / "out", "lossless")


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["jpeg", "lossless", "array", "video"])
def test_every_encoding_passes_its_checks_and_is_read_back(few_sources: Path, tmp_path: Path, encoding: str) -> None:
    out = built(few_sources, tmp_path / "out", encoding)
    for arguments in (["--read-data"], ["--pixels"]):
        result = run("verify", str(out), *arguments)
        assert (result.exit_code, result.stdout) == (0, "2 shards, all valid\n"), result.stdout
    for streaming in (False, True):
        rows = load_dataset(str(out), split="test", streaming=streaming, cache_dir=str(tmp_path / "cache"))
        assert "instances" in rows.features
        for row in [] if encoding == "video" else rows:
            instances = np.array([[np.asarray(matte, np.uint8) for matte in one] for one in row["instances"]])
            alpha = np.array([np.asarray(matte, np.uint8) for matte in row["alpha"]])
            assert instances.shape == (2, *alpha.shape)
            assert np.array_equal(instances.sum(axis=0, dtype=np.uint8), alpha)


def test_a_stored_plan_has_all_foregrounds_and_their_hashes(few_sources: Path, lossless: Path) -> None:
    stored = open_plan(PreparedFolder(lossless), "test")
    shards = [stored.shard(index) for index in range(2)]
    config = DVMConfig(name="test", version=DVM.VERSION, data_dir=str(few_sources), foregrounds_per_clip=2)
    planned = {plan.clip_id: plan for plan in plans(config).clips}
    for shard in shards:
        for clip in shard.clips:
            wanted = planned[clip.clip_id]
            assert [few_sources / one.colour for one in clip.foregrounds] == [one.colour for one in wanted.foregrounds]
            assert [one.kind for one in clip.companions] == [one.kind for one in wanted.companions]
            files = {path.as_posix() for one in clip.foregrounds for path in (one.colour, one.alpha)}
            assert files <= shard.sources.keys()


def test_digests_are_those_of_the_sources_and_of_the_stored_pixels(few_sources: Path, lossless: Path) -> None:
    results = [
        run("digest", str(few_sources), *ARGUMENTS, "--json"),
        run("digest", str(lossless), "--json"),
        run("digest", str(lossless), "--read-data", "--json"),
    ]
    assert all(result.exit_code == 0 for result in results), [result.stderr for result in results]
    found = [json.loads(result.stdout) for result in results]
    assert found[0] == found[1] == found[2]
    without = run("digest", str(few_sources), *ARGUMENTS[:-2], "--columns", "frames,alpha,trimap", "--json")
    assert json.loads(without.stdout)["digest"] != found[0]["digest"]


def test_instances_that_do_not_sum_to_alpha_are_found(few_sources: Path, tmp_path: Path) -> None:
    out = built(few_sources, tmp_path / "out", "lossless")
    path = out / "data/test-00000-of-00002.parquet"

    table = pq.read_table(path)
    first = [[mattes[0], mattes[0]] for mattes in table["instances"].to_pylist()]
    number = table.schema.get_field_index("instances")
    rewritten(path, table.set_column(number, table.field(number), pa.array(first, table.field(number).type)))
    stored = open_plan(PreparedFolder(out), "test")
    faults = list(row_faults(path, stored.shard(0), read_sidecar(out / "shards/test-00000-of-00002.json")))
    assert faults
    assert all("instances do not sum to alpha at" in fault for fault in faults)


def test_card_and_preview_name_the_foregrounds(lossless: Path) -> None:
    card = (lossless / "README.md").read_text()
    assert all(f"`{name}`" in card for name in ("instances", "instance_names", "instance_kinds", "instance_hidden"))
    croissant = json.loads((lossless / "croissant.json").read_text())
    fields = [field["name"] for field in croissant["recordSet"][0]["field"]]
    assert "instance_names" in fields
    (sample, *_) = samples(str(lossless), clips=2, frames=2)
    assert len(sample.facts["instance_names"].split(", ")) == 2
    picture = np.asarray(sample.layers["instances"][0])
    assert picture.shape == (*np.asarray(sample.layers["alpha"][0]).shape, 3)
    assert (picture[np.asarray(sample.layers["alpha"][0]) == 255].sum(axis=1) > 300).all()


def test_rows_name_all_foregrounds(lossless: Path) -> None:
    rows = [row for path in sorted((lossless / "data").glob("*")) for row in pq.read_table(path).to_pylist()]
    assert {tuple(sorted(row["instance_names"])) for row in rows} == {("0000", "disc")}
    assert all(row["instance_names"][0] == row["foreground_name"] for row in rows)


def test_evaluation_compares_unions_along_another_flow_than_the_motion_of_one(lossless: Path) -> None:
    clips = stored_clips(row_source(str(lossless), fields={}), config=None, split=None)
    assert not any(clip.is_image for clip in clips.values())
    clip = next(iter(clips.values()))
    alphas = [layers["alpha"] for layers in clip.frames(clip.indices, ["alpha"])]
    assert all((alpha > 0).any() for alpha in alphas)


@pytest.mark.parametrize("encoding", ["lossless", "video"])
def test_every_stage_of_rows_with_instances_is_timed(few_sources: Path, encoding: str) -> None:
    config = DVMConfig(name="test", version=DVM.VERSION, data_dir=str(few_sources), foregrounds_per_clip=2)
    config.columns, config.clip_length = ("alpha", "instances"), 2
    times = stage_times(plans(config).clips[0], encoding=encoding, runs=1, tick=lambda: None)
    assert times is not None
    assert sum(name.startswith("encode instances") for name in times.stages) == 1
    assert sum(name.startswith("read a row back") for name in times.stages) == 1
