"""Sources in an object store on loopback (moto): the same pixels as local, and which objects are fetched."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_runs import run
from conftest import FEW_ARGUMENTS, require_s3
from hub_client import HubClient
from object_store import BUCKET, ObjectStore
from remote_source_tests import RemoteSourceTests
from stored_plans import stored_plan

from dvm_hf.errors import SourceError
from dvm_hf.sources.remote import source_files
from dvm_hf.sources.remote.source_files import local_root, present

require_s3()
pytestmark = pytest.mark.slow

TRAIN = ("--clip-length", "4", "--backgrounds-per-foreground", "2", "--config", "train")
STILL = "fg/image/train/fg/disc.png"


@pytest.fixture
def store(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ObjectStore:
    """The store for a test with an empty cache."""
    monkeypatch.setenv("DVM_SOURCE_CACHE", str(tmp_path / "cache"))
    object_store.log.clear()
    return object_store


@pytest.fixture
def remote(store: ObjectStore) -> ObjectStore:
    return store


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubClient]:
    """Processes of clients, without a Hub."""
    made = HubClient(
        "http://127.0.0.1:9",
        tmp_path_factory.mktemp("client") / "home",
        token="none",
        variables={"HF_HUB_OFFLINE": "1"},
    )
    yield made
    made.close()


class TestObjectSources(RemoteSourceTests):
    """Objects, each fetched by its key."""


@pytest.fixture
def forgotten() -> Callable[[], None]:
    """Make this process list addresses again, as another one would."""
    return source_files._roots.clear


def digest(source: str) -> Any:
    return json.loads(run("digest", source, *TRAIN, "--json").stdout)


def test_pixels_are_those_of_local_sources_and_a_second_run_fetches_nothing(
    store: ObjectStore, few_sources: Path, forgotten: Callable[[], None]
) -> None:
    address = store.put(few_sources, "sets/DVM")
    store.client().put_object(Bucket=BUCKET, Key="sets/DVM/fg/", Body=b"")  # consoles make such folders
    store.put(few_sources, "sets/DVM2")  # begins alike, but is another folder
    assert digest(address) == digest(str(few_sources))
    fetched = store.fetched()
    assert len(fetched) == len(set(fetched)) == 6
    assert all(path.startswith("sets/DVM/") for path in fetched)
    forgotten()
    digest(f"{address}/")
    assert store.fetched() == []


def test_an_object_that_changes_is_fetched_again(
    store: ObjectStore, few_sources: Path, forgotten: Callable[[], None]
) -> None:
    address = store.put(few_sources, "changing")
    root = local_root(address)
    store.client().put_object(Bucket=BUCKET, Key=f"changing/{STILL}", Body=b"another")
    with pytest.raises(SourceError, match=r"disc\.png: the bytes that the store sends differ from the size or ETag"):
        present([root / STILL]).__enter__()
    forgotten()
    again = local_root(address)
    assert again != root
    with present([again / STILL]):
        assert (again / STILL).read_bytes() == b"another"


def test_large_objects_have_another_kind_of_tag(store: ObjectStore) -> None:
    content, client = bytes(5 * 2**20) + b"end", store.client()
    begun = client.create_multipart_upload(Bucket=BUCKET, Key="large/bg/train/0001.mp4")
    named = {"Bucket": BUCKET, "Key": "large/bg/train/0001.mp4", "UploadId": begun["UploadId"]}
    parts = [
        {"PartNumber": number, "ETag": client.upload_part(**named, PartNumber=number, Body=body)["ETag"]}
        for number, body in ((1, content[:-3]), (2, content[-3:]))
    ]
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    root = local_root(f"s3://{BUCKET}/large")
    with present([root / "bg/train/0001.mp4"]):
        assert (root / "bg/train/0001.mp4").read_bytes() == content
    assert len(store.fetched()) == 1


def test_the_tag_of_an_encrypted_object_is_no_hash(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3's tag of an object with a key of the user looks like an MD5; moto's is one, so the listing is changed."""
    client = store.client()
    for name, more in (("plain", {}), ("secret", {"ServerSideEncryption": "aws:kms"})):
        client.put_object(Bucket=BUCKET, Key=f"{name}/{STILL}", Body=b"pixels", **more)
        listed = source_files._tree_root
        monkeypatch.setattr(
            source_files,
            "_tree_root",
            lambda key, facts, files, cache, listed=listed: listed(
                key, facts, lambda: [one._replace(content=f"md5:{'0' * 32}") for one in files()], cache
            ),
        )
        root = local_root(f"s3://{BUCKET}/{name}")
        if name == "secret":
            with present([root / STILL]):
                assert (root / STILL).read_bytes() == b"pixels"
            continue
        with pytest.raises(SourceError, match="differ from the size or ETag"):
            present([root / STILL]).__enter__()
        assert store.fetched() == [f"plain/{STILL}"] * 2


def test_no_name_leads_out(store: ObjectStore) -> None:
    store.client().put_object(Bucket=BUCKET, Key="evil/fg/../../../stolen.png", Body=b"pixels")
    with pytest.raises(SourceError, match=r"stolen\.png', which is not a path inside the source tree"):
        local_root(f"s3://{BUCKET}/evil")


def test_wrong_addresses_are_explained(store: ObjectStore) -> None:
    for _ in range(2):
        with pytest.raises(SourceError, match=f"s3://{BUCKET}/nothing: contains no files; check the address"):
            local_root(f"s3://{BUCKET}/nothing")
    with pytest.raises(SourceError, match=r"s3://no-such-bucket/set: (not found|contains no files)"):
        local_root("s3://no-such-bucket/set")


def test_a_task_of_a_job_array_with_an_empty_cache_fetches_the_sources_of_its_shard(
    store: ObjectStore,
    few_sources: Path,
    prepared_once: Path,
    forgotten: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each machine of a job array has a cache of its own, also at another path than that of the plan."""
    address, out = store.put(few_sources, "array"), tmp_path / "out"
    assert run("prepare", address, str(out), *FEW_ARGUMENTS, "--plan-only").exit_code == 0
    for index in (0, 1):
        forgotten()
        store.fetched()
        monkeypatch.setenv("DVM_SOURCE_CACHE", str(tmp_path / f"machine {index}"))
        run("prepare", address, str(out), "--config", "train", "--shard-index", str(index))
        assert sorted(store.fetched()) == [f"array/{path}" for path in sorted(stored_plan(out).shard(index).sources)]
        shard = f"data/train-0000{index}-of-00003.parquet"
        assert (out / shard).read_bytes() == (prepared_once / shard).read_bytes()
