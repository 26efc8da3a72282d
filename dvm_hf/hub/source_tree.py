"""The files of a source tree to push: each source, list of names and pair list, and its path in the repository.

The files of a folder keep their paths. A sources file is written again, for the root of the repository. Its folders
keep their paths relative to the folder that contains them all, because plans have these paths.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from pathlib import Path

import yaml

from dvm_hf.errors import SourceError
from dvm_hf.hub.file_names import require_portable
from dvm_hf.hub.local_files import CARD
from dvm_hf.sources.folder_scan import pictures_in
from dvm_hf.sources.frozen_lists import has_frozen_clips, is_frozen_list
from dvm_hf.sources.name_filter import is_list
from dvm_hf.sources.records import KINDS, ROLES, SPLITS, SourceTree
from dvm_hf.sources.remote.hub_files import SCHEME
from dvm_hf.sources.remote.source_files import address_of, remote_tree
from dvm_hf.sources.sources_file import FileEntry, SourcesFile, is_sources_file, read_sources_file
from dvm_hf.sources.tree import survey
from dvm_hf.synthetic.source_tree import MARK
from dvm_hf.wording import counted

SOURCES_FILE = "sources.yaml"  # in the repository
PATTERNS_INLINE = 50  # in the sources file; longer lists get a file
HEAD, BOM = 64, b"\xef\xbb\xbf"  # bytes that are read of a text file; the byte order mark
PAIR_STARTS = tuple(f"{kind}+".encode() for kind in KINDS)  # of the first line of a pair list
SOURCES_HEAD = "# The sources of this repository, written by `dvm push --sources`. Paths are relative to this file.\n"


@dataclass(frozen=True)
class PushedTree:
    """A source tree to push.

    files: path in the repository -> local file. texts: path -> content of the files that are written for it.
    trees: the local scans, of each split. inside: path of what is loaded, in the repository: the sources file, or "".
    """

    data_dir: Path
    files: dict[str, Path]
    texts: dict[str, bytes]
    trees: tuple[SourceTree, ...]
    inside: str
    placed: Callable[[Path], str]

    def address(self, repo_id: str, revision: str) -> str:
        """Return the address to load it from."""
        at = "" if revision == "main" else f"@{revision.replace('/', '%2F')}"
        return f"{SCHEME}datasets/{repo_id}{at}{'/' * bool(self.inside)}{self.inside}"


@dataclass(frozen=True)
class _Folders:
    """Where local folders are in the repository."""

    paths: dict[Path, str]

    def placed(self, path: Path) -> str:
        """Return the path in the repository; the local path of a file that comes from another address."""
        for folder in (path, *path.parents):
            if folder in self.paths:
                inner = path.relative_to(folder).as_posix()
                return "/".join(part for part in (self.paths[folder], inner) if part not in ("", "."))
        return str(path)


def pushed_tree(data_dir: Path, *, levels: int = 0) -> PushedTree:
    """Return what to push of a source folder or a sources file.

    levels: how many more folders above those of the entries keep their names; the layouts of some sets need them.
    Raises SourceError if it has no sources, if one of them has a problem, or a name that the Hub or Windows cannot
    hold. Only the lists are opened.
    """
    trees = tuple(survey(data_dir, split) for split in SPLITS)
    _require_sources(data_dir, trees)
    if is_sources_file(data_dir):
        file = read_sources_file(data_dir)
        paths = _folders_of(file, levels)
        folders, texts, inside = _Folders(paths), _texts(file, paths), SOURCES_FILE
    else:
        folders, texts, inside = _Folders({data_dir: ""}), {}, ""
    files: dict[str, Path] = {}
    sources = ((folders.placed(path), path) for path in _sources(trees))
    for place, path in chain(sources, ((path.name, path) for path in _pair_lists(data_dir))):
        if place in (*texts, CARD) or files.setdefault(place, path) != path:
            raise SourceError(f"{path}: would be the second file {place!r} in the repository; rename it")
    require_portable(sorted({*files, *texts}))
    return PushedTree(data_dir, files, texts, trees, inside, folders.placed)


def _require_sources(data_dir: Path, trees: Sequence[SourceTree]) -> None:
    problems = list(dict.fromkeys(problem for tree in trees for problem in tree.problems))
    if problems:
        raise SourceError(
            f"{data_dir}: has {counted(len(problems), 'problem')}, so clips on the Hub could differ (first: "
            f"{problems[0]}). Fix what `dvm check` lists, or exclude these sources in a sources file"
        )
    if not any(tree.foregrounds or tree.backgrounds for tree in trees):
        raise SourceError(f"{data_dir}: contains no sources to push; `dvm check` lists what it contains")


def _sources(trees: Sequence[SourceTree]) -> Iterator[Path]:
    """Yield the local files of all sources, the lists of names that the scan read, and the marks of synthetic sets.

    Files can come twice.
    """
    for tree in trees:
        colours = ((one.colour, one.alpha, one.trimap) for one in tree.foregrounds)
        for path in (*chain.from_iterable(colours), *(one.path for one in tree.backgrounds)):
            if path is None or remote_tree(path) is not None:
                continue
            if path.is_dir():
                yield from (path / name for name in pictures_in(path))
            else:
                yield path
        marks = (f"{entry.path}/{MARK}" for entry in tree.entries)
        for path in (tree.root / name for name in (*tree.lists, *marks)):
            if remote_tree(path) is None and path.is_file():
                yield path


def _pair_lists(data_dir: Path) -> Iterator[Path]:
    """Yield the pair lists beside a sources file or in a folder.

    They are text files whose first line is a pair, and lists of frozen clips.
    """
    folder = data_dir.parent if is_sources_file(data_dir) else data_dir
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_file():
            continue
        if has_frozen_clips(path) if is_frozen_list(path) else _starts_with_pair(path):
            yield path


def _starts_with_pair(path: Path) -> bool:
    if path.suffix.lower() != ".txt":
        return False
    with path.open("rb") as file:
        return file.read(HEAD).removeprefix(BOM).startswith(PAIR_STARTS)


def _folders_of(file: SourcesFile, levels: int) -> dict[Path, str]:
    """Return where the folders of the entries are in the repository; without those that have an address."""
    folders = list(dict.fromkeys(entry.folder for entry in file.entries if remote_tree(entry.folder) is None))
    if not folders:
        raise SourceError(f"{file.path}: lists only addresses, so there is nothing to push; pass the file as data_dir")
    root = Path(os.path.commonpath(folders))
    for _ in range(levels + (root in folders)):
        root = root.parent
    if root != root.parent:
        return {folder: folder.relative_to(root).as_posix() for folder in folders}
    return {  # folders on several disks
        folder: f"{number}/{'/'.join(folder.parts[-2:] if len(folder.parts) > 2 else folder.parts[-1:])}"
        for number, folder in enumerate(folders, start=1)
    }


def _texts(file: SourcesFile, folders: dict[Path, str]) -> dict[str, bytes]:
    """Return the sources file for the repository, and the lists that its entries name."""
    texts, document = dict[str, bytes](), dict[str, dict[str, list[dict[str, object]]]]()
    for number, entry in enumerate(file.entries, start=1):
        keys: dict[str, object] = {"path": folders.get(entry.folder) or _address(file, entry), "name": entry.name}
        keys |= {"layout": entry.layout} if entry.layout != "auto" else {}
        for key, patterns in (("include", entry.names.include), ("exclude", entry.names.exclude)):
            if patterns and (len(patterns) > PATTERNS_INLINE or any(map(is_list, patterns))):
                texts[f"entry-{number}-{key}.txt"] = "".join(f"{pattern}\n" for pattern in patterns).encode()
                keys[key] = f"entry-{number}-{key}.txt"
            elif patterns:
                keys[key] = list(patterns)
        keys |= {key: text for key in ("colour", "license", "citation") if (text := getattr(entry, key))}
        keys |= {"repeat": entry.repeat} if entry.repeat != 1 else {}
        keys |= {"share": _digits(entry.share)} if entry.share is not None else {}
        keys |= {"frame_rate": _digits(entry.frame_rate)} if "frame_rate" in entry.key_lines else {}
        document.setdefault(entry.split, {role: [] for role in ROLES})[entry.role].append(keys)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=10**6)
    return {SOURCES_FILE: f"{SOURCES_HEAD}{text}".encode(), **texts}


def _address(file: SourcesFile, entry: FileEntry) -> str:
    address = address_of(entry.folder) or ""
    if not address.startswith(SCHEME):
        raise file.fault(
            entry,
            "path",
            f"{address} cannot be listed by a sources file on the Hub; write a local folder, which is pushed, or an "
            "address hf://datasets/USER/NAME",
        )
    return address


def _digits(number: float) -> str:
    """Return a number as a sources file allows it: without an exponent."""
    return format(Decimal(repr(number)), "f")
