"""A prepared folder in an object store: the same objects as the files of a local folder, each written once."""

import hashlib
import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest
from conftest import FEW_ARGUMENTS, published_hashes, require_s3
from object_store import BUCKET, ObjectStore

from dvm_hf import PreparedError, addresses
from dvm_hf.cli import main
from dvm_hf.prepared.storage.object_path import ObjectPath, location
from dvm_hf.prepared.storage.object_storage import COPIES, ObjectStorage, scratch_folder

require_s3()
pytestmark = pytest.mark.slow

SHARD, SIDECAR = "data/train-00001-of-00003.parquet", "shards/train-00001-of-00003.json"


def hashes(store: ObjectStore, prefix: str) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in store.objects(f"{prefix}/").items()}


def uploaded(store: ObjectStore, folder: Path, prefix: str) -> str:
    """Copy a prepared folder into the store with boto3; return its address."""
    for name in published_hashes(folder):
        store.client().put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=(folder / name).read_bytes())
    return f"s3://{BUCKET}/{prefix}"


@pytest.fixture
def answer(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command in an empty folder; return its JSON and its exit code. Nothing may remain in the folders."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    def call(*arguments: object) -> tuple[dict[str, Any], int]:
        capsys.readouterr()
        try:
            main([*map(str, arguments), "--json"], standalone_mode=False)
            code = 0
        except SystemExit as end:
            code = int(str(end.code))
        return json.loads(capsys.readouterr().out), code

    yield call
    assert list((tmp_path / "empty").iterdir()) == []  # no folder s3:
    assert [path for path in scratch_folder().glob("*") if path.is_file()] == []


def test_objects_equal_the_files_of_a_local_folder(
    few_sources: Path, prepared_once: Path, object_store: ObjectStore, answer: Any
) -> None:
    out = f"s3://{BUCKET}/same"
    made, _ = answer("prepare", few_sources, out, *FEW_ARGUMENTS, "--num-proc", 2)
    assert (made["out"], made["complete"], len(made["built"])) == (out, True, 6)
    assert hashes(object_store, "same") == published_hashes(prepared_once)
    assert answer("prepare", few_sources, out, *FEW_ARGUMENTS)[0]["built"] == []


def test_the_tasks_of_a_job_array_build_them(
    few_sources: Path, prepared_once: Path, object_store: ObjectStore, answer: Any
) -> None:
    out = f"s3://{BUCKET}/array"
    answer("prepare", few_sources, out, *FEW_ARGUMENTS, "--plan-only")
    assert answer("prepare", few_sources, out, "--finish")[1] == 1
    for split in ("train", "test"):
        for index in range(3):
            task = ("prepare", few_sources, out, "--config", split, "--shard-index", index)
            assert len(answer(*task)[0]["built"]) == 1
    assert answer(*task)[0]["built"] == []
    assert answer("prepare", few_sources, out, "--finish") == (answer("prepare", few_sources, out, "--finish")[0], 0)
    assert hashes(object_store, "array") == published_hashes(prepared_once)


def test_a_second_run_builds_only_what_is_missing(
    few_sources: Path, prepared_once: Path, object_store: ObjectStore, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a shard without its sidecar: its builder ended between the two, and the object stays."""
    out = uploaded(object_store, prepared_once, "rerun")
    client = object_store.client()
    for name in (SIDECAR, "data/test-00000-of-00003.parquet", "shards/test-00000-of-00003.json"):
        client.delete_object(Bucket=BUCKET, Key=f"rerun/{name}")
    listing, listed = ObjectPath.listing, []
    monkeypatch.setattr(ObjectPath, "listing", lambda path: listed.append(path) or listing(path))
    before = client.head_object(Bucket=BUCKET, Key=f"rerun/{SHARD}")["LastModified"]
    made, _ = answer("prepare", few_sources, out, *FEW_ARGUMENTS)
    assert sorted(made["built"]) == ["test-00000-of-00003.parquet", "train-00001-of-00003.parquet"]
    assert hashes(object_store, "rerun") == published_hashes(prepared_once)
    assert client.head_object(Bucket=BUCKET, Key=f"rerun/{SHARD}")["LastModified"] == before
    assert len(listed) <= 6  # two for each split and two for all


def test_a_damaged_object_is_named_and_repaired(
    few_sources: Path, prepared_once: Path, object_store: ObjectStore, answer: Any
) -> None:
    out = uploaded(object_store, prepared_once, "damaged")
    assert answer("verify", out, "--read-data") == (
        {"out": out, "ok": True, "shards": 6, "read_data": True, "faults": [], "repaired": [], "left_out": []},
        0,
    )
    data = bytearray((prepared_once / SHARD).read_bytes())
    data[100] ^= 1
    object_store.client().put_object(Bucket=BUCKET, Key=f"damaged/{SHARD}", Body=bytes(data))
    found, code = answer("verify", out)
    assert (code, [fault["path"] for fault in found["faults"]]) == (1, [SHARD])
    object_store.client().delete_object(Bucket=BUCKET, Key=f"damaged/{SIDECAR}")
    with pytest.raises(click.ClickException, match=f"^{out}/{SHARD}: exists with other bytes .*verify --repair"):
        answer("prepare", few_sources, out, *FEW_ARGUMENTS)
    assert answer("verify", out, "--repair", "--data-dir", few_sources)[1] == 0
    assert hashes(object_store, "damaged") == published_hashes(prepared_once)


def test_shards_are_read_once_and_a_few_at_a_time(
    prepared_once: Path, object_store: ObjectStore, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, pair, most = uploaded(object_store, prepared_once, "reading"), threading.Barrier(2, timeout=10), [0]

    def paired(environ: dict[str, Any]) -> None:
        if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"].endswith(".parquet"):
            pair.wait()  # fails unless another shard is requested before this one is answered
            most.append(len(list(scratch_folder().glob(".*.parquet.*"))))

    monkeypatch.setattr(object_store, "on_request", paired)
    object_store.log.clear()
    assert answer("verify", out, "--read-data")[1] == 0
    read = [key for key in object_store.fetched() if key.endswith(".parquet")]
    assert len(read) == len(set(read)) == 6
    assert 2 <= max(most) <= COPIES


def test_load_dataset_reads_the_objects(prepared_once: Path, object_store: ObjectStore) -> None:
    from datasets import load_dataset

    out = uploaded(object_store, prepared_once, "load")
    made = load_dataset("parquet", data_files={"train": f"{out}/data/train-*.parquet"}, split="train", streaming=True)
    local = load_dataset(str(prepared_once), split="train", streaming=True)
    assert made.features == local.features
    assert list(made.decode(False)) == list(local.decode(False))


def test_a_lost_answer_to_a_put_loses_nothing(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has the object, its client does not know that, and sends it again."""
    from s3fs import S3FileSystem

    monkeypatch.setattr(addresses, "FIRST_WAIT", 0.01)
    sent, send = [], S3FileSystem._put_file

    async def lost(self: Any, *arguments: Any, **options: Any) -> None:
        sent.append(await send(self, *arguments, **options))
        if len(sent) == 1:
            raise ConnectionResetError("lost")

    monkeypatch.setattr(S3FileSystem, "_put_file", lost)
    path = location(f"s3://{BUCKET}/lost/data/shard.parquet")
    with suppress(ValueError), ObjectStorage().new_file(path, replaces=False) as new:
        new.write_bytes(b"half a shard")
        raise ValueError("while it is rendered")
    assert object_store.objects("lost/") == {}
    with ObjectStorage().new_file(path, replaces=False) as new:
        new.write_bytes(b"a shard")
    assert object_store.objects("lost/") == {"data/shard.parquet": b"a shard"}


@pytest.mark.parametrize(("kind", "method"), [("one request", "PUT"), ("parts", "POST")])
def test_a_store_that_ignores_conditions_is_named_before_the_first_shard(
    few_sources: Path, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, kind: str, method: str
) -> None:
    """Uploads in parts are completed by POST."""

    def ignoring(environ: dict[str, Any]) -> None:
        if environ["REQUEST_METHOD"] == method:
            environ.pop("HTTP_IF_NONE_MATCH", None)

    monkeypatch.setattr(object_store, "on_request", ignoring)
    out = f"s3://{BUCKET}/ignoring-{method}"
    with pytest.raises(
        click.ClickException, match=rf"^{out}/plan/train.json: the store replaced .* in {kind}, has the"
    ):
        main(["prepare", str(few_sources), out, *FEW_ARGUMENTS], standalone_mode=False)
    assert [name for name in object_store.objects(f"ignoring-{method}/") if name.endswith(".parquet")] == []
    assert object_store.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []


def test_an_upload_in_parts_also_keeps_an_existing_object(
    object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvm_hf.prepared.storage.object_storage.PART", 5 << 20)
    path = location(f"s3://{BUCKET}/parts/data/shard.parquet")

    def put(first: bytes) -> None:
        with ObjectStorage().new_file(path, replaces=False) as new:
            new.write_bytes(first + bytes(11 << 20))

    put(b"A")
    put(b"A")
    with pytest.raises(PreparedError, match="exists with other bytes"):
        put(b"B")
    assert object_store.objects("parts/")["data/shard.parquet"][:1] == b"A"
    assert object_store.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
