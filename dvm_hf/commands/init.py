"""`dvm init`: inspect folders, and write a sources file."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from dvm_hf.commands.config_options import NamedPath, SourceFolder, json_option
from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.sources.inventory import FoundEntry, found_entries
from dvm_hf.sources.names import SOURCES_FILE_SUFFIXES, printable
from dvm_hf.sources.records import ROLES, SPLITS
from dvm_hf.sources.sources_file_text import sources_file_text, written_path
from dvm_hf.wording import counted


@click.command("init")
@click.argument("file", type=NamedPath(path_type=Path))
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=SourceFolder(path_type=Path))
@json_option
def init_command(file: Path, paths: tuple[Path, ...], as_json: bool) -> None:
    """Write a sources file that lists the folders PATH...

    A sources file (.yaml) combines several folders into one source tree. dvm init recognizes the layout of each folder
    by the names in it, and reads a few file headers if names alone cannot distinguish cut-outs from backgrounds.
    Comments in FILE give the layout, the number of sources and the terms of each folder. An existing file is never
    overwritten.

    Example: dvm init sources.yaml DVM
    """
    if file.suffix.lower() not in SOURCES_FILE_SUFFIXES:
        raise ConfigError(f"{file}: a sources file must end in {' or '.join(SOURCES_FILE_SUFFIXES)}; pass another name")
    if os.path.lexists(file):
        raise ConfigError(f"{file}: already exists; pass another name, or delete it first")
    folder = Path(os.path.abspath(file)).parent
    entries = _entries(paths)
    text = sources_file_text(entries, folder)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror}); pass another name") from error
    found = [
        {
            "path": written_path(one.folder, folder),
            "layout": one.layout.name,
            "split": one.split,
            "role": one.role,
            "count": one.count,
        }
        for one in entries
    ]
    click.echo(json.dumps({"entries": found}) if as_json else "\n".join(_in_words(file, entries)))


def _entries(paths: Sequence[Path]) -> list[FoundEntry]:
    """Return the entries of all folders, each folder once. Raises one SourceError for all unknown folders."""
    entries: list[FoundEntry] = []
    unknown, seen = [], set()
    for path in paths:
        if os.path.realpath(path) in seen:
            continue
        seen.add(os.path.realpath(path))
        try:
            entries += found_entries(path)
        except SourceError as error:
            unknown.append(str(error))
    if unknown:
        text = "\n".join(unknown)
        raise SourceError(text)
    order = (*SPLITS, *ROLES)
    return sorted(entries, key=lambda one: (order.index(one.split), order.index(one.role)))


def _in_words(file: Path, entries: Sequence[FoundEntry]) -> Iterator[str]:
    for one in entries:
        what = f"{one.split}: {counted(one.count, one.role.removesuffix('s'))}"
        yield f"{what} in {printable(str(one.folder))}, layout {one.layout.name}"
    for split in dict.fromkeys(one.split for one in entries):
        for role in ROLES:
            if not any((one.split, one.role) == (split, role) for one in entries):
                yield f"{split}: no {role}; add a folder with {role} to the file before you build this split"
    yield f"{printable(str(file))} lists these folders. Check them: dvm check {printable(str(file))}"
