"""Hashes of source files: by content, so that they are the same on every machine; remembered by size and times."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.utils import tqdm

from dvm_hf.errors import PreparedError
from dvm_hf.machine_faults import source_fault
from dvm_hf.prepared.atomic_io import sha256_of, write_whole
from dvm_hf.prepared.folder import FORMAT, sealed, unsealed

KIND = "sources"
# bytes, times of modification and of change in ns; the last cannot be set back. A file's number would not tell more,
# and some network file systems give it a new one each time.
Signature = tuple[int, int, int]


@dataclass
class SourceDigests:
    """SHA-256 of files under `root`, by relative path; what was hashed once is hashed again only if the file changed.

    The memory is a local file of the prepared folder: it names the root on this machine, so it is never published.
    """

    root: Path
    memory: Path
    _known: dict[str, tuple[Signature, str]] = field(default_factory=dict)

    @classmethod
    def remembered(cls, root: Path, memory: Path) -> "SourceDigests":
        """With what an earlier run hashed under the same root, if it left a readable memory."""
        digests = cls(root, memory)
        held = _held(memory)
        if held.get("data_dir") == str(root):
            digests._known = {
                path: ((size, modified, changed), digest)
                for path, (size, modified, changed, digest) in held.get("files", {}).items()
            }
        return digests

    def of(self, paths: Iterable[str]) -> dict[str, str]:
        """Digest of each file; raises SourceError for one that cannot be read. Shows progress when it takes long."""
        wanted = sorted(set(paths))
        seen = {path: signature(self.root / path) for path in wanted}
        changed = [path for path in wanted if path not in self._known or self._known[path][0] != seen[path]]
        if changed:
            for path in tqdm(changed, desc="Hashing sources", unit=" files", delay=2):
                self._known[path] = (seen[path], self._digest(path))
        return {path: self._known[path][1] for path in wanted}

    def keep(self) -> None:
        """Write the memory; none of a root whose path is not UTF-8, which JSON cannot hold."""
        files = {path: [*seen, digest] for path, (seen, digest) in sorted(self._known.items())}
        content = {"format": FORMAT, "kind": KIND, "data_dir": str(self.root), "files": files}
        with suppress(UnicodeEncodeError):
            write_whole(self.memory, sealed(content))

    def _digest(self, path: str) -> str:
        try:
            return sha256_of(self.root / path)
        except OSError as error:
            text = f"{self.root / path}: cannot be read ({error.strerror}); replace the file"
            raise source_fault(self.root / path, error, text) from error


def signature(path: Path) -> Signature:
    """Size and times of a source; raises SourceError where it cannot be read."""
    try:
        stat = path.stat()
    except OSError as error:
        text = f"{path}: cannot be read ({error.strerror}); put the file back"
        raise source_fault(path, error, text) from error
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def remembered_root(memory: Path) -> Path | None:
    """Where the sources of a prepared folder were when it was last made on this machine."""
    root = _held(memory).get("data_dir")
    return Path(root) if isinstance(root, str) and os.path.isdir(root) else None


def _held(memory: Path) -> dict[str, Any]:
    try:
        return unsealed(memory, KIND)
    except PreparedError:
        return {}  # a mere memory: what it has lost is hashed again
