"""The text of a new sources file, with what was found in its folders as comments."""

import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from dvm_hf.addresses import is_address
from dvm_hf.errors import SourceError
from dvm_hf.sources.inventory import FoundEntry
from dvm_hf.sources.records import ROLES, SPLITS
from dvm_hf.sources.remote.source_files import address_of
from dvm_hf.sources.sources_file import allowed_name, default_name, may_collide
from dvm_hf.wording import counted

HEAD = """\
# A sources file: the folders below are one source tree. Paths are relative to this file.
# Add new entries at the end of a list: then the clips of all other foregrounds stay as they are.
"""


def sources_file_text(entries: Sequence[FoundEntry], folder: Path) -> str:
    """Return the text of a sources file in a folder. Raises SourceError if a path is not UTF-8."""
    lines = [HEAD]
    for split in SPLITS:
        of_split = [entry for entry in entries if entry.split == split]
        if not of_split:
            continue
        lines.append(f"{split}:")
        for role in ROLES:
            of_role = [entry for entry in of_split if entry.role == role]
            lines.append(f"  {role}:" if of_role else f"  {role}: []  # none was found: add an entry")
            names: list[str] = []
            for entry in of_role:
                lines += _entry_lines(entry, written_path(entry.folder, folder), names)
    return "\n".join(lines) + "\n"


def written_path(path: Path, folder: Path) -> str:
    """Return the path of a folder relative to that of the file, or the address of remote sources, with the commit."""
    if address := address_of(path):
        return address
    try:
        text = Path(os.path.relpath(path, folder)).as_posix()
        text.encode("utf-8")
    except ValueError as error:  # another drive of Windows, or not UTF-8
        if not isinstance(error, UnicodeEncodeError):
            return path.absolute().as_posix()
        raise SourceError(f"{path}: its path is not UTF-8, which a sources file must be; rename the folder") from None
    return text


def _entry_lines(entry: FoundEntry, path: str, names: list[str]) -> list[str]:
    usual = default_name(str(entry.folder) if is_address(path) else path)
    name = _free_name(usual or default_name(str(entry.folder.absolute())), names)
    names.append(name)
    kind = entry.role.removesuffix("s")
    comments = [f"{entry.layout.name}: {entry.reason}", f"{counted(entry.count, kind)} in {entry.split}"]
    if entry.terms:
        passed_on = "" if entry.is_redistributable else " (composites may not be passed on)"
        comments.append(f"terms: {entry.terms}{passed_on}")
    keys = {"path": path, "layout": entry.layout.name} | ({"name": name} if name != usual else {})
    return [
        *(f"    # {' '.join(comment.split())}" for comment in comments),
        *(f"    {'-' if key == 'path' else ' '} {key}: {_quoted(value)}" for key, value in keys.items()),
    ]


def _free_name(name: str, names: list[str]) -> str:
    """Return a name that is allowed and cannot give a source the same name as one of `names`."""
    name = allowed_name(name)
    candidates = [name, *(f"{name}-{number}" for number in range(2, len(names) + 3))]
    return next(one for one in candidates if not any(may_collide(one, other) for other in names))


def _quoted(text: str) -> str:
    """Return a text as a YAML scalar."""
    return str(yaml.safe_dump([text], default_flow_style=True, allow_unicode=True, width=10**6)).strip()[1:-1]
