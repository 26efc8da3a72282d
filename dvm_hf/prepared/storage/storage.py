"""The operations on the files of a prepared folder that differ between a local folder and an object store."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar

from dvm_hf.prepared import atomic_io
from dvm_hf.prepared.storage.object_path import ObjectPath
from dvm_hf.prepared.storage.object_storage import ObjectStorage

Item = TypeVar("Item")
Result = TypeVar("Result")


class Storage(Protocol):
    """Raises PreparedError with a hint if a file cannot be written. Reading raises OSError.

    is_local: whether `local_copy` copies nothing.
    """

    is_local: bool

    def new_file(self, path: Path, *, replaces: bool) -> AbstractContextManager[Path]:
        """Yield a local path to write to, which becomes `path` as a whole on exit; nothing does after an error.

        replaces: whether an existing file may be replaced by other bytes; a local folder always allows it.
        """

    def write(self, path: Path, data: bytes) -> None:
        """Write a small file as a whole, unless it already has these bytes."""

    def create(self, path: Path, data: bytes) -> None:
        """Write a small file if it does not exist; the first of several writers wins."""

    def require_exclusive_writes(self, path: Path) -> None:
        """Test with an existing file, which no builder changes, that a second writer of a file is refused.

        Raises StoreError if the store replaces the file instead.
        """

    def local_folders(self, root: Path, names: Iterable[str]) -> tuple[Path, ...]:
        """Return the folders of this machine that a build of `root` writes to; `names`: those in `root`."""

    def local_cache(self, root: Path) -> Path:
        """Return the folder of this machine for what is not part of the dataset."""

    def real(self, path: Path) -> Path:
        """Return the path without symbolic links."""

    def make_writable(self, folder: Path) -> None:
        """Create a folder if it is missing, and test that it can be used."""

    def files(self, root: Path) -> dict[str, int]:
        """Return the sizes of all files below a folder by relative path."""

    def stems(self, folder: Path, suffix: str) -> set[str]:
        """Return the names of the files in a folder with this suffix, without it; opens none."""

    def sha256_of(self, path: Path) -> str:
        """Return the hex SHA-256 of a file."""

    def reader(self, path: Path) -> AbstractContextManager[Callable[[int, int], bytes]]:
        """Open a file; yield what returns `size` bytes from `start`, fewer at its end."""

    def footer(self, path: Path) -> Any:
        """Return what pyarrow reads the metadata of a Parquet file from."""

    def parquet(self, path: Path) -> AbstractContextManager[Any]:
        """Yield what pyarrow reads some rows of a Parquet file from."""

    def local_copy(self, path: Path) -> AbstractContextManager[Path]:
        """Yield a local file with the same bytes, on scratch and removed on exit if the file is not local."""

    def local_copies(self, paths: Iterable[Path]) -> AbstractContextManager[Iterator[AbstractContextManager[Path]]]:
        """Yield the `local_copy` of each path, in order; of an object store, a few are copied ahead.

        Entering one raises the error of its copy.
        """

    def move(self, path: Path, target: Path) -> None:
        """Move a file within its folder or store."""

    def mapped(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
        """Yield the results for items in their order; several at once where each waits for a network."""


class LocalStorage:
    """A local or shared folder."""

    is_local = True

    def new_file(self, path: Path, *, replaces: bool) -> AbstractContextManager[Path]:
        return atomic_io.atomic_file(path)

    def write(self, path: Path, data: bytes) -> None:
        atomic_io.atomic_write(path, data)

    def create(self, path: Path, data: bytes) -> None:
        atomic_io.atomic_create(path, data)

    def require_exclusive_writes(self, path: Path) -> None:
        """Do nothing: builders write the same bytes to a local folder, by renaming."""

    def local_folders(self, root: Path, names: Iterable[str]) -> tuple[Path, ...]:
        return (root, *(root / name for name in names), self.local_cache(root))

    def local_cache(self, root: Path) -> Path:
        return root / ".cache" / "huggingface"

    def real(self, path: Path) -> Path:
        return Path(os.path.realpath(path))

    def make_writable(self, folder: Path) -> None:
        atomic_io.make_writable(folder)

    def files(self, root: Path) -> dict[str, int]:
        found = (path for path in sorted(root.rglob("*")) if path.is_file())
        return {path.relative_to(root).as_posix(): path.stat().st_size for path in found}

    def stems(self, folder: Path, suffix: str) -> set[str]:
        return atomic_io.stems(folder, suffix)

    def sha256_of(self, path: Path) -> str:
        return atomic_io.sha256_of(path)

    def reader(self, path: Path) -> AbstractContextManager[Callable[[int, int], bytes]]:
        return atomic_io.reader(path)

    def footer(self, path: Path) -> Path:
        return path

    def parquet(self, path: Path) -> AbstractContextManager[Any]:
        return nullcontext(path)

    def local_copy(self, path: Path) -> AbstractContextManager[Path]:
        return nullcontext(path)

    def local_copies(self, paths: Iterable[Path]) -> AbstractContextManager[Iterator[AbstractContextManager[Path]]]:
        return nullcontext(map(nullcontext, paths))

    def move(self, path: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)

    def mapped(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
        yield from map(function, items)


def storage_of(path: Path) -> Storage:
    """Return the storage that a path of a prepared folder is in."""
    return ObjectStorage() if isinstance(path, ObjectPath) else LocalStorage()
