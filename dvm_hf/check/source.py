"""A source to check: its files, and the results of a check."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dvm_hf.check.findings import Finding
from dvm_hf.media.pixels import Size
from dvm_hf.media.video.frame_names import FRAME_RATE
from dvm_hf.sources.records import SourceTree, path_in_tree


@dataclass(frozen=True)
class Source:
    """An image foreground, a video foreground or a background of a split. Paths: see `path_in_tree`.

    frame_rate: frames/s of folders of numbered pictures among its paths. colours: see `Foreground.colours`.
    """

    root: Path
    kind: str  # "image", "video" or "background"
    split: str
    name: str
    colour: str  # or the only file of a background
    alpha: str = ""
    trimap: str = ""
    frame_rate: float = FRAME_RATE
    colours: str = "straight"

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.colour, self.alpha, self.trimap)))


class Facts(NamedTuple):
    """Size in px, number of frames and seconds of a source; 0 if unknown, and for images."""

    size: Size = Size(0, 0)
    frames: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class SourceCheck:
    """The results of checking one source."""

    findings: tuple[Finding, ...]
    facts: Facts


def sources(tree: SourceTree) -> Iterator[Source]:
    """Yield all sources of a split."""

    def relative(path: Path | None) -> str:
        return path_in_tree(path, tree.root) if path else ""

    for one in tree.foregrounds:
        files = relative(one.colour), relative(one.alpha), relative(one.trimap)
        yield Source(tree.root, one.kind, tree.split, one.name, *files, tree.frame_rates[one.entry], one.colours)
    for background in tree.backgrounds:
        rate, path = tree.frame_rates[background.entry], relative(background.path)
        yield Source(tree.root, "background", tree.split, background.name, path, frame_rate=rate)
