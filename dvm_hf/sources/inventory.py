"""What a folder contains, for a new sources file: its layout, splits, roles and numbers of sources.

A few headers are opened if names alone cannot distinguish foregrounds with an alpha channel from backgrounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dvm_hf.errors import SourceError
from dvm_hf.media.own_alpha import has_alpha_channel
from dvm_hf.sources.folder_scan import FolderScan, pictures_in
from dvm_hf.sources.known_layouts import recognized
from dvm_hf.sources.layout import Layout, Place
from dvm_hf.sources.layouts import dvm
from dvm_hf.sources.records import ROLES, Background, Foreground
from dvm_hf.sources.remote.source_files import address_or_path, present
from dvm_hf.sources.splits import split_named

SAMPLED = 5  # sources whose headers are opened


@dataclass(frozen=True)
class FoundEntry:
    """The sources of one role and one split in a folder. reason: why it has this layout."""

    folder: Path
    layout: Layout
    split: str
    role: str
    count: int
    reason: str
    terms: str
    is_redistributable: bool


def found_entries(folder: Path) -> list[FoundEntry]:
    """Return what a folder contains. Raises SourceError if it is not a folder or no layout is recognized.

    A folder without splits belongs to the split test if its name says so, otherwise to train.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder}: {'is not a folder' if folder.exists() else 'no such folder'}; pass a folder")
    place = Place(FolderScan(folder))
    found = []
    for role, (layout, reason) in _layouts(place).items():
        for split in layout.splits_at(place) or (_split_of(folder),):
            count = len(_sources(folder, layout, role, split))
            if count:
                terms = layout.terms_at(place)
                entry = FoundEntry(folder, layout, split, role, count, reason, terms.terms, terms.is_redistributable)
                found.append(entry)
    if not found:
        raise SourceError(
            f"{address_or_path(folder)}: contains no usable sources; `dvm check` lists the problems of a source folder"
        )
    return found


def _layouts(place: Place) -> dict[str, tuple[Layout, str]]:
    """Return the layout and the reason for each role that a folder has."""
    try:
        found = recognized(place)
    except SourceError as error:  # none fits, or one for each role
        part = dvm.only_part(place)
        return {part: (dvm.LAYOUT, f"contains only the {part}")} if part else _by_alpha(place, error)
    return {role: found for role in ROLES if getattr(found[0], role) is not None}


def _by_alpha(place: Place, error: SourceError) -> dict[str, tuple[Layout, str]]:
    """Return the layout of foregrounds if the sampled sources have an alpha channel, otherwise that of backgrounds."""
    try:
        both = {role: recognized(place, role=role) for role in ROLES}
    except SourceError:
        raise error from None
    layout = both["foregrounds"][0]
    root = place.scan.root
    splits = layout.splits_at(place) or (_split_of(root),)
    listed = [one for split in splits for one in _sources(root, layout, "foregrounds", split)]
    sampled = listed[:: max(1, len(listed) // SAMPLED)][:SAMPLED]
    first = [_first_file(one) for one in sampled]
    with present(first):
        with_alpha = sum(map(has_alpha_channel, first))
    role = "foregrounds" if with_alpha else "backgrounds"
    seen = f"{with_alpha} of {len(sampled)} sampled files have an alpha channel"
    return {role: (both[role][0], f"{both[role][1]}; {seen}")}


def _sources(folder: Path, layout: Layout, role: str, split: str) -> Sequence[Foreground | Background]:
    list_sources = layout.foregrounds if role == "foregrounds" else layout.backgrounds
    return [] if list_sources is None else list(list_sources(Place(FolderScan(folder)), split))


def _first_file(source: Foreground | Background) -> Path:
    path = source.colour if isinstance(source, Foreground) else source.path
    return path / pictures_in(path)[0] if path.is_dir() else path


def _split_of(folder: Path) -> str:
    return split_named(folder.absolute().name) or "train"
