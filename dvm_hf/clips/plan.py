"""Pair foregrounds with backgrounds, seed each clip. No pixels.

A clip is a pure function of its `ClipPlan` and of the bytes of its sources.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from dvm_hf.errors import SourceError
from dvm_hf.sources.names import composed
from dvm_hf.sources.pair_lists import Pair
from dvm_hf.sources.tree import Background, Foreground, Problem, SourceTree

# The order is part of every seed: new ones go to the end.
STREAMS = ("pairing", "background_crop", "motion", "trimap", "window_crop", "window_start")


@dataclass(frozen=True)
class Rendering:
    """How clips are rendered; the fields of the same names in the config, resolved and checked."""

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


@dataclass(frozen=True)
class ClipPlan:
    """All that rendering one clip needs: its sources, its seed, and how."""

    clip_id: str
    foreground: Foreground
    background: Background
    seed: int
    rendering: Rendering = Rendering()

    @property
    def max_frames(self) -> int:
        moving = self.foreground.kind == "video"
        return self.rendering.max_video_frames if moving else self.rendering.max_image_frames


@dataclass(frozen=True)
class Plans:
    """The clips of a build in their order, and why others were left out."""

    clips: tuple[ClipPlan, ...]
    left_out: tuple[Problem, ...] = field(default=())


def clip_seed(root_seed: int, clip_id: str) -> int:
    """Seed of a clip, 0 <= seed < 2**63: a hash of the root seed and the clip's name, of nothing else."""
    digest = hashlib.blake2b(f"{root_seed}/{clip_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def number_stream(seed: int, purpose: str, *, index: int = 0) -> np.random.Generator:
    """Random numbers for one purpose of `STREAMS` (and one window, say); independent of every other stream."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAMS.index(purpose), index)))


def listed_clips(tree: SourceTree, pairs: Iterable[Pair], *, seed: int, rendering: Rendering) -> Plans:
    """One clip for each line of a pair list, in its order; lines whose sources are not usable are left out."""
    foregrounds = {(f.kind, _listed_name(f)): f for f in tree.foregrounds}
    backgrounds = {composed(b.path.name): b for b in tree.backgrounds}
    clips, left_out, why = [], [], _WhyMissing(tree)
    for pair in pairs:
        foreground = foregrounds.get((pair.kind, pair.foreground))
        background = backgrounds.get(pair.background)
        if foreground and background:
            clips.append(_clip(foreground, background, seed=seed, rendering=rendering))
        else:
            left_out.append(
                Problem(f"line {pair.line}: {pair}", why.text(pair, foreground_is_missing=foreground is None))
            )
    return Plans(tuple(clips), tuple(left_out))


def dealt_clips(tree: SourceTree, *, backgrounds_per_foreground: int, seed: int, rendering: Rendering) -> Plans:
    """Every foreground over `backgrounds_per_foreground` different backgrounds, dealt like cards.

    The pack is shuffled by the seed; a new one is opened when it is used up, so every background is used
    before any repeats. Where there are fewer backgrounds than asked for, each foreground gets them all.
    """
    hands = _hands(len(tree.backgrounds), min(backgrounds_per_foreground, len(tree.backgrounds)), seed=seed)
    clips = [
        _clip(foreground, tree.backgrounds[card], seed=seed, rendering=rendering)
        for foreground, hand in zip(tree.foregrounds, hands, strict=False)
        for card in hand
    ]
    return Plans(tuple(clips), tree.problems)


def require_distinct(plans: Plans) -> None:
    """Raise SourceError where two clips would have one name."""
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


def _hands(pack_size: int, hand_size: int, *, seed: int) -> Iterator[list[int]]:
    """Endless hands of different cards; no card comes again before all the others of its pack are dealt."""
    rng = number_stream(seed, "pairing")
    pack: list[int] = []
    while True:
        hand = pack[:hand_size]
        pack = pack[hand_size:]
        if len(hand) < hand_size:
            fresh = [int(card) for card in rng.permutation(pack_size)]
            taken = [card for card in fresh if card not in hand][: hand_size - len(hand)]
            hand += taken
            pack = [card for card in fresh if card not in taken]
        yield hand


def _listed_name(foreground: Foreground) -> str:
    return composed(foreground.colour.name) if foreground.kind == "image" else foreground.name


class _WhyMissing:
    """Why sources of a pair list are not among the usable ones; a list may have many lines, a tree many problems."""

    def __init__(self, tree: SourceTree) -> None:
        self._split = tree.split
        self._by_path: dict[str, Problem] = {}  # also by the folders that the path lies in
        self._by_stem: dict[str, Problem] = {}
        for problem in reversed(tree.problems):  # the first of several is told
            path = composed(problem.path)
            self._by_stem[path.rsplit(".", 1)[0]] = problem
            parts = path.split("/")
            for end in range(1, len(parts) + 1):
                self._by_path["/".join(parts[:end])] = problem

    def text(self, pair: Pair, *, foreground_is_missing: bool) -> str:
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
