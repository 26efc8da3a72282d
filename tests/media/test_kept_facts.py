"""Facts about files: kept in the process and on the disk, and never used for a file that has changed."""

import multiprocessing
import os
import time
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dvm_hf.media import kept_facts
from dvm_hf.media.bounded_memory import BoundedMemory
from dvm_hf.media.kept_facts import KEPT, TIMELINES, FactKind
from dvm_hf.worker_processes import lean_environment

pytestmark = pytest.mark.usefixtures("timelines")

NUMBERS: FactKind[list[int]] = FactKind("numbers", as_json=list, from_json=lambda stored: [int(one) for one in stored])


@pytest.fixture
def folder(timelines: Path) -> Path:
    """The cache folder, which does not exist yet."""
    timelines.rmdir()
    return timelines


def written(path: Path, text: str = "text") -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose facts are kept although it was written a moment ago."""
    monkeypatch.setattr(kept_facts, "RECENT", 0)
    return written(tmp_path / "file")


def kept(path: Path, *parameters: Any, on_disk: bool = True) -> list[int] | None:
    """The facts that this process keeps or, by default, those that another process finds."""
    if on_disk:
        KEPT.clear()
    return NUMBERS.get(NUMBERS.key(path, *parameters))


def put(path: Path, facts: list[int], *parameters: Any) -> None:
    NUMBERS.put(NUMBERS.key(path, *parameters), facts)


@pytest.mark.parametrize("on_disk", [False, True])
def test_facts_are_those_of_the_kind_and_its_parameters(path: Path, on_disk: bool) -> None:
    put(path, [1, 2, 3])
    put(path, [4], "other")
    assert kept(path, on_disk=on_disk) == [1, 2, 3]
    assert kept(path, "other", on_disk=on_disk) == [4]
    assert kept(path, "third", on_disk=on_disk) is None
    letters: FactKind[list[int]] = FactKind("letters", as_json=list, from_json=list)
    assert letters.get(letters.key(path)) is None


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("change", ["size", "time", "replaced", "removed"])
def test_facts_of_a_changed_file_are_not_used(path: Path, on_disk: bool, change: str) -> None:
    before = path.stat()
    put(path, [1])
    time.sleep(0.02)  # longer than a tick of the file system
    if change == "size":
        path.write_text("longer text")
    elif change == "time":
        os.utime(path)
    elif change == "replaced":  # by one of the same size and modification time
        written(path.with_name("new"), "TEXT").replace(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        path.unlink()
    assert kept(path, on_disk=on_disk) is None


@pytest.mark.parametrize("changed", ["st_size", "st_mtime_ns", "st_ctime_ns"])
def test_the_size_and_each_time_identify_a_file(path: Path, monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    """Also where a file system does not change the other times."""
    found = path.stat()
    values = {name: getattr(found, name) for name in ("st_size", "st_mtime_ns", "st_ctime_ns")}
    states = [SimpleNamespace(**values), SimpleNamespace(**values | {changed: values[changed] + 1})]
    with monkeypatch.context() as patch:
        patch.setattr(kept_facts.os, "stat", lambda _: states[0])
        first = NUMBERS.key(path)
        patch.setattr(kept_facts.os, "stat", lambda _: states[1])
        second = NUMBERS.key(path)
    assert None not in (first.state, second.state)
    assert first.file_name != second.file_name


def test_facts_are_not_kept_if_the_file_changed_while_it_was_read(path: Path, folder: Path) -> None:
    key = NUMBERS.key(path)
    path.write_text("longer text")
    NUMBERS.put(key, [1])
    assert NUMBERS.get(key) is None
    assert not folder.exists()


def test_facts_of_a_file_that_was_changed_a_moment_ago_are_not_kept(tmp_path: Path, folder: Path) -> None:
    """Another change could leave the same times."""
    path = written(tmp_path / "file")
    put(path, [1])
    assert kept(path, on_disk=False) is None
    assert not folder.exists()


def test_facts_of_a_file_that_was_changed_some_seconds_ago_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "file")
    changed, now = path.stat().st_ctime, time.time
    monkeypatch.setattr(kept_facts.time, "time", lambda: changed + 1.9)
    put(path, [1])
    assert kept(path) is None
    monkeypatch.setattr(kept_facts.time, "time", lambda: changed + 2.1)
    put(path, [1])
    assert kept(path) == [1]
    monkeypatch.setattr(kept_facts.time, "time", now)


DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[:-3],
    "one bit": lambda data: data[:5] + bytes([data[5] ^ 1]) + data[6:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_ignored_and_written_again(path: Path, folder: Path, damage: str) -> None:
    put(path, [1, 2])
    (file,) = folder.iterdir()
    valid = file.read_bytes()
    file.write_bytes(DAMAGE[damage](valid))
    assert kept(path) is None
    put(path, [1, 2])
    assert file.read_bytes() == valid


@pytest.mark.parametrize("text", [b"{", b"null", b'["a"]', b"[1", b"\xff"])
def test_a_valid_file_with_other_contents_is_ignored(path: Path, folder: Path, text: bytes) -> None:
    put(path, [1])
    name = NUMBERS.key(path).file_name
    for data in (zlib.compress(text), text):
        kept_facts.CacheFolder(TIMELINES, folder).put(name, data)
        assert kept(path) is None
    put(path, [1])
    assert kept(path) == [1]


@pytest.mark.parametrize("changed", ["FORMAT", "_libraries"])
def test_facts_of_another_format_or_library_are_not_used(
    path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    put(path, [1])
    monkeypatch.setattr(kept_facts, changed, {"FORMAT": 99, "_libraries": lambda: "other"}[changed])
    assert kept(path) is None


def test_without_a_folder_facts_are_kept_in_the_process_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMELINES.variable, "")
    put(path, [1])
    assert kept(path, on_disk=False) == [1]
    assert kept(path) is None


def test_a_folder_that_cannot_be_written_to_is_no_error(
    path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text("a file")
    put(path, [1])
    assert kept(path, on_disk=False) == [1]
    assert not caplog.records  # at the level of warnings


def test_a_folder_that_can_only_be_read_is_used(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by patches, because root may write anywhere."""
    put(path, [1])

    def refused(*given: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    for module, name in ((os, "replace"), (os, "utime"), (Path, "write_bytes"), (Path, "unlink")):
        monkeypatch.setattr(module, name, refused)
    assert kept(path) == [1]
    put(path, [2], "more")
    assert kept(path, "more", on_disk=False) == [2]
    NUMBERS.forget(NUMBERS.key(path))


def test_forgotten_facts_are_not_used(path: Path, folder: Path) -> None:
    put(path, [1])
    NUMBERS.forget(NUMBERS.key(path))
    assert kept(path, on_disk=False) is None
    assert list(folder.iterdir()) == []


def test_the_facts_of_a_process_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMELINES.variable, "")
    memory = BoundedMemory(1000)
    monkeypatch.setattr(kept_facts, "KEPT", memory)
    for number in range(20):
        put(path, [number], number)
        assert memory.size_in_bytes <= 1000
    assert [number for number in range(20) if kept(path, number, on_disk=False)] == [15, 16, 17, 18, 19]


def _found(path: str, first: int) -> list[list[int] | None]:
    kept_facts.RECENT = 0  # in a new process
    for number in range(first, first + 30):
        key = NUMBERS.key(Path(path), number % 40)
        if NUMBERS.get(key) is None:
            NUMBERS.put(key, [number % 40] * 1000)
    KEPT.clear()
    return [NUMBERS.get(NUMBERS.key(Path(path), number)) for number in range(40)]


@pytest.mark.slow
def test_processes_share_the_folder(path: Path, folder: Path) -> None:
    with lean_environment(), multiprocessing.get_context("spawn").Pool(2) as pool:
        results = pool.starmap(_found, [(str(path), 0), (str(path), 15), (str(path), 0), (str(path), 15)])
    for result in results:
        assert all(facts in (None, [number] * 1000) for number, facts in enumerate(result))
    assert [kept(path, number) for number in range(40)] == [[number] * 1000 for number in range(40)]
    assert len(list(folder.iterdir())) == 40
