"""Sources files in a listing of remote sources: their paths are relative to the address, and stay below it."""

from pathlib import Path

import pytest
from placeholder_sources import put

from dvm_hf.errors import SourceError
from dvm_hf.sources.remote.listed_tree import RemoteFile, write_listing
from dvm_hf.sources.sources_file import read_sources_file

REPO = "alice/sources"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVM_SOURCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


OUTSIDE = ("/etc", "~/sets", "../b", "a/../../b", "s3://bucket/sets", "file:///etc", "https://example.org/sets")


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("key", ["path", "include"])
def test_a_remote_sources_file_does_not_lead_out_of_its_folder(cache: Path, path: str, key: str) -> None:
    """Its paths would be read on the machine that loads it."""
    path = path if key == "path" else f"{path}.txt"
    text = f"train: {{foregrounds: [{{path: a}}], backgrounds: [{{path: a, {key}: '{path}'}}]}}\n"
    text = text.replace("path: a, path: ", "path: ")
    file = remote_file(cache, text, "alice/sources/a/fg/image/train/fg/cat.png")
    with pytest.raises(SourceError, match=rf"{key}: .* leads out of the folder of this remote sources file"):
        read_sources_file(file)


def test_paths_of_a_remote_sources_file_are_relative_to_its_address(cache: Path) -> None:
    text = "train: {foregrounds: [{path: ./b/../a}], backgrounds: [{path: a/bg/train, include: [x, list.txt]}]}\n"
    file = remote_file(cache, text, "alice/sources/a/bg/train/1.mp4", "alice/sources/list.txt", data=b"1\n")
    found = read_sources_file(file)
    assert [entry.folder for entry in found.entries] == [file.parent / "a", file.parent / "a/bg/train"]
    assert found.entries[1].names.include == ("x", "1")


def remote_file(cache: Path, text: str, *others: str, data: bytes = b"x") -> Path:
    """Return the path of a sources file in a listing, fetched already."""
    listed = [RemoteFile("alice/sources/sources.yaml", len(text), "sha256:1")]
    listed += [RemoteFile(path, len(data), f"sha256:{number}") for number, path in enumerate(others, start=2)]
    root = cache / "trees" / "x"
    facts = {"address": f"hf://datasets/{REPO}", "inside": REPO}
    write_listing(cache / "listings" / "x.sqlite", root, listed, facts)
    put(root, *others, data=data)
    (root / REPO / "sources.yaml").write_text(text)
    return root / REPO / "sources.yaml"
