"""The listing of a remote source tree: names, sizes and hashes, in an SQLite file that every process can read.

A worker needs a few of up to a million files, so it looks them up instead of loading all.
"""

import hashlib
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dvm_hf.errors import MachineError, SourceError

SCHEMA = """
CREATE TABLE tree (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE files (folder TEXT, name TEXT, size INTEGER, content TEXT, PRIMARY KEY (folder, name)) WITHOUT ROWID;
CREATE TABLE folders (folder TEXT, name TEXT, PRIMARY KEY (folder, name)) WITHOUT ROWID;
"""


class RemoteFile(NamedTuple):
    """A file of a listing. path: relative to the address, with / between folders. size: in bytes.

    content: a name of its content, such as "sha256:HEX"; see the module that lists it. Files with the same name have
    the same bytes.
    """

    path: str
    size: int
    content: str


class ListedStat(NamedTuple):
    """The part of `os.stat` that scans use. A hash of the content replaces the times; inodes are 0, as on Windows."""

    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int
    st_dev: int
    st_ino: int


@dataclass(frozen=True)
class ListedEntry:
    """An entry of a remote folder, with the methods of `os.DirEntry`. file: None for a folder."""

    name: str
    file: RemoteFile | None

    def is_dir(self) -> bool:
        return self.file is None

    def is_file(self) -> bool:
        return self.file is not None

    def is_symlink(self) -> bool:
        return False

    def stat(self) -> ListedStat:
        size, content = (0, "") if self.file is None else (self.file.size, self.file.content)
        changed = int.from_bytes(hashlib.blake2b(content.encode(), digest_size=8).digest(), "big") >> 1  # 63 bits
        return ListedStat(size, changed, changed, 0, 0)


class ListedTree:
    """A listing. listing: its file. root: the local folder that stands for the address."""

    def __init__(self, listing: Path, root: Path) -> None:
        self.listing, self.root = listing, root

    def facts(self) -> dict[str, str]:
        """Return what was stored about the tree, such as its address."""
        with self._opened() as found:
            return dict(found.execute("SELECT name, value FROM tree"))

    def entries(self, folder: str) -> list[ListedEntry]:
        """Return the entries of a folder, in any order. folder: relative to the root, "" for the root."""
        with self._opened() as found:
            folders = found.execute("SELECT name FROM folders WHERE folder = ?", (folder,))
            listed = [ListedEntry(name, None) for (name,) in folders]
            files = found.execute("SELECT name, size, content FROM files WHERE folder = ?", (folder,))
            return listed + [ListedEntry(name, RemoteFile(_joined(folder, name), *rest)) for name, *rest in files]

    def file(self, path: str) -> RemoteFile | None:
        """Return a file of the listing; None if it has no file of this path."""
        with self._opened() as found:
            row = found.execute(
                "SELECT size, content FROM files WHERE folder = ? AND name = ?", _split(path)
            ).fetchone()
        return None if row is None else RemoteFile(path, *row)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:  # a listing never changes, so that no locks are needed
            with closing(sqlite3.connect(f"{self.listing.as_uri()}?mode=ro&immutable=1", uri=True)) as found:
                yield found
        except sqlite3.Error as error:
            raise SourceError(
                f"{self.root}: the listing of this remote source tree, {self.listing}, cannot be read ({error}); pass "
                "its address as data_dir again, on this machine"
            ) from error


def write_listing(listing: Path, root: Path, files: Iterable[RemoteFile], facts: dict[str, str]) -> int:
    """Write a listing and create the tree's folders; return the number of files. Without any, nothing is written.

    Raises SourceError if a name is not that of a file inside the tree, MachineError if the disk is full.
    """
    address = facts["address"]
    listing.parent.mkdir(parents=True, exist_ok=True)
    new = listing.with_name(f"{listing.name}.{secrets.token_hex(8)}.tmp")
    folders, count = {""}, 0
    try:
        with closing(sqlite3.connect(new)) as made:
            made.executescript(SCHEMA)
            made.executemany("INSERT INTO tree VALUES (?, ?)", facts.items())
            for file in files:
                require_inside(file.path, address)
                folder, name = _split(file.path)
                try:
                    made.execute("INSERT INTO files VALUES (?, ?, ?, ?)", (folder, name, file.size, file.content))
                except sqlite3.IntegrityError as error:
                    raise SourceError(f"{address}: lists {file.path!r} twice; remove one of the files") from error
                while folder not in folders:
                    folders.add(folder)
                    made.execute("INSERT INTO folders VALUES (?, ?)", (parent := _split(folder)))
                    folder = parent[0]
                count += 1
            both = made.execute("SELECT folder, name FROM files NATURAL JOIN folders").fetchone()
            if both is not None:
                raise SourceError(f"{address}: {_joined(*both)!r} is a file and a folder; rename one of them")
            made.commit()
        if not count:
            return 0
        for folder in folders:
            (root / folder).mkdir(parents=True, exist_ok=True)
        os.replace(new, listing)
    except sqlite3.OperationalError as error:
        raise MachineError(
            f"{listing}: cannot be written ({error}); free space on this file system, or set DVM_SOURCE_CACHE to a "
            "folder on another one"
        ) from error
    finally:
        with suppress(OSError):  # renamed
            new.unlink()
    return count


def require_inside(path: str, address: str) -> None:
    """Raise SourceError if a listed path could lead out of the folder of its tree."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in path or "\0" in path or any(map(os.path.isabs, parts)):
        raise SourceError(
            f"{address}: lists {path!r:.200}, which is not a path inside the source tree; rename or remove the file"
        )


def _split(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
