"""Commands that read a prepared folder at the address of an object store: the results of the local folder."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from command_runs import assert_plain_refusal, run
from conftest import FEW_ARGUMENTS, require_s3
from datasets import load_dataset
from object_store import BUCKET, ObjectStore

from dvm_hf.dataset.row_sources import row_source
from dvm_hf.prepared.placeholder_card import PLACEHOLDER_CARD
from dvm_hf.preview.samples import Sample, samples

require_s3()
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def uploaded(running_store: ObjectStore, prepared_once: Path) -> str:
    return running_store.put(prepared_once, "uploaded")


@pytest.fixture
def address(uploaded: str, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A prepared folder in the store, and an empty cache of remote sources."""
    monkeypatch.setenv("DVM_SOURCE_CACHE", str(tmp_path / "cache"))
    return uploaded


def answer(*arguments: object) -> Any:
    ended = run(*map(str, arguments), "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def test_digests_are_those_of_the_folder(address: str, prepared_once: Path, object_store: ObjectStore) -> None:
    assert answer("digest", address) == answer("digest", prepared_once)
    assert [key for key in object_store.fetched() if key.endswith(".parquet")] == []
    assert answer("digest", address, "--config", "test") == answer("digest", prepared_once, "--config", "test")
    assert_plain_refusal(["digest", address, "--clip-length", "2"], "applies only to a source folder")


def test_an_exported_plan_has_its_digests(address: str, few_sources: Path, prepared_once: Path, tmp_path: Path) -> None:
    for name, out in (("store", address), ("local", prepared_once)):
        file = tmp_path / f"{name}.json"
        answer("plan", few_sources, "--export", file, "--digests", out, "--clip-length", "2")
    assert (tmp_path / "store.json").read_bytes() == (tmp_path / "local.json").read_bytes()


def test_digests_of_lossless_images_are_computed(few_sources: Path, object_store: ObjectStore, tmp_path: Path) -> None:
    out = f"s3://{BUCKET}/lossless"
    answer("prepare", few_sources, out, *FEW_ARGUMENTS, "--config", "train", "--encoding", "lossless")
    assert answer("digest", out, "--read-data") == answer("digest", out)


def test_a_page_shows_the_rows_of_the_folder(address: str, prepared_once: Path, tmp_path: Path) -> None:
    made = answer("preview", address, "-o", tmp_path / "page.html", "--clips", "2")
    assert made["clips"] == 2
    assert address in (tmp_path / "page.html").read_text()
    for split in (None, "test"):
        shown, expected = (samples(str(source), clips=3, split=split) for source in (address, prepared_once))
        assert [one.facts for one in shown] == [one.facts for one in expected]
        assert list(map(pixels, shown)) == list(map(pixels, expected))


def pixels(sample: Sample) -> dict[str, list[bytes]]:
    return {name: [image.tobytes() for image in images] for name, images in sample.layers.items()}


def test_sources_in_a_store_are_shown(few_sources: Path, object_store: ObjectStore, tmp_path: Path) -> None:
    found = row_source(object_store.put(few_sources, "sources"), fields={})
    assert found.kind == "sources"


def test_a_store_that_fails_between_two_rows_is_no_bug(
    address: str, prepared_once: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """botocore's errors are not OSErrors. A second request of a shard fails; its first one reads the footer."""
    from botocore.exceptions import EndpointConnectionError
    from s3fs import S3FileSystem

    original, sent = S3FileSystem._call_s3, []

    async def failing(self: S3FileSystem, method: str, *arguments: Any, **options: Any) -> Any:
        if method == "get_object" and str(options.get("Key")).endswith(".parquet"):
            sent.append(options["Key"])
            if len(sent) > 1:
                raise EndpointConnectionError(endpoint_url="http://store")
        return await original(self, method, *arguments, **options)

    monkeypatch.setattr(S3FileSystem, "_call_s3", failing)
    monkeypatch.setattr("dvm_hf.addresses.RETRY_SECONDS", 0.1)
    for command in (["preview", address, "-o", str(tmp_path / "page.html")], ["evaluate", str(prepared_once), address]):
        sent.clear()
        assert_plain_refusal(command, 'endpoint URL: "http://store"); check the network and the credentials')


def test_it_is_the_reference_of_predictions(address: str, prepared_once: Path) -> None:
    """The local folder is second: its results come from the cache only if its images are the same bytes."""
    results = [answer("evaluate", prepared_once, reference) for reference in (address, prepared_once)]
    assert results[0] == results[1]
    assert answer("evaluate", address, prepared_once)["mean"] == results[0]["mean"]


def test_the_printed_call_loads_every_split(
    address: str, few_sources: Path, prepared_once: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)  # it also forbids addresses
    said = run("prepare", str(few_sources), address, *FEW_ARGUMENTS).stdout
    call = re.search(r"To load it: (load_dataset\(.*?\))\. ", said)
    assert call, said
    cached = partial(load_dataset, cache_dir=str(tmp_path))
    made, local = eval(call[1], {"load_dataset": cached}), load_dataset(str(prepared_once))
    assert {split: made[split].features for split in made} == {split: local[split].features for split in local}
    assert {split: made[split]["clip_id"] for split in made} == {split: local[split]["clip_id"] for split in local}


def test_commands_that_read_sources_name_the_folder(address: str, prepared_once: Path) -> None:
    for source in (address, str(prepared_once)):
        assert_plain_refusal(["check", source], "was built by dvm prepare, and contains no sources")


def test_an_incomplete_folder_is_not_read(address: str, object_store: ObjectStore) -> None:
    card = object_store.objects("uploaded/README.md")[""]
    for data, text in ((PLACEHOLDER_CARD, "cannot be read"), (b"---\n- [\n---\n", "is not a valid dataset card")):
        object_store.client().put_object(Bucket=BUCKET, Key="uploaded/README.md", Body=data)
        try:
            assert_plain_refusal(["preview", address], text)
        finally:
            object_store.client().put_object(Bucket=BUCKET, Key="uploaded/README.md", Body=card)
