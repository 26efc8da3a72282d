"""Cache the results of deep checks in the user's cache folder, by path, size and modification time."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, TextIO

from dvm_hf.check.findings import NOT_CACHED, Finding
from dvm_hf.check.rules import RULES
from dvm_hf.check.source import Facts, Source, SourceCheck
from dvm_hf.media.pixels import Size
from dvm_hf.sources.folder_scan import file_signature
from dvm_hf.versions import versions

EDITION = [6, versions()]  # of the checks, their texts and the decoders; results of other editions are ignored


class CheckCache:
    """A JSON Lines file per source tree, with one line for each checked source, written as soon as it is checked.

    An interrupted check resumes from it. Truncated lines, and lines of other editions, are ignored.

    fault: the reason if results cannot be cached, else empty.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        name = hashlib.sha256(str(root.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:24]
        self.path = folder / f"{name}.jsonl"
        self.fault = ""
        self._file: TextIO | None = None
        self._known: dict[str, SourceCheck] = {}
        lines: dict[str, str] = {}  # the last line of each source, by its paths
        try:
            stored = self.path.read_text(encoding="utf-8", errors="replace").splitlines() if self.path.is_file() else []
            for line in stored:
                key, result = _parsed(line)
                if result is not None:
                    self._known[key] = result
                    lines[repr([path for path, *_ in json.loads(key)[2]])] = line
            if len(stored) > 2 * len(lines) + 100:  # most lines are of earlier versions of files
                shorter = self.path.with_suffix(".new")
                shorter.write_text("".join(f"{line}\n" for line in lines.values()), encoding="utf-8")
                shorter.replace(self.path)
        except OSError as error:
            self.fault = f"{error.filename}: {error.strerror}"

    def get(self, source: Source) -> SourceCheck | None:
        """Return the cached result of a source; None if its files are new, changed or missing."""
        return self._known.get(_key(source))

    def store(self, source: Source, result: SourceCheck) -> None:
        """Cache a result, unless the next check may find another one: a fault of the disk, or a crashed process."""
        key = _key(source)
        if not key or any(one.code in NOT_CACHED for one in result.findings):
            return
        findings = [dataclasses.asdict(one) for one in result.findings]
        facts = [*result.facts.size, result.facts.frames, result.facts.seconds]
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("a", encoding="utf-8")
            self._file.write(json.dumps({"key": key, "findings": findings, "facts": facts}) + "\n")
            self._file.flush()
        except OSError as error:
            self.fault = f"{error.filename or self.path}: {error.strerror}"

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _key(source: Source) -> str:
    """Return a key that changes with every file of a source and with the edition; empty if a file is missing.

    It also changes with the frame rate of a folder of numbered pictures, which determines the duration.
    """
    states = []
    for path in source.paths:
        try:
            states.append([path, *file_signature(source.root / path)])
        except OSError:
            return ""
    has_folder = any((source.root / path).is_dir() for path in source.paths)
    return json.dumps([EDITION, source.kind, states, source.frame_rate if has_folder else None])


def _parsed(line: str) -> tuple[str, SourceCheck | None]:
    try:
        entry: dict[str, Any] = json.loads(line)
        findings = tuple(Finding(**one) for one in entry["findings"])
        height, width, frames, seconds = entry["facts"]
        key = str(entry["key"])
    except (ValueError, KeyError, TypeError):
        return "", None
    if any(one.code not in RULES for one in findings) or not _is_of_this_edition(key):
        return "", None
    return key, SourceCheck(findings, Facts(Size(height, width), frames, seconds))


def _is_of_this_edition(key: str) -> bool:
    try:
        edition, _, states, _ = json.loads(key)
        return bool(edition == EDITION and all(len(state) == 3 for state in states))
    except (ValueError, TypeError):
        return False
