"""What a layout of a source folder is. `known_layouts` has the table of all layouts, and recognizes them.

Nothing is opened: layouts are recognized by the names of folders and files.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dvm_hf.sources.folder_scan import FolderScan, is_folder
from dvm_hf.sources.names import composed, printable
from dvm_hf.sources.records import KINDS, Background, Entry, Foreground, SetCount


@dataclass(frozen=True)
class Place:
    """The folder of an entry in a scan.

    base: path of the folder, see `path_in_tree`; "." for the scan's root.
    entry: index of the entry, for `Foreground.entry` and `Background.entry`.
    kinds: kinds of foregrounds to list. with_trimaps: whether trimap files are listed.
    """

    scan: FolderScan
    base: str = "."
    entry: int = 0
    kinds: Collection[str] = KINDS
    with_trimaps: bool = True
    _names: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def folder_names(self) -> tuple[str, str]:
        """The names of the folder that contains this one, and of this one."""
        folder = Path(self.scan.root, self.base).absolute()
        return composed(folder.parent.name), composed(folder.name)

    def path(self, inner: str = "") -> str:
        """Return the path of what is inside the folder, see `path_in_tree`."""
        if self.base == ".":
            return inner or "."
        return f"{self.base}/{inner}" if inner else self.base

    def folders(self, inner: str = "") -> tuple[str, ...]:
        """Return the names of the folders in a folder, in NFC and sorted. Notes no problems."""
        return self._listed(inner)[0]

    def files(self, inner: str = "") -> tuple[str, ...]:
        """Return the names of all other entries of a folder, in NFC and sorted. Notes no problems."""
        return self._listed(inner)[1]

    def _listed(self, inner: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of folders and of files; each folder is listed once, because many layouts look at it."""
        if inner not in self._names:
            folders, files = list[str](), list[str]()
            for one in self.scan.listing(self.path(inner)):
                (folders if is_folder(one) else files).append(composed(one.name))
            self._names[inner] = tuple(folders), tuple(files)
        return self._names[inner]


class Match(NamedTuple):
    """How well a folder fits a layout.

    found, missing: parts of the layout, such as "fgr/", that the folder has and lacks. It fits if none is missing.
    """

    found: tuple[str, ...]
    missing: tuple[str, ...]

    @classmethod
    def of_folders(cls, place: Place, *names: str) -> "Match":
        """Return the match of a layout that consists of folders with these names."""
        held = place.folders()
        parts = [tuple(f"{name}/" for name in names if (name in held) == is_there) for is_there in (True, False)]
        return cls(*parts)

    @property
    def fits(self) -> bool:
        return bool(self.found) and not self.missing


class Terms(NamedTuple):
    """The licence or terms of use of a set, whether composites of it may be published, and its publication."""

    terms: str = ""
    is_redistributable: bool = True
    citation: str = ""


class Published(NamedTuple):
    """How many sources a split of a published set has.

    set_name: of the set. split: as published; empty if the set has no splits.
    sources: number of its foregrounds; of its backgrounds if the layout has no foregrounds.
    """

    set_name: str
    split: str
    sources: int


@dataclass(frozen=True)
class Layout:
    """A layout of a source folder.

    match: compares a folder with the layout, by names.
    foregrounds, backgrounds: list the sources of a split ("train" or "test"), sorted by name; None if the layout has
        none. What cannot be used becomes a problem of the scan.
    splits: returns the splits of a folder that have different sources; () if they all have the same. None: ().
    colours: how the colour of its foregrounds is stored, see `Foreground`.
    terms: licence or terms of use, for the dataset card. is_redistributable: whether composites may be published.
    citation: the publication of the set.
    terms_of: returns the three for a folder, if sets with different terms have this layout; see `terms_at`.
    published: returns the published number of sources of a split of a folder, which `dvm check` compares; None if the
        folder is not of a known set, or the number is not published.
    """

    name: str
    description: str
    match: Callable[[Place], Match]
    foregrounds: Callable[[Place, str], Iterable[Foreground]] | None = None
    backgrounds: Callable[[Place, str], Iterable[Background]] | None = None
    splits: Callable[[Place], tuple[str, ...]] | None = None
    colours: str = "straight"
    terms: str = ""
    is_redistributable: bool = True
    citation: str = ""
    terms_of: Callable[[Place], Terms] | None = None
    published: Callable[[Place, str], Published | None] | None = None

    def terms_at(self, place: Place) -> Terms:
        """Return the terms of a folder with this layout."""
        return self.terms_of(place) if self.terms_of else Terms(self.terms, self.is_redistributable, self.citation)

    def set_count(self, place: Place, split: str, role: str, count: int) -> SetCount | None:
        """Return the number of sources of a role beside the published one; None if there is none, or no sources."""
        counted_role = "backgrounds" if self.foregrounds is None else "foregrounds"
        found = self.published(place, split) if self.published and count and role == counted_role else None
        return found and SetCount(printable(place.base), role, found.set_name, found.split, count, found.sources)

    def splits_at(self, place: Place) -> tuple[str, ...]:
        """Return the splits of a folder; () if it has none, so that its sources are those of whichever is requested."""
        return self.splits(place) if self.splits else ()

    def entry(self, place: Place, *, name: str = "", role: str = "") -> Entry:
        """Return the entry of a folder with this layout, with its terms."""
        terms = self.terms_at(place)
        return Entry(
            name=name,
            role=role,
            layout=self.name,
            path=place.base,
            terms=terms.terms,
            citation=terms.citation,
            is_redistributable=terms.is_redistributable,
        )
