"""The clips of a plan as JSON: for the plan's digest, and for the lines of its table, each with the clips of a shard.

Clips share foregrounds and backgrounds, so the text of each is made once.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from dvm_hf.clips.plan import ClipPlan, Rendering, clip_seed
from dvm_hf.prepared.folder import json_bytes
from dvm_hf.sources.records import Background, Foreground

INDENTED, PLAIN = ",\n   ", ", "  # between the fields of a clip
CHUNK = 1000  # texts that are hashed at once
_SEAL = b', "seal": "%b"}\n'
_SEAL_LENGTH = len(_SEAL % (b"0" * 64))
_text = json.JSONEncoder(ensure_ascii=False).encode


def content_digest(content: Mapping[str, Any], clips: Sequence[ClipPlan], sources: Mapping[str, str]) -> str:
    """Return the SHA-256 of a plan as one JSON object. `content`: the object, with None for "clips" and "sources".

    The object itself is not made, because it would take gigabytes for a million clips.
    """
    before, after = json_bytes(content).decode("utf-8").split(' "clips": null,\n "sources": null')
    texts = ClipTexts(INDENTED)
    parts = (
        [before, ' "clips": '],
        _items((f"  {{\n   {texts.of(clip)}\n  }}" for clip in clips), "[]"),
        [',\n "sources": '],
        _items((f"  {_text(path)}: {_text(digest)}" for path, digest in sources.items()), "{}"),
        [after],
    )
    digest = hashlib.sha256()
    for group in parts:
        remaining = iter(group)
        while text := "".join(islice(remaining, CHUNK)):
            digest.update(text.encode("utf-8"))
    return digest.hexdigest()


def shard_line(
    plan: str, index: int, clips: Sequence[ClipPlan], sources: Mapping[str, str], texts: "ClipTexts"
) -> bytes:
    """Return the line of a shard: its clips and the hashes of their sources. plan: digest of the plan."""
    paths = sorted(texts.paths(clips) & sources.keys())
    hashes = ", ".join(f"{_text(path)}: {_text(sources[path])}" for path in paths)
    listed = ", ".join(f"{{{texts.of(clip)}}}" for clip in clips)
    line = f'{{"plan": "{plan}", "shard": {index}, "clips": [{listed}], "sources": {{{hashes}}}'.encode()
    return line + _SEAL % hashlib.sha256(line).hexdigest().encode()


def parsed_line(line: bytes) -> dict[str, Any]:
    """Return the content of a shard's line; raises ValueError if it does not match its checksum."""
    content = line[:-_SEAL_LENGTH]
    if line != content + _SEAL % hashlib.sha256(content).hexdigest().encode():
        raise ValueError("a line does not match its checksum")
    return dict(json.loads(line))


class ClipTexts:
    """Returns the fields of clips as JSON, and their source paths. Keeps those of sources, so these must stay alive."""

    def __init__(self, separator: str) -> None:
        self._separator = separator
        self._foregrounds: dict[int, tuple[str, str, tuple[str, ...]]] = {}
        self._backgrounds: dict[int, tuple[str, str]] = {}
        self._companions: dict[int, str] = {}

    def of(self, clip: ClipPlan) -> str:
        """Return a clip's fields; those of `_usual` only if their values differ from the usual ones."""
        fields, unusual, _ = self._foregrounds.get(id(clip.foreground)) or self._foreground(clip.foreground)
        background, entry = self._backgrounds.get(id(clip.background)) or self._background(clip.background)
        text = f'"clip_id": {_text(clip.clip_id)}{fields}{background}{unusual}{entry}'
        return text if not clip.companions else f"{text}{self._listed_companions(clip)}"

    def paths(self, clips: Sequence[ClipPlan]) -> set[str]:
        """Return the source paths of clips."""
        found = {clip.background.path.as_posix() for clip in clips}
        foregrounds = {id(one): one for clip in clips for one in clip.foregrounds}
        for number, fg in foregrounds.items():
            found.update((self._foregrounds.get(number) or self._foreground(fg))[2])
        return found

    def _foreground(self, fg: Foreground) -> tuple[str, str, tuple[str, ...]]:
        """Return the fields of a foreground, its unusual fields, and its paths."""
        files = {name: path and path.as_posix() for name, path in _files(fg).items()}
        unusual = _unusual({"colours": fg.colours, "foreground_entry": fg.entry}, _usual())
        fields = self._fields({"kind": fg.kind, "name": fg.name, **files})
        found = fields, self._fields(unusual), tuple(path for path in files.values() if path)
        self._foregrounds[id(fg)] = found
        return found

    def _listed_companions(self, clip: ClipPlan) -> str:
        texts = (self._companions.get(id(one)) or self._companion(one) for one in clip.companions)
        return f'{self._separator}"companions": [{", ".join(texts)}]'

    def _companion(self, fg: Foreground) -> str:
        """Return a companion as a JSON object with the fields that a clip has for its foreground."""
        files = {name: path and path.as_posix() for name, path in _files(fg).items()}
        unusual = _unusual({"colours": fg.colours, "foreground_entry": fg.entry}, _usual())
        self._companions[id(fg)] = text = _text({"kind": fg.kind, "name": fg.name, **files, **unusual})
        return text

    def _background(self, bg: Background) -> tuple[str, str]:
        """Return the fields of a background up to an unusual name, and an unusual entry."""
        usual = _usual(bg.path)
        fields = {"background": bg.path.as_posix(), **_unusual({"background_name": bg.name}, usual)}
        found = self._fields(fields), self._fields(_unusual({"background_entry": bg.entry}, usual))
        self._backgrounds[id(bg)] = found
        return found

    def _fields(self, values: Mapping[str, Any]) -> str:
        return "".join(f'{self._separator}"{name}": {_text(value)}' for name, value in values.items())


def clip_of(content: Mapping[str, Any], *, seed: int, rendering: Rendering) -> ClipPlan:
    """Parse a clip's JSON object; raises KeyError or TypeError if it is not valid."""
    background = Path(content["background"])
    more = {**_usual(background), **content}
    return ClipPlan(
        content["clip_id"],
        _foreground_of(content),
        Background(more["background_name"], background, more["background_entry"]),
        clip_seed(seed, content["clip_id"]),
        rendering,
        companions=tuple(map(_foreground_of, content.get("companions", ()))),
    )


def _foreground_of(content: Mapping[str, Any]) -> Foreground:
    """Parse the foreground in a clip's JSON object, or a companion."""
    trimap, more = content["trimap"] and Path(content["trimap"]), {**_usual(), **content}
    paths = Path(content["colour"]), Path(content["alpha"]), trimap
    return Foreground(content["kind"], content["name"], *paths, more["colours"], more["foreground_entry"])


def _files(fg: Foreground) -> dict[str, Path | None]:
    return {"colour": fg.colour, "alpha": fg.alpha, "trimap": fg.trimap}


def _usual(background: Path = Path()) -> dict[str, Any]:
    """Return what a clip of a folder in the DVM layout has, and its plan omits, as plans did before sources files."""
    return {
        "background_name": background.stem,
        "colours": "straight",
        "foreground_entry": 0,
        "background_entry": 0,
    }


def _unusual(fields: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value != usual[name]}


def _items(items: Iterable[str], brackets: str) -> Iterator[str]:
    """Yield the text of a JSON list or object with these items, each on a line."""
    separator = f"{brackets[0]}\n"
    for item in items:
        yield separator
        yield item
        separator = ",\n"
    yield f"\n {brackets[1]}" if separator == ",\n" else brackets
