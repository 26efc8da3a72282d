"""What a scan of sources returns: foregrounds, backgrounds, problems, and the folders they come from."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from dvm_hf.media.video.frame_names import FRAME_RATE

KINDS = ("image", "video")
SPLITS = ("train", "test")
ROLES = ("foregrounds", "backgrounds")
COLOURS = ("straight", "premultiplied", "estimate")


@dataclass(frozen=True)
class Foreground:
    """A foreground: its name without extension, and its files.

    kind: "image" for a still, "video" for a video or a folder of numbered pictures.
    alpha: file or folder of the alpha; equal to `colour` if the alpha is the alpha channel of the colour file.
    colours: how the colour is stored, one of `COLOURS`: unpremultiplied, multiplied by alpha, or still mixed with the
        picture's own background, so that the colour of the foreground has to be estimated.
    entry: index of its entry in `SourceTree.entries`.
    """

    kind: str
    name: str
    colour: Path
    alpha: Path
    trimap: Path | None = None
    colours: str = "straight"
    entry: int = 0

    @property
    def has_own_alpha(self) -> bool:
        return self.alpha == self.colour


@dataclass(frozen=True)
class Background:
    """A background: its name without extension, and its path: a video, a folder of numbered pictures, or a still.

    entry: index of its entry in `SourceTree.entries`.
    """

    name: str
    path: Path
    entry: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a source. The text gives the problem and the fix."""

    path: str  # see `path_in_tree`
    text: str
    code: str = "unusable"  # finding code of `dvm check`

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


def path_in_tree(path: Path, root: Path) -> str:
    """Return the path of a file or folder as problems, signatures and findings give it: relative to the tree's root.

    Absolute if the root is that of the file system, as with entries on several disks: in a message, mnt/a/cat.png would
    look like a path relative to the working directory.
    """
    return path.as_posix() if root == root.parent else path.relative_to(root).as_posix()


@dataclass(frozen=True)
class Entry:
    """A folder of a source tree, with the settings that its sources file gives it.

    name: prefix of the names of its sources; empty if they have none.
    role: one of `ROLES`; empty if the folder contains both, as the DVM layout does.
    layout: name of its layout. path: of the folder, see `path_in_tree`.
    repeat: how many times as often each foreground is used as without it.
    share: part of the clips that get a background of this entry; None: in proportion to its files.
    terms: licence or terms of use, for the dataset card; empty if unknown. citation: likewise.
    is_redistributable: whether composites of its sources may be published.
    """

    name: str = ""
    role: str = ""
    layout: str = "dvm"
    path: str = "."
    repeat: int = 1
    share: float | None = None
    terms: str = ""
    citation: str = ""
    is_redistributable: bool = True


@dataclass(frozen=True)
class SetCount:
    """Number of usable sources of a folder, and of those of the published set that it contains.

    path: of the folder, see `path_in_tree`. role: one of `ROLES`. set_name: of the set. split: as published; empty if
    the set has no splits.
    """

    path: str
    role: str
    set_name: str
    split: str
    count: int
    published: int


@dataclass(frozen=True)
class SourceTree:
    """The usable sources of one split, by entry and then by name, and the problems of the others.

    root: folder that contains all entries. Problems, `ignored`, `lists` and `signatures` have paths as of
        `path_in_tree`.
    signatures: size in bytes and modification time in ns of each file. For a folder of numbered pictures, which has one
        signature, the sum of the sizes, and a hash of all names, sizes and times.
    notes: what a layout skips on purpose, such as clips of a published validation split.
    counts: numbers of sources of known sets, except those of which the sources file selects some.
    frame_rates: frames/s of the folders of numbered pictures of each entry.
    settings: those of the sources file, as text. file: its path. Empty and None for a folder without a sources file.
    """

    root: Path
    split: str
    foregrounds: tuple[Foreground, ...]
    backgrounds: tuple[Background, ...]
    problems: tuple[Problem, ...]
    ignored: tuple[str, ...]  # unexpected files, such as other extensions
    signatures: dict[str, tuple[int, int]] = field(repr=False)
    entries: tuple[Entry, ...] = (Entry(),)
    notes: tuple[Problem, ...] = ()
    settings: str = ""
    file: Path | None = None
    frame_rates: tuple[float, ...] = (FRAME_RATE,)
    counts: tuple[SetCount, ...] = ()
    lists: tuple[str, ...] = ()  # of names, which the scan read

    @property
    def has_named_entries(self) -> bool:
        """Whether the names of sources begin with the names of their entries, as with a sources file."""
        return any(entry.name for entry in self.entries)

    @property
    def is_listed_by_file_name(self) -> bool:
        """Whether pair lists contain names of files, as the authors' do: for a folder in the DVM layout.

        In other layouts, two sources can have files of one name, in different folders. Lists contain names of sources.
        """
        return not self.has_named_entries and all(entry.layout == "dvm" for entry in self.entries)

    @property
    def data_dir(self) -> Path:
        """What was scanned: the sources file, or the folder."""
        return self.file or self.root

    def fingerprint(self) -> str:
        """Return a hash of every file's relative path, size and modification time (ns), and of the settings."""
        digest = hashlib.sha256(self.settings.encode("utf-8", "surrogateescape"))
        for path, signature in sorted(self.signatures.items()):
            digest.update(repr((path, signature)).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()
