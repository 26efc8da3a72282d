"""Dataset repositories of the loopback Hub: bytes in a folder, commits as snapshots of a tree."""

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LFS_SUFFIXES = (".parquet", ".arrow", ".jpg", ".png")
DATE = "2026-01-02T03:04:05.000Z"


def git_oid(content: bytes) -> str:
    """Return the SHA-1 by which git names a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Entry:
    """A file of a commit; `sha256` only if its bytes are in LFS storage; `oid` is then that of the pointer."""

    size: int
    oid: str
    sha256: str | None = None


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    title: str
    files: dict[str, Entry]


class Blobs:
    """Bytes in a folder, by their hash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, oid: str) -> Path:
        assert len(oid) in (40, 64)
        assert oid.isalnum()
        return self.folder / oid

    def add_regular(self, content: bytes) -> Entry:
        self.path(git_oid(content)).write_bytes(content)
        return Entry(len(content), git_oid(content))

    def lfs_entry(self, oid: str) -> Entry:
        pointer = (
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {self.path(oid).stat().st_size}\n"
        )
        return Entry(self.path(oid).stat().st_size, git_oid(pointer.encode()), oid)

    def receive(self, oid: str, chunks: Iterator[bytes]) -> bool:
        """Store the bytes atomically if they have this SHA-256; otherwise store nothing."""
        digest = hashlib.sha256()
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".incoming-", delete=False) as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
        is_whole = digest.hexdigest() == oid
        Path(file.name).replace(self.path(oid)) if is_whole else Path(file.name).unlink()
        return is_whole

    def content(self, entry: Entry) -> bytes:
        return self.path(entry.sha256 or entry.oid).read_bytes()


@dataclass
class Repo:
    """`refs` maps `refs/heads/main`, `refs/pr/1`, ... to commits; `pulls` are titles of pull requests, from 1 on."""

    id: str
    private: bool
    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    pulls: list[str] = field(default_factory=list)
    pull_authors: list[str] = field(default_factory=list)

    def commit(self, ref: str, title: str, files: dict[str, Entry], *, parent: str | None) -> Commit:
        named = sorted((path, entry.oid) for path, entry in files.items())  # clients keep files by commit
        text = f"{self.id} {ref} {parent} {title} {named} {len(self.commits)}"
        made = Commit(hashlib.sha1(text.encode()).hexdigest(), parent, title, files)
        self.commits[made.oid] = made
        self.refs[ref] = made.oid
        return made

    def resolve(self, revision: str) -> Commit | None:
        """Return the commit of a branch, tag, full reference or commit hash."""
        for name in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if name in self.refs:
                return self.commits[self.refs[name]]
        return self.commits.get(revision)

    def ref_to_commit_to(self, revision: str) -> str | None:
        """Return the reference to commit to: branches and pull requests accept commits, tags and hashes do not."""
        return next((ref for ref in (f"refs/heads/{revision}", revision) if ref in self.refs), None)

    def history(self, revision: str = "main") -> list[Commit]:
        """From the newest commit to the first."""
        commit, found = self.resolve(revision), []
        while commit is not None:
            found.append(commit)
            commit = self.commits[commit.parent] if commit.parent else None
        return found


def tree(commit: Commit, folder: str, *, recursive: bool, expand: bool) -> list[dict[str, Any]] | None:
    """Return a commit's files and folders under `folder` as the Hub lists them; None if the folder does not exist."""
    inside = f"{folder}/" if folder else ""
    below = {path: entry for path, entry in sorted(commit.files.items()) if path.startswith(inside)}
    if folder and not below:
        return None
    listed: dict[str, dict[str, Any]] = {}
    for path, entry in below.items():
        names = path[len(inside) :].split("/")
        for depth in range(1, len(names) if recursive else min(len(names), 2)):
            parent = inside + "/".join(names[:depth])
            oid = hashlib.sha1(parent.encode()).hexdigest()
            listed.setdefault(parent, {"type": "directory", "path": parent, "oid": oid, "size": 0})
        if recursive or len(names) == 1:
            listed[path] = listed_file(path, entry)
    last = {"id": commit.oid, "title": commit.title, "date": DATE}
    return [item | ({"lastCommit": last} if expand else {}) for item in listed.values()]


def listed_file(path: str, entry: Entry) -> dict[str, Any]:
    """A file as the Hub lists it."""
    item: dict[str, Any] = {"type": "file", "path": path, "size": entry.size, "oid": entry.oid}
    if entry.sha256:
        item["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": 127 + len(str(entry.size))}
    return item
