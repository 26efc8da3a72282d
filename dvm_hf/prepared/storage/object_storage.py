"""Write a prepared folder into an object store: each object whole, and only if it does not exist.

Shards are rendered to a local scratch folder. A put carries the condition `If-None-Match: *`. If the object exists, its
hash decides: the same bytes, of another builder or of a put whose answer was lost, are as good as a new object. There
are no temporary objects, renames and locks.
"""

import hashlib
import os
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from dvm_hf.errors import PreparedError, StoreError
from dvm_hf.media.cache_folder import hf_home
from dvm_hf.prepared import atomic_io
from dvm_hf.prepared.storage.object_path import ObjectPath

REQUESTS = 16  # at once
COPIES = 4  # shards in the scratch folder at once, when several are read one after another
TAIL = 1 << 16  # bytes at the end of a Parquet file that are read first
BLOCK = 8 << 20  # bytes of a request that reads a whole object
PART = 50 << 20  # bytes of a part of an upload; S3 allows 10,000 parts
Item = TypeVar("Item")
Result = TypeVar("Result")


class ObjectStorage:
    """An object store at an address of fsspec that can put an object only if it does not exist."""

    is_local = False

    @contextmanager
    def new_file(self, path: Path, *, replaces: bool) -> Iterator[Path]:
        with atomic_io.temporary_file(_scratch(path)) as temporary:
            yield temporary
            self._put(_object(path), temporary, replaces=replaces)

    def write(self, path: Path, data: bytes) -> None:
        target = _object(path)
        try:
            self._request(target, lambda: target.fs.pipe_file(target.key, data, mode="create"))
        except FileExistsError:
            if self._request(target, target.read_bytes) != data:
                self._request(target, lambda: target.fs.pipe_file(target.key, data))

    def create(self, path: Path, data: bytes) -> None:
        target = _object(path)
        try:
            self._request(target, lambda: target.fs.pipe_file(target.key, data, mode="create"))
        except FileExistsError:
            return

    def require_exclusive_writes(self, path: Path) -> None:
        target = _object(path)
        data = target.read_bytes()
        puts = {"one request": lambda: target.fs.pipe_file(target.key, data, mode="create")}
        if hasattr(target.fs, "call_s3"):
            puts["parts"] = lambda: _put_in_parts(target, data)
        for kind, put in puts.items():
            try:
                self._request(target, put)
            except FileExistsError:
                continue
            raise StoreError(
                f"{target}: the store replaced this object although the request, in {kind}, has the condition "
                "If-None-Match: *. Two builders would replace each other's shards; use a store that has conditional "
                "writes, as S3 does, or a local folder"
            )

    def local_folders(self, root: Path, names: Iterable[str]) -> tuple[Path, ...]:
        return (scratch_folder(), self.local_cache(root))

    def local_cache(self, root: Path) -> Path:
        name = hashlib.sha256(str(root).encode()).hexdigest()[:16]
        return Path(os.path.expanduser(hf_home()), "dvm_hf", "prepared", name)

    def real(self, path: Path) -> Path:
        return path

    def make_writable(self, folder: Path) -> None:
        """Test that the store answers; the first object that a build writes, the card, tests that it can be written."""
        target = _object(folder)
        self._request(target, target.is_dir)

    def files(self, root: Path) -> dict[str, int]:
        return {path.relative_to(root).as_posix(): size for path, size in _object(root).listing().items()}

    def stems(self, folder: Path, suffix: str) -> set[str]:
        return {path.name.removesuffix(suffix) for path in folder.glob("*") if path.name.endswith(suffix)}

    def sha256_of(self, path: Path) -> str:
        digest = hashlib.sha256()
        target = _object(path)
        for block in _blocks(target, target.stat().st_size):
            digest.update(block)
        return digest.hexdigest()

    @contextmanager
    def reader(self, path: Path) -> Iterator[Callable[[int, int], bytes]]:
        yield _object(path).read_part

    def footer(self, path: Path) -> Any:
        """Read the end of the object only: a Parquet file's metadata is there."""
        import pyarrow as pa  # a task that is finished does not need it

        target = _object(path)
        size = target.stat().st_size
        tail = target.read_part(max(0, size - TAIL), TAIL)
        needed = int.from_bytes(tail[-8:-4], "little") + 8
        if len(tail) < min(needed, size):
            tail = target.read_part(max(0, size - needed), needed)
        return pa.BufferReader(tail)

    @contextmanager
    def parquet(self, path: Path) -> Iterator[Any]:
        with path.open("rb") as file:
            yield file

    def local_copy(self, path: Path) -> AbstractContextManager[Path]:
        return self._copy(path, Event())

    @contextmanager
    def _copy(self, path: Path, is_ended: Event) -> Iterator[Path]:
        blocks = _blocks(_object(path), _object(path).stat().st_size)  # a missing object is no fault of the local file
        with atomic_io.temporary_file(_scratch(path)) as temporary:
            with temporary.open("wb") as file:
                for block in blocks:
                    if is_ended.is_set():  # nobody needs the rest
                        raise CancelledError
                    file.write(block)
            yield temporary

    @contextmanager
    def local_copies(self, paths: Iterable[Path]) -> Iterator[Iterator[AbstractContextManager[Path]]]:
        waiting: deque[_EarlyCopy] = deque()
        is_ended = Event()
        with ThreadPoolExecutor(COPIES) as pool:

            def copies() -> Iterator[AbstractContextManager[Path]]:
                for path in paths:
                    waiting.append(_EarlyCopy(pool.submit(_entered, self._copy(path, is_ended))))
                    if len(waiting) == COPIES:
                        yield waiting.popleft()
                while waiting:
                    yield waiting.popleft()

            try:
                yield copies()
            finally:
                is_ended.set()
                for copy in waiting:
                    copy.discard()

    def move(self, path: Path, target: Path) -> None:
        source = _object(path)
        self._request(source, lambda: source.fs.copy(source.key, _object(target).key))
        source.unlink()

    def mapped(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
        with ThreadPoolExecutor(REQUESTS) as pool:
            yield from pool.map(function, items)

    def _put(self, target: ObjectPath, file: Path, *, replaces: bool) -> None:
        mode = "overwrite" if replaces else "create"

        def put() -> None:
            target.fs.put_file(str(file), target.key, mode=mode, chunksize=PART)

        try:
            self._request(target, put)
        except FileExistsError:
            if self._is_other(target, file):
                raise PreparedError(
                    f"{target}: exists with other bytes than this build gives: it was damaged, or built by another "
                    "codec, library or CPU; run dvm verify --repair to replace it, or prepare to another address"
                ) from None

    def _is_other(self, target: ObjectPath, file: Path) -> bool:
        try:
            return self.sha256_of(target) != atomic_io.sha256_of(file)
        except FileNotFoundError as error:  # it existed a moment ago
            raise _changed(target) from error

    def _request(self, target: ObjectPath, call: Callable[[], Result]) -> Result:
        try:
            return target.request(call)
        except FileExistsError:
            raise
        except OSError as error:
            raise atomic_io.write_error(target, error) from error


class _EarlyCopy:
    """A copy that a thread makes before it is entered."""

    def __init__(self, made: "Future[tuple[Path, ExitStack]]") -> None:
        self._made = made

    def __enter__(self) -> Path:
        return self._made.result()[0]

    def __exit__(self, *error: object) -> None:
        self._made.result()[1].close()

    def discard(self) -> None:
        if not self._made.cancel():
            with suppress(Exception):  # of a copy that nobody needs any more
                self._made.result()[1].close()


def _entered(copy: AbstractContextManager[Path]) -> tuple[Path, ExitStack]:
    opened = ExitStack()
    return opened.enter_context(copy), opened


def scratch_folder() -> Path:
    """Return the local folder in which this user's files of stores are written first, in that of `TMPDIR`."""
    owner = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    return Path(tempfile.gettempdir()) / f"dvm_hf_{owner}"


def _scratch(path: Path) -> Path:
    """Return a local path for an object, after what ended processes left in the scratch folder is removed."""
    folder = scratch_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise atomic_io.write_error(folder, error) from error
    for left in atomic_io.leftovers(folder):
        left.unlink(missing_ok=True)
    return folder / path.name


def _put_in_parts(target: ObjectPath, data: bytes) -> None:
    """Put an object as S3's clients put a large one, if it does not exist; raises FileExistsError if it does."""
    bucket, _, key = target.key.partition("/")
    named = {"Bucket": bucket, "Key": key}
    named["UploadId"] = target.fs.call_s3("create_multipart_upload", **named)["UploadId"]
    try:
        part = target.fs.call_s3("upload_part", **named, PartNumber=1, Body=data)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        target.fs.call_s3("complete_multipart_upload", **named, MultipartUpload=parts, IfNoneMatch="*")
    except Exception:
        with suppress(Exception):
            target.fs.call_s3("abort_multipart_upload", **named)
        raise


def _object(path: Path) -> ObjectPath:
    assert isinstance(path, ObjectPath)
    return path


def _blocks(target: ObjectPath, size: int) -> Iterator[bytes]:
    """Yield an object in blocks; a lost connection repeats one of them."""
    start = 0
    while start < size:
        try:
            block = target.read_part(start, min(BLOCK, size - start))
        except FileNotFoundError as error:  # the scratch folder is not at fault
            raise _changed(target) from error
        if not block:
            raise _changed(target)
        yield block
        start += len(block)


def _changed(target: ObjectPath) -> PreparedError:
    return PreparedError(f"{target}: was changed or deleted while it was read; wait until no build runs, and try again")
