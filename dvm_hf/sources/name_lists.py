"""Read the lists of names that sets contain: one name per line, or a JSON map of names.

These are the only files that a scan opens. Their sizes are limited; what is wrong becomes a problem of the scan, with
its line or key.
"""

import json
import unicodedata
from typing import NamedTuple

from dvm_hf.sources.layout import Place
from dvm_hf.sources.names import composed

MAX_LIST_BYTES = 2**20  # Adobe's 431 names take 14 kB
MAX_MAP_BYTES = 2**28  # VideoMatting108's map of 100,000 frames takes about 10 MB
MAX_FAULTS = 10  # lines and keys that are reported one by one


class ListedName(NamedTuple):
    name: str
    line: int


def listed_names(place: Place, path: str) -> dict[str, ListedName] | None:
    """Return the names of a list, by name; None if the list is missing or unusable. Names may contain folders."""
    text = place.scan.text(place.path(path), max_bytes=MAX_LIST_BYTES)
    if text is None:
        return None
    found: dict[str, ListedName] = {}
    faults = []
    for number, line in enumerate(text.split("\n"), start=1):
        name = composed(line.strip())
        if not name:
            continue
        fault = _fault(name)
        if name in found:
            fault = f"{name!r} is already on line {found[name].line}; list each name once"
        if fault:
            faults.append(f"line {number}: {fault}")
        else:
            found[name] = ListedName(name, number)
    _note_faults(place, path, faults)
    return found


def name_map(place: Place, path: str) -> dict[str, str] | None:
    """Return a JSON object of names, both with folders; None if the file is missing or unusable."""
    text = place.scan.text(place.path(path), max_bytes=MAX_MAP_BYTES)
    if text is None:
        return None
    try:
        content = json.loads(text)
    except ValueError as error:
        text = f"is not valid JSON ({error}); copy it again"
        place.scan.note(place.path(path), text, "name-list")
        return None
    except RecursionError:
        content = None
    if not isinstance(content, dict):
        place.scan.note(place.path(path), "is not a JSON object of names; copy it again", "name-list")
        return None
    found, faults = dict[str, str](), list[str]()
    for key, value in content.items():
        fault = _fault(key) or (
            _fault(value) if isinstance(value, str) else f"{value!r:.80} is not a name; write a path"
        )
        if fault:
            faults.append(f"key {key!r:.200}: {fault}")
        else:
            found[composed(key)] = composed(value)
    _note_faults(place, path, faults)
    return found


def _fault(name: str) -> str:
    """Return why a name cannot be that of a file in the set; empty if it can."""
    is_path = not any(part in ("", ".", "..") for part in name.split("/")) and "\\" not in name
    if not is_path or any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return f"{name!r:.200} is not a path inside the set; write folders and a name, joined by /"
    return ""


def _note_faults(place: Place, path: str, faults: list[str]) -> None:
    for fault in faults[:MAX_FAULTS]:
        place.scan.note(place.path(path), fault, "name-list")
    if len(faults) > MAX_FAULTS:
        more = len(faults) - MAX_FAULTS
        place.scan.note(place.path(path), f"has {more:,} more invalid lines or keys; fix them, too", "name-list")
