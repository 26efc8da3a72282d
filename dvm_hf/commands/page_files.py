"""Write the pages of commands: the folder is checked first, and a page never shows a path."""

import os
from collections.abc import Mapping
from pathlib import Path

from dvm_hf.errors import ConfigError
from dvm_hf.prepared.atomic_io import atomic_write
from dvm_hf.sources.names import printable


def require_folders(files: Mapping[str, Path | None]) -> None:
    """Raise ConfigError if the folder of an output file is missing, before the long work."""
    for path in files.values():
        if path and not path.absolute().parent.is_dir():
            raise ConfigError(
                f"{path}: the folder {path.absolute().parent} does not exist; create it or pass another file"
            )


def write_page(path: Path, text: str) -> None:
    """Write a page atomically, or directly if the target is a pipe or a device."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8")
    else:
        atomic_write(target, text.encode("utf-8"))


def shown_name(source: str) -> str:
    """Return the name of a local folder without its path, because a shared page must not reveal the user's name."""
    return printable(Path(os.path.abspath(source)).name) if os.path.exists(source) else source
