"""Hashes of sources. They depend on content only, so that machines agree; the cache compares size and times.

The hash of a folder of numbered pictures is that of a text with a line for each picture: its SHA-256 and its name.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.errors import PreparedError, SourceError
from dvm_hf.machine_faults import source_fault
from dvm_hf.prepared.atomic_io import atomic_write, sha256_of
from dvm_hf.prepared.folder import FORMAT, checksummed, read_checksummed
from dvm_hf.prepared.source_paths import source_paths
from dvm_hf.sources.folder_scan import pictures_in
from dvm_hf.wording import first_few

KIND = "sources"
# Size in bytes, modification time and change time in ns. Programs cannot set the change time. The inode would add
# nothing, and some network file systems change it each time.
Signature = tuple[int, int, int]


@dataclass
class SourceDigests:
    """SHA-256 of files under `root` by relative path; a file is hashed again only if it changed.

    The cache is a file in the prepared folder. It contains the root on this machine, so it is never published.
    progress: wraps the list of files to hash, for example in a progress bar.
    """

    root: Path
    cache_file: Path
    progress: Callable[[list[str]], Iterable[str]] = iter
    _known: dict[str, tuple[Signature, str]] = field(default_factory=dict)

    @classmethod
    def cached(
        cls, root: Path, cache_file: Path, *, progress: Callable[[list[str]], Iterable[str]] = iter
    ) -> "SourceDigests":
        """Return an instance with the hashes of an earlier run for the same root, if its cache can be read."""
        digests = cls(root, cache_file, progress)
        held = _cached_content(cache_file)
        if held.get("data_dir") == str(root):
            digests._known = {
                path: ((size, modified, changed), digest)
                for path, (size, modified, changed, digest) in held.get("files", {}).items()
            }
        return digests

    def of(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the digest of each file; raises SourceError if one cannot be read."""
        wanted = sorted(set(paths))
        current = {path: signature(self.root / path) for path in wanted}
        changed = [path for path in wanted if path not in self._known or self._known[path][0] != current[path]]
        for path in self.progress(changed) if changed else ():
            self._known[path] = (current[path], self._digest(path))
        return {path: self._known[path][1] for path in wanted}

    def save(self) -> None:
        """Write the cache, unless the root's path is not UTF-8, which JSON cannot represent."""
        files = {path: [*known, digest] for path, (known, digest) in sorted(self._known.items())}
        content = {"format": FORMAT, "kind": KIND, "data_dir": str(self.root), "files": files}
        with suppress(UnicodeEncodeError):
            atomic_write(self.cache_file, checksummed(content))

    def _digest(self, path: str) -> str:
        try:
            return content_digest(self.root / path)
        except OSError as error:
            text = f"{self.root / path}: cannot be read ({error.strerror}); replace the file"
            raise source_fault(self.root / path, error, text) from error


def require_sources(planned: Mapping[str, str], digests: SourceDigests, clips: Iterable[ClipPlan]) -> None:
    """Raise SourceError if a source of these clips differs from its hash in a plan, given by relative path."""
    wanted = {path for clip in clips for path in source_paths(clip)}
    now = digests.of(wanted)
    changed = [path for path in sorted(wanted) if now[path] != planned.get(path)]
    if changed:
        raise SourceError(
            f"{digests.root}: {first_few(changed)} changed since the plan was made; restore the file, or prepare into "
            "another folder"
        )


def signature(path: Path) -> Signature:
    """Return size and times of a source; raises SourceError if it cannot be read.

    For a folder of numbered pictures, the sum of the sizes, and hashes of the names and times.
    """
    try:
        if path.is_dir():
            return _folder_signature(path)
        stat = path.stat()
    except OSError as error:
        text = f"{path}: cannot be read ({error.strerror}); put the file back"
        raise source_fault(path, error, text) from error
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file, or the hash of a folder of numbered pictures. Raises OSError."""
    if not path.is_dir():
        return sha256_of(path)
    digest = hashlib.sha256()
    for name in pictures_in(path):
        digest.update(f"{sha256_of(path / name)}  {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _folder_signature(path: Path) -> Signature:
    size, changes, modified = 0, hashlib.blake2b(digest_size=8), hashlib.blake2b(digest_size=8)
    for name in pictures_in(path):
        stat = (path / name).stat()
        size += stat.st_size
        modified.update(f"{name}/{stat.st_size}/{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
        changes.update(f"{stat.st_ctime_ns}\n".encode())
    return size, int.from_bytes(modified.digest(), "big"), int.from_bytes(changes.digest(), "big")


def cached_root(cache_file: Path) -> Path | None:
    """Return the root of the sources of the last build on this machine; None if unknown or missing."""
    root = _cached_content(cache_file).get("data_dir")
    return Path(root) if isinstance(root, str) and os.path.isdir(root) else None


def _cached_content(cache_file: Path) -> dict[str, Any]:
    try:
        return read_checksummed(cache_file, KIND)
    except PreparedError:
        return {}  # the files are hashed again
