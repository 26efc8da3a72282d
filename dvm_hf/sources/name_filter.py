"""Which sources of an entry are used: the patterns `include` and `exclude` of a sources file."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property
from pathlib import Path

from dvm_hf.errors import SourceError
from dvm_hf.sources.names import composed
from dvm_hf.sources.remote.source_files import present

LIST_SUFFIX = ".txt"  # of a file with a list of patterns
MAX_BYTES = 2**26
WILDCARDS = re.compile(r"[*?[]")


class Patterns:
    """Names and glob patterns; a source matches by its name or by its file's name.

    A text with a wildcard also matches as it is written, because names can contain brackets.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(texts)
        self._literal = frozenset(self.texts)
        wild = [translate(text) for text in self.texts if WILDCARDS.search(text)]
        self._wild = re.compile("|".join(wild)) if wild else None

    def match(self, *names: str) -> bool:
        return any(name in self._literal or (self._wild is not None and self._wild.match(name)) for name in names)

    def unmatched(self, names: set[str]) -> list[str]:
        """Return the texts that none of these names matches."""
        rest = [text for text in dict.fromkeys(self.texts) if text not in names]
        return [
            text for text in rest if not (WILDCARDS.search(text) and any(map(re.compile(translate(text)).match, names)))
        ]


@dataclass(frozen=True)
class NameFilter:
    """The sources of an entry that are used: those that match `include`, if it is given, and do not match `exclude`."""

    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()

    @cached_property
    def included(self) -> Patterns | None:
        return None if self.include is None else Patterns(self.include)

    @cached_property
    def excluded(self) -> Patterns:
        return Patterns(self.exclude)

    def accepts(self, *names: str) -> bool:
        """Return whether a source is used; names: its name, and the name of its file."""
        is_included = self.included is None or self.included.match(*names)
        return is_included and not self.excluded.match(*names)


def name_filter(folder: Path, *, include: Iterable[str] | None = None, exclude: Iterable[str] = ()) -> NameFilter:
    """Return the filter for patterns, or files with lists of them (.txt), relative to a folder.

    Raises SourceError if a list cannot be read.
    """
    return NameFilter(
        None if include is None else _expanded(folder, include),
        _expanded(folder, exclude),
    )


def is_list(pattern: str) -> bool:
    """Return whether a pattern is the path of a list."""
    return pattern.lower().endswith(LIST_SUFFIX)


def _expanded(folder: Path, texts: Iterable[str]) -> tuple[str, ...]:
    found: list[str] = []
    for text in texts:
        if is_list(text):
            path = folder / os.path.expanduser(text)
            with present([path]):
                found += _listed(path)
        else:
            found.append(composed(text))
    return tuple(found)


def _listed(path: Path) -> list[str]:
    """Return the lines of a file that are not blank."""
    try:
        if path.exists() and not path.is_file():
            raise SourceError(f"the list {path} is not a file; write the path of a text file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        lines = data.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise SourceError(
            f"the list {path} cannot be read ({error.strerror}); write the path of a text file"
        ) from error
    except UnicodeDecodeError:
        raise SourceError(f"the list {path} is not UTF-8; save it as UTF-8") from None
    if len(data) > MAX_BYTES:
        raise SourceError(f"the list {path} has more than {MAX_BYTES:,} bytes, the maximum; shorten it")
    found = [composed(line.strip()) for line in lines if line.strip()]
    if not found:
        raise SourceError(f"the list {path} is empty; write one name or pattern per line")
    return found
