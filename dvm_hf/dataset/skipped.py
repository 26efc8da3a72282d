"""Clips that a build skipped: recorded by any process, reported together by the main one.

`datasets` builds in worker processes that share only the disk, so the record is a file with one JSON object per line.
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

SAVED_NAME = "left_out.jsonl"  # beside the data


class SkippedClips:
    """A file of skipped clips."""

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
        """Append a clip, or a source with all its clips. is_fatal: whether it stopped the build.

        Lines of this size are appended atomically, even if several processes write.
        """
        entry = {"name": name, "reason": reason, "source": is_source, "fatal": is_fatal, "machine": is_machine}
        line = json.dumps(entry) + "\n"
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)

    def fatal_reason(self) -> str | None:
        """Return the reason of the first entry that stopped the build."""
        return next((entry["reason"] for entry in self._entries() if entry["fatal"]), None)

    def is_machine_fault(self) -> bool:
        """Whether the first entry that stopped the build is a fault of the machine."""
        return next((bool(entry.get("machine")) for entry in self._entries() if entry["fatal"]), False)

    def summary(self) -> str:
        """Return the number of entries, and the first five with their reasons."""
        return summary(self._entries())

    def save_in(self, fs: Any, folder: str) -> None:
        """Save the file beside the data for later loads, or remove an outdated one. fs: an fsspec file system."""
        path = posixpath.join(folder, SAVED_NAME)
        if self._entries():
            fs.pipe_file(path, self.path.read_bytes())
        elif fs.exists(path):  # object stores keep the files of the previous build
            fs.rm_file(path)

    def remove(self) -> None:
        """Remove the file if it exists."""
        self.path.unlink(missing_ok=True)

    def _entries(self) -> list[dict[str, Any]]:
        return _entries(self.path.read_text(encoding="utf-8")) if self.path.is_file() else []


def report_saved(fs: Any, folder: str) -> None:
    """Log how many clips a build in a folder skipped, and name the first five. fs: an fsspec file system."""
    try:
        saved = fs.cat_file(posixpath.join(folder, SAVED_NAME)).decode("utf-8")
    except FileNotFoundError:
        return
    logger.warning("skipped: %s", summary(_entries(saved)))


def summary(entries: list[dict[str, Any]]) -> str:
    """Return the number of entries, and the first five with their reasons."""
    sources = sum(bool(entry["source"]) for entry in entries)
    counts = [counted(len(entries) - sources, "clip")] * (sources < len(entries))
    counts += [f"all clips of {counted(sources, 'source')}"] * (sources > 0)
    names = "; ".join(f"{entry['name']} ({entry['reason']})" for entry in entries[:5])
    more = f"; and {len(entries) - 5} more" if len(entries) > 5 else ""
    return f"{' and '.join(counts)}: {names}{more}"


def _entries(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
