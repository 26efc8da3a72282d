"""The names and the JSON files of a prepared folder: published folders depend on both."""

import hashlib
from pathlib import Path

import pytest

from dvm_hf.errors import DamagedError, PreparedError
from dvm_hf.prepared.folder import SHARD_FILE, checksummed, json_bytes, read_checksummed, shard_name


def test_json_has_one_format() -> None:
    """One space per level and text as it is: other bytes would be other hashes of the same plan."""
    assert json_bytes({"b": "grün", "a": [1, None]}) == '{\n "b": "grün",\n "a": [\n  1,\n  null\n ]\n}\n'.encode()


def test_the_checksum_is_the_hash_of_the_file_without_it(tmp_path: Path) -> None:
    digest = hashlib.sha256(b'{\n "format": 2,\n "kind": "plan"\n}\n').hexdigest()
    path = tmp_path / "plan.json"
    path.write_text(f'{{\n "format": 2,\n "kind": "plan",\n "seal": "{digest}"\n}}\n')
    assert read_checksummed(path, "plan") == {"format": 2, "kind": "plan"}


@pytest.mark.parametrize(
    ("split", "index", "count", "name"),
    [("train", 7, 240, "train-00007-of-00240"), ("test", 123456, 200000, "test-123456-of-200000")],
)
def test_shards_are_named_as_on_the_hub(split: str, index: int, count: int, name: str) -> None:
    assert shard_name(split, index, count) == name
    found = SHARD_FILE.fullmatch(f"{name}.parquet")
    assert found is not None
    assert (found["split"], int(found["index"]), int(found["count"])) == (split, index, count)


@pytest.mark.parametrize(
    "name",
    ["valid-00000-of-00001.parquet", "train-0000-of-0001.parquet", "train-00000-of-00001xparquet", "data-00000.json"],
)
def test_other_names_are_not_shards(name: str) -> None:
    assert SHARD_FILE.fullmatch(name) is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"[" * 100_000, "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[]\n", "is damaged or was edited"),
        (checksummed({"format": 1, "kind": "plan"}).replace(b"\n ", b"\n  "), "is damaged or was edited"),
    ],
)
def test_damage_is_named_with_its_repair(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=text) as error:
        read_checksummed(path, "plan")
    assert str(error.value).startswith(f"{path}: ")
    assert "dvm verify --repair" in str(error.value)


@pytest.mark.parametrize("number", [0, 3])
def test_a_file_of_another_release_is_not_damaged(tmp_path: Path, number: int) -> None:
    """A repair would replace it."""
    path = tmp_path / "plan.json"
    path.write_bytes(checksummed({"format": number, "kind": "plan"}))
    with pytest.raises(PreparedError, match=f"has format {number}, but this release reads 2; use another") as error:
        read_checksummed(path, "plan")
    assert not isinstance(error.value, DamagedError)
