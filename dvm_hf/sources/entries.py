"""Scan the folders of a sources file as one tree. Each entry is scanned on its own: only its folder is read."""

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.sources.folder_scan import FolderScan
from dvm_hf.sources.known_layouts import layout_named, recognized
from dvm_hf.sources.layout import Layout, Place
from dvm_hf.sources.layouts import dvm
from dvm_hf.sources.name_filter import NameFilter
from dvm_hf.sources.names import composed, printable
from dvm_hf.sources.records import KINDS, ROLES, Background, Foreground, Problem, SetCount, SourceTree, path_in_tree
from dvm_hf.sources.sources_file import FileEntry, SourcesFile, read_sources_file
from dvm_hf.wording import counted

Source = TypeVar("Source", Foreground, Background)
MAX_SHOWN = 3  # names in a text


def survey_sources_file(path: Path, split: str, *, kinds: tuple[str, ...], with_trimaps: bool) -> SourceTree:
    """Scan all entries of a split. Raises SourceError if the file is invalid, or a folder or its layout is unknown."""
    file = read_sources_file(path)
    scans = [
        _EntryScan(file, entry, number, kinds=kinds, with_trimaps=with_trimaps)
        for number, entry in enumerate(file.of(split))
    ]
    seen: dict[tuple[str, str], FileEntry] = {}
    foregrounds = [one for scan in scans for one in scan.foregrounds(seen)]
    backgrounds = [one for scan in scans for one in scan.backgrounds(seen)]
    return SourceTree(
        file.root,
        split,
        tuple(foregrounds),
        tuple(backgrounds),
        tuple(dict.fromkeys(problem for scan in scans for problem in scan.problems)),
        tuple(dict.fromkeys(path for scan in scans for path in scan.folder.ignored)),
        {path: signature for scan in scans for path, signature in scan.folder.signatures.items()},
        entries=tuple(scan.record for scan in scans),
        notes=tuple(dict.fromkeys(note for scan in scans for note in scan.folder.notes)),
        settings=_settings(file, split),
        file=file.path,
        counts=tuple(dict.fromkeys(count for scan in scans for count in scan.counts)),
        frame_rates=tuple(entry.frame_rate for entry in file.of(split)),
        lists=tuple(dict.fromkeys(path for scan in scans for path in scan.folder.lists)),
    )


def require_sources(tree: SourceTree) -> None:
    """Raise SourceError if a sources file has no usable foreground or no usable background for a split."""
    found = {"foregrounds": tree.foregrounds, "backgrounds": tree.backgrounds}
    missing = [role for role in ROLES if not found[role]]
    if not missing:
        return
    listed = [entry for entry in tree.entries if entry.role in missing]
    reasons = "".join(f"; {problem}" for problem in tree.problems[:MAX_SHOWN])
    shown = ", ".join(entry.path for entry in listed[:MAX_SHOWN])
    looked = f"none in {shown}{reasons}" if listed else f"it lists no {' and no '.join(missing)} for this split"
    raise SourceError(
        f"{tree.file}: has no usable {' and no usable '.join(missing)} for the split {tree.split!r}: {looked}; add "
        f"entries under {tree.split}:"
    )


class _EntryScan:
    """The scan of one entry."""

    def __init__(
        self, file: SourcesFile, entry: FileEntry, number: int, *, kinds: tuple[str, ...], with_trimaps: bool
    ) -> None:
        self._file, self._entry = file, entry
        if not entry.folder.is_dir():
            what = "is not a folder" if entry.folder.exists() else "does not exist"
            raise file.fault(entry, "path", f"{entry.folder} {what}; write the path of a folder, relative to this file")
        self.folder = FolderScan(file.root, within=entry.folder)
        base = path_in_tree(entry.folder, file.root)
        self._place = Place(self.folder, base, entry=number, kinds=kinds, with_trimaps=with_trimaps)
        self._real = os.path.realpath(entry.folder)
        self.counts: list[SetCount] = []
        self._all_kinds = set(kinds) == set(KINDS)
        self.layout = self._layout()
        found = self.layout.entry(self._place, name=entry.name, role=entry.role)
        self.record = dataclasses.replace(
            found,
            repeat=entry.repeat,
            share=entry.share,
            terms=entry.license or found.terms,
            citation=entry.citation or found.citation,
        )

    @property
    def problems(self) -> list[Problem]:
        """The problems of the entry's folder, except those of files that `exclude` or `include` leave out."""
        names = self._entry.names
        return [
            problem
            for problem in self.folder.problems
            if problem.path == printable(self._place.base) or names.accepts(*_names_in(problem.path))
        ]

    def foregrounds(self, seen: dict[tuple[str, str], FileEntry]) -> Iterable[Foreground]:
        if self._entry.role != "foregrounds" or self.layout.foregrounds is None:
            return
        listed = list(self.layout.foregrounds(self._place, self._entry.split))
        self._count(len(listed))
        colour = self._entry.colour
        for one in self._selected(listed, [self._inner(one.colour) for one in listed], seen):
            yield dataclasses.replace(one, name=f"{self._entry.name}.{one.name}", colours=colour or one.colours)

    def backgrounds(self, seen: dict[tuple[str, str], FileEntry]) -> Iterable[Background]:
        if self._entry.role != "backgrounds" or self.layout.backgrounds is None:
            return
        listed = list(self.layout.backgrounds(self._place, self._entry.split))
        self._count(len(listed))
        for one in self._selected(listed, [self._inner(one.path) for one in listed], seen):
            yield dataclasses.replace(one, name=f"{self._entry.name}.{one.name}")

    def _count(self, listed: int) -> None:
        """Compare the number of sources with the published one, unless `include` or `exclude` select some of them."""
        if self._entry.names == NameFilter():
            count = self.layout.set_count(self._place, self._entry.split, self._entry.role, listed)
            self.counts += [count] if count else []

    def _selected(self, listed: list[Source], paths: list[str], seen: dict[tuple[str, str], FileEntry]) -> list[Source]:
        """Return the sources that the entry uses and that are in no earlier entry of the same role."""
        found = []
        names = self._entry.names
        for one, path in zip(listed, paths, strict=True):
            if not names.accepts(one.name, composed(os.path.basename(path))):
                continue
            first = seen.setdefault((self._entry.role, f"{self._real}/{path}"), self._entry)
            if first is self._entry:
                found.append(one)
                continue
            text = f"is already a source of the entry on line {first.line}; exclude it from one of the two entries"
            self.folder.note(self._place.path(path), text, "unusable")
        self._note_missing(listed, paths)
        if not found and not self.problems:
            self.folder.note(self._place.base, self._emptiness(listed), "unusable")
        return found

    def _note_missing(self, listed: list[Source], paths: list[str]) -> None:
        """Note the names of `include` that no source has. With some kinds only, sources of others are not listed."""
        if self._entry.names.included is None or not self._all_kinds:
            return
        names = {one.name for one in listed} | {composed(os.path.basename(path)) for path in paths}
        names |= {name for problem in self.folder.problems for name in _names_in(problem.path)}  # reported already
        missing = self._entry.names.included.unmatched(names)
        if missing:
            more = f" and {len(missing) - MAX_SHOWN} more" if len(missing) > MAX_SHOWN else ""
            shown = ", ".join(map(repr, missing[:MAX_SHOWN])) + more
            text = f"include lists {shown}, but no source has this name; add the files, or correct the list"
            self.folder.note(self._place.base, text, "unusable")

    def _emptiness(self, listed: list[Source]) -> str:
        what, where = self._entry.role, f"in the layout {self.layout.name!r} for the split {self._entry.split!r}"
        if listed:
            return f"include and exclude leave none of its {counted(len(listed), 'source')}; change them"
        return f"contains no {what} {where}; correct the path or the layout, or remove the entry"

    def _inner(self, path: Path) -> str:
        return path.relative_to(self._entry.folder).as_posix()

    def _recognized(self, role: str) -> Layout:
        """Return the layout of the folder; the DVM layout also if the folder has only the part of this role."""
        try:
            return recognized(self._place, role=role)[0]
        except SourceError:
            if dvm.only_part(self._place) == role:
                return dvm.LAYOUT
            raise

    def _layout(self) -> Layout:
        role, name = self._entry.role, self._entry.layout
        try:
            found = layout_named(name) if name != "auto" else self._recognized(role)
        except (ConfigError, SourceError) as error:
            raise self._file.fault(self._entry, "path" if name == "auto" else "layout", str(error)) from error
        if getattr(found, role) is None:
            raise self._file.fault(
                self._entry,
                "layout",
                f"{found.name!r} has no {role}; move the entry to the other list, or correct layout",
            )
        return found


def _names_in(path: str) -> list[str]:
    """Return the names that the files and folders of a path can give a source."""
    parts = composed(path).split("/")
    return [*parts, os.path.splitext(parts[-1])[0]]


def _settings(file: SourcesFile, split: str) -> str:
    """Return all settings of a split as text. Paths are relative to the root, so that copies of a tree are alike."""
    return repr(
        [dataclasses.replace(one, folder=Path(one.folder.relative_to(file.root)), line=0) for one in file.of(split)]
    )
