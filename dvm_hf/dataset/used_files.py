"""The files and folders that the clips of a build read, and whether they were replaced during it."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from dvm_hf.clips.plan import Plans
from dvm_hf.errors import SourceError
from dvm_hf.machine_faults import raise_machine_fault, retried
from dvm_hf.sources.folder_scan import file_signature
from dvm_hf.sources.records import SourceTree


def files_of(plans: Plans, tree: SourceTree) -> dict[str, tuple[int, int]]:
    """Return the files and folders that the clips read, each with its signature when they were scanned."""
    used: set[str] = set()  # lookups of strings are faster than of paths
    for plan in plans.clips:
        for one in plan.foregrounds:
            used.update(str(path) for path in (one.colour, one.alpha, one.trimap) if path)
        used.add(str(plan.background.path))
    paths = ((os.path.normpath(f"{tree.root}/{name}"), signature) for name, signature in tree.signatures.items())
    return {path: signature for path, signature in paths if path in used}


def require_same_files(files: dict[str, tuple[int, int]]) -> None:
    """Raise SourceError for the first of `files_of` that was replaced, MachineError if its status cannot be read.

    Called at the end of a build, because the cache folder is named after the files that existed at its start.
    """

    def replaced(begin: int) -> Iterator[str | None]:
        for path, signature in itertools.islice(files.items(), begin, None):
            yield path if _signature(path) != signature else None

    for path in filter(None, retried(replaced)):
        raise SourceError(
            f"{path}: was replaced or removed during the build, which was discarded; load again when the sources no "
            "longer change"
        )


def _signature(path: str) -> tuple[int, int] | None:
    try:
        return file_signature(Path(path))
    except OSError as error:
        raise_machine_fault(Path(path), error)
        return None
