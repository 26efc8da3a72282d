"""Scan a source tree: the usable sources of a split, the problems of the others.

Nothing but lists of names is opened. The tree is one folder with any known layout, see `known_layouts`.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from dvm_hf.errors import SourceError
from dvm_hf.sources.entries import require_sources, survey_sources_file
from dvm_hf.sources.folder_scan import FolderScan
from dvm_hf.sources.known_layouts import closest, layout_named, recognized
from dvm_hf.sources.layout import Layout, Place
from dvm_hf.sources.layouts import dvm
from dvm_hf.sources.names import printable
from dvm_hf.sources.records import KINDS, ROLES, SourceTree
from dvm_hf.sources.remote.source_files import address_or_path
from dvm_hf.sources.sources_file import is_sources_file, read_sources_file

PARTS = ("bg", "fg/image", "fg/video")  # of the DVM layout: a folder may lack a split
AUTO = "auto"  # the layout is recognized


def scan(
    root: Path, split: str, *, kinds: Iterable[str] = KINDS, with_trimaps: bool = True, layout: str = AUTO
) -> SourceTree:
    """Scan the folders of one split; trimap folders only if `with_trimaps`.

    root: a folder, or a sources file. layout: name of the folder's layout; "auto": recognized by the names in it.
    Unusable sources become problems. Raises SourceError if the root is missing, its layout is not recognized or has no
    foregrounds or no backgrounds, or the split has no usable foreground of these kinds or no usable background.
    """
    tree = survey(root, split, kinds=(kinds := tuple(kinds)), with_trimaps=with_trimaps, layout=layout)
    _require_sources(tree, kinds) if tree.file is None else require_sources(tree)
    return tree


def survey(
    root: Path, split: str, *, kinds: Iterable[str] = KINDS, with_trimaps: bool = True, layout: str = AUTO
) -> SourceTree:
    """Scan a split that may be empty; see `scan`.

    Raises SourceError only if the root is not a folder, its layout is not recognized, or it is an invalid sources file.
    """
    root, kinds = Path(root), tuple(kinds)
    if is_sources_file(root):
        _require_no_layout(root, layout)
        return survey_sources_file(root, split, kinds=kinds, with_trimaps=with_trimaps)
    if not root.is_dir():
        what = "is a file, and not a sources file (.yaml)" if root.exists() else "no such folder"
        raise SourceError(
            f"{root}: {what}; data_dir must be the folder that contains fg/ and bg/, or a sources file (.yaml)"
        )
    folder = FolderScan(root)
    place = Place(folder, kinds=kinds, with_trimaps=with_trimaps)
    chosen = layout_of(place, layout)
    foregrounds = tuple(chosen.foregrounds(place, split)) if chosen.foregrounds else ()
    backgrounds = tuple(chosen.backgrounds(place, split)) if chosen.backgrounds else ()
    listed = {"foregrounds": foregrounds, "backgrounds": backgrounds}
    counts = [chosen.set_count(place, split, role, len(listed[role])) for role in ROLES]
    return SourceTree(
        root,
        split,
        foregrounds,
        backgrounds,
        tuple(folder.problems),
        tuple(folder.ignored),
        folder.signatures,
        (chosen.entry(place),),
        tuple(folder.notes),
        counts=tuple(filter(None, counts)),
        lists=tuple(dict.fromkeys(folder.lists)),
    )


def root_of(data_dir: Path) -> Path:
    """Return the folder that the paths of a tree are relative to: a folder itself, or the common one of a sources file.

    Raises SourceError if a sources file is invalid.
    """
    return read_sources_file(data_dir).root if is_sources_file(data_dir) else data_dir


def is_source_tree(path: Path, layout: str = AUTO) -> bool:
    """Return whether a path is a sources file, or a folder with parts of a layout that has foregrounds and backgrounds.

    Only names are compared, as `scan` does. The files may still be unusable.
    """
    if is_sources_file(path) or not path.is_dir():
        return is_sources_file(path)
    place = Place(FolderScan(path))
    try:
        chosen = layout_of(place, layout)
    except SourceError:
        return False
    return all(getattr(chosen, role) is not None for role in ROLES) and bool(chosen.match(place).found)


def splits_of(data_dir: Path, layout: str = AUTO) -> tuple[str, ...]:
    """Return the splits that a folder has folders for, or a sources file has entries of both roles for.

    A folder without splits has (). Raises SourceError if a sources file is invalid, or a layout is not
    recognized.
    """
    if is_sources_file(data_dir):
        return read_sources_file(data_dir).splits
    if not data_dir.is_dir():
        return ()
    place = Place(FolderScan(data_dir))
    chosen = layout_of(place, layout)
    found = chosen.splits_at(place)
    if chosen is not dvm.LAYOUT:
        return found
    return tuple(split for split in found if any((data_dir / part / split).is_dir() for part in PARTS)) or found


def media_folders(data_dir: Path, layout: str = AUTO) -> tuple[Path, ...]:
    """Return the folders of a tree that contain sources: fg/ and bg/ of the DVM layout, otherwise complete folders."""
    if is_sources_file(data_dir):
        return tuple(dict.fromkeys(entry.folder for entry in read_sources_file(data_dir).entries))
    if layout_of(Place(FolderScan(data_dir)), layout) is not dvm.LAYOUT:
        return (data_dir,)
    return tuple(data_dir / part for part in ("fg", "bg"))


def _require_no_layout(file: Path, layout: str) -> None:
    if layout != AUTO:
        raise SourceError(
            f"{file}: layout={layout!r} applies to a folder, but this is a sources file; write the key layout into its "
            "entries"
        )


def layout_of(place: Place, name: str = AUTO) -> Layout:
    """Return the layout of a tree's folder. A folder that is empty or looks like the DVM layout has that layout.

    Raises ConfigError if there is no layout of this name, SourceError if none is recognized.
    """
    if name != AUTO:
        return layout_named(name)
    try:
        return recognized(place)[0]
    except SourceError:
        near = closest(place)
        is_empty = near is None and not place.folders() and not place.files()
        if is_empty or (near and near[0] is dvm.LAYOUT):
            return dvm.LAYOUT
        raise


def _require_sources(tree: SourceTree, kinds: tuple[str, ...]) -> None:
    layout = layout_named(tree.entries[0].layout)
    for role, other in (ROLES, ROLES[::-1]):
        if getattr(layout, role) is None:
            raise SourceError(
                f"{address_or_path(tree.root)}: has the layout {layout.name!r}, which has {other}, but no {role}; list "
                f"this folder and one with {role} in a sources file (.yaml), which `dvm init` writes, and pass the "
                "file as data_dir"
            )
    found = (bool(tree.foregrounds), bool(tree.backgrounds))
    if not all(found):
        fault = _lack_of_dvm if layout is dvm.LAYOUT else _lack
        raise SourceError(fault(tree, kinds, found))


def _lack_of_dvm(tree: SourceTree, kinds: tuple[str, ...], found: tuple[bool, bool]) -> str:
    split = tree.split
    wanted = {"image": f"fg/image/{split}/fg + alpha", "video": f"fg/video/{split}/NNNN"}
    needs = (" or ".join(wanted[kind] for kind in KINDS if kind in kinds), f"bg/{split}")
    missing = [need for need, is_there in zip(needs, found, strict=True) if not is_there]
    names = [printable(entry.name) for entry in FolderScan(tree.root).listing(".")[:8]]
    held = ", ".join(names) or "nothing"
    part = dvm.only_part(Place(FolderScan(tree.root)))
    other = next(role for role in ROLES if role != part)
    file = f", or a sources file (.yaml) that lists this folder and one with {other}, which `dvm init` writes"
    return (
        f"{address_or_path(tree.root)}: contains no usable file in {' or '.join(missing)}, which the split {split!r} "
        f"needs{_reasons(tree)}; data_dir must be the folder that contains fg/ and bg/ (this one contains: {held})"
        f"{file if part else ''}"
    )


def _lack(tree: SourceTree, kinds: tuple[str, ...], found: tuple[bool, bool]) -> str:
    sources = (f"foreground of the kind {' or '.join(kinds)}", "background")
    missing = [what for what, is_there in zip(sources, found, strict=True) if not is_there]
    layout = layout_named(tree.entries[0].layout)
    lacking = layout.match(Place(FolderScan(tree.root))).missing
    parts = f"lacks {', '.join(lacking)} and " if lacking else ""
    return (
        f"{address_or_path(tree.root)}: has the layout {layout.name!r}, but {parts}has no usable "
        f"{' and no usable '.join(missing)} in the split {tree.split!r}{_reasons(tree)}; add files, or pass another "
        "folder, split or layout"
    )


def _reasons(tree: SourceTree) -> str:
    """Return the first problems of different kinds, as parts of an error."""
    first = {(problem.code, os.path.dirname(problem.path)): problem for problem in reversed(tree.problems)}
    more = len(tree.problems) - len(first)
    reasons = "".join(f"; {problem}" for problem in list(first.values())[::-1][:3])
    return reasons + (f"; and {more:,} more like these" if more else "")
