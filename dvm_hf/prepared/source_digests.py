"""Hashes of sources. They depend on content only, so that machines agree; the cache compares size and times.

The hash of a folder of numbered pictures is that of a text with a line for each picture: its SHA-256 and its name.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.errors import SourceError
from dvm_hf.machine_faults import source_fault
from dvm_hf.prepared.atomic_io import sha256_of
from dvm_hf.prepared.plans.digest_cache import (
    ADDRESS,
    ROOT,
    KnownDigest,
    Signature,
    cached_digests,
    cached_facts,
    write_cache,
)
from dvm_hf.prepared.shuffled_work import shuffled
from dvm_hf.prepared.source_paths import source_paths
from dvm_hf.sources.folder_scan import file_stat, pictures_in
from dvm_hf.sources.remote.source_files import address_of, address_or_path, listed_files, local_path, present
from dvm_hf.wording import first_few

GROUP_FILES, GROUP_BYTES = 500, 4_000_000_000  # of sources that are hashed and kept together: two seconds


@dataclass
class SourceDigests:
    """SHA-256 of files under `root` by relative path; a file is hashed again only if it changed.

    cache_file: the hashes of earlier runs for the same root, a file in the prepared folder. Only the entries of
    requested files are read from it. It contains the root on this machine, so it is never published.
    progress: wraps the list of files to hash, for example in a progress bar. threads: that hash.
    facts: what else is kept in the cache, by name; see `save`.
    """

    root: Path
    cache_file: Path
    progress: Callable[[list[str]], Iterable[str]] = iter
    threads: int = 1
    facts: dict[str, str] = field(default_factory=dict)
    _known: dict[str, KnownDigest] = field(default_factory=dict)
    _is_new: bool = False  # whether a file was hashed

    def of(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the digest of each file; raises SourceError if one cannot be read."""
        wanted = sorted(set(paths))
        self._known |= cached_digests(self.cache_file, self.root, [path for path in wanted if path not in self._known])
        current = {path: signature(self.root / path) for path in wanted}
        changed = {path: current[path] for path in wanted if self._known.get(path, (None,))[0] != current[path]}
        if changed:
            self._hash(changed)
        return {path: self._known[path][1] for path in wanted}

    def save(self) -> None:
        """Write the cache, unless it contains all digests and `facts`. Facts under other names are kept."""
        former = cached_facts(self.cache_file)
        facts = (former if former.get(ROOT) == str(self.root) else {}) | {ROOT: str(self.root)} | self.facts
        if (address := address_of(self.root)) is not None:
            facts[ADDRESS] = address
        if self._is_new or facts != former:
            write_cache(self.cache_file, facts, cached_digests(self.cache_file, self.root) | self._known)
        # also those of interrupted runs: a file that has changed since then belongs to another group
        for path in self.cache_file.parent.glob(f"{self.cache_file.stem}-*{self.cache_file.suffix}"):
            path.unlink(missing_ok=True)

    def _hash(self, changed: Mapping[str, Signature]) -> None:
        """Hash files in groups, on several threads; hashing and reading release the interpreter's lock.

        Each group is kept in a file of its own until `save`, so that neither an interrupted run nor another one that
        hashes the same sources at the same time computes it again.
        """
        groups = list(_groups(changed))
        self._is_new = True
        with ThreadPoolExecutor(self.threads) as pool:
            order = shuffled(groups)  # other processes begin elsewhere
            made = {id(group): pool.submit(self._hashed_group, group, len(groups) > 1) for group in order}
            try:
                of_path = {path: made[id(group)] for group in groups for path in group}
                for path in self.progress(list(changed)):
                    self._known[path] = changed[path], of_path[path].result()[path]
            finally:
                pool.shutdown(cancel_futures=True)

    def _hashed_group(self, group: Mapping[str, Signature], is_kept: bool) -> dict[str, str]:
        """Return the digests of a group, from its file if there is one."""
        group_file = self.cache_file.with_name(f"{self.cache_file.stem}-{self._key(group)}{self.cache_file.suffix}")
        kept = cached_digests(group_file, self.root) if is_kept else {}
        if kept.keys() != group.keys():
            kept = {path: (known, self._digest(path)) for path, known in group.items()}
            if is_kept:
                write_cache(group_file, {ROOT: str(self.root)}, kept)
        return {path: digest for path, (_, digest) in kept.items()}

    def _key(self, group: Mapping[str, Signature]) -> str:
        text = repr((str(self.root), sorted(group.items())))
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()

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
            f"{address_or_path(digests.root)}: {first_few(changed)} changed since the plan was made; restore the file, "
            "or prepare into another folder"
        )


def _groups(files: Mapping[str, Signature]) -> Iterator[dict[str, Signature]]:
    """Yield the files in groups that take some seconds to hash."""
    group: dict[str, Signature] = {}
    size = 0
    for path, known in files.items():
        if group and (len(group) == GROUP_FILES or size + known[0] > GROUP_BYTES):
            yield group
            group, size = {}, 0
        group[path] = known
        size += known[0]
    if group:
        yield group


def signature(path: Path) -> Signature:
    """Return size and times of a source; raises SourceError if it cannot be read.

    For a folder of numbered pictures, the sum of the sizes, and hashes of the names and times.
    """
    try:
        if path.is_dir():
            return _folder_signature(path)
        stat = file_stat(path)
    except OSError as error:
        text = f"{path}: cannot be read ({error.strerror}); put the file back"
        raise source_fault(path, error, text) from error
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file, or the hash of a folder of numbered pictures. Raises OSError."""
    if not path.is_dir():
        return _sha256(path)
    digest = hashlib.sha256()
    for name in pictures_in(path):
        digest.update(f"{_sha256(path / name)}  {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    """Return the SHA-256 of a file. If it is remote and its listing has the hash, it is not fetched."""
    listed = listed_files(path) or []
    kind, _, digest = listed[0].file.content.partition(":") if listed else ("", "", "")
    if kind == "sha256":
        return digest
    with present([path]):
        return sha256_of(path)


def _folder_signature(path: Path) -> Signature:
    size, changes, modified = 0, hashlib.blake2b(digest_size=8), hashlib.blake2b(digest_size=8)
    for name in pictures_in(path):
        stat = file_stat(path / name)
        size += stat.st_size
        modified.update(f"{name}/{stat.st_size}/{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
        changes.update(f"{stat.st_ctime_ns}\n".encode())
    return size, int.from_bytes(modified.digest(), "big"), int.from_bytes(changes.digest(), "big")


def cached_root(cache_file: Path) -> Path | None:
    """Return the root of the sources of the last build on this machine; None if unknown or missing.

    The root of remote sources is that in the present cache of remote sources. Raises as `local_root` does.
    """
    facts = cached_facts(cache_file)
    if ADDRESS in facts:
        return Path(local_path(facts[ADDRESS]))
    root = facts.get(ROOT)
    return Path(root) if root is not None and os.path.isdir(root) else None
