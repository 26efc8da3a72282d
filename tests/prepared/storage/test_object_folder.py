"""A prepared folder in an object store: the same objects as the files of a local folder."""

import hashlib
from pathlib import Path

import pytest
from conftest import FEW_ARGUMENTS, file_hashes, require_s3
from object_store import BUCKET, ObjectStore

from dvm_hf.cli import main

require_s3()
pytestmark = pytest.mark.slow


def run(*arguments: object) -> None:
    main([str(one) for one in arguments], standalone_mode=False)


def hashes(store: ObjectStore, prefix: str) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in store.objects(f"{prefix}/").items()}


def published(folder: Path) -> dict[str, str]:
    return {name: sha for name, sha in file_hashes(folder).items() if not name.startswith(".cache/")}


def test_objects_equal_the_files_of_a_local_folder(
    few_sources: Path, prepared_once: Path, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    run("prepare", few_sources, f"s3://{BUCKET}/same", *FEW_ARGUMENTS, "--json")
    assert hashes(object_store, "same") == published(prepared_once)
    assert list(tmp_path.iterdir()) == []  # no folder s3: here
