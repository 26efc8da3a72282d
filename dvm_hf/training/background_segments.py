"""Segments of backgrounds, decoded once for the windows of several clips. Without PyTorch."""

import math
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from contextlib import closing
from typing import Protocol

from dvm_hf.clips.moving.eased_motion import timing_of
from dvm_hf.clips.plan import ClipPlan, Rendering, number_stream
from dvm_hf.clips.scene import opened_background
from dvm_hf.clips.windows import planned_windows
from dvm_hf.errors import MachineError, SourceError
from dvm_hf.media.video.frame_sources import Backdrop, FramePicture
from dvm_hf.media.video.held_still import HeldStill
from dvm_hf.sources.remote.source_files import present

LEAST_WINDOWS = 4  # end to end, so that the clips of a segment have different windows even with one sample per clip
MAX_BYTES = 2**26  # of the frames of a segment: 21 of 1080p as 8-bit 4:2:0
LEAST_BYTES_PER_PIXEL = 1.5  # of 8-bit 4:2:0; other formats take more


class StoredPicture(FramePicture, Protocol):
    """A picture of a background that knows its format; see `Picture`."""

    @property
    def bytes_per_pixel(self) -> float: ...


class BackgroundSegment:
    """The decoded frames of one segment of a background, which is closed; see `OpenBackground`.

    Frames are kept in the format in which they are decoded. windows: numbers of the windows in the segment.

    plan: the clip whose seed selects the segment. Raises SourceError if the background cannot be opened. A fault of a
    frame is raised only if a clip needs the frame, as without segments.
    """

    def __init__(self, plan: ClipPlan, source: Backdrop, *, samples_per_clip: int) -> None:
        self._plan = plan
        self.path, self.size, self.display = source.path, source.size, source.display
        self.frame_count, self.reads_alpha_channel = source.frame_count, source.reads_alpha_channel
        self._windows = list(planned_windows(plan.rendering, min(plan.max_frames, source.frame_count)))
        self._samples_per_clip, self._timing = samples_per_clip, timing_of(plan)
        self._held: dict[int, FramePicture] = {}
        self._decoded: frozenset[int] = frozenset()
        self._select(LEAST_BYTES_PER_PIXEL)
        try:
            self._decode(source)
        except MachineError:
            raise
        except SourceError:  # later frames are decoded again by the clips that need them
            self._decoded = frozenset(index for index in self._decoded if index <= max(self._held, default=-1))

    def _select(self, bytes_per_pixel: float) -> None:
        """Select the windows and frames. With more bytes per pixel, they are a part of those selected before."""
        count = segment_length(
            self._plan.rendering,
            len(self._windows),
            samples_per_clip=self._samples_per_clip,
            frame_bytes=bytes_per_pixel * self.size.height * self.size.width,
            speed=1 if self._timing is None else self._timing.background.speed,
        )
        place = number_stream(self._plan.seed, "background_segment").random()
        first = int(place * (len(self._windows) - count + 1))
        self.windows = range(first, first + count)
        selected = self._windows[first : first + count]
        shown = tuple(index for window in selected for index in window.indices)
        if self._timing is not None:  # without the pauses, which are those of one clip
            shown = self._timing.background.frames(shown, available=min(self._plan.max_frames, self.frame_count))
        self._decoded = frozenset(shown)

    def _decode(self, source: Backdrop) -> None:
        """Hold the frames that the background has, up to `MAX_BYTES` in the format in which they are decoded."""
        pictures: Iterator[tuple[int, StoredPicture]] = source.pictures(sorted(self._decoded))
        for number, (index, picture) in enumerate(pictures):
            if number == 0:
                self._select(picture.bytes_per_pixel)
            if index in self._decoded:
                self._held[index] = picture
            if index >= max(self._decoded):
                return

    def pictures(self, wanted: Iterable[int]) -> Iterator[tuple[int, FramePicture]]:
        """Yield (index, picture) for each frame in `wanted` that the background has.

        If the segment does not contain them all, for example because the foreground ends before it, the background is
        opened once more.
        """
        wanted = list(wanted)
        if self._decoded.issuperset(wanted):
            yield from ((index, self._held[index]) for index in wanted if index in self._held)
            return
        with present([self._plan.background.path]), closing(opened_background(self._plan)) as source:
            yield from source.pictures(wanted)


def background_segment(plan: ClipPlan, *, samples_per_clip: int) -> BackgroundSegment | None:
    """Decode the segment that a clip's seed selects; None for a still, which other segments of the process share.

    Raises SourceError if the background cannot be opened, and MachineError.
    """
    with present([plan.background.path]), closing(opened_background(plan)) as source:
        if isinstance(source, HeldStill):
            return None
        return BackgroundSegment(plan, source, samples_per_clip=samples_per_clip)


class HeldSegments:
    """The segments of a process that take turns; the least recently used ones are released first."""

    def __init__(self, samples_per_clip: int) -> None:
        self._samples_per_clip = samples_per_clip
        self._held: OrderedDict[Hashable, BackgroundSegment | None] = OrderedDict()

    def get(self, key: Hashable, plan: ClipPlan, *, limit: int) -> BackgroundSegment | None:
        """Return the segment of a key; decode it if it is not held. limit: number of segments to hold."""
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        while len(self._held) >= limit:
            self._held.popitem(last=False)
        segment = self._held[key] = background_segment(plan, samples_per_clip=self._samples_per_clip)
        return segment

    def release(self) -> None:
        self._held.clear()


def segment_length(
    rendering: Rendering,
    windows: int,
    *,
    samples_per_clip: int,
    frame_bytes: float | None = None,
    speed: float = 1,
) -> int:
    """Return the number of consecutive windows in the segment of a clip with `windows` windows.

    The segment is as long as the samples of a clip end to end, so that few decoded frames are unused. If several clips
    share it, frame_bytes is the size of a frame: the segment then has room for `LEAST_WINDOWS` windows, but at most
    `MAX_BYTES`, or one window if that has more.

    speed: source frames per frame of the clip. At a higher speed, the windows start closer together, so that about as
    many source frames are decoded.
    """
    length = 1 if rendering.clip_length == "all" else rendering.clip_length * rendering.frame_step
    stride = rendering.clip_step or length
    apart = math.ceil(length / stride / max(speed, 1))  # at speed 1: windows to the next one without shared frames
    if frame_bytes is None:
        return min(windows, (samples_per_clip - 1) * apart + 1)
    most = 1 + max(0, int(MAX_BYTES / frame_bytes) - length) // stride
    return min(windows, (max(samples_per_clip, LEAST_WINDOWS) - 1) * apart + 1, most)
