"""Scan folders below one root: names, sizes and times, links and problems. Only lists of names are opened.

Only files under the root are read. A link that points outside the root is a problem, unless the environment variable
DVM_LINKED_FOLDERS lists the folder of its target.
"""

import errno
import hashlib
import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from dvm_hf.machine_faults import HINTS
from dvm_hf.media.video.frame_names import FRAME_SUFFIXES, frame_names, frame_numbers
from dvm_hf.sources.names import composed, is_ignored, printable
from dvm_hf.sources.records import Problem
from dvm_hf.sources.remote.listed_tree import ListedEntry, ListedStat
from dvm_hf.sources.remote.source_files import listed_files, present, remote_tree

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")  # of the DVM layout
STILL_SUFFIXES = FRAME_SUFFIXES  # of all other layouts
VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts")
MACHINE_FAULT = "machine-fault"  # code of problems that the machine causes, not the file
LINKED_FOLDERS_VARIABLE = "DVM_LINKED_FOLDERS"  # folders outside the root that links may point to, separated as in PATH


FolderEntry = os.DirEntry[str] | ListedEntry  # of a local folder, or of the listing of a remote one
FileStat = os.stat_result | ListedStat


class FolderScan:
    """A scan of the root: lists folders and collects signatures and problems.

    within: the folder that links must not leave; None: the root.
    """

    def __init__(self, root: Path, *, within: Path | None = None) -> None:
        self.root = root
        self.signatures: dict[str, tuple[int, int]] = {}
        self.inodes: dict[str, tuple[int, int]] = {}
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []
        self.frame_numbers: dict[str, range] = {}  # of each folder of numbered pictures
        self.ignored: list[str] = []
        self.lists: list[str] = []  # lists of names that were read
        self._broken: set[str] = set()
        self._allowed = (os.path.realpath(within or root), *_linked_folders())

    def note(self, path: str, text: str, code: str) -> None:
        self.problems.append(Problem(printable(path), printable(text), code))

    def remark(self, path: str, text: str, code: str) -> None:
        """Note what is not a problem: files that a layout skips on purpose."""
        self.notes.append(Problem(printable(path), printable(text), code))

    def note_unexpected(self, path: str) -> None:
        self.ignored.append(printable(path))

    def entries(self, path: str) -> list[FolderEntry]:
        """Return the entries of a folder, sorted by name, without ignored names; empty if it is missing."""
        if self._leads_nowhere(path) or self._is_outside(path):
            return []
        try:
            return self._listed(path)
        except OSError as error:
            if not self._is_machine_fault(path, error):
                self.note(path, f"cannot be listed ({error.strerror}); fix or remove it", "unreadable")
            return []

    def listing(self, path: str) -> list[FolderEntry]:
        """Return the entries of a folder for their names and sizes only: follow all links, and note no problems."""
        try:
            return self._listed(path)
        except OSError:
            return []

    def _listed(self, path: str) -> list[FolderEntry]:
        try:
            found = _folder_entries(self.root / path)
        except FileNotFoundError:
            return []
        return sorted((e for e in found if not is_ignored(e.name)), key=lambda e: (composed(e.name), e.name))

    def media(
        self,
        path: str,
        suffixes: tuple[str, ...],
        *,
        folders: Literal["unexpected", "frames", "skip"] = "unexpected",
        selected: Callable[[str], bool] = lambda name: True,
    ) -> dict[str, str]:
        """Return the usable files of a folder: name without extension to path relative to the root.

        folders: how folders in it are handled; with "frames", they are videos, see `frame_folder`.
        selected: takes a name, and returns whether to read its file; others are skipped.
        """
        found: dict[str, str] = {}
        for entry in self.entries(path):
            stem, suffix = os.path.splitext(composed(entry.name))
            relative = entry.name if path == "." else f"{path}/{entry.name}"
            is_clip = folders != "unexpected" and is_folder(entry)
            if is_clip:
                stem = composed(entry.name)
            elif suffix.lower() not in suffixes:
                if folders == "frames":  # it can be a link to a clip
                    self.note_non_folder(entry, relative)
                else:
                    self.note_unexpected(relative)
                continue
            if (is_clip and folders == "skip") or not selected(stem):
                continue
            if not (self.clip_folder(entry, relative) if is_clip else self._is_usable(entry, relative)):
                continue
            if stem in found:
                text = f"has the same name as {found[stem]}; names without extension must differ; rename one of them"
                self.note(relative, text, "same-name")
                continue
            found[stem] = relative
        return found

    def clip_folder(self, entry: FolderEntry, relative: str) -> tuple[str, ...]:
        """Return `frame_folder` for a listed folder whose name can be that of a source."""
        return self.frame_folder(relative) if self.has_readable_name(entry, relative) else ()

    def frame_folder(self, path: str) -> tuple[str, ...]:
        """Return the names of the numbered pictures of a video, by number; () if there is a problem, which is noted.

        Other files in the folder are unexpected. The folder gets one signature.
        """
        count = len(self.problems)
        listed = {entry.name: entry for entry in self.entries(path)}
        if len(self.problems) > count:  # the folder cannot be listed
            return ()
        found = frame_names(listed)
        for name in found.others:
            self.note_unexpected(f"{path}/{name}")
        if found.fault:
            self.note(path, found.fault, "frames")
            return ()
        stats: dict[str, FileStat] = {}
        for name in found.frames:
            stat = self._usable_stat(listed[name], f"{path}/{name}")
            if stat is None:
                return ()
            stats[name] = stat
        self.signatures[path] = frames_signature(stats)
        self.frame_numbers[path] = frame_numbers(found.frames)
        return found.frames

    def text(self, path: str, *, max_bytes: int) -> str | None:
        """Return the text of a list in the source folder; None if it is missing or, with a problem noted, unusable."""
        folder, _, name = path.rpartition("/")
        entry = next((one for one in self.entries(folder or ".") if one.name == name), None)
        if entry is None or not self._is_usable(entry, path):
            return None
        if self.signatures[path][0] > max_bytes:
            self.note(path, f"has more than {max_bytes:,} bytes, the maximum for a list; replace it", "name-list")
            return None
        try:
            with present([self.root / path]):
                text = (self.root / path).read_bytes().decode("utf-8-sig")
            self.lists.append(path)
            return text
        except UnicodeDecodeError as error:
            self.note(path, f"is not UTF-8 at byte {error.start:,}; save the list as UTF-8", "name-list")
        except OSError as error:
            if not self._is_machine_fault(path, error):
                self.note(path, f"cannot be read ({error.strerror}); fix or remove it", "unreadable")
        return None

    def has_readable_name(self, entry: FolderEntry, relative: str) -> bool:
        """Return whether the name is UTF-8 without control characters; otherwise note a problem."""
        if entry.name.isprintable():  # most names; in 100,000 frames the rest takes a second
            return True
        rule = ""
        if any(unicodedata.category(character) == "Cs" for character in entry.name):
            rule = "has a name that is not UTF-8"
        elif any(unicodedata.category(character) == "Cc" for character in entry.name):
            rule = "has a name with control characters, such as a newline"
        if rule:
            self.note(relative, f"{rule}; rename it", "bad-name")
        return not rule

    def _leads_nowhere(self, path: str) -> bool:
        """Return whether a folder, or one that contains it, is a broken link; if so, note a problem."""
        parts = path.split("/")
        for folder in ("/".join(parts[: count + 1]) for count in range(len(parts))):
            if _is_broken_link(self.root / folder):
                self.note_broken_link(folder)
                return True
        return False

    def note_broken_link(self, relative: str) -> None:
        if relative not in self._broken:  # every folder below a link leads here
            self._broken.add(relative)
            self.note(relative, "is a broken link; fix or remove it", "dead-link")

    def _is_outside(self, relative: str) -> bool:
        """Return whether a link makes a path leave the root; if so, note a problem."""
        target = os.path.realpath(self.root / relative)
        if any(target == folder or target.startswith(folder.rstrip(os.sep) + os.sep) for folder in self._allowed):
            return False
        self.note(
            relative,
            f"is a link that points outside the source folder, to {target}; move the target into the source folder, or "
            f"list its folder in the environment variable {LINKED_FOLDERS_VARIABLE}",
            "link-out",
        )
        return True

    def note_non_folder(self, entry: FolderEntry, relative: str) -> None:
        """Handle a file among folders: a broken link is a problem, any other file is unexpected."""
        if entry.is_symlink() and not _is_file(entry):
            self.note_broken_link(relative)
        else:
            self.note_unexpected(relative)

    def _is_machine_fault(self, path: str, error: OSError) -> bool:
        """Return whether an error is a fault of the machine; if so, note it as a problem."""
        if error.errno not in HINTS:
            return False
        text = (
            f"could not be read ({error.strerror}), because of a fault in this machine or its storage, not in the "
            "file; fix the fault and check again"
        )
        self.note(path, text, MACHINE_FAULT)
        return True

    def _is_usable(self, entry: FolderEntry, relative: str) -> bool:
        stat = self._usable_stat(entry, relative)
        if stat is None:
            return False
        self.signatures[relative] = (stat.st_size, stat.st_mtime_ns)
        self.inodes[relative] = (stat.st_dev, stat.st_ino)
        return True

    def _usable_stat(self, entry: FolderEntry, relative: str) -> FileStat | None:
        """Return the status of a usable file; otherwise None, with a problem noted."""
        if not self.has_readable_name(entry, relative):
            return None
        try:
            stat = entry.stat()
        except OSError as error:
            if _is_broken_link(self.root / relative):
                self.note_broken_link(relative)
            elif not self._is_machine_fault(relative, error):
                self.note(relative, f"cannot be read ({error.strerror}); fix or remove it", "unreadable")
            return None
        if not entry.is_file():
            self.note(relative, "is not a regular file; remove it", "not-a-file")
            return None
        if entry.is_symlink() and self._is_outside(relative):
            return None
        if stat.st_size == 0:
            self.signatures[relative] = (stat.st_size, stat.st_mtime_ns)  # so that the fingerprint shows a new copy
            self.note(relative, "is empty (0 bytes); copy it again", "empty")
            return None
        return stat


def frames_signature(stats: Mapping[str, FileStat]) -> tuple[int, int]:
    """Return the signature of a folder of numbered pictures: total size, hash of all names, sizes and times."""
    total, digest = 0, hashlib.blake2b(digest_size=8)
    for name, stat in stats.items():
        total += stat.st_size
        digest.update(f"{name}/{stat.st_size}/{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return total, int.from_bytes(digest.digest(), "big")


def file_signature(path: Path) -> tuple[int, int]:
    """Return the signature of a source as in `SourceTree.signatures`. Raises OSError if it cannot be read."""
    if not path.is_dir():
        stat = file_stat(path)
        return stat.st_size, stat.st_mtime_ns
    return frames_signature({name: file_stat(path / name) for name in pictures_in(path)})


def pictures_in(folder: Path) -> tuple[str, ...]:
    """Return the names of the numbered pictures in a folder, by number. Raises OSError if it cannot be listed."""
    return frame_names(one.name for one in _folder_entries(folder) if not is_ignored(one.name)).frames


def file_stat(path: Path) -> FileStat:
    """Return size and times of a file, or what replaces them in a listing. Raises OSError if it is missing."""
    listed = listed_files(path)
    if listed is None:
        return path.stat()
    if len(listed) != 1 or listed[0].path != path:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return ListedEntry(path.name, listed[0].file).stat()


def has_file(path: Path) -> bool:
    """Return whether there is a file, fetched or not."""
    listed = listed_files(path)
    return path.is_file() if listed is None else [one.path for one in listed] == [path]


def _folder_entries(folder: Path) -> Sequence[FolderEntry]:
    """Return the entries of a folder, from its listing if it is remote. Raises OSError."""
    found = remote_tree(folder)
    if found is not None:
        tree, inner = found
        return tree.entries(inner)
    with os.scandir(folder) as entries:
        return list(entries)


def entries(root: Path, path: str) -> list[FolderEntry]:
    """Return the entries of a folder under the root, sorted by name, without ignored names.

    Empty if the folder is missing, cannot be listed, or is outside the root.
    """
    return FolderScan(root).entries(path)


def is_folder(entry: FolderEntry) -> bool:
    """Return whether an entry is a folder or a link to one; False for a circular link."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_broken_link(path: Path) -> bool:
    """Return whether a path is a link whose target does not exist. A link in a circle is not broken."""
    if not os.path.islink(path):
        return False
    try:
        os.stat(path)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR)
    return False


def _is_file(entry: FolderEntry) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _linked_folders() -> tuple[str, ...]:
    listed = os.environ.get(LINKED_FOLDERS_VARIABLE, "").split(os.pathsep)
    return tuple(os.path.realpath(os.path.expanduser(folder)) for folder in listed if folder)
