"""Hashes of source files: computed once, and again after a change."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from dvm_hf.errors import SourceError
from dvm_hf.prepared import source_digests
from dvm_hf.prepared.source_digests import SourceDigests, cached_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "DVM/fg").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "DVM/fg" / name).write_text(name)
    return tmp_path / "DVM"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are hashed from here on."""
    names: list[str] = []
    made = source_digests.sha256_of
    monkeypatch.setattr(source_digests, "sha256_of", lambda path: names.append(path.name) or made(path))
    return names


def of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_only_changed_files_are_hashed_again(root: Path, tmp_path: Path, hashed: list[str]) -> None:
    cache = tmp_path / "sources.json"
    digests = SourceDigests(root, cache)
    for _ in range(2):
        assert digests.of(["fg/b", "fg/a", "fg/b"]) == {"fg/a": of("a"), "fg/b": of("b")}
    assert hashed == ["a", "b"]
    digests.save()
    (root / "fg/b").write_text("new")
    later = SourceDigests(root, cache)
    assert later.of(["fg/a", "fg/b"]) == {"fg/a": of("a"), "fg/b": of("new")}
    assert hashed == ["a", "b", "b"]


@pytest.mark.parametrize("change", ["size", "modified"])
def test_a_change_of_size_or_time_alone_counts(root: Path, tmp_path: Path, hashed: list[str], change: str) -> None:
    """Network file systems can keep some of the times."""
    digests = SourceDigests(root, tmp_path / "sources.json")
    digests.of(["fg/a"])
    size, modified, changed = digests._known["fg/a"][0]
    stale = (size + 1, modified, changed) if change == "size" else (size, modified - 1, changed)
    digests._known["fg/a"] = stale, "0" * 64
    assert digests.of(["fg/a"]) == {"fg/a": of("a")}
    assert hashed == ["a", "a"]


def test_a_cache_of_another_root_or_a_damaged_one_is_not_used(root: Path, tmp_path: Path, hashed: list[str]) -> None:
    cache, other = tmp_path / "sources.json", tmp_path / "other"
    (other / "fg").mkdir(parents=True)
    os.link(root / "fg/a", other / "fg/a")  # the same size and times
    digests = SourceDigests(root, cache)
    digests.of(["fg/a"])
    digests.save()
    SourceDigests(other, cache).of(["fg/a"])
    assert hashed == ["a", "a"]
    cache.write_bytes(cache.read_bytes()[:-5])
    SourceDigests(root, cache).of(["fg/a"])
    assert hashed == ["a", "a", "a"]


def test_the_cached_root_must_exist(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "sources.json"
    assert cached_root(cache) is None
    SourceDigests(root, cache).save()
    assert cached_root(cache) == root
    root.rename(tmp_path / "moved")
    assert cached_root(cache) is None


def test_a_source_that_cannot_be_hashed_is_named(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions were withdrawn after the size was read; root can read everything."""

    def refused(path: Path) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(source_digests, "sha256_of", refused)
    with pytest.raises(SourceError) as error:
        SourceDigests(root, tmp_path / "sources.json").of(["fg/a"])
    assert str(error.value) == f"{root}/fg/a: cannot be read (Permission denied); replace the file"


def test_a_missing_source_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"fg/c: cannot be read \(No such file or directory\)"):
        SourceDigests(root, tmp_path / "sources.json").of(["fg/a", "fg/c"])
