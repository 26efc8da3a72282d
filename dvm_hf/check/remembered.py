"""What a deep check has found already, remembered in the user's cache by path, size and time of modification."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from dvm_hf.check.findings import RULES, Finding
from dvm_hf.check.source import Examined, Facts, Source
from dvm_hf.geometry import Size

EDITION = 1  # of what a deep check looks at; a new one forgets what the old has found


class Checked:
    """A file of one JSON object a line for each source tree; a line is written as soon as a source is checked.

    So a check that was stopped goes on where it was. A line that is cut short, or of another edition, counts as none.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        name = hashlib.sha256(str(root.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:24]
        self.path = folder / f"{name}.jsonl"
        self._known: dict[str, Examined] = {}
        if self.path.is_file():
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                key, result = _parsed(line)
                if result is not None:
                    self._known[key] = result

    def get(self, source: Source) -> Examined | None:
        """What was found of these very files; None where they are new, or have changed."""
        return self._known.get(_key(source))

    def remember(self, source: Source, result: Examined) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        findings = [dataclasses.asdict(one) for one in result.findings]
        facts = [*result.facts.size, result.facts.frames, result.facts.seconds]
        line = json.dumps({"key": _key(source), "findings": findings, "facts": facts})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _key(source: Source) -> str:
    """Changes with every file of a source, and with the edition."""
    states = []
    for path in source.paths:
        stat = (source.root / path).stat()
        states.append([path, stat.st_size, stat.st_mtime_ns])
    return json.dumps([EDITION, source.kind, states])


def _parsed(line: str) -> tuple[str, Examined | None]:
    try:
        entry: dict[str, Any] = json.loads(line)
        findings = tuple(Finding(**one) for one in entry["findings"])
        height, width, frames, seconds = entry["facts"]
        key = str(entry["key"])
    except (ValueError, KeyError, TypeError):
        return "", None
    if any(one.code not in RULES for one in findings):
        return "", None
    return key, Examined(findings, Facts(Size(height, width), frames, seconds))
