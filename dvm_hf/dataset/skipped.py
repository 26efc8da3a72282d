"""Clips left out of a build: written down by whatever process meets them, reported as one by the first.

`datasets` builds in worker processes that share nothing but the disk; so this is a file, one JSON object a line.
"""

import json
import logging
import os
import posixpath
import tempfile
from pathlib import Path
from typing import Any

from dvm_hf.wording import counted

logger = logging.getLogger(__name__)

KEPT = "left_out.jsonl"  # name of the file beside the data


class SkippedClips:
    """Appends to, and reads, one such file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def in_new_file(cls) -> "SkippedClips":
        handle, name = tempfile.mkstemp(prefix="dvm_hf_left_out_", suffix=".jsonl")
        os.close(handle)
        return cls(Path(name))

    def note(
        self, name: str, reason: str, *, is_source: bool = False, is_fatal: bool = False, is_machine: bool = False
    ) -> None:
        """Add a clip, or a source with all its clips; `is_fatal`: it stopped the build.

        A line of this size reaches the file whole, whoever else writes.
        """
        entry = {"name": name, "reason": reason, "source": is_source, "fatal": is_fatal, "machine": is_machine}
        line = json.dumps(entry) + "\n"
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)

    def fatal_reason(self) -> str | None:
        """Reason of the first entry that stopped the build."""
        return next((entry["reason"] for entry in self._entries() if entry["fatal"]), None)

    def is_machine_fault(self) -> bool:
        """Whether the first entry that stopped the build is a fault of the machine."""
        return next((bool(entry.get("machine")) for entry in self._entries() if entry["fatal"]), False)

    def summary(self) -> str:
        """How many, and the first five with their reasons."""
        return summary(self._entries())

    def keep_in(self, fs: Any, folder: str) -> None:
        """Copy the file to where a later load of the data reads it; remove an older one there. `fs`: of fsspec."""
        path = posixpath.join(folder, KEPT)
        if self._entries():
            fs.pipe_file(path, self.path.read_bytes())
        elif fs.exists(path):  # object stores keep the files of the build before
            fs.rm_file(path)

    def remove(self) -> None:
        """Remove the file; it may be gone."""
        self.path.unlink(missing_ok=True)

    def _entries(self) -> list[dict[str, Any]]:
        return _entries(self.path.read_text(encoding="utf-8")) if self.path.is_file() else []


def report_kept(fs: Any, folder: str) -> None:
    """Log how many clips the data in a folder were built without, and the first few by name. `fs`: of fsspec."""
    try:
        kept = fs.cat_file(posixpath.join(folder, KEPT)).decode("utf-8")
    except FileNotFoundError:
        return
    logger.warning("skipped: %s", summary(_entries(kept)))


def summary(entries: list[dict[str, Any]]) -> str:
    """How many, and the first five with their reasons."""
    sources = sum(bool(entry["source"]) for entry in entries)
    counts = [counted(len(entries) - sources, "clip")] * (sources < len(entries))
    counts += [f"all clips of {counted(sources, 'source')}"] * (sources > 0)
    names = "; ".join(f"{entry['name']} ({entry['reason']})" for entry in entries[:5])
    more = f"; and {len(entries) - 5} more" if len(entries) > 5 else ""
    return f"{' and '.join(counts)}: {names}{more}"


def _entries(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
