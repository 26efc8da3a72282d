"""Read a sources file: several folders as one source tree. Nothing but the file itself and its lists is opened.

Every error gives the file, the line, the key and what is allowed.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path, PurePath

import yaml

from dvm_hf.addresses import is_address
from dvm_hf.errors import ConfigError, MachineError, SourceError
from dvm_hf.media.video.frame_names import FRAME_RATE
from dvm_hf.sources.name_filter import NameFilter, is_list, name_filter
from dvm_hf.sources.names import SOURCES_FILE_SUFFIXES, composed
from dvm_hf.sources.records import COLOURS, ROLES, SPLITS
from dvm_hf.sources.remote.source_files import local_path, remote_tree
from dvm_hf.sources.yaml_nodes import Item, YamlNodes, line_of

MAX_REPEAT = 1000
MAX_FRAME_RATE = 1000  # frames/s
SUM_TOLERANCE = Fraction(1, 1000)  # of shares: 0.333 three times is accepted
# names of folders inside a data set, which do not say which one it is
PART_NAMES = frozenset(
    "train training test testing testval val valid validation eval fg fgr foreground foregrounds bg background "
    "backgrounds image images video videos".split()
)
KEYS: dict[str, tuple[str, ...]] = {
    "path": ROLES,
    "layout": ROLES,
    "name": ROLES,
    "colour": ("foregrounds",),
    "frame_rate": ROLES,
    "include": ROLES,
    "exclude": ROLES,
    "repeat": ("foregrounds",),
    "share": ("backgrounds",),
    "license": ROLES,
    "citation": ROLES,
}


@dataclass(frozen=True)
class FileEntry:
    """An entry of a sources file: one folder in one role of one split.

    folder: absolute path. name: prefix of the names of its sources. layout: a name, or "auto".
    colour: one of `COLOURS`; empty for that of the layout. names: which of its sources are used. line: its line.
    frame_rate: frames/s of its folders of numbered pictures. No row depends on it, so it is not in the `repr`, which
        becomes a part of cache keys.
    """

    split: str
    role: str
    line: int
    folder: Path
    name: str
    layout: str = "auto"
    colour: str = ""
    names: NameFilter = field(default_factory=NameFilter)
    repeat: int = 1
    share: float | None = None
    license: str = ""
    citation: str = ""
    frame_rate: float = field(default=FRAME_RATE, repr=False)
    key_lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class SourcesFile:
    """The entries of a sources file, in order."""

    path: Path
    entries: tuple[FileEntry, ...]

    @cached_property
    def root(self) -> Path:
        """The common parent of all folders, of both splits, so that the paths of a source are the same in both."""
        return Path(os.path.commonpath([entry.folder for entry in self.entries]))

    def of(self, split: str) -> tuple[FileEntry, ...]:
        return tuple(entry for entry in self.entries if entry.split == split)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits with entries of both roles; if there are none, those with any entry."""
        complete = tuple(split for split in SPLITS if {entry.role for entry in self.of(split)} == set(ROLES))
        return complete or tuple(split for split in SPLITS if self.of(split))

    def fault(self, entry: FileEntry, key: str, text: str) -> SourceError:
        return SourceError(f"{self.path}, line {entry.key_lines.get(key, entry.line)}: {key}: {text}")


def is_sources_file(path: Path) -> bool:
    """Return whether a path is meant as a sources file: it ends in .yaml or .yml, and is not a folder."""
    return path.suffix.lower() in SOURCES_FILE_SUFFIXES and not path.is_dir()


def read_sources_file(path: Path) -> SourcesFile:
    """Read and check a sources file. Raises SourceError with file, line and key."""
    path = Path(os.path.abspath(path))
    return _Reader(path).sources_file()


class _Reader(YamlNodes):
    @cached_property
    def _is_remote(self) -> bool:
        return remote_tree(self.path) is not None

    def sources_file(self) -> SourcesFile:
        document = self.document()
        entries = []
        for split, section in self.mapping(document, "the file", SPLITS).items():
            for role, listed in self.mapping(section.value, split, ROLES).items():
                for node in self.sequence(listed, f"{split}: {role}"):
                    entries.append(self._entry(node, split, role))
        if not entries:
            self.refuse(1, "train", "there is no entry; add train: with foregrounds: and backgrounds:")
        found = SourcesFile(self.path, tuple(entries))
        self._require_distinct_names(found)
        self._require_shares(found)
        try:
            _ = found.root
        except ValueError:  # on Windows
            self.refuse(1, "path", "the folders are on different drives; use folders of one drive")
        return found

    def _entry(self, node: yaml.Node, split: str, role: str) -> FileEntry:
        line = line_of(node)
        items = self.mapping(node, f"an entry of {role}", tuple(KEYS))
        for key, item in items.items():
            if role not in KEYS[key]:
                self.refuse(item.line, key, f"is allowed for {KEYS[key][0]} only; remove it from the {role}")
        if "path" not in items:
            self.refuse(line, "path", "is missing; each entry needs the path of a folder")
        texts = {key: self.scalar(items[key], key) for key in items if key not in ("include", "exclude")}
        folder = self._folder(texts["path"], items["path"].line)
        path = str(folder) if is_address(texts["path"]) else texts["path"]
        name = composed(texts.get("name", "")) or default_name(path)
        self._require_name(name, items["name" if "name" in items else "path"].line)
        return FileEntry(
            split,
            role,
            line,
            folder=folder,
            name=name,
            layout=texts.get("layout", "auto"),
            colour=self._choice(items, texts, "colour", COLOURS),
            names=self._names(items),
            repeat=self._repeat(items, texts),
            share=self._share(items, texts),
            license=texts.get("license", ""),
            citation=texts.get("citation", ""),
            frame_rate=self._frame_rate(items, texts),
            key_lines={key: item.line for key, item in items.items()},
        )

    def _folder(self, text: str, line: int) -> Path:
        self._require_inside(text, "path", line)
        folder = self._remote_folder(text, line) if is_address(text) else Path(text)
        if folder.suffix.lower() in SOURCES_FILE_SUFFIXES and not (is_address(text) and folder.is_dir()):
            self.refuse(
                line, "path", f"{text!r} is a sources file, but must be a folder; copy its entries into this file"
            )
        if is_address(text):
            return folder
        if self._is_remote:
            return Path(os.path.normpath(self.path.parent / text))
        joined = os.path.join(self.path.parent, os.path.expanduser(text))
        return Path(os.path.realpath(joined) if ".." in PurePath(text).parts else os.path.abspath(joined))

    def _remote_folder(self, address: str, line: int) -> Path:
        try:
            return Path(local_path(address))
        except (ConfigError, SourceError) as error:
            kind = MachineError if isinstance(error, MachineError) else SourceError
            raise kind(f"{self.path}, line {line}: path: {error}") from error

    def _require_inside(self, text: str, key: str, line: int) -> None:
        """Refuse a path of a remote file that leads to files of this machine, or to another service."""
        if not self._is_remote or text.startswith("hf://"):
            return
        parent = str(self.path.parent)
        joined = os.path.normpath(os.path.join(parent, text))
        if is_address(text) or text.startswith("~") or not f"{joined}{os.sep}".startswith(f"{parent}{os.sep}"):
            self.refuse(
                line,
                key,
                f"{text!r} leads out of the folder of this remote sources file; write a path inside the folder, or an "
                "address hf://datasets/USER/NAME",
            )

    def _require_name(self, name: str, line: int) -> None:
        if not name:
            self.refuse(line, "name", "is needed, because the path contains no folder name; add a name")
        if name != allowed_name(name):
            self.refuse(
                line,
                "name",
                f"{name!r} is not allowed; a name has at most 100 characters, none of them / \\ or +, and begins and "
                "ends with neither a dot nor a space; add another name",
            )

    def _choice(self, items: dict[str, Item], texts: dict[str, str], key: str, allowed: tuple[str, ...]) -> str:
        value = texts.get(key, "")
        if key in items and value not in allowed:
            self.refuse(items[key].line, key, f"{value!r} is not allowed; allowed: {', '.join(allowed)}")
        return value

    def _repeat(self, items: dict[str, Item], texts: dict[str, str]) -> int:
        text = texts.get("repeat", "1")
        if not re.fullmatch(r"\d{1,4}", text, re.ASCII) or not 1 <= int(text) <= MAX_REPEAT:
            self.refuse(items["repeat"].line, "repeat", f"{text!r} is not an integer from 1 to {MAX_REPEAT}")
        return int(text)

    def _share(self, items: dict[str, Item], texts: dict[str, str]) -> float | None:
        if "share" not in texts:
            return None
        text = texts["share"]
        value = _decimal(text)
        if not 0 < value <= 1:
            self.refuse(items["share"].line, "share", f"{text!r} is not a number above 0 and up to 1, such as 0.5")
        return value

    def _frame_rate(self, items: dict[str, Item], texts: dict[str, str]) -> float:
        if "frame_rate" not in texts:
            return FRAME_RATE
        text = texts["frame_rate"]
        value = _decimal(text)
        if not 0 < value <= MAX_FRAME_RATE:
            self.refuse(
                items["frame_rate"].line,
                "frame_rate",
                f"{text!r} is not a number above 0 and up to {MAX_FRAME_RATE}, such as 29.97",
            )
        return value

    def _names(self, items: dict[str, Item]) -> NameFilter:
        patterns: dict[str, tuple[str, ...]] = {}
        for key in ("include", "exclude"):
            if key not in items:
                continue
            item = items[key]
            nodes = item.value.value if isinstance(item.value, yaml.SequenceNode) else [item.value]
            if not nodes:
                self.refuse(item.line, key, "is empty; write patterns, or remove it")
            patterns[key] = tuple(self.scalar(Item(node, line_of(node)), key) for node in nodes)
            for pattern in patterns[key]:
                if is_list(pattern):
                    self._require_inside(pattern, key, item.line)
        try:
            return name_filter(self.path.parent, **patterns)
        except SourceError as error:
            key = next(iter(patterns)) if len(patterns) == 1 else "include, exclude"
            self.refuse(min(items[key].line for key in patterns), key, str(error))

    def _require_distinct_names(self, found: SourcesFile) -> None:
        for split, role, entries in _groups(found):
            for number, one in enumerate(entries):
                other = next((other for other in entries[:number] if may_collide(one.name, other.name)), None)
                if other is not None:
                    self.refuse(
                        one.line,
                        "name",
                        f"{one.name!r} and {other.name!r} of line {other.line} could give two sources of the {role} of "
                        f"{split} the same name; give one of them another name",
                    )

    def _require_shares(self, found: SourcesFile) -> None:
        for split, role, entries in _groups(found):
            given = [entry for entry in entries if entry.share is not None]
            total = sum((Fraction(str(entry.share)) for entry in given), Fraction(0))
            where = f"the shares of the {role} of {split} add up to {float(total):g}"
            if given and len(given) == len(entries) and abs(total - 1) > SUM_TOLERANCE:
                self.refuse(given[-1].line, "share", f"{where}, but must add up to 1; change them, or remove one")
            if given and len(given) < len(entries) and total >= 1:
                self.refuse(
                    given[-1].line,
                    "share",
                    f"{where}, which leaves nothing for the entries without a share; use shares whose sum is less "
                    "than 1",
                )


def default_name(path: str) -> str:
    """Return the name of an entry without `name`: the last folder of its path that names a data set.

    # BG-20k/train -> BG-20k    Combined_Dataset/Training_set -> Training_set    ../bg/train -> train    . -> ""
    """
    parts = [part for part in PurePath(os.path.normpath(path)).parts if part not in ("..", "~") and part.strip("/\\")]
    parts = [composed(part) for part in parts if not part.endswith((":", ":\\", ":/"))]
    return next((part for part in reversed(parts) if part.lower() not in PART_NAMES), parts[-1] if parts else "")


def allowed_name(name: str) -> str:
    """Return a name without the characters that the name of an entry must not have."""
    kept = "".join("_" if character in "/\\+" or not character.isprintable() else character for character in name)
    return kept.strip(". ")[:100].strip(". ") or "sources"


def may_collide(name: str, other: str) -> bool:
    """Return whether NAME.SOURCE could be equal for two entries: "a" with "b.c" and "a.b" with "c"."""
    return f"{name}.".startswith(f"{other}.") or f"{other}.".startswith(f"{name}.")


def _decimal(text: str) -> float:
    """Return a number that is written in digits with at most one point; 0 for any other text."""
    return float(text) if re.fullmatch(r"\d*\.?\d+|\d+\.", text, re.ASCII) else 0.0


def _groups(found: SourcesFile) -> Iterator[tuple[str, str, list[FileEntry]]]:
    for split in SPLITS:
        for role in ROLES:
            yield split, role, [entry for entry in found.of(split) if entry.role == role]
