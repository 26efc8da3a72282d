"""Read the lists of clips that `dvm plan --export` writes; docs/reproduce.md describes their fields.

As a pair list, such a file has the pairs of its clips and the config fields that they must be rendered with.
"""

import json
from pathlib import Path
from typing import Any

from dvm_hf.errors import SourceError
from dvm_hf.sources.records import KINDS, SPLITS

FORMAT = 1
KIND = "frozen clips"
SUFFIX = ".json"
CHUNK = 1 << 20  # bytes


def is_frozen_list(path: Path) -> bool:
    return path.suffix.lower() == SUFFIX


def has_frozen_clips(path: Path) -> bool:
    """Return whether a JSON file is such a list, in whichever order and spacing; other large files are not parsed."""
    mark, end = KIND.encode(), b""
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            seen = end + block
            if mark in seen:
                break
            end = seen[-len(mark) :]
        else:
            return False
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("kind") == KIND


def parsed_list(path: Path, data: bytes) -> dict[str, Any]:
    """Return the content of a list, whose names, config and sources are checked for their types.

    Raises SourceError if it is not a list that this release reads.
    """
    try:
        content = json.loads(data)
        kind, found = content["kind"], content["format"]
        if kind != KIND or found != FORMAT:
            raise ValueError(f"its kind is {kind!r} and its format {found!r}")
        names = [text for clip in content["clips"] for text in (clip["pair"], clip["clip_id"])]
        if not all(isinstance(name, str) and "\n" not in name for name in names):
            raise ValueError("a pair or a clip_id is not a line of text")
        if content["split"] not in SPLITS or not all(isinstance(content[part], dict) for part in ("config", "sources")):
            raise ValueError("its split, config or sources are not valid")
        count = content["config"].get("foregrounds_per_clip", 1)
        if not all(_has_foregrounds(clip, count) for clip in content["clips"]):
            raise ValueError(f"a clip does not have {count} foregrounds")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SourceError(
            f"{path}: is not a list of clips that this release reads ({type(error).__name__}: {error}); pass a file of "
            "dvm plan --export in format 1, or a pair list with another suffix than .json"
        ) from error
    return dict(content)


def _has_foregrounds(clip: dict[str, Any], count: Any) -> bool:
    """Whether a clip has its own foreground and so many companions that it has `count` different ones in total."""
    companions = {(one["kind"], one["name"]) for one in clip.get("companions", ())}
    is_valid = all(kind in KINDS and isinstance(name, str) for kind, name in companions)
    return is_valid and len(companions) == len(clip.get("companions", ())) == count - 1
