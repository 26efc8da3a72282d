"""One source to be checked: its files, and what is known of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dvm_hf.check.findings import Finding
from dvm_hf.media.pixels import Size
from dvm_hf.sources.tree import SourceTree


@dataclass(frozen=True)
class Source:
    """One source of a split: a still, a moving foreground or a background; paths relative to the root."""

    root: Path
    kind: str  # "image", "video" or "background"
    split: str
    name: str
    colour: str  # or the background's one file
    alpha: str = ""
    trimap: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.colour, self.alpha, self.trimap)))


class Facts(NamedTuple):
    """Of a source: its size in pixels, its frames and seconds; 0 where unknown or a still's."""

    size: Size = Size(0, 0)
    frames: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class SourceCheck:
    """What a look at a source has found."""

    findings: tuple[Finding, ...]
    facts: Facts


def sources(tree: SourceTree) -> Iterator[Source]:
    """All sources of a split."""

    def relative(path: Path | None) -> str:
        return path.relative_to(tree.root).as_posix() if path else ""

    for one in tree.foregrounds:
        files = relative(one.colour), relative(one.alpha), relative(one.trimap)
        yield Source(tree.root, one.kind, tree.split, one.name, *files)
    for background in tree.backgrounds:
        yield Source(tree.root, "background", tree.split, background.name, relative(background.path))
