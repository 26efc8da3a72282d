"""Pair foregrounds with backgrounds and seed each clip, without reading pixels.

A clip is a pure function of its `ClipPlan` and of the bytes of its sources.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from dvm_hf.clips.background_assignment import Sharing, assigned_backgrounds
from dvm_hf.errors import SourceError
from dvm_hf.sources.names import composed
from dvm_hf.sources.pair_lists import Pair
from dvm_hf.sources.records import Background, Entry, Foreground, Problem, SourceTree

# The index of a stream is part of its seed: append new streams at the end.
STREAMS = (
    "pairing",
    "background_crop",
    "motion",
    "trimap",
    "window_crop",
    "window_start",
    "background_segment",
    "background_motion",
    "camera_motion",
    "foreground_playback",
    "background_playback",
    "pauses",
    "light",
    "camera",
    "companions",
    "arrangement",
)


@dataclass(frozen=True)
class Rendering:
    """How clips are rendered: the config fields of the same names, resolved and checked."""

    recipe: str = "dvm"
    clip_length: int | Literal["all"] = 16
    frame_step: int = 1
    clip_step: int | None = None  # None: clip_length * frame_step
    remainder: str = "keep"
    columns: tuple[str, ...] = ("frames", "alpha", "trimap")
    trimap: str | int = "dvm-test"
    crop_size: int | None = None
    max_size: int = 1920
    max_image_frames: int = 60
    max_video_frames: int = 150
    background_blur: bool = False
    motion: str = "dvm"
    light: str = "none"
    camera: str = "none"
    foregrounds_per_clip: int = 1
    difficulty: str = "medium"
    shutter: float = 0.0

    @property
    def max_frames(self) -> dict[str, int]:
        """Maximum number of frames of a clip, by the kind of its foreground."""
        return {"image": self.max_image_frames, "video": self.max_video_frames}


@dataclass(frozen=True, slots=True)  # a build can have millions
class ClipPlan:
    """All that rendering one clip needs: its sources, its seed, and the rendering fields.

    shared_seed: of the order in which frames of the background follow one another, if clips share its decoded frames.
    companions: further foregrounds, each in front of the one before it.
    """

    clip_id: str
    foreground: Foreground
    background: Background
    seed: int
    rendering: Rendering = Rendering()
    shared_seed: int | None = None
    companions: tuple[Foreground, ...] = ()

    @property
    def foregrounds(self) -> tuple[Foreground, ...]:
        """All foregrounds, from back to front."""
        return self.foreground, *self.companions

    @property
    def foreground_files(self) -> tuple[Path, ...]:
        """The files and folders of the foregrounds that rendering reads."""
        with_trimaps = self.rendering.trimap == "provided"
        found = (
            path for one in self.foregrounds for path in (one.colour, one.alpha, one.trimap if with_trimaps else None)
        )
        return tuple(path for path in found if path is not None)

    @property
    def background_seed(self) -> int:
        return self.seed if self.shared_seed is None else self.shared_seed

    @property
    def max_frames(self) -> int:
        return self.rendering.max_frames[self.foreground.kind]


@dataclass(frozen=True)
class Plans:
    """The clips of a build in order, the sources or pair lines that were skipped, with reasons, and the entries."""

    clips: tuple[ClipPlan, ...]
    skipped: tuple[Problem, ...] = ()
    entries: tuple[Entry, ...] = (Entry(),)


def clip_seed(root_seed: int, clip_id: str) -> int:
    """Return the seed of a clip, 0 <= seed < 2**63: a hash of only the root seed and the clip's name."""
    digest = hashlib.blake2b(f"{root_seed}/{clip_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def number_stream(seed: int, purpose: str, *, index: int = 0) -> np.random.Generator:
    """Return a generator for one purpose of `STREAMS`, and one index such as a window; independent of all others."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAMS.index(purpose), index)))


def listed_clips(tree: SourceTree, pairs: Iterable[Pair], *, seed: int, rendering: Rendering) -> Plans:
    """Return one clip per line of a pair list, in order, with the companions that the list has; lines with unusable
    sources are skipped.

    A list for a folder in the DVM layout contains file names. Any other list contains names of sources; for a sources
    file, these are ENTRY.NAME.
    """
    by_file = tree.is_listed_by_file_name
    foregrounds = {(f.kind, _listed_name(f) if by_file else f.name): f for f in tree.foregrounds}
    backgrounds = {composed(b.path.name) if by_file else b.name: b for b in tree.backgrounds}
    by_name = {(f.kind, f.name): f for f in tree.foregrounds}
    clips, skipped, reasons = [], [], _MissingReasons(tree)
    for pair in pairs:
        foreground = foregrounds.get((pair.kind, pair.foreground))
        background = backgrounds.get(pair.background)
        companions = tuple(by_name[one] for one in pair.companions if one in by_name)
        if foreground and background and len(companions) == len(pair.companions):
            clip = _clip(foreground, background, seed=seed, rendering=rendering)
            clips.append(replace(clip, companions=companions) if companions else clip)
        elif foreground and background:
            kind, name = next(one for one in pair.companions if one not in by_name)
            reason = f"its companion, the {kind} foreground {name!r}, is missing or cannot be used; add it"
            skipped.append(Problem(f"line {pair.line}: {pair}", reason))
        else:
            skipped.append(
                Problem(f"line {pair.line}: {pair}", reasons.text(pair, foreground_is_missing=foreground is None))
            )
    return Plans(tuple(clips), tuple(skipped), tree.entries)


def assigned_clips(
    tree: SourceTree, *, backgrounds_per_foreground: int, seed: int, rendering: Rendering, background_reuse: int = 1
) -> Plans:
    """Pair every foreground with `backgrounds_per_foreground` different backgrounds, assigned in shuffle cycles.

    Each cycle is a permutation of all backgrounds of an entry by the seed, so that every one is used before any
    repeats. If there are fewer backgrounds than requested, each foreground is paired with all of them. Shares and
    repeats of entries: see `background_assignment`.

    background_reuse: number of clips that shall share a background, see `Sharing`.
    """
    sharing = Sharing(background_reuse, rendering.max_frames) if background_reuse > 1 else None

    def stream(entry: str) -> np.random.Generator:
        return number_stream(clip_seed(seed, entry) if entry else seed, "pairing")

    clips = [
        _clip(foreground, tree.backgrounds[index], seed=seed, rendering=rendering)
        for foreground, indices in zip(
            tree.foregrounds,
            assigned_backgrounds(tree, backgrounds_per_foreground, stream=stream, sharing=sharing),
            strict=True,
        )
        for index in indices
    ]
    return Plans(tuple(clips), tree.problems, tree.entries)


def sharing_backgrounds(plans: Plans, *, seed: int) -> Plans:
    """Return plans in which clips with the same background show its frames in the same order; see `ClipPlan`."""
    seeds = {name: clip_seed(seed, f"background/{name}") for name in {plan.background.name for plan in plans.clips}}
    return replace(plans, clips=tuple(replace(one, shared_seed=seeds[one.background.name]) for one in plans.clips))


def with_companions(plans: Plans, tree: SourceTree) -> Plans:
    """Return plans in which each clip has `foregrounds_per_clip` different foregrounds, drawn by its seed.

    Clips that have companions keep them. Others are drawn from all foregrounds of the tree, those of an entry with
    `repeat` that many times as often, so a source that is added or removed can change the companions of any clip.
    Raises SourceError if the tree has too few foregrounds.
    """
    alone = (one for one in plans.clips if not one.companions)
    needed = max((one.rendering.foregrounds_per_clip for one in alone), default=1)
    if needed == 1:
        return plans
    if len(tree.foregrounds) < needed:
        raise SourceError(
            f"{tree.data_dir}: foregrounds_per_clip={needed} needs {needed} different foregrounds, but only "
            f"{len(tree.foregrounds)} can be used; add foregrounds, or use a smaller foregrounds_per_clip"
        )
    weights = np.array([tree.entries[one.entry].repeat for one in tree.foregrounds], float)
    ends = np.cumsum(weights / weights.sum())
    return replace(plans, clips=tuple(_accompanied(one, tree.foregrounds, ends) for one in plans.clips))


def _accompanied(clip: ClipPlan, foregrounds: tuple[Foreground, ...], ends: np.ndarray) -> ClipPlan:
    """Return a clip with companions. ends: cumulative probabilities of the foregrounds."""
    if clip.companions:
        return clip
    rng, taken = number_stream(clip.seed, "companions"), [clip.foreground]
    while len(taken) < clip.rendering.foregrounds_per_clip:
        drawn = foregrounds[min(int(np.searchsorted(ends, rng.random(), side="right")), len(foregrounds) - 1)]
        if drawn not in taken:
            taken.append(drawn)
    return replace(clip, companions=tuple(taken[1:]))


def require_distinct(plans: Plans) -> None:
    """Raise SourceError if two clips would have the same name."""
    seen: dict[str, ClipPlan] = {}
    for plan in plans.clips:
        other = seen.setdefault(plan.clip_id, plan)
        if other is not plan:
            raise SourceError(
                f"{plan.clip_id}: two clips have this name: {other.foreground.colour} over {other.background.path}, "
                f"{plan.foreground.colour} over {plan.background.path.name}; rename a file"
            )


def _clip(foreground: Foreground, background: Background, *, seed: int, rendering: Rendering) -> ClipPlan:
    clip_id = f"{foreground.kind}_{foreground.name}_{background.name}"
    return ClipPlan(clip_id, foreground, background, clip_seed(seed, clip_id), rendering)


def pair_line(clip: ClipPlan, *, by_file_name: bool) -> str:
    """Return the line of a pair list that names a clip; see `listed_clips` and `SourceTree.is_listed_by_file_name`."""
    names = (clip.foreground.name, clip.background.name)
    if by_file_name:
        names = (_listed_name(clip.foreground), composed(clip.background.path.name))
    return "+".join((clip.foreground.kind, *names))


def _listed_name(foreground: Foreground) -> str:
    return composed(foreground.colour.name) if foreground.kind == "image" else foreground.name


class _MissingReasons:
    """Why sources in a pair list are not usable. Indexed, because lists and trees can have many lines and problems."""

    def __init__(self, tree: SourceTree) -> None:
        self._split, self._by_file = tree.split, tree.is_listed_by_file_name
        self._form = "ENTRY.NAME" if tree.has_named_entries else "in the columns of a row"
        self._by_path: dict[str, Problem] = {}  # also under the parent folders of the path
        self._by_stem: dict[str, Problem] = {}
        for problem in reversed(tree.problems):  # so that the first of several is reported
            path = composed(problem.path)
            self._by_stem[path.rsplit(".", 1)[0]] = problem
            parts = path.split("/")
            for end in range(1, len(parts) + 1):
                self._by_path["/".join(parts[:end])] = problem

    def text(self, pair: Pair, *, foreground_is_missing: bool) -> str:
        if not self._by_file:
            what, name = ("foreground", pair.foreground) if foreground_is_missing else ("background", pair.background)
            return f"there is no usable {what} {name!r}; write its name as {self._form}, without extension"
        if not foreground_is_missing:
            name = f"bg/{self._split}/{pair.background}"
        elif pair.kind == "video":
            name = f"fg/video/{self._split}/{pair.foreground}"
        else:
            name = f"fg/image/{self._split}/fg/{pair.foreground}"
        problem = self._by_path.get(name)
        if problem is None and pair.kind == "image" and foreground_is_missing and self._by_stem:
            folder, stem = f"fg/image/{self._split}", pair.foreground.rsplit(".", 1)[0]
            stems = (self._by_stem.get(f"{folder}/{part}/{stem}") for part in ("fg", "alpha", "trimap"))
            problem = next(filter(None, stems), None)
        if problem is not None:
            return f"{name} cannot be used: {problem}"
        return f"{name} is missing; add the file, or remove the line"
