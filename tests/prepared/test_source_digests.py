"""Hashes of source files: computed once, and again after a change."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from dvm_hf.errors import SourceError
from dvm_hf.prepared import source_digests
from dvm_hf.prepared.plans.digest_cache import cached_digests
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


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of 20 files of 10 to 29 bytes under DVM, hashed in groups of at most 3 files or 60 bytes."""
    (tmp_path / "DVM").mkdir()
    for number in range(20):
        (tmp_path / f"DVM/{number:02}").write_bytes(bytes([number]) * (10 + number))
    monkeypatch.setattr(source_digests, "GROUP_FILES", 3)
    monkeypatch.setattr(source_digests, "GROUP_BYTES", 60)
    return [f"{number:02}" for number in range(20)]


def expected(names: list[str]) -> dict[str, str]:
    return {name: hashlib.sha256(bytes([int(name)]) * (10 + int(name))).hexdigest() for name in names}


@pytest.mark.parametrize("threads", [1, 4])
def test_groups_and_threads_do_not_change_the_digests(many: list[str], tmp_path: Path, threads: int) -> None:
    root, cache = tmp_path / "DVM", tmp_path / "sources.sqlite"
    digests = SourceDigests(root, cache, threads=threads)
    assert digests.of(many) == expected(many)
    assert len(list(tmp_path.glob("sources-*.sqlite"))) >= 20 / 3
    digests.save()
    assert list(tmp_path.glob("sources*")) == [cache]


def test_an_interrupted_run_keeps_its_groups(
    many: list[str], tmp_path: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = tmp_path / "DVM", tmp_path / "sources.sqlite"
    made = source_digests.sha256_of

    def interrupted(path: Path) -> str:
        if len(hashed) == 10:
            raise KeyboardInterrupt
        return made(path)

    with monkeypatch.context() as patch:
        patch.setattr(source_digests, "sha256_of", interrupted)
        with pytest.raises(KeyboardInterrupt):
            SourceDigests(root, cache).of(many)
    assert len(hashed) == 10
    kept = sum(len(cached_digests(path, root)) for path in tmp_path.glob("sources-*.sqlite"))
    assert 10 - kept <= 2  # at most the group in which it was interrupted is lost
    (root / "07").write_bytes(b"changed")
    later = SourceDigests(root, cache)
    assert later.of(many) == expected(many) | {"07": hashlib.sha256(b"changed").hexdigest()}
    again = len(hashed) - 10
    assert 20 - kept <= again <= 20 - kept + 3  # the group of the changed file, if it was kept
    later.save()
    assert list(tmp_path.glob("sources*")) == [cache]


def test_a_group_of_another_run_is_used(many: list[str], tmp_path: Path, hashed: list[str]) -> None:
    """Two builders hash the sources of one folder; neither has saved."""
    root, cache = tmp_path / "DVM", tmp_path / "sources.sqlite"
    first, second = SourceDigests(root, cache), SourceDigests(root, cache)
    assert first.of(many) == expected(many)
    assert second.of(many) == expected(many)
    assert sorted(hashed) == many
    first.save()
    second.save()
    assert SourceDigests(root, cache).of(many) == expected(many)
    assert sorted(hashed) == many


def test_a_damaged_group_is_hashed_again(many: list[str], tmp_path: Path, hashed: list[str]) -> None:
    root, cache = tmp_path / "DVM", tmp_path / "sources.sqlite"
    SourceDigests(root, cache).of(many)
    for path in tmp_path.glob("sources-*.sqlite"):
        path.write_bytes(path.read_bytes()[:5000])
    assert SourceDigests(root, cache).of(many) == expected(many)
    assert sorted(hashed) == sorted(2 * many)
