"""Find problems with the folders and names of a source tree."""

import dataclasses
import difflib
import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from dvm_hf.check.findings import Finding, finding, of_problem
from dvm_hf.sources.names import printable
from dvm_hf.sources.tree import IMAGE_SUFFIXES, SPLITS, VIDEO_SUFFIXES, SourceTree, entries, is_folder, survey

# the folders of the layout, and the folders that each may contain
FOLDERS: dict[str, tuple[str, ...]] = {
    "": ("fg", "bg"),
    "fg": ("image", "video"),
    "bg": SPLITS,
    "fg/image": SPLITS,
    "fg/video": SPLITS,
    **{f"fg/image/{split}": ("fg", "alpha", "trimap") for split in SPLITS},
}
SIMILARITY = 0.6  # of difflib: "alphas" for "alpha", "imgs" for "image"
OTHER_NAMES = {"foreground": "fg", "foregrounds": "fg", "background": "bg", "backgrounds": "bg", "valid": "test"}
OTHER_NAMES |= {"val": "test", "mask": "alpha", "masks": "alpha", "matte": "alpha", "pha": "alpha", "fgr": "fg"}


def surveyed(root: Path, *, needed: str | None = None) -> tuple[dict[str, SourceTree], list[Finding]]:
    """Return the splits that have sources, and the findings about folders and names.

    An image foreground whose trimap is unusable is included without it, because only trimap="provided" needs a trimap.
    needed: a split that must be usable. Raises SourceError if the root is not a folder.
    """
    trees = {split: survey(root, split) for split in SPLITS}
    found = [finding_ for tree in trees.values() for finding_ in _of_tree(tree)]
    found += [*_of_folders(root), *_of_splits(trees, needed), *_of_train_trimaps(root)]
    for folder in _layout_folders(root, trees):
        found += _colliding(root, folder)
    return {split: _with_all_stills(tree) for split, tree in trees.items() if tree.signatures}, found


def _with_all_stills(tree: SourceTree) -> SourceTree:
    if not any("/trimap/" in problem.path for problem in tree.problems):
        return tree
    held = {(one.kind, one.name) for one in tree.foregrounds}
    others = survey(tree.root, tree.split, with_trimaps=False).foregrounds
    foregrounds = [*tree.foregrounds, *(one for one in others if (one.kind, one.name) not in held)]
    return dataclasses.replace(tree, foregrounds=tuple(sorted(foregrounds, key=lambda one: (one.kind, one.name))))


def _of_tree(tree: SourceTree) -> Iterator[Finding]:
    for problem in tree.problems:
        yield of_problem(problem)
    trimap_folder = f"fg/image/{tree.split}/trimap/"
    for path in tree.passed_over:
        if path.startswith(trimap_folder) and path.lower().endswith(IMAGE_SUFFIXES):
            yield finding("trimap-without-still", path)
        else:
            yield finding("stray", path, allowed=_allowed_near(tree.root, path))
    stills = [foreground for foreground in tree.foregrounds if foreground.kind == "image"]
    if any(still.trimap for still in stills):
        for still in stills:
            if not still.trimap:
                path = still.colour.relative_to(tree.root).as_posix()
                yield finding("still-without-trimap", path, trimap=f"{trimap_folder}{still.name}.png")


def _allowed_near(root: Path, path: str) -> str:
    """Return what is expected where an unexpected file or folder is."""
    if path.startswith("fg/video") and path.count("/") == 3:
        return "a foreground is a folder with f.mp4 and a.mp4"
    if (root / path).is_dir():
        return "folders here are not searched"
    suffixes = IMAGE_SUFFIXES if path.startswith("fg/image") else VIDEO_SUFFIXES
    if path.startswith("fg/video") and path.lower().endswith(suffixes):
        return "its name must be f or a in lower case, such as f.mp4"
    return f"files here end in {', '.join(suffixes)}"


def _of_folders(root: Path) -> Iterator[Finding]:
    """Find entries outside the layout, and folders that are missing although their counterpart exists."""
    for folder, names in FOLDERS.items():
        held = {entry.name: entry for entry in entries(root, folder)}
        missing = [name for name in names if name not in held]
        for name, entry in held.items():
            path = printable(f"{folder}/{name}".lstrip("/"))
            if name in names or (not folder and (not is_folder(entry) or _is_prepared(entry))):
                continue  # users keep notes and prepared folders next to their data
            meant = _meant(name, missing) if is_folder(entry) else ""
            if meant:
                missing.remove(meant)
                yield finding("folder-misspelt", path, meant=f"{folder}/{meant}".lstrip("/"))
            else:
                yield finding("stray", path, allowed=f"{folder or 'the root'} contains the folders {', '.join(names)}")
        if names[0] == "fg" and folder:
            for name, other in (("fg", "alpha"), ("alpha", "fg")):
                if name in missing and other in held:
                    yield finding("folder-missing", f"{folder}/{name}", other=f"{folder}/{other}")


def _is_prepared(entry: os.DirEntry[str]) -> bool:
    held = Path(entry.path)
    return (held / "manifest.json").is_file() or all((held / name).is_dir() for name in ("plan", "data"))


def _meant(name: str, missing: list[str]) -> str:
    plain = name.strip().lower()
    if OTHER_NAMES.get(plain) in missing:
        return OTHER_NAMES[plain]
    return next(iter(difflib.get_close_matches(plain, missing, n=1, cutoff=SIMILARITY)), "")


def _of_splits(trees: dict[str, SourceTree], needed: str | None) -> Iterator[Finding]:
    lacking = {
        split: [what for what, held in (("foreground", tree.foregrounds), ("background", tree.backgrounds)) if not held]
        for split, tree in trees.items()
    }
    if all(lacking.values()):
        yield finding("tree-empty", ".")
    else:
        for split, what in lacking.items():
            if what:
                code = "split-unusable" if split == needed else "split-empty"
                yield finding(code, ".", split=split, what=" and no usable ".join(what))


def _of_train_trimaps(root: Path) -> Iterator[Finding]:
    if (root / "fg/image/train/trimap").is_dir():
        yield finding("trimap-unread", "fg/image/train/trimap")


def _layout_folders(root: Path, trees: dict[str, SourceTree]) -> Iterable[str]:
    """Yield the folders in which the names of files or foregrounds must differ."""
    for split in trees:
        yield from (f"fg/image/{split}/{part}" for part in ("fg", "alpha", "trimap"))
        yield from (f"fg/video/{split}", f"bg/{split}")


def _colliding(root: Path, folder: str) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for entry in entries(root, folder):
        plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", entry.name).casefold())
        other = first.setdefault(plain, entry.name)
        if other != entry.name:
            yield finding("case-collision", printable(f"{folder}/{entry.name}"), other=printable(f"{folder}/{other}"))
