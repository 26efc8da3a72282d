"""Folders of cached files: their limit, damage, and folders that cannot be written to."""

import dataclasses
import logging
import os
from pathlib import Path

import pytest

from dvm_hf.media import cache_folder
from dvm_hf.media.cache_folder import CacheFolder, CacheKind

KIND = CacheKind("things", "DVM_TEST_THINGS", ".thing", 10**10, "things", "they are made again")
SIZE = 1000


def folder(path: Path, **options: int) -> CacheFolder:
    return CacheFolder(KIND, path, **options)


def files(path: Path) -> list[Path]:
    return sorted(path.iterdir())


def body(seed: int) -> bytes:
    return bytes((7 * seed + index) % 256 for index in range(SIZE - 16))


def test_what_was_stored_is_returned(tmp_path: Path) -> None:
    cache = folder(tmp_path / "made")
    assert cache.get("a") is None
    cache.put("a", body(1))
    cache.put("b", b"")
    assert (cache.get("a"), cache.get("b")) == (body(1), b"")
    cache.remove("a")
    cache.remove("a")
    assert cache.get("a") is None


def test_the_files_that_were_used_longest_ago_are_removed(tmp_path: Path) -> None:
    cache = folder(tmp_path, max_bytes=5 * SIZE)
    for age in range(4):
        cache.put(f"key{age}", body(age))
        os.utime(tmp_path / f"key{age}.thing", (1000 + age, 1000 + age))
    assert cache.get("key0") == body(0)  # now the latest
    for number in (4, 5, 6):
        cache.put(f"key{number}", body(number))
    assert cache.get("key1") is None
    assert cache.get("key0") == body(0)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 5 * SIZE


def test_a_file_above_the_limit_is_not_stored(tmp_path: Path) -> None:
    folder(tmp_path, max_bytes=500).put("key", body(0))
    assert files(tmp_path) == []


def test_the_default_limit_is_a_tenth_of_the_free_space_and_at_most_that_of_the_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = folder(tmp_path)
    for free, limit in ((10**9, 10**8), (10**15, 10**10)):
        monkeypatch.setattr(cache_folder.shutil, "disk_usage", lambda _, free=free: type("", (), {"free": free}))
        assert cache._allowed_bytes(0) == limit


def test_abandoned_temporary_files_are_removed_first(tmp_path: Path) -> None:
    old, new = tmp_path / ".a.0.tmp", tmp_path / ".b.0.tmp"
    for path in (old, new):
        path.write_bytes(bytes(3000))
    os.utime(old, (1000, 1000))
    folder(tmp_path, max_bytes=3500).put("key", body(0))
    assert [path.name for path in files(tmp_path)] == [".b.0.tmp", "key.thing"]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-40], lambda data: b"", lambda data: data[:70] + bytes([data[70] ^ 1]) + data[71:]]
)
def test_a_damaged_file_counts_as_missing(damage, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = folder(tmp_path)
    cache.put("a", body(1))
    (path,) = files(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get("a") is None
    assert f"{path}: is damaged; they are made again" in caplog.text
    cache.put("a", body(1))
    assert cache.get("a") == body(1)


def test_a_folder_that_cannot_be_written_to_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("a file")
    quiet = dataclasses.replace(KIND, level=logging.DEBUG)
    for kind, count in ((KIND, 1), (quiet, 0)):
        caplog.clear()
        cache = CacheFolder(kind, tmp_path / "file" / "folder")
        for key in "ab":
            cache.put(key, body(1))
            assert cache.get(key) is None
        assert not cache.is_writable
        messages = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
        assert len(messages) == count
        assert all("things cannot be cached" in message and KIND.variable in message for message in messages)


def test_the_environment_selects_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KIND.variable, "~/elsewhere")
    assert KIND.folder == Path.home() / "elsewhere"
    monkeypatch.setenv(KIND.variable, "")
    assert KIND.folder is None
    monkeypatch.delenv(KIND.variable)
    monkeypatch.setenv("HF_HOME", "/cache")
    assert KIND.folder == Path("/cache/dvm_hf/things")
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/own")
    assert KIND.folder == Path("/own/huggingface/dvm_hf/things")
