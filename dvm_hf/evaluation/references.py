"""The true mattes of each clip: rendered from sources as `dvm prepare` would, or stored in a dataset."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import xxhash

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.scene import Scene
from dvm_hf.clips.windows import render
from dvm_hf.dataset.columns import COLUMNS
from dvm_hf.dataset.config import DVMConfig, plans, require_buildable
from dvm_hf.dataset.instances import columns_of, pictures_of
from dvm_hf.dataset.row_sources import RowSource, readable
from dvm_hf.dataset.stored_rows import StoredRow, planned_fields, stored_files, stored_rows
from dvm_hf.errors import SourceError
from dvm_hf.evaluation.predicted_clips import row_bytes
from dvm_hf.media.pixels import Pixels, Size
from dvm_hf.media.video.frame_sources import source_version
from dvm_hf.sources.records import KINDS

Layers = dict[str, Pixels]  # of a frame, by image column


class ReferenceClip(Protocol):
    """A clip with true mattes.

    clip_id: of the clip that it is, or is a part of. foreground_count: number of foregrounds; if there are several, the
    layers instances[0] and so on are their visible parts. indices: of its frames in the clip. runs: the same in parts,
    between which no frame follows another. size: of a frame. is_image: whether its only foreground is an image that
    moves as `motion` describes. columns: its layers.
    """

    @property
    def name(self) -> str: ...

    @property
    def clip_id(self) -> str: ...

    @property
    def foreground_count(self) -> int: ...

    @property
    def indices(self) -> tuple[int, ...]: ...

    @property
    def runs(self) -> tuple[tuple[int, ...], ...]: ...

    @property
    def size(self) -> Size: ...

    @property
    def is_image(self) -> bool: ...

    @property
    def motion(self) -> Mapping[int, Sequence[float]]: ...

    @property
    def columns(self) -> frozenset[str]: ...

    def frames(self, wanted: Sequence[int], columns: Sequence[str]) -> Iterator[Layers]:
        """Yield some layers of some frames, in order. Raises SourceError if a frame cannot be read."""

    def digest(self, columns: Sequence[str]) -> str:
        """Return what changes if these layers change."""


@dataclass(frozen=True)
class RenderedClip:
    """A clip of a source tree. Frames are rendered one by one, and complete."""

    plan: ClipPlan

    @property
    def name(self) -> str:
        return self.plan.clip_id

    @property
    def clip_id(self) -> str:
        return self.plan.clip_id

    @property
    def foreground_count(self) -> int:
        return len(self.plan.foregrounds)

    @cached_property
    def _facts(self) -> tuple[int, Size, tuple[tuple[float, ...], ...]]:
        with ExitStack() as opened:
            scene = Scene(self.plan, opened)
            motion = tuple(scene.motion(index) for index in range(scene.frame_count))
            return scene.frame_count, scene.geometry.frame, motion

    @property
    def indices(self) -> tuple[int, ...]:
        return tuple(range(0, self._facts[0], self.plan.rendering.frame_step))

    @property
    def runs(self) -> tuple[tuple[int, ...], ...]:
        return (self.indices,)

    @property
    def size(self) -> Size:
        return self._facts[1]

    @property
    def is_image(self) -> bool:
        return self.plan.foreground.kind == "image" and not self.plan.companions

    @property
    def motion(self) -> Mapping[int, Sequence[float]]:
        return dict(enumerate(self._facts[2]))

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(COLUMNS)

    def frames(self, wanted: Sequence[int], columns: Sequence[str]) -> Iterator[Layers]:
        rendering = dataclasses.replace(
            self.plan.rendering,
            columns=tuple(column for column in COLUMNS if column in columns_of(columns)),
            clip_length=1,  # so that a window holds one frame
            clip_step=None,
            remainder="keep",
            crop_size=None,
        )
        plan = dataclasses.replace(self.plan, rendering=rendering)
        numbers = {index // rendering.frame_step for index in wanted}
        found = 0
        for window in render(plan, each=lambda frame: frame, numbers=numbers):
            pictures = pictures_of(window.frames[0])
            found += 1
            yield {column: pictures[column] for column in columns}
        if found < len(wanted):
            raise SourceError(
                f"{self.name}: only {found} of {len(wanted)} frames can be rendered; run `dvm check --deep` to find "
                "the damaged source"
            )

    def digest(self, columns: Sequence[str]) -> str:
        files = [path for fg in self.plan.foregrounds for path in (fg.colour, fg.alpha, fg.trimap)]
        paths = [path for path in (*files, self.plan.background.path) if path is not None]
        facts = [repr(self.plan), *columns, *(repr(source_version(path)) for path in paths)]
        return xxhash.xxh3_128_hexdigest(json.dumps(facts).encode())


@dataclass(frozen=True)
class StoredClip:
    """The rows of a clip. step: between two frames of a row. is_cropped: whether each row has its own crop."""

    rows: tuple[StoredRow, ...]
    step: int
    is_cropped: bool

    @property
    def name(self) -> str:
        return str(self.rows[0].facts["clip_id"])

    @property
    def clip_id(self) -> str:
        return self.name

    @cached_property
    def foreground_count(self) -> int:
        return max(1, len(self.rows[0].facts.get("instance_kinds") or self.rows[0].instances))

    @cached_property
    def _frames(self) -> dict[int, tuple[StoredRow, int]]:
        """The row of each frame, and its number in that row; of windows that overlap, the first one."""
        found: dict[int, tuple[StoredRow, int]] = {}
        for row in self.rows:
            start = int(row.facts.get("start") or 0)
            for number in range(row.frames):
                found.setdefault(start + number * self.step, (row, number))
        return dict(sorted(found.items()))

    @property
    def indices(self) -> tuple[int, ...]:
        return tuple(self._frames)

    @cached_property
    def runs(self) -> tuple[tuple[int, ...], ...]:
        parts: list[list[int]] = []
        previous: tuple[int, StoredRow] | None = None
        for index, (row, _) in self._frames.items():
            follows = previous is not None and index == previous[0] + self.step
            if not follows or (self.is_cropped and previous is not None and row is not previous[1]):
                parts.append([])
            parts[-1].append(index)
            previous = index, row
        return tuple(map(tuple, parts))

    @cached_property
    def size(self) -> Size:
        facts = self.rows[0].facts
        if facts.get("height") and facts.get("width"):
            return Size(facts["height"], facts["width"])
        return Size(*self.rows[0].images(["alpha"]).image("alpha", 0).shape[:2])

    @property
    def is_image(self) -> bool:
        kind = self.rows[0].facts.get("foreground_kind")
        return self.foreground_count == 1 and not self.is_cropped and kind in (KINDS.index("image"), "image")

    @cached_property
    def motion(self) -> Mapping[int, Sequence[float]]:
        return {
            index: row.facts["motion"][number]
            for index, (row, number) in self._frames.items()
            if row.facts.get("motion")
        }

    @property
    def columns(self) -> frozenset[str]:
        return self.rows[0].columns

    def frames(self, wanted: Sequence[int], columns: Sequence[str]) -> Iterator[Layers]:
        current, images = None, None
        for index in wanted:
            row, number = self._frames[index]
            if row is not current:
                current, images = row, row.images(columns)
            assert images is not None
            yield {column: images.image(column, number) for column in columns}

    def digest(self, columns: Sequence[str]) -> str:
        content = xxhash.xxh3_128(f"{self.step} {self.is_cropped}".encode())
        for row in self.rows:
            content.update(repr(row.facts).encode())
            content.update(row_bytes(row, columns))
        return content.hexdigest()


def rendered_clips(config: DVMConfig) -> dict[str, ReferenceClip]:
    """Return the clips of a config by name. Raises ConfigError or SourceError as a build does."""
    require_buildable(config)
    return {plan.clip_id: RenderedClip(plan) for plan in plans(config).clips}


def stored_clips(source: RowSource, *, config: str | None, split: str | None) -> dict[str, ReferenceClip]:
    """Return the clips of a stored dataset by name, those of the config and split test by default.

    Raises ConfigError if it lacks a given config or split, and SourceError if it cannot be read.
    """
    rows: dict[str, list[StoredRow]] = {}
    with readable(source.name):
        files = stored_files(source, config=config, split=split, default="test")
        for row in stored_rows(files, counted="alpha"):
            rows.setdefault(str(row.facts["clip_id"]), []).append(row)
    fields: dict[str, Any] = planned_fields(files)
    step, crop_size = int(fields.get("frame_step") or 1), fields.get("crop_size")
    return {
        name: StoredClip(tuple(sorted(of_clip, key=_start)), step, crop_size is not None)
        for name, of_clip in rows.items()
    }


def _start(row: StoredRow) -> int:
    return int(row.facts.get("start") or 0)
