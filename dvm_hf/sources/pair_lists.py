"""Read pair lists in the authors' format: one composite per line, by file names; or lists of frozen clips."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from dvm_hf.errors import SourceError
from dvm_hf.sources.frozen_lists import is_frozen_list, parsed_list
from dvm_hf.sources.names import composed
from dvm_hf.sources.records import KINDS
from dvm_hf.sources.remote.source_files import present

MAX_LIST_BYTES = 2**28  # bytes; a million lines take about 3 * 10**7
DOTS = (".", "..")
EMPTY_LIST = "the pair list is empty; add a line such as image+NAME.png+0105.mp4"
MAX_SHOWN = 120  # maximum number of characters of a line in an error


Companions: TypeAlias = tuple[tuple[str, str], ...]


class Pair(NamedTuple):
    """A line of a pair list: the file names of a foreground and its background, as written.

    companions: kind and name of each further foreground, from a list of frozen clips.
    """

    kind: str
    foreground: str
    background: str
    line: int
    companions: Companions = ()

    def __str__(self) -> str:
        return f"{self.kind}+{self.foreground}+{self.background}"


class ListedPairs(NamedTuple):
    """Content of a pair list.

    pairs: valid pairs in order.
    faults: (line number, error text) of each invalid line.
    """

    pairs: tuple[Pair, ...]
    faults: tuple[tuple[int, str], ...]


def read_pairs(path: Path) -> tuple[Pair, ...]:
    """Read the lines `image+NAME.png+0105.mp4` or `video+0000+0041.mp4` of a pair list.

    Blank lines are ignored. Raises SourceError with up to ten invalid lines.
    """
    pairs, found = listed_pairs(path)
    faults = [f"line {number}: {text}" for number, text in found[:10]]
    if not found and not pairs:
        faults = [EMPTY_LIST]
    if faults:
        more = f"; and {len(found) - 10} more" if len(found) > 10 else ""
        raise SourceError(f"{path}: " + "; ".join(faults) + more)
    return pairs


def listed_pairs(path: Path) -> ListedPairs:
    """Read a pair list with all its faults. Raises SourceError only if the file cannot be read."""
    pairs: dict[str, Pair] = {}
    faults = []
    with _no_collection():
        for number, (line, companions) in enumerate(_lines(path), start=1):
            if not line.strip():
                continue
            try:
                text = _text(line)
                pair = _pair(text, number, companions)
            except ValueError as error:
                faults.append((number, str(error)))
                continue
            first = pairs.setdefault(text, pair)
            if first is not pair:
                faults.append((number, f"{_shown(text)} is already on line {first.line}; list each pair only once"))
    return ListedPairs(tuple(pairs.values()), tuple(faults))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pause the garbage collector: for a million new pairs it frees nothing and takes 40 % of the time."""
    is_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_on:
            gc.enable()


def require_file(path: Path) -> None:
    """Raise SourceError if an existing path is a folder, or a pipe or a device, which could block forever."""
    if path.is_dir():
        raise SourceError(f"{path}: the pair list cannot be read (a folder); pass a file")
    if not path.is_file():
        raise SourceError(f"{path}: the pair list cannot be read (a pipe or a device); pass a file")


def frozen_list(path: Path) -> dict[str, Any]:
    """Return the content of a list of frozen clips; see `parsed_list`. Raises SourceError if it cannot be read."""
    return parsed_list(path, _data(path))


def _lines(path: Path) -> Iterator[tuple[bytes, Companions]]:
    """Return the lines of a list, each with the companions of its clip."""
    data = _data(path)
    if is_frozen_list(path):
        clips = parsed_list(path, data)["clips"]
        return ((clip["pair"].encode("utf-8", "surrogatepass"), _companions(clip)) for clip in clips)
    return zip(data.removeprefix(b"\xef\xbb\xbf").splitlines(), repeat(()))


def _companions(clip: dict[str, Any]) -> Companions:
    return tuple((one["kind"], composed(one["name"])) for one in clip.get("companions", ()))


def _data(path: Path) -> bytes:
    try:
        with present([path]):
            if path.exists():
                require_file(path)
            with path.open("rb") as file:
                data = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path}: the pair list cannot be read ({error.strerror})") from error
    if len(data) > MAX_LIST_BYTES:
        raise SourceError(f"{path}: the pair list has more than {MAX_LIST_BYTES:,} bytes, the maximum; split it")
    return data


def _text(line: bytes) -> str:
    try:
        return composed(line.decode("utf-8").strip())
    except UnicodeDecodeError:
        raise ValueError(f"{_shown(line)} is not UTF-8; save the list as UTF-8") from None


def _pair(text: str, number: int, companions: Companions) -> Pair:
    """Parse and check a line. Raises ValueError if it is invalid."""
    kind, first, rest = text.partition("+")
    foreground, second, background = rest.rpartition("+")
    if not (first and second and foreground and background):
        raise ValueError(
            f"{_shown(text)} is not a valid pair; write KIND+FOREGROUND+BACKGROUND, such as image+NAME.png+0105.mp4"
        )
    if kind not in KINDS:
        raise ValueError(f"unknown kind {_shown(kind)} in {_shown(text)}; allowed: {', '.join(KINDS)}")
    if "/" in rest or "\\" in rest or "\0" in rest or foreground in DOTS or background in DOTS:
        name = foreground if foreground in DOTS or any(character in foreground for character in "/\\\0") else background
        raise ValueError(f"{_shown(name)} in {_shown(text)} is a path; write only the name of a file of the split")
    # few strings, repeated in many lines
    return Pair(sys.intern(kind), foreground, sys.intern(background), number, companions)


def _shown(text: str | bytes) -> str:
    """Return the `repr` of a text, which escapes control characters; long texts are shortened."""
    return repr(text) if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]!r}..."
