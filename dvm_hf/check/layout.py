"""Find problems with the folders and names of a source tree."""

import dataclasses
import difflib
import posixpath
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from dvm_hf.check.findings import Finding, finding, of_problem
from dvm_hf.sources.folder_scan import IMAGE_SUFFIXES, VIDEO_SUFFIXES, entries, is_folder
from dvm_hf.sources.known_layouts import layout_named
from dvm_hf.sources.layouts import dvm
from dvm_hf.sources.names import composed, printable
from dvm_hf.sources.records import ROLES, SPLITS, Entry, SourceTree, path_in_tree
from dvm_hf.sources.tree import AUTO, splits_of, survey
from dvm_hf.wording import counted

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


def surveyed(
    data_dir: Path, *, layout: str = AUTO, needed: str | None = None
) -> tuple[dict[str, SourceTree], list[Finding]]:
    """Return the splits that have sources, and the findings about folders and names.

    An image foreground whose trimap is unusable is included without it, because only trimap="provided" needs a trimap.
    A folder without splits counts as one split.

    data_dir: a folder, or a sources file. layout: of a folder. needed: a split that must be usable.
    Raises SourceError if there is no such folder or file, or its layout is not recognized.
    """
    splits = SPLITS if splits_of(data_dir, layout) or not data_dir.is_dir() else (needed or SPLITS[0],)
    trees = {split: survey(data_dir, split, layout=layout) for split in splits}
    root = trees[splits[0]].root
    found = [finding_ for tree in trees.values() for finding_ in _of_tree(tree)]
    found += _of_splits(trees, needed)
    for base in {entry.path for tree in trees.values() for entry in tree.entries if entry.layout == "dvm"}:
        found += [*_of_folders(root, base), *_of_train_trimaps(root, base)]
    found += _colliding(root, trees.values())
    return {split: _with_all_stills(tree) for split, tree in trees.items() if tree.signatures}, found


def _inside(base: str, path: str) -> str:
    """Return the path of what is in the folder of an entry, see `path_in_tree`."""
    return path or base if base == "." else f"{base}/{path}".rstrip("/")


def _with_all_stills(tree: SourceTree) -> SourceTree:
    if not any("trimap" in problem.path for problem in tree.problems):
        return tree
    held = {(one.kind, one.name) for one in tree.foregrounds}
    layout = AUTO if tree.file else tree.entries[0].layout
    others = survey(tree.data_dir, tree.split, with_trimaps=False, layout=layout).foregrounds
    foregrounds = [*tree.foregrounds, *(one for one in others if (one.kind, one.name) not in held)]
    foregrounds.sort(key=lambda one: (one.entry, one.kind, one.name))
    return dataclasses.replace(tree, foregrounds=tuple(foregrounds))


def _of_tree(tree: SourceTree) -> Iterator[Finding]:
    for problem in (*tree.problems, *tree.notes):
        yield of_problem(problem)
    for path in tree.ignored:
        yield _of_unexpected(tree, path)
    for one in tree.counts:
        if one.count != one.published:
            listed = counted(one.count, f"usable {one.role.removesuffix('s')}")
            of_split = f"the split {one.split!r} of the published " if one.split else "the published "
            yield finding(
                "published-count", one.path, listed=listed, published=of_split + one.set_name, count=one.published
            )
    for number, entry in enumerate(tree.entries):
        stills = [one for one in tree.foregrounds if one.kind == "image" and one.entry == number]
        if entry.layout == "dvm" and any(still.trimap for still in stills):
            for still in (still for still in stills if not still.trimap):
                path = path_in_tree(still.colour, tree.root)
                trimap = _inside(entry.path, f"fg/image/{tree.split}/trimap/{still.colour.stem}.png")
                yield finding("still-without-trimap", path, trimap=trimap)


def _of_unexpected(tree: SourceTree, path: str) -> Finding:
    entry = _entry_of(tree, path)
    if entry.layout != "dvm":
        return finding("stray", path, allowed=f"it is not part of the layout {entry.layout!r}")
    inner = path if entry.path == "." else path.removeprefix(f"{entry.path}/")
    if inner.startswith(f"fg/image/{tree.split}/trimap/") and inner.lower().endswith(IMAGE_SUFFIXES):
        return finding("trimap-without-still", path)
    return finding("stray", path, allowed=_allowed_near(inner, is_folder=(tree.root / path).is_dir()))


def _entry_of(tree: SourceTree, path: str) -> Entry:
    """Return the entry whose folder contains a path; the innermost one, if one folder contains another."""
    held = [entry for entry in tree.entries if entry.path == "." or path.startswith(f"{entry.path}/")]
    return max(held or tree.entries, key=lambda entry: (entry.path != ".", len(entry.path)))


def _allowed_near(path: str, *, is_folder: bool) -> str:
    """Return what is expected where an unexpected file or folder is. path: relative to the folder in the DVM layout."""
    if path.startswith("fg/video") and path.count("/") == 3:
        return "a foreground is a folder with f.mp4 and a.mp4"
    if is_folder:
        return "folders here are not searched"
    suffixes = IMAGE_SUFFIXES if path.startswith("fg/image") else VIDEO_SUFFIXES
    if path.startswith("fg/video") and path.lower().endswith(suffixes):
        return "its name must be f or a in lower case, such as f.mp4"
    return f"files here end in {', '.join(suffixes)}"


def _of_folders(root: Path, base: str) -> Iterator[Finding]:
    """Find what is outside the DVM layout, and folders that are missing although their counterpart exists.

    base: folder in that layout, relative to the root.
    """
    for folder, names in FOLDERS.items():
        held = {entry.name: entry for entry in entries(root, _inside(base, folder))}
        missing = [name for name in names if name not in held]
        for name, entry in held.items():
            path = printable(_inside(base, f"{folder}/{name}".lstrip("/")))
            if name in names or (not folder and (not is_folder(entry) or _is_prepared(root / _inside(base, name)))):
                continue  # users keep notes and prepared folders next to their data
            meant = _meant(name, missing) if is_folder(entry) else ""
            if meant:
                missing.remove(meant)
                yield finding("folder-misspelt", path, meant=_inside(base, f"{folder}/{meant}".lstrip("/")))
            else:
                yield finding("stray", path, allowed=f"{folder or 'the root'} contains the folders {', '.join(names)}")
        if names[0] == "fg" and folder:
            for name, other in (("fg", "alpha"), ("alpha", "fg")):
                if name in missing and other in held:
                    folders = [_inside(base, f"{folder}/{one}") for one in (name, other)]
                    yield finding("folder-missing", folders[0], other=folders[1])


def _is_prepared(held: Path) -> bool:
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
    role = _only_role(next(iter(trees.values())))
    if role and not needed and not all(len(what) == 2 for what in lacking.values()):
        other = next(one for one in ROLES if one != role)
        yield finding("one-role", ".", role=role, other=other)
    elif all(lacking.values()) and _is_dvm(next(iter(trees.values()))):
        yield finding("tree-empty", ".")
    elif all(lacking.values()):
        used = [split for split, tree in trees.items() if tree.entries]
        for split in used or lacking:
            yield finding("split-unusable", ".", split=split, what=" and no usable ".join(lacking[split]))
    else:
        for split, what in lacking.items():
            if what:
                code = "split-unusable" if split == needed else "split-empty"
                yield finding(code, ".", split=split, what=" and no usable ".join(what))


def _is_dvm(tree: SourceTree) -> bool:
    """Return whether the source tree is a folder in the DVM layout, not a sources file or another set."""
    return tree.file is None and tree.entries[0].layout == dvm.LAYOUT.name


def _only_role(tree: SourceTree) -> str:
    """Return the only kind of sources that the layout of a folder has; empty if it has both, and for a sources file."""
    layout = layout_named(tree.entries[0].layout) if tree.file is None else None
    roles = [role for role in ROLES if layout is None or getattr(layout, role) is not None]
    return roles[0] if len(roles) == 1 else ""


def _of_train_trimaps(root: Path, base: str) -> Iterator[Finding]:
    path = _inside(base, "fg/image/train/trimap")
    if (root / path).is_dir():
        yield finding("trimap-unread", path)


def _colliding(root: Path, trees: Collection[SourceTree]) -> Iterator[Finding]:
    """Find sources, and folders of sources, whose names in one folder are the same without case and accents' encoding.

    Folders that contain no source count beside those that do: a layout reads only one of train/ and Train/.
    """
    bases = {entry.path for tree in trees for entry in tree.entries}
    names = _names_by_folder({path for tree in trees for path in tree.signatures})
    first: dict[tuple[str, str], str] = {}
    for folder, used in names.items():
        held = set(used)
        if any(_is_inside(folder, base) for base in bases) and any(
            posixpath.join(folder, name) in names for name in used
        ):
            held |= {entry.name for entry in entries(root, folder or ".") if is_folder(entry)}
        for name in sorted(held):
            plain = unicodedata.normalize("NFC", composed(name).casefold())
            other = first.setdefault((folder, plain), name)
            if other != name:
                paths = [printable(posixpath.join(folder, one)) for one in (name, other)]
                yield finding("case-collision", paths[0], other=paths[1])


def _names_by_folder(paths: Iterable[str]) -> dict[str, set[str]]:
    """Return the names of files and folders that lead to some paths, by the path of their folder; "" is the root."""
    found: dict[str, set[str]] = {}
    for path in paths:
        folder, name = posixpath.split(path)
        while name and name not in found.setdefault(folder, set()):
            found[folder].add(name)
            folder, name = posixpath.split(folder)
    return found


def _is_inside(folder: str, base: str) -> bool:
    return base == "." or folder == base or folder.startswith(f"{base}/")
