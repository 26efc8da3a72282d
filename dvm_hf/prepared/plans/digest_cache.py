"""The hashes of sources that earlier runs computed on this machine: a SQLite file, to read only the requested entries.

The file is only replaced as a whole, and opened as immutable. It therefore needs no locks, which network file systems
may lack.
"""

import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import xxhash

from dvm_hf.prepared.atomic_io import atomic_file

# Size in bytes, modification time and change time in ns. Programs cannot set the change time. The inode would add
# nothing, and some network file systems change it each time.
Signature: TypeAlias = tuple[int, int, int]
KnownDigest: TypeAlias = tuple[Signature, str]  # the SHA-256 of a file with that signature

ROOT = "data_dir"  # fact: root of the sources
ADDRESS = "address"  # fact: what the root stands for, if the sources are remote
TABLES = """
CREATE TABLE facts (name BLOB PRIMARY KEY, value BLOB, checksum TEXT) WITHOUT ROWID;
CREATE TABLE sources (path BLOB PRIMARY KEY, size TEXT, modified TEXT, changed TEXT, sha256 TEXT, checksum TEXT)
WITHOUT ROWID;
"""
COLUMNS = "path, size, modified, changed, sha256, checksum"


def cached_digests(cache_file: Path, root: Path, paths: Iterable[str] | None = None) -> dict[str, KnownDigest]:
    """Return what the cache has of these sources, or of all; nothing if it is missing, damaged or of another root."""
    found: dict[str, KnownDigest] = {}
    try:
        with closing(_opened(cache_file)) as cache:
            if _facts(cache).get(ROOT) != str(root):
                return {}
            if paths is None:
                rows = cache.execute(f"SELECT {COLUMNS} FROM sources")
                found.update(_known(row) for row in rows if _is_intact(row))
            for path in paths or ():
                row = cache.execute(f"SELECT {COLUMNS} FROM sources WHERE path = ?", (os.fsencode(path),)).fetchone()
                if row is not None and _is_intact(row):
                    found.update([_known(row)])
    except (sqlite3.Error, ValueError):
        return found  # the other files are hashed again
    return found


def cached_facts(cache_file: Path) -> dict[str, str]:
    """Return the facts of a cache by name; none if it is missing or damaged."""
    try:
        with closing(_opened(cache_file)) as cache:
            return _facts(cache)
    except (sqlite3.Error, ValueError):
        return {}


def write_cache(cache_file: Path, facts: Mapping[str, str], known: Mapping[str, KnownDigest]) -> None:
    """Replace the cache. Raises PreparedError if the system refuses it."""
    named = ((os.fsencode(name), os.fsencode(value)) for name, value in sorted(facts.items()))
    rows = ((os.fsencode(path), *map(str, signature), digest) for path, (signature, digest) in sorted(known.items()))
    with atomic_file(cache_file) as temporary, closing(sqlite3.connect(temporary)) as cache:
        cache.execute("PRAGMA journal_mode = OFF")
        cache.execute("PRAGMA synchronous = OFF")  # flushed before it is renamed
        cache.executescript(TABLES)
        with cache:
            cache.executemany("INSERT INTO facts VALUES (?, ?, ?)", ((*row, _checksum(row)) for row in named))
            cache.executemany("INSERT INTO sources VALUES (?, ?, ?, ?, ?, ?)", ((*r, _checksum(r)) for r in rows))


def _opened(cache_file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{cache_file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


def _facts(cache: sqlite3.Connection) -> dict[str, str]:
    rows = cache.execute("SELECT name, value, checksum FROM facts")
    return {os.fsdecode(row[0]): os.fsdecode(row[1]) for row in rows if _is_intact(row)}


def _known(row: tuple[Any, ...]) -> tuple[str, KnownDigest]:
    path, size, modified, changed, digest, _ = row
    return os.fsdecode(path), ((int(size), int(modified), int(changed)), digest)


def _is_intact(row: tuple[Any, ...]) -> bool:
    return bool(_checksum(row[:-1]) == row[-1])


def _checksum(row: tuple[Any, ...]) -> str:
    return xxhash.xxh3_64_hexdigest(repr(row).encode())
