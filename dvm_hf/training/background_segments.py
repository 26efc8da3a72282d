"""Segments of backgrounds, decoded once for the windows of several clips. Without PyTorch."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Protocol

from dvm_hf.clips.moving.eased_motion import timing_of
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.scene import opened_background
from dvm_hf.clips.windows import planned_windows
from dvm_hf.errors import MachineError, SourceError
from dvm_hf.media.video.frame_sources import Backdrop, FramePicture
from dvm_hf.media.video.held_frames import HeldFrames
from dvm_hf.media.video.held_still import HeldStill
from dvm_hf.sources.remote.source_files import present
from dvm_hf.training.segment_windows import segment_windows

LEAST_BYTES_PER_PIXEL = 1.5  # of 8-bit 4:2:0; other formats take more


class StoredPicture(FramePicture, Protocol):
    """A picture of a background that knows its format; see `Picture`."""

    @property
    def bytes_per_pixel(self) -> float: ...


class BackgroundSegment:
    """The decoded frames of one segment of a background, which is closed; see `OpenBackground`.

    Frames are kept in the format in which they are decoded. windows: numbers of the windows in the segment.
    window_count: number of windows of the background.

    plan: a clip over the background. lead: the clip whose seed draws the place of the segment. Raises SourceError if
    the background cannot be opened. A fault of a frame is raised only if a clip needs the frame, as without segments.
    """

    def __init__(self, plan: ClipPlan, lead: ClipPlan, source: Backdrop, *, samples_per_clip: int) -> None:
        self._plan, self._lead = plan, lead
        self.path, self.size, self.display = source.path, source.size, source.display
        self.frame_count, self.reads_alpha_channel = source.frame_count, source.reads_alpha_channel
        self._windows = list(planned_windows(plan.rendering, min(plan.max_frames, source.frame_count)))
        self.window_count = len(self._windows)
        self._samples_per_clip, self._timing = samples_per_clip, timing_of(plan)
        held: dict[int, FramePicture] = {}
        self._decoded: frozenset[int] = frozenset()
        self._select(LEAST_BYTES_PER_PIXEL)
        try:
            self._decode(source, held)
        except MachineError:
            raise
        except SourceError:  # later frames are decoded again by the clips that need them
            self._decoded = frozenset(index for index in self._decoded if index <= max(held, default=-1))
        self._frames = HeldFrames(self.size, held, decoded=self._decoded, reopened=partial(_reopened, plan))

    def _select(self, bytes_per_pixel: float) -> None:
        """Select the windows and frames. With more bytes per pixel, they are a part of those selected before."""
        self.windows = segment_windows(
            self._lead,
            self.window_count,
            samples_per_clip=self._samples_per_clip,
            frame_bytes=bytes_per_pixel * self.size.height * self.size.width,
            speed=1 if self._timing is None else self._timing.background.speed,
        )
        selected = self._windows[self.windows.start : self.windows.stop]
        shown = tuple(index for window in selected for index in window.indices)
        if self._timing is not None:  # without the pauses, which are those of one clip
            shown = self._timing.background.frames(shown, available=min(self._plan.max_frames, self.frame_count))
        self._decoded = frozenset(shown)

    def _decode(self, source: Backdrop, held: dict[int, FramePicture]) -> None:
        """Hold the frames that the background has, up to `MAX_BYTES` in the format in which they are decoded."""
        pictures: Iterator[tuple[int, StoredPicture]] = source.pictures(sorted(self._decoded))
        for number, (index, picture) in enumerate(pictures):
            if number == 0:
                self._select(picture.bytes_per_pixel)
            if index in self._decoded:
                held[index] = picture
            if index >= max(self._decoded):
                return

    def pictures(self, wanted: Iterable[int]) -> Iterator[tuple[int, FramePicture]]:
        """Yield (index, picture) for each frame in `wanted` that the background has.

        If the segment does not contain them all, for example because the foreground ends before it, the background is
        opened once more.
        """
        return self._frames.pictures(wanted)


@contextmanager
def _reopened(plan: ClipPlan) -> Iterator[Backdrop]:
    with present([plan.background.path]), closing(opened_background(plan)) as source:
        yield source


def background_segment(
    plan: ClipPlan, lead: ClipPlan | None = None, *, samples_per_clip: int
) -> BackgroundSegment | None:
    """Decode the segment at the place that the seed of a clip draws, by default that of the plan.

    Returns None for a still, which other segments of the process share. Raises SourceError if the background cannot be
    opened, and MachineError.
    """
    with _reopened(plan) as source:
        if isinstance(source, HeldStill):
            return None
        return BackgroundSegment(plan, lead or plan, source, samples_per_clip=samples_per_clip)


class HeldSegments:
    """The segments of a process that take turns; the least recently used ones are released first."""

    def __init__(self, samples_per_clip: int) -> None:
        self._samples_per_clip = samples_per_clip
        self._held: OrderedDict[Hashable, BackgroundSegment | None] = OrderedDict()

    def get(self, key: Hashable, plan: ClipPlan, lead: ClipPlan, *, limit: int) -> BackgroundSegment | None:
        """Return the segment of a key; decode it if it is not held. limit: number of segments to hold."""
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        while len(self._held) >= limit:
            self._held.popitem(last=False)
        segment = self._held[key] = background_segment(plan, lead, samples_per_clip=self._samples_per_clip)
        return segment

    def release(self) -> None:
        self._held.clear()
