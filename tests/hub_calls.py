"""Calls of the real clients for tests, run in the processes of hub_client.py. Arguments and values are JSON."""

import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pyarrow.parquet as pq
from datasets import DatasetDict, load_dataset
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from dvm_hf.cli import main
from dvm_hf.dataset.loading import load_arguments
from dvm_hf.dataset.row_sources import row_source
from dvm_hf.errors import DVMError
from dvm_hf.hub.push import push
from dvm_hf.hub.source_push import push_sources
from dvm_hf.sources.remote.source_files import Prefetch, local_root, present

datasets.config.USE_PARQUET_EXPORT = False  # or 3.6.0 looks up the host of the viewer's server


def command_line(*arguments: str) -> None:
    """`dvm ...`; ends the process as the command does."""
    main(list(arguments), prog_name="dvm")


def program(text: str) -> None:
    """Run the text of a Python program, as `python -c TEXT` does."""
    exec(compile(text, "<string>", "exec"), {"__name__": "__main__"})


def push_in_commits_of(files: int, out: str, repo_id: str) -> list[str]:
    """Push with a small limit of files per commit; return the output."""
    said: list[str] = []
    push(Path(out), repo_id, files_in_one_commit=files, say=said.append)
    return said


def push_sources_in_commits_of(files: int, data_dir: str, repo_id: str, inline_bytes: int) -> list[str]:
    """Push sources with small limits per commit; return the sent files."""
    limits = {"files_in_one_commit": files, "bytes_in_one_commit": inline_bytes}
    return list(push_sources(Path(data_dir), repo_id, **limits).sent)


def kind_of_source(name: str) -> str:
    """Return what `dvm preview` takes a name for."""
    return row_source(name, fields={}).kind


def plain_upload(repo_id: str, folder: str) -> str:
    """Run upload_folder of the client; return the commit."""
    api = HfApi()
    api.create_repo(repo_id, repo_type="dataset", private=True, exist_ok=True)
    return str(api.upload_folder(repo_id=repo_id, repo_type="dataset", folder_path=folder).oid)


def commit(repo_id: str, add: dict[str, str], delete: list[str], parent: str | None = None) -> str:
    """Make a concurrent commit with create_commit."""
    operations: list[Any] = [CommitOperationAdd(path, text.encode()) for path, text in add.items()]
    operations += [CommitOperationDelete(path) for path in delete]
    made = HfApi().create_commit(
        repo_id, operations, repo_type="dataset", commit_message="a change", parent_commit=parent
    )
    return str(made.oid)


def fetched_sources(address: str, *paths: str) -> dict[str, str]:
    """Fetch files of remote sources; return the SHA-256 of each."""
    root = local_root(address)
    with present(root / path for path in paths):
        return {path: hashlib.sha256((root / path).read_bytes()).hexdigest() for path in paths}


def refusals_of_sources(*addresses: str) -> dict[str, str]:
    """Return the error of each address of remote sources."""
    found = {}
    for address in addresses:
        try:
            local_root(address)
        except DVMError as error:
            found[address] = str(error)
    return found


def fetched_one_by_one(address: str, *paths: str) -> None:
    for path in paths:
        fetched_sources(address, path)


def source_rows(data_dir: str) -> list[str]:
    """Return the digests of the rows of load_dataset("dvm.py") from these sources, streamed."""
    fields = {"clip_length": 2, "backgrounds_per_foreground": 2}
    rows = load_dataset(name="train", split="train", streaming=True, data_dir=data_dir, **fields, **load_arguments())
    return [digest(row) for row in undecoded(rows)]


def prefetched_sources(address: str, *paths: str) -> list[str]:
    """Fetch files of remote sources ahead; return those that are here although nothing has asked for them."""
    root, ahead = local_root(address), Prefetch()
    ahead.start(root / path for path in paths)
    end = time.monotonic() + 20
    while not all((root / path).is_file() for path in paths) and time.monotonic() < end:
        time.sleep(0.01)
    ahead.stop()
    return [path for path in paths if (root / path).is_file()]


def create_repo(repo_id: str, private: bool) -> str:
    return str(HfApi().create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True))


def downloaded(repo_id: str, path: str, revision: str | None = None) -> str:
    """Return the SHA-256 of a file downloaded with hf_hub_download."""
    there = huggingface_hub.hf_hub_download(repo_id, path, repo_type="dataset", revision=revision)
    return hashlib.sha256(Path(there).read_bytes()).hexdigest()


def listed(repo_id: str, folder: str | None = None) -> list[str]:
    items = HfApi().list_repo_tree(repo_id, folder, recursive=True, repo_type="dataset")
    return sorted(item.path for item in items)


def who() -> str:
    return str(HfApi().whoami()["name"])


def row_digests(repo_id: str, split: str, revision: str | None, streaming: bool) -> list[str]:
    """Return the SHA-256 of each row that load_dataset returns, images as bytes."""
    rows = load_dataset(repo_id, split=split, revision=revision, streaming=streaming)
    return [digest(row) for row in undecoded(rows)]


def is_loadable(repo_id: str, revision: str) -> bool:
    """Return whether load_dataset finds data there; with an empty cache, which could otherwise be used instead."""
    try:
        return bool(load_dataset(repo_id, revision=revision, streaming=True, cache_dir=tempfile.mkdtemp()))
    except (FileNotFoundError, ValueError) as error:
        print(type(error).__name__, str(error)[:200])
        return False


def push_built(repo_id: str, data_dir: str, cache: str) -> dict[str, list[str]]:
    """Run push_to_hub on a DatasetDict from load_dataset("dvm.py"); return the digests of its rows."""
    arguments = load_arguments() | {"data_dir": data_dir, "cache_dir": cache, "clip_length": 4}
    built = DatasetDict({name: load_dataset(name=name, split=name, **arguments) for name in ("train", "test")})
    built.push_to_hub(repo_id, private=True, num_shards={"train": 2, "test": 1})
    return {name: [digest(row) for row in undecoded(rows)] for name, rows in built.items()}


def undecoded(rows: Any) -> Any:
    """The rows with images as stored. `Dataset.decode` is not in every release, casting is."""
    return rows.cast(undecoded_features(rows.features))


def undecoded_features(feature: Any) -> Any:
    if isinstance(feature, datasets.Image):
        return datasets.Image(decode=False)
    if isinstance(feature, dict):
        return type(feature)({name: undecoded_features(part) for name, part in feature.items()})
    if isinstance(feature, list):
        return [undecoded_features(part) for part in feature]
    if hasattr(feature, "feature"):
        return type(feature)(undecoded_features(feature.feature), length=feature.length)
    return feature


def digest(row: dict[str, Any]) -> str:
    """Return the SHA-256 of a row's values; of images only the bytes, because names depend on the release."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict) and "bytes" in value:
            return hashlib.sha256(value["bytes"]).hexdigest()
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        return [plain(part) for part in value] if isinstance(value, list) else value

    return hashlib.sha256(json.dumps(plain(row), sort_keys=True).encode()).hexdigest()


def file_digests(folder: str) -> dict[str, list[str]]:
    """Return the digests of the rows of a prepared folder's shards, by split, in order; read with pyarrow only."""
    found: dict[str, list[str]] = {}
    for path in sorted(Path(folder, "data").glob("*.parquet")):
        rows = pq.read_table(path).to_pylist()
        found.setdefault(path.name.split("-")[0], []).extend(digest(row) for row in rows)
    return found
