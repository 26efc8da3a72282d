"""Source paths of clips: relative to the root of the sources in a plan, so that it is the same on every machine."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.sources.records import Background, Foreground

ABSOLUTE_PATH = re.compile(
    r"(?<![\w./-])/(?=\S)[^\n]*?(?=; [a-z]|\n|$)"
)  # up to the hint; a path can contain any character


def source_paths(clip: ClipPlan) -> Iterator[str]:
    """Return the source files of a clip, relative to the root."""
    paths = [path for one in clip.foregrounds for path in (one.colour, one.alpha, one.trimap)] + [clip.background.path]
    return (path.as_posix() for path in paths if path is not None)


def located(clip: ClipPlan, root: Path) -> ClipPlan:
    """Return a clip of a plan with absolute source paths under a root."""
    foreground, *companions = (
        replace(fg, colour=root / fg.colour, alpha=root / fg.alpha, trimap=fg.trimap and root / fg.trimap)
        for fg in clip.foregrounds
    )
    background = replace(clip.background, path=root / clip.background.path)
    return replace(clip, foreground=foreground, background=background, companions=tuple(companions))


def relative_clips(clips: Iterable[ClipPlan], root: Path) -> tuple[ClipPlan, ...]:
    """Return clips with source paths relative to a root that contains them, as plans have them.

    Clips that share a foreground or a background share the one with relative paths.
    """
    foregrounds: dict[int, Foreground] = {}
    backgrounds: dict[int, Background] = {}
    relative = []
    for clip in clips:
        bg = clip.background
        for fg in clip.foregrounds:
            if id(fg) not in foregrounds:
                trimap = fg.trimap and fg.trimap.relative_to(root)
                colour, alpha = fg.colour.relative_to(root), fg.alpha.relative_to(root)
                foregrounds[id(fg)] = replace(fg, colour=colour, alpha=alpha, trimap=trimap)
        if id(bg) not in backgrounds:
            backgrounds[id(bg)] = replace(bg, path=bg.path.relative_to(root))
        foreground, *companions = (foregrounds[id(fg)] for fg in clip.foregrounds)
        shared = foreground, backgrounds[id(bg)], clip.seed, clip.rendering, clip.shared_seed, tuple(companions)
        relative.append(ClipPlan(clip.clip_id, *shared))
    return tuple(relative)


def unrooted(path: str) -> str:
    """Return a path relative to the root of a tree, also if the root is that of the file system: see `path_in_tree`."""
    return Path(path).relative_to(Path(path).anchor).as_posix() if Path(path).is_absolute() else path


def without_paths(text: str, root: Path) -> str:
    """Return a publishable text: paths relative to the root, other paths removed, the same on every machine."""
    for folder in (str(root), os.path.realpath(root)):
        text = text.replace(f"{folder}{os.sep}", "")
    return ABSOLUTE_PATH.sub("…", text)
