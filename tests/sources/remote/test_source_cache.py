"""The cache folder of remote sources: its limit, contents in use, and processes that share it."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from dvm_hf.errors import ConfigError
from dvm_hf.sources.remote.source_cache import SIZE_VARIABLE, SourceCache, cache_folder

SIZE = 1000  # bytes of each content


def store(cache: SourceCache, name: str, *, used: float) -> Path:
    """Store a content as a fetch does, with a link that was used at some time."""
    with cache.fetching(name):
        cache.reserve(name, SIZE)
    content = cache.folder / "objects" / name
    content.parent.mkdir(parents=True, exist_ok=True)
    content.write_bytes(bytes(SIZE))
    os.utime(content, (0, 0))
    link = cache.trees / "tree" / f"{name}.png"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(content)
    os.utime(link, (used, used), follow_symlinks=False)
    return link


def names(cache: SourceCache) -> list[str]:
    return sorted(path.name for path in (cache.folder / "objects").iterdir())


def test_contents_used_longest_ago_are_removed_at_the_limit(tmp_path: Path) -> None:
    cache = SourceCache(tmp_path, max_bytes=4 * SIZE)
    for number, used in enumerate((30, 10, 40, 20)):
        store(cache, f"{number}", used=used)
    assert names(cache) == ["0", "1", "2", "3"]
    store(cache, "4", used=50)
    assert names(cache) == ["0", "2", "4"]  # with the new one at most 90 % of the limit
    assert cache.total_bytes() == 3 * SIZE


def test_contents_in_use_are_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = SourceCache(tmp_path, max_bytes=2 * SIZE)
    store(cache, "old", used=1)
    store(cache, "new", used=2)
    other = SourceCache(tmp_path, max_bytes=2 * SIZE)
    with other.lease(["old"]):
        assert cache.reserve("coming", SIZE, is_needed=False)
        assert names(cache) == ["old"]
        with other.lease(["new"]):
            assert not cache.reserve("coming", 2 * SIZE, is_needed=False)
        assert caplog.text == ""
        assert not cache.reserve("coming", 2 * SIZE)
        assert "take more than the limit of 2,000 bytes" in caplog.text
    assert cache.reserve("coming", 2 * SIZE)
    assert names(cache) == []
    assert list((tmp_path / "leases").iterdir()) == []


def test_what_other_processes_still_fetch_counts(tmp_path: Path) -> None:
    cache, other = (SourceCache(tmp_path, max_bytes=3 * SIZE) for _ in range(2))
    store(cache, "old", used=1)
    with other.fetching("coming"):
        assert other.reserve("coming", 2 * SIZE)  # nothing of it is stored yet
        assert cache.reserve("next", SIZE, is_needed=False)
        assert names(cache) == []
        assert not cache.reserve("last", SIZE + 1, is_needed=False)
    assert cache.reserve("last", SIZE + 1, is_needed=False)


def hold(folder: Path, is_held: "multiprocessing.synchronize.Event") -> None:
    with SourceCache(folder).lease(["held"]):
        is_held.set()
        time.sleep(60)


def test_the_lease_of_a_killed_process_ends(tmp_path: Path) -> None:
    cache = SourceCache(tmp_path, max_bytes=SIZE)
    store(cache, "held", used=1)
    context = multiprocessing.get_context("fork")
    is_held = context.Event()
    process = context.Process(target=hold, args=(tmp_path, is_held))
    process.start()
    try:
        assert is_held.wait(30)
        assert not cache.reserve("coming", SIZE, is_needed=False)
        assert names(cache) == ["held"]
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(30)
        assert cache.reserve("coming", SIZE, is_needed=False)
        assert names(cache) == []
    finally:
        process.kill()
        process.join()


def test_the_environment_selects_folder_and_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("DVM_SOURCE_CACHE", raising=False)
    assert cache_folder() == tmp_path / "hf" / "dvm_hf" / "sources"
    monkeypatch.setenv("DVM_SOURCE_CACHE", "")
    with pytest.raises(ConfigError, match="DVM_SOURCE_CACHE is empty"):
        cache_folder()
    monkeypatch.setenv("DVM_SOURCE_CACHE", str(tmp_path / "chosen"))
    cache = SourceCache(cache_folder())
    monkeypatch.setenv(SIZE_VARIABLE, "1 kB")
    cache.require_usable()
    assert cache.reserve("coming", 1000)
    assert not cache.reserve("coming", 1001)
    monkeypatch.setenv(SIZE_VARIABLE, "much")
    with pytest.raises(ConfigError, match="DVM_SOURCE_CACHE_SIZE='much': not a size"):
        cache.require_usable()


def test_an_interrupted_count_is_corrected(tmp_path: Path) -> None:
    """A process that reserves room and is killed before it stores anything must not take the room for ever."""
    cache = SourceCache(tmp_path, max_bytes=3 * SIZE)
    store(cache, "one", used=1)
    assert cache.reserve("coming", 2 * SIZE)  # never stored
    store(cache, "two", used=2)
    assert names(cache) == ["one", "two"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=rf"^{folder}: cannot be used as the cache .*set DVM_SOURCE_CACHE"):
            SourceCache(folder).require_usable()
