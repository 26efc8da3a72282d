"""A folder of cached files of limited size, which any number of processes can use."""

import logging
import os
import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import xxhash

logger = logging.getLogger(__name__)
DISK_SHARE = 0.1  # of the free space, with that of the cache
KEPT_SHARE = 0.9  # of the limit, after the oldest files are removed
REVIEW_SHARE = 0.02  # of the limit; the sizes of all files are added again after a process has written so much
DIGEST_BYTES = 16
ABANDONED = 3600  # seconds; age of a temporary file whose writer has ended


@dataclass(frozen=True)
class CacheKind:
    """A kind of cached files.

    name: default folder in that of this package in `HF_HOME`.
    variable: environment variable with another folder; empty: nothing is cached.
    suffix: of the files.
    max_bytes: limit for all files; a tenth of the free space if that is less.
    plural: the results, for messages. redone: what is done if a file is damaged, for messages.
    level: of the messages.
    """

    name: str
    variable: str
    suffix: str
    max_bytes: int
    plural: str
    redone: str
    level: int = logging.WARNING

    @property
    def folder(self) -> Path | None:
        """The folder that the environment selects; None if nothing shall be cached."""
        chosen = os.environ.get(self.variable)
        if chosen is not None:
            return Path(os.path.expanduser(chosen)) if chosen else None
        return Path(os.path.expanduser(hf_home()), "dvm_hf", self.name)


class CacheFolder:
    """A folder with a file for each key. Its last 16 bytes are the XXH3 of the others.

    If the files exceed the limit, those that were read or written longest ago are removed. A damaged file counts as
    missing. If the folder cannot be written to, that is logged once.

    max_bytes: another limit than that of the kind and the free space.
    is_writable: False after a write has failed.
    """

    def __init__(self, kind: CacheKind, folder: Path, *, max_bytes: int | None = None) -> None:
        self.kind, self.folder, self._max_bytes = kind, folder, max_bytes
        self.is_writable = True
        self._written = self._review_after = self._limit = 0

    def get(self, key: str) -> bytes | None:
        """Return the bytes of a key, and mark the file as used; None if it is missing or damaged."""
        path = self.path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        body, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        if xxhash.xxh3_128_digest(body) != digest:
            logger.log(self.kind.level, "%s: is damaged; %s", path, self.kind.redone)
            return None
        with suppress(OSError):  # of another user, or removed since
            os.utime(path)
        return body

    def put(self, key: str, body: bytes) -> None:
        """Store the bytes of a key."""
        if not self.is_writable:
            return
        try:
            self._write(self.path(key), body + xxhash.xxh3_128_digest(body))
        except OSError as error:
            self.is_writable = False
            logger.log(
                self.kind.level,
                "%s: %s cannot be cached (%s); %s in each process. Free space, or set the environment variable %s to "
                "another folder",
                self.folder,
                self.kind.plural,
                error.strerror or error,
                self.kind.redone,
                self.kind.variable,
            )

    def remove(self, key: str) -> None:
        """Remove the file of a key, if there is one."""
        with suppress(OSError):
            self.path(key).unlink()

    def path(self, key: str) -> Path:
        return self.folder / f"{key}{self.kind.suffix}"

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file under a temporary name and rename it. Power failures are detected by the digest."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._written >= self._review_after:
            self._review(len(data))
        if len(data) > self._limit:
            return
        temporary = self.folder / f".{path.stem}.{secrets.token_hex(8)}.tmp"
        try:
            temporary.write_bytes(data)
            os.replace(temporary, path)
        finally:
            with suppress(OSError):  # renamed
                temporary.unlink()
        self._written += len(data)

    def _review(self, coming: int) -> None:
        """Remove the files that were used longest ago if `coming` bytes more would exceed the limit."""
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        self._limit = self._allowed_bytes(total)
        self._review_after = self._written + int(REVIEW_SHARE * self._limit)
        if total + coming <= self._limit:
            return
        for _, size, path in files:
            if total + coming <= KEPT_SHARE * self._limit:
                return
            with suppress(OSError):  # another process removed it
                path.unlink()
            total -= size

    def _allowed_bytes(self, total: int) -> int:
        if self._max_bytes is not None:
            return self._max_bytes
        return min(self.kind.max_bytes, int(DISK_SHARE * (shutil.disk_usage(self.folder).free + total)))

    def _files(self) -> list[tuple[float, int, Path]]:
        """Return time of last use, size and path of each file; abandoned temporary files count as oldest."""
        found, now = [], time.time()
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(OSError):  # removed since
                    stat, is_temporary = entry.stat(follow_symlinks=False), entry.name.endswith(".tmp")
                    if entry.name.endswith(self.kind.suffix):
                        found.append((stat.st_mtime, stat.st_size, Path(entry.path)))
                    elif is_temporary and now - stat.st_mtime > ABANDONED:
                        found.append((0.0, stat.st_size, Path(entry.path)))
        return found


def hf_home() -> str:
    """Return the folder that `datasets` uses, without importing it."""
    return os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
