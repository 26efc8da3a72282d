"""The cache folder of remote sources: limited size, files in use are kept, safe among processes.

    trees/ID/...      folders of a tree; each fetched file is a link to its content
    listings/ID       names, sizes and hashes of the files of a tree
    hub/, objects/    contents, as huggingface_hub stores them, or by hash
    leases/, fetches/ which contents a process uses; the size of those that it fetches
    locks/            who fetches a file

A process that uses contents holds a lock on its lease, a file with their names, and one on the file of each content
that it fetches. The operating system releases the locks when the process ends, however it ends.
"""

import hashlib
import logging
import os
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from dvm_hf.errors import ConfigError
from dvm_hf.media.cache_folder import hf_home
from dvm_hf.wording import size_in_bytes

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)
FOLDER_VARIABLE, SIZE_VARIABLE = "DVM_SOURCE_CACHE", "DVM_SOURCE_CACHE_SIZE"
FOLDER_VARIABLES = (FOLDER_VARIABLE, "HF_HOME", "XDG_CACHE_HOME", "HOME")  # that determine the folder
MAX_BYTES = 50 * 10**9
DISK_SHARE = 0.5  # of the free space, with that of the cache
KEPT_SHARE = 0.9  # of the limit, after the oldest contents are removed
STRIPES = 256  # lock files: two fetches may wait for each other without need, but nobody has to remove lock files


class Stored(NamedTuple):
    """A stored content: time of its last use, its files and their size in bytes."""

    used: float
    size: int
    paths: tuple[Path, ...]


class SourceCache:
    """The cache in a folder. max_bytes: another limit than the usual one."""

    def __init__(self, folder: Path, *, max_bytes: int | None = None) -> None:
        self.folder, self._max_bytes = folder, max_bytes
        self._has_warned = False

    @property
    def trees(self) -> Path:
        return self.folder / "trees"

    def listing(self, tree_id: str) -> Path:
        return self.folder / "listings" / f"{tree_id}.sqlite"

    @contextmanager
    def lease(self, contents: Iterable[str]) -> Iterator[None]:
        """Keep these contents in the cache, also those that are not there yet, as long as the context is open."""
        folder = self._made("leases")
        path = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        with ExitStack() as opened:
            with self._locked("cache.lock", fcntl.LOCK_SH):  # nobody removes contents or leases meanwhile
                file = opened.enter_context(path.open("x", encoding="ascii"))
                opened.callback(path.unlink, missing_ok=True)
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write("\n".join(contents))
                file.flush()
            yield

    @contextmanager
    def fetching(self, content: str) -> Iterator[None]:
        """Wait until no other process or thread fetches this content."""
        stripe = int(hashlib.blake2b(content.encode(), digest_size=2).hexdigest(), 16) % STRIPES
        with ExitStack() as opened:
            opened.enter_context(self._locked(os.path.join("locks", f"{stripe:03}"), fcntl.LOCK_EX))
            with self._locked("cache.lock", fcntl.LOCK_SH):  # nobody looks for fetches meanwhile
                file = opened.enter_context((self._made("fetches") / content).open("w", encoding="ascii"))
                opened.callback((self.folder / "fetches" / content).unlink, missing_ok=True)
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def reserve(self, content: str, size: int, *, is_needed: bool = True) -> bool:
        """Count the bytes of a content that will be fetched; remove those used longest ago if they do not fit.

        Return whether they fit. If they do not, because everything else is in use, they are counted only if they are
        needed, and a warning is logged. Call it within `fetching`, so that other processes count what is still to come.
        """
        account = self.folder / "bytes"  # at least the bytes of all contents; exact after each review
        with self._locked("cache.lock", fcntl.LOCK_EX):
            total, limit = _counted(account), self._limit()
            if total is None or total + size > limit:
                total = self._reviewed(size, limit)
            fits = total + size <= limit
            if fits or is_needed:
                account.write_text(str(total + size), encoding="ascii")
                (self._made("fetches") / content).write_text(str(size), encoding="ascii")
        if not fits and is_needed and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "%s: the source files in use take more than the limit of %s bytes; set the environment variable %s to "
                "a larger size",
                self.folder,
                f"{limit:,}",
                SIZE_VARIABLE,
            )
        return fits

    def total_bytes(self) -> int:
        """Return the size of all contents."""
        return sum(stored.size for stored in self._contents().values())

    def require_usable(self) -> None:
        """Raise ConfigError on Windows, if the folder cannot be written, and if a size in the environment is none."""
        if sys.platform == "win32":
            raise ConfigError("remote sources need file locks of POSIX systems; copy the sources to a local folder")
        try:
            with self._locked("cache.lock", fcntl.LOCK_SH):
                pass
        except OSError as error:
            raise ConfigError(
                f"{self.folder}: cannot be used as the cache of remote sources ({error.strerror}); set "
                f"{FOLDER_VARIABLE} to a folder that can be written and locked"
            ) from error
        self._limit()

    def _limit(self) -> int:
        if self._max_bytes is not None:
            return self._max_bytes
        if (chosen := os.environ.get(SIZE_VARIABLE)) is not None:
            return size_in_bytes(chosen, option=SIZE_VARIABLE)
        total = _counted(self.folder / "bytes") or 0
        return min(MAX_BYTES, int(DISK_SHARE * (shutil.disk_usage(self.folder).free + total)))

    def _reviewed(self, coming: int, limit: int) -> int:
        """Remove the contents that were used longest ago until `coming` bytes fit; return the size of the others."""
        contents, in_use = self._contents(), set(" ".join(self._held("leases").values()).split())
        to_come = {name: int(text) for name, text in self._held("fetches").items() if text}
        for name, bytes_in_all in to_come.items():
            found = contents.get(name, Stored(float("inf"), 0, ()))
            contents[name] = found._replace(size=max(found.size, bytes_in_all))
        in_use |= to_come.keys()
        total = sum(stored.size for stored in contents.values())
        if total + coming <= limit:
            return total
        for name, stored in sorted(contents.items(), key=lambda item: item[1].used):
            if total + coming <= KEPT_SHARE * limit:
                break
            if name not in in_use:
                for path in stored.paths:
                    path.unlink(missing_ok=True)
                total -= stored.size
        return total

    def _contents(self) -> dict[str, Stored]:
        """Return all contents by name, also those that are only partly fetched."""
        found: dict[str, Stored] = {}
        for folder in (self.folder / "objects", *(self.folder / "hub").glob("*/blobs")):
            for path, status in _files(folder):
                name = path.name.split(".")[0]
                former = found.get(name, Stored(0, 0, ()))
                used = max(former.used, status.st_mtime)
                found[name] = Stored(used, former.size + status.st_size, (*former.paths, path))
        for name, used in _links(self.trees):
            if name in found and used > found[name].used:
                found[name] = found[name]._replace(used=used)
        return found

    def _held(self, folder: str) -> dict[str, str]:
        """Return the texts of the locked files in a folder by name; remove those of processes that have ended."""
        found: dict[str, str] = {}
        for path, _ in _files(self.folder / folder):
            with suppress(FileNotFoundError), path.open("r", encoding="ascii") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    found[path.name] = file.read()
                else:
                    path.unlink(missing_ok=True)
        return found

    @contextmanager
    def _locked(self, name: str, kind: int) -> Iterator[None]:
        path = self._made(os.path.dirname(name)) / os.path.basename(name)
        with path.open("ab") as file:
            fcntl.flock(file, kind)
            yield

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def cache_folder() -> Path:
    """Return the folder that the environment selects. Raises ConfigError if it is empty."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen == "":
        raise ConfigError(f"{FOLDER_VARIABLE} is empty; set it to a folder for remote source files, or unset it")
    return Path(os.path.abspath(os.path.expanduser(chosen or os.path.join(hf_home(), "dvm_hf", "sources"))))


def _counted(account: Path) -> int | None:
    try:
        return int(account.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files of a folder that still exist, with their status."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield Path(entry.path), entry.stat(follow_symlinks=False)


def _links(folder: Path | str) -> Iterator[tuple[str, float]]:
    """Yield the content and the time of the last use of each link in a folder and below."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                with suppress(FileNotFoundError):
                    target, status = os.readlink(entry.path), entry.stat(follow_symlinks=False)
                    yield os.path.basename(target), status.st_mtime
            elif entry.is_dir(follow_symlinks=False):
                yield from _links(entry.path)
