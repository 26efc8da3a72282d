"""Scan a source tree, list its problems and compute its fingerprint. Nothing is decoded.

DVM/fg/image/{train,test}/fg/NAME.png      colour of an image foreground
DVM/fg/image/{train,test}/alpha/NAME.png   its alpha, same name
DVM/fg/image/test/trimap/NAME.png          its trimap, test only
DVM/fg/video/{train,test}/NNNN/{f,a}.mp4   colour and alpha of a video foreground
DVM/bg/{train,test}/NNNN.mp4               background videos

Only files under the root are read. A link that points outside the root is a problem, unless the environment variable
DVM_LINKED_FOLDERS lists the folder of its target.
"""

import hashlib
import os
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dvm_hf.errors import SourceError
from dvm_hf.machine_faults import ADVICE
from dvm_hf.sources.names import composed, is_ignored, printable

KINDS = ("image", "video")
SPLITS = ("train", "test")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts")

MACHINE_FAULT = "machine-fault"  # code of problems that the machine causes, not the file
LINKED_FOLDERS_VARIABLE = "DVM_LINKED_FOLDERS"  # folders outside the root that links may point to, separated as in PATH


@dataclass(frozen=True)
class Foreground:
    """An image or video foreground: its name without extension, and its files."""

    kind: str  # one of KINDS
    name: str
    colour: Path
    alpha: Path
    trimap: Path | None = None


@dataclass(frozen=True)
class Background:
    """A background video: its name without extension, and its file."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a source. The text gives the problem and the fix."""

    path: str  # relative to the root
    text: str
    code: str = "unusable"  # finding code of `dvm check`

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


@dataclass(frozen=True)
class SourceTree:
    """The usable sources of one split, sorted by name, and the problems of the others."""

    root: Path
    split: str
    foregrounds: tuple[Foreground, ...]
    backgrounds: tuple[Background, ...]
    problems: tuple[Problem, ...]
    passed_over: tuple[str, ...]  # unexpected files, such as other extensions; relative to the root
    signatures: dict[str, tuple[int, int]] = field(repr=False)  # relative path: (bytes, mtime in ns)

    def fingerprint(self) -> str:
        """Return a hash of every file's relative path, size and modification time (ns)."""
        digest = hashlib.sha256()
        for path, signature in sorted(self.signatures.items()):
            digest.update(repr((path, signature)).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def scan(root: Path, split: str, *, kinds: Iterable[str] = KINDS, with_trimaps: bool = True) -> SourceTree:
    """Scan the folders of one split; trimap folders only if `with_trimaps`.

    Unusable sources become problems. Raises SourceError if the root is missing, or the split has no usable foreground
    of these kinds or no usable background.
    """
    tree = survey(root, split, kinds=(kinds := tuple(kinds)), with_trimaps=with_trimaps)
    _require_sources(tree, kinds)
    return tree


def survey(root: Path, split: str, *, kinds: Iterable[str] = KINDS, with_trimaps: bool = True) -> SourceTree:
    """Scan a split that may be empty; see `scan`. Raises SourceError only if the root is not a folder."""
    root, kinds = Path(root), tuple(kinds)
    if not root.is_dir():
        raise SourceError(f"{root}: no such folder; data_dir must be the folder that contains fg/ and bg/")
    folder = _Folder(root, with_trimaps=with_trimaps)
    foregrounds = [found for kind in KINDS if kind in kinds for found in FINDERS[kind](folder, split)]
    backgrounds = [Background(name, root / path) for name, path in folder.media(f"bg/{split}", VIDEO_SUFFIXES).items()]
    _note_shared_backgrounds(folder, split, backgrounds)
    return SourceTree(
        root,
        split,
        tuple(foregrounds),
        tuple(backgrounds),
        tuple(folder.problems),
        tuple(folder.passed_over),
        folder.signatures,
    )


def entries(root: Path, path: str) -> list[os.DirEntry[str]]:
    """Return the entries of a folder under the root, sorted by name, without ignored names.

    Empty if the folder is missing, cannot be listed, or is outside the root.
    """
    return _Folder(root, with_trimaps=False).entries(path)


class _Folder:
    """A scan of the root: lists folders and collects signatures and problems."""

    def __init__(self, root: Path, *, with_trimaps: bool) -> None:
        self.root, self.with_trimaps = root, with_trimaps
        self.signatures: dict[str, tuple[int, int]] = {}
        self.inodes: dict[str, tuple[int, int]] = {}
        self.problems: list[Problem] = []
        self.passed_over: list[str] = []

        self._allowed = (os.path.realpath(root), *_linked_folders())

    def note(self, path: str, text: str, code: str) -> None:
        self.problems.append(Problem(printable(path), printable(text), code))

    def note_unexpected(self, path: str) -> None:
        self.passed_over.append(printable(path))

    def entries(self, path: str) -> list[os.DirEntry[str]]:
        """Return the entries of a folder, sorted by name, without ignored names; empty if it is missing."""
        if self._is_outside(path):
            return []
        try:
            return self._listed(path)
        except OSError as error:
            if not self._is_machine_fault(path, error):
                self.note(path, f"cannot be listed ({error.strerror}); fix or remove it", "unreadable")
            return []

    def listing(self, path: str) -> list[os.DirEntry[str]]:
        """Return the entries of a folder for their names and sizes only: follow all links, and note no problems."""
        try:
            return self._listed(path)
        except OSError:
            return []

    def _listed(self, path: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / path) as found:
                return sorted((e for e in found if not is_ignored(e.name)), key=lambda e: (composed(e.name), e.name))
        except FileNotFoundError:
            return []

    def media(self, path: str, suffixes: tuple[str, ...]) -> dict[str, str]:
        """Return the usable files of a folder: name without extension to path relative to the root."""
        found: dict[str, str] = {}
        for entry in self.entries(path):
            stem, suffix = os.path.splitext(composed(entry.name))
            relative = f"{path}/{entry.name}"
            if suffix.lower() not in suffixes:
                self.note_unexpected(relative)
                continue
            if not self._is_usable(entry, relative):
                continue
            if stem in found:
                text = f"has the same name as {found[stem]}; names without extension must differ; rename one of them"
                self.note(relative, text, "same-name")
                continue
            found[stem] = relative
        return found

    def has_readable_name(self, entry: os.DirEntry[str], relative: str) -> bool:
        """Return whether the name is UTF-8 without control characters; otherwise note a problem."""
        rule = ""
        if any(unicodedata.category(character) == "Cs" for character in entry.name):
            rule = "has a name that is not UTF-8"
        elif any(unicodedata.category(character) == "Cc" for character in entry.name):
            rule = "has a name with control characters, such as a newline"
        if rule:
            self.note(relative, f"{rule}; rename it", "bad-name")
        return not rule

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

    def note_non_folder(self, entry: os.DirEntry[str], relative: str) -> None:
        """Handle a file among folders: a broken link is a problem, any other file is unexpected."""
        if entry.is_symlink() and not _is_file(entry):
            self.note(relative, "is a broken link; fix or remove it", "dead-link")
        else:
            self.note_unexpected(relative)

    def _is_machine_fault(self, path: str, error: OSError) -> bool:
        """Return whether an error is a fault of the machine; if so, note it as a problem."""
        if error.errno not in ADVICE:
            return False
        text = (
            f"could not be read ({error.strerror}), because of a fault of this machine or its storage and not of the "
            "file; fix the fault and check again"
        )
        self.note(path, text, MACHINE_FAULT)
        return True

    def _is_usable(self, entry: os.DirEntry[str], relative: str) -> bool:
        if not self.has_readable_name(entry, relative):
            return False
        try:
            stat = entry.stat()
        except OSError as error:
            if not self._is_machine_fault(relative, error):
                self.note(relative, f"cannot be read ({error.strerror}); fix or remove it", "unreadable")
            return False
        if not entry.is_file():
            self.note(relative, "is not a regular file; remove it", "not-a-file")
            return False
        if entry.is_symlink() and self._is_outside(relative):
            return False
        self.signatures[relative] = (stat.st_size, stat.st_mtime_ns)
        if stat.st_size == 0:
            self.note(relative, "is empty (0 bytes); copy it again", "empty")
            return False
        self.inodes[relative] = (stat.st_dev, stat.st_ino)
        return True


def _image_foregrounds(folder: _Folder, split: str) -> Iterable[Foreground]:
    base = f"fg/image/{split}"
    colours, alphas = (folder.media(f"{base}/{part}", IMAGE_SUFFIXES) for part in ("fg", "alpha"))
    trimaps = folder.media(f"{base}/trimap", IMAGE_SUFFIXES) if folder.with_trimaps and split == "test" else {}
    for path in (path for name, path in trimaps.items() if name not in colours):
        folder.note_unexpected(path)
    with_bad_trimap = {Path(problem.path).stem for problem in folder.problems if "/trimap/" in problem.path}
    for name in sorted((colours.keys() | alphas.keys()) - with_bad_trimap):
        if name not in alphas:
            text = f"has no usable alpha, expected {base}/alpha/{name}.png; add it, or remove this file"
            folder.note(colours[name], text, "no-alpha")
        elif name not in colours:
            text = f"has no usable colour, expected {base}/fg/{name}.png; add it, or remove this file"
            folder.note(alphas[name], text, "no-colour")
        else:
            trimap = folder.root / trimaps[name] if name in trimaps else None
            yield Foreground("image", name, folder.root / colours[name], folder.root / alphas[name], trimap)


def _video_foregrounds(folder: _Folder, split: str) -> Iterable[Foreground]:
    base, seen = f"fg/video/{split}", dict[str, str]()
    for entry in folder.entries(base):
        path, name = f"{base}/{entry.name}", composed(entry.name)
        if not is_folder(entry):
            folder.note_non_folder(entry, path)
            continue
        if not folder.has_readable_name(entry, path):
            continue
        parts = folder.media(path, VIDEO_SUFFIXES)
        for other in (other for part, other in parts.items() if part not in ("f", "a")):
            folder.note_unexpected(other)
        missing = [part for part in ("f", "a") if part not in parts]
        if missing:
            lacking = " and no ".join(f"{part}.mp4" for part in missing)
            folder.note(
                path,
                f"has no usable {lacking}, expected f.mp4 and a.mp4; add what is missing, or remove the folder",
                "no-alpha" if missing == ["a"] else "no-colour",
            )
        elif name in seen:
            folder.note(path, f"has the same name as {seen[name]}; rename one of them", "same-name")
        else:
            seen[name] = path
            yield Foreground("video", name, folder.root / parts["f"], folder.root / parts["a"])


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one; False for a circular link."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _linked_folders() -> tuple[str, ...]:
    listed = os.environ.get(LINKED_FOLDERS_VARIABLE, "").split(os.pathsep)
    return tuple(os.path.realpath(os.path.expanduser(folder)) for folder in listed if folder)


FINDERS: dict[str, Callable[[_Folder, str], Iterable[Foreground]]] = {
    "image": _image_foregrounds,
    "video": _video_foregrounds,
}


def _note_shared_backgrounds(folder: _Folder, split: str, backgrounds: list[Background]) -> None:
    """Note a problem for each background that is the same file (a link) in train and test."""
    other = next(name for name in SPLITS if name != split)
    elsewhere = {}
    for entry in folder.listing(f"bg/{other}"):
        try:
            stat = entry.stat()
        except OSError:
            continue  # a problem of the other split
        if stat.st_ino:  # 0 on Windows
            elsewhere[stat.st_dev, stat.st_ino] = f"bg/{other}/{entry.name}"
    for background in list(backgrounds):
        path = f"bg/{split}/{background.path.name}"
        shared = elsewhere.get(folder.inodes[path])
        if shared:
            text = f"is the same file as {shared}, but train and test must not share backgrounds; remove one of them"
            folder.note(path, text, "shared-background")
            backgrounds.remove(background)
            del folder.signatures[path]  # so that the fingerprint changes if the other file is removed


def _require_sources(tree: SourceTree, kinds: tuple[str, ...]) -> None:
    split, found = tree.split, (bool(tree.foregrounds), bool(tree.backgrounds))
    wanted = {"image": f"fg/image/{split}/fg + alpha", "video": f"fg/video/{split}/NNNN"}
    needs = (" or ".join(wanted[kind] for kind in KINDS if kind in kinds), f"bg/{split}")
    missing = [need for need, is_there in zip(needs, found, strict=True) if not is_there]
    if not missing:
        return
    names = [printable(entry.name) for entry in _Folder(tree.root, with_trimaps=False).listing(".")[:8]]
    held = ", ".join(names) or "nothing"
    first = {(problem.code, os.path.dirname(problem.path)): problem for problem in reversed(tree.problems)}
    more = len(tree.problems) - len(first)
    reasons = "".join(f"; {problem}" for problem in list(first.values())[::-1][:3])
    reasons += f"; and {more:,} more like these" if more else ""
    raise SourceError(
        f"{tree.root}: contains no usable file in {' or '.join(missing)}, which the split {split!r} "
        f"needs{reasons}; data_dir must be the folder that contains fg/ and bg/ (this one contains: {held})"
    )
