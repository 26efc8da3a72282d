"""Paths of objects, with fsspec's file system in memory."""

import errno
import io
import pickle
import random
import time
from pathlib import Path
from threading import Event

import fsspec
import fsspec.implementations.memory
import pytest

from dvm_hf import ConfigError, PreparedError, StoreError, addresses
from dvm_hf.prepared.folder import PLAN_KIND, PreparedFolder, read_checksummed
from dvm_hf.prepared.placeholder_card import write_placeholder
from dvm_hf.prepared.shards import ShardIdentity, finished
from dvm_hf.prepared.storage import object_storage
from dvm_hf.prepared.storage.object_path import ObjectPath, location
from dvm_hf.prepared.storage.object_storage import COPIES, ObjectStorage


def test_paths_keep_their_address() -> None:
    path = location("s3://bucket/prefix") / "data" / "a.parquet"
    assert isinstance(path, ObjectPath)
    assert str(path) == "s3://bucket/prefix/data/a.parquet"
    assert (path.parent.parent, path.name, path.stem) == (location("s3://bucket/prefix/"), "a.parquet", "a")
    assert path.relative_to(location("s3://bucket/prefix")).as_posix() == "data/a.parquet"
    assert str(path.with_name("b")) == "s3://bucket/prefix/data/b"
    assert pickle.loads(pickle.dumps(path)) == path == location(path)
    assert len({path, location(str(path))}) == 1
    assert location("prefix") == Path.cwd() / "prefix"


def test_objects_are_read_as_files() -> None:
    root = location("memory://object_path/out")
    for name in ("a", "data/b.json", "data/c.json", "data/d/e.json"):
        ObjectStorage().create(root / name, name.encode())
    assert (root / "data/b.json").read_bytes() == b"data/b.json"
    assert (root / "data/b.json").stat().st_size == 11
    with ObjectStorage().reader(root / "data/b.json") as read:
        assert (read(5, 3), read(9, 100)) == (b"b.j", b"on")
    assert ((root / "a").is_file(), (root / "a").is_dir(), (root / "data").is_dir()) == (True, False, True)
    assert [(path / "no").exists() for path in (root, root / "data")] == [False, False]
    assert sorted((root / "data").glob("*.json")) == [root / "data/b.json", root / "data/c.json"]
    assert ObjectStorage().stems(root / "data", ".json") == {"b", "c"}
    assert list(ObjectStorage().files(root)) == ["a", "data/b.json", "data/c.json", "data/d/e.json"]
    ObjectStorage().move(root / "a", root / "moved")
    (root / "a").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (root / "a").unlink()
    assert (root / "moved").read_bytes() == b"a"


def test_the_first_writer_wins() -> None:
    path = location("memory://object_path/first")
    ObjectStorage().create(path, b"first")
    ObjectStorage().create(path, b"second")
    assert path.read_bytes() == b"first"
    ObjectStorage().write(path, b"third")
    assert path.read_bytes() == b"third"


def test_a_store_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """After some tries."""
    path, tries = location("memory://unreachable/out/README.md"), []

    def refused(*arguments: object, **options: object) -> None:
        tries.append(arguments)
        raise RuntimeError("no route")

    monkeypatch.setattr(addresses, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(addresses, "FIRST_WAIT", 0.02)
    assert isinstance(path, ObjectPath)
    monkeypatch.setattr(type(path.fs), "pipe_file", refused)
    with pytest.raises(StoreError, match=r"^memory://unreachable/out/README.md: the request .* fails \(no route\)"):
        ObjectStorage().create(path, b"text")
    assert len(tries) == 3  # after 0, 0.02 and 0.06 s


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PermissionError("Forbidden"), "access is denied"),
        (OSError(errno.ENOSYS, "A header"), "does not implement"),
        (ValueError("Invalid bucket name"), "the request to the store fails"),
    ],
)
def test_what_a_store_refuses_is_no_damage(error: Exception, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a finished shard is not built again, and the request is sent once."""
    root, tries = location("memory://refused/out"), []

    def refused(*arguments: object, **options: object) -> None:
        tries.append(arguments)
        raise error

    assert isinstance(root, ObjectPath)
    monkeypatch.setattr(type(root.fs), "cat_file", refused)
    shard = ShardIdentity("train", 0, 1, "0" * 64)
    readers = (
        lambda: read_checksummed(root / "plan/train.json", PLAN_KIND),
        lambda: finished(shard, out=root),
        lambda: write_placeholder(PreparedFolder(root), ["train"]),
    )
    for read in readers:
        with pytest.raises(StoreError, match=rf"^memory://refused/out/.*\.json: .*{text}"):
            read()
    assert len(tries) == len(readers)
    assert list(root.listing()) == []


def test_a_refusal_to_replace_is_known_by_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers of some stores lack the name of the condition, by which s3fs raises FileExistsError."""
    path, tries = location("memory://refusal/data"), []

    def refused(*arguments: object, **options: object) -> None:
        cause = RuntimeError()
        cause.response = {"Error": {"Code": "PreconditionFailed"}}  # type: ignore[attr-defined]  # as botocore's
        tries.append(arguments)
        raise OSError(errno.EINVAL, "a condition did not hold") from cause

    assert isinstance(path, ObjectPath)
    monkeypatch.setattr(type(path.fs), "pipe_file", refused)
    ObjectStorage().create(path, b"second")
    assert len(tries) == 1


class WithoutConditions(fsspec.implementations.memory.MemoryFileSystem):
    """A file system that replaces files also with mode="create"."""

    protocol = "unconditional"

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **more: object) -> None:
        super().pipe_file(path, value)


def test_a_store_that_replaces_files_is_named() -> None:
    fsspec.register_implementation("unconditional", WithoutConditions, clobber=True)
    for protocol in ("memory", "unconditional"):
        path = location(f"{protocol}://conditions/plan.json")
        ObjectStorage().create(path, b"{}")
        if protocol == "memory":
            ObjectStorage().require_exclusive_writes(path)
            continue
        with pytest.raises(StoreError, match=f"^{path}: the store replaced this object .* in one request, has the"):
            ObjectStorage().require_exclusive_writes(path)


def test_copies_that_nobody_needs_any_more_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ctrl-C does not wait until large shards are read."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(object_storage, "BLOCK", 1)
    paths = [location(f"memory://object_path/copies/{number}") for number in range(COPIES + 1)]
    for path in paths:
        ObjectStorage().create(path, bytes(100))
    read, begun, original = [], Event(), ObjectPath.read_part

    def slowly(self: ObjectPath, start: int, size: int) -> bytes:
        read.append(start)
        begun.set()
        time.sleep(0.02)
        return original(self, start, size)

    monkeypatch.setattr(ObjectPath, "read_part", slowly)
    with ObjectStorage().local_copies(paths) as copies:
        next(copies)
        begun.wait()
    assert len(read) < 100 * COPIES / 2
    assert list(object_storage.scratch_folder().iterdir()) == []


def test_an_object_that_is_deleted_while_it_is_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not the local file that it is copied to."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(object_storage, "BLOCK", 10)
    path, original = location("memory://object_path/deleted"), ObjectPath.read_part
    own = tmp_path / "own"
    own.write_bytes(bytes(20))

    def deleted(self: ObjectPath, start: int, size: int) -> bytes:
        if start:
            self.unlink(missing_ok=True)
        return original(self, start, size)

    def put() -> None:
        with ObjectStorage().new_file(path, replaces=False) as temporary:
            temporary.write_bytes(own.read_bytes())

    def copy() -> None:
        with ObjectStorage().local_copy(path):
            pass

    def copy_early() -> None:
        with ObjectStorage().local_copies([path]) as copies, next(copies):
            pass

    for read in (put, copy, copy_early):
        ObjectStorage().create(path, bytes(20))
        with monkeypatch.context() as patched:
            patched.setattr(ObjectPath, "read_part", deleted)
            with pytest.raises(PreparedError, match=rf"^{path}: was changed or deleted while it was read; wait until"):
                read()


def test_an_open_object_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the bytes of the same file on a disk; a store that fails in between is named."""
    data = random.Random(0).randbytes(1000)
    path, local = location("memory://object_path/open"), io.BytesIO(data)
    ObjectStorage().create(path, data)
    monkeypatch.setattr("dvm_hf.prepared.storage.object_path.OPEN_BLOCK", 64)
    with path.open("rb") as file:
        for offset, whence, size in (
            (0, 0, 10),
            (-8, 2, 8),
            (-8, 2, 100),
            (990, 0, 20),
            (5, 1, 3),
            (100, 0, 300),
            (-50, 1, 64),
        ):
            assert file.seek(offset, whence) == local.seek(offset, whence)
            assert file.read(size) == local.read(size)
            assert file.tell() == local.tell()
        monkeypatch.setattr(addresses, "RETRY_SECONDS", 0)
        monkeypatch.setattr(type(path.fs), "cat_file", lambda *arguments, **options: 1 / 0)
        file.seek(0)
        with pytest.raises(StoreError, match=rf"^{path}: the request to the store fails \(division by zero\)"):
            file.read(200)


def test_an_unknown_file_system_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("waits"))
    with pytest.raises(ConfigError, match=r"^unknown://bucket/out: fsspec knows no file system"):
        location("unknown://bucket/out").exists()


def test_addresses_of_folders_that_are_no_stores(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    assert location((tmp_path / "a b").as_uri()) == location(f"file://{tmp_path}/a b") == tmp_path / "a b"
    assert str(location("S3://Bucket/Out")) == "s3://Bucket/Out"
    for name in ("hf://datasets/user/name", "https://host/out"):
        with pytest.raises(ConfigError, match=f"^{name}: is not an object store"):
            location(name)
    for name in ("s3://", "s3:///out"):
        with pytest.raises(ConfigError, match=f"^{name}: names no bucket"):
            location(name)
