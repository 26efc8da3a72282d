"""The path of an object at an address such as s3://bucket/prefix, with the reading methods of `pathlib.Path`.

It is a `Path`, so that the files of a prepared folder have one type; no method touches the local disk.
"""

import errno
import io
import os
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from dvm_hf.addresses import ABOUT_OBJECTS, ADDRESS, NOT_STORES, answered, file_system, is_address
from dvm_hf.errors import ConfigError, DVMError, StoreError

OPEN_BLOCK = 8 << 20  # bytes that an open object reads at least
REFUSED_PUT = ("PreconditionFailed", "412")  # codes of S3
Result = TypeVar("Result")


class ObjectStat(NamedTuple):
    """Size in bytes, and the time of the last change in ns; 0 if the file system does not report it."""

    st_size: int
    st_mtime_ns: int


class ObjectPath(type(Path())):  # type: ignore[misc]  # PosixPath
    """A path of which `str` is the address. Raises StoreError if the store cannot be reached, after some tries."""

    __slots__ = ()

    def __str__(self) -> str:
        text: str = super().__str__()
        protocol, slash, rest = text.partition(":/")
        return f"{protocol}://{rest}" if slash and not rest.startswith("/") and "/" not in protocol else text

    @property
    def fs(self) -> Any:
        """The fsspec file system."""
        return file_system(str(self))[0]

    @property
    def key(self) -> str:
        """The address without its protocol, as the file system names the object."""
        return str(file_system(str(self))[1])

    def request(self, call: Callable[[], Result]) -> Result:
        """Return the result of a request, sent again for a while if it fails for another reason than its object.

        Raises OSError if the object is missing, exists or is a folder, and StoreError for all other reasons.
        """
        try:
            return answered(lambda: _conditional(call))
        except (*ABOUT_OBJECTS, DVMError):
            raise
        except Exception as error:  # of the file system's own libraries
            raise self._fault(error) from error

    def _fault(self, error: Exception) -> StoreError:
        what = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, PermissionError):
            return StoreError(
                f"{self}: access is denied ({what}); the credentials of the store must allow to list, read and write "
                "objects there"
            )
        if isinstance(error, NotImplementedError) or getattr(error, "errno", None) == errno.ENOSYS:
            return StoreError(
                f"{self}: the store does not implement this request ({what}); it needs conditional writes, as S3 has "
                "them; use another store, or a local folder"
            )
        return StoreError(
            f"{self}: the request to the store fails ({what}); check the address, endpoint, credentials and network, "
            "and run the same command again. Finished shards are kept"
        )

    def read_bytes(self) -> bytes:
        return bytes(self.request(lambda: self.fs.cat_file(self.key)))

    def read_part(self, start: int, size: int) -> bytes:
        """Return bytes of the object; fewer at its end."""
        return bytes(self.request(lambda: self.fs.cat_file(self.key, start=start, end=start + size)))

    def stat(self, *, follow_symlinks: bool = True) -> ObjectStat:
        found = self.request(lambda: self.fs.info(self.key))
        if found["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self))
        changed = found.get("LastModified") or found.get("created")
        return ObjectStat(int(found["size"]), 0 if changed is None else int(changed.timestamp() * 1e9))

    def is_file(self) -> bool:
        try:
            self.stat()
        except (FileNotFoundError, IsADirectoryError):
            return False
        return True

    def is_dir(self) -> bool:
        """Whether any object is below this address."""
        try:
            return bool(self.request(lambda: self.fs.info(self.key))["type"] == "directory")
        except FileNotFoundError:
            return False

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        return self.is_file() or self.is_dir()

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """Open for reading; each block is a request, so a store that fails in between raises StoreError, too."""
        assert (args or ("r",))[0] == "rb", "objects are written as a whole"
        return io.BufferedReader(_OpenObject(self), OPEN_BLOCK)

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            self.request(lambda: self.fs.rm_file(self.key))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def mkdir(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: an object store has no folders."""

    def rglob(self, pattern: str) -> Iterator["ObjectPath"]:
        """Yield all objects below this address whose name matches, by one listing."""
        for path in self.listing():
            if fnmatchcase(path.name, pattern):
                yield path

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """Yield the objects directly below this address whose name matches."""
        return (path for path in self.rglob(pattern) if path.parent == self)

    def iterdir(self) -> Iterator["ObjectPath"]:
        return self.glob("*")

    def listing(self) -> dict["ObjectPath", int]:
        """Return the sizes of all objects below this address."""
        try:
            found = self.request(lambda: self.fs.find(self.key, detail=True))
        except FileNotFoundError:
            return {}
        prefix = self.key.rstrip("/") + "/"
        return {self / name.removeprefix(prefix): int(entry["size"]) for name, entry in sorted(found.items())}


class _OpenObject(io.RawIOBase):
    """An object as a file to read."""

    def __init__(self, path: ObjectPath) -> None:
        self._path, self._size, self._position = path, path.stat().st_size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), self._size - self._position)
        data = self._path.read_part(self._position, size) if size > 0 else b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _conditional(call: Callable[[], Result]) -> Result:
    """Return the result of a request; raises FileExistsError if the store refuses to replace an object.

    s3fs recognizes that by a field of the answer which only some stores have; otherwise it raises EINVAL.
    """
    try:
        return call()
    except OSError as error:
        answer = getattr(error.__cause__, "response", None) or {}
        if answer.get("Error", {}).get("Code") in REFUSED_PUT:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        raise


def location(name: str | Path) -> Path:
    """Return the path of a prepared folder: an absolute one, or an `ObjectPath` of an address.

    Raises ConfigError for an address that is not that of an object store.
    """
    if isinstance(name, ObjectPath):
        return name
    match = ADDRESS.match(str(name)) if is_address(name) else None
    if match is None:
        return Path(os.path.abspath(name))
    protocol, rest = match["protocol"].lower(), str(name)[match.end() :]
    if protocol == "file":
        from dvm_hf.sources.remote.source_files import local_path  # a task that is finished does not need it

        return Path(local_path(str(name)))
    if protocol in NOT_STORES:
        raise ConfigError(
            f"{name}: is not an object store; pass a local folder or an address such as s3://bucket/prefix. dvm push "
            "publishes a prepared folder on the Hub"
        )
    if not rest or rest.startswith("/"):
        raise ConfigError(f"{name}: names no bucket; write {protocol}://bucket/prefix")
    return ObjectPath(f"{protocol}://{rest}")
