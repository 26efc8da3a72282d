"""Segments of video foregrounds, decoded once for the windows of several clips. Without PyTorch."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from dvm_hf.clips.moving.eased_motion import timing_of
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.recipes import RECIPES
from dvm_hf.clips.video_foregrounds import VideoForeground
from dvm_hf.clips.windows import Span, planned_windows
from dvm_hf.errors import MachineError, SourceError
from dvm_hf.media.video.frame_folder import FrameFolder
from dvm_hf.media.video.frame_sources import FramePicture, FrameSource, opened_frames
from dvm_hf.media.video.held_frames import HeldFrames
from dvm_hf.sources.remote.source_files import present
from dvm_hf.training.background_segments import LEAST_BYTES_PER_PIXEL, StoredPicture
from dvm_hf.training.segment_windows import segment_windows

HELD = 8  # segments of a process; usually half as many take turns


@dataclass(frozen=True)
class ForegroundSegment:
    """A video foreground whose frames in one segment are decoded. windows: numbers of the windows in the segment."""

    foreground: VideoForeground
    windows: range


@dataclass(frozen=True)
class Place:
    """Where a segment is in its clips.

    lead: the clip whose seed draws the place. window_count: number of windows of the clip's background; None for a
    still. clips: number of clips that share the segment.
    """

    lead: ClipPlan
    window_count: int | None
    clips: int
    samples_per_clip: int


def can_share_foreground(plan: ClipPlan) -> bool:
    """Whether clips of the same foreground show the same frames of it, which are worth to be decoded once."""
    return plan.foreground.kind == "video" and not plan.companions and timing_of(plan) is None


def foreground_segment(plan: ClipPlan, place: Place) -> ForegroundSegment | None:
    """Decode a segment of a clip's video foreground, at the place of the clip's background segment.

    Returns None if clips are rendered better without it: if numbered pictures of the segment are more than its clips
    need, if the foreground ends before the segment, or if it cannot be used, so that the clips which need it raise the
    error. Raises MachineError.
    """
    try:
        with present(plan.foreground_files), ExitStack() as opened:
            foreground = RECIPES[plan.rendering.recipe].opened["video"](plan, opened)
            assert isinstance(foreground, VideoForeground)
            return _decoded(foreground, plan, place)
    except MachineError:
        raise
    except SourceError:
        return None


def _decoded(foreground: VideoForeground, plan: ClipPlan, place: Place) -> ForegroundSegment | None:
    """Decode the segment of an opened foreground, and let it read its frames from there."""
    sources: list[FrameSource] = (
        [foreground.colour] if foreground.matte is None else [foreground.colour, foreground.source_of_alpha]
    )
    spans = list(planned_windows(plan.rendering, min(plan.max_frames, foreground.colour.frame_count)))
    selected = partial(_selected, spans, place, pixels=foreground.file_size.height * foreground.file_size.width)
    windows, frames = selected(LEAST_BYTES_PER_PIXEL * len(sources))
    if not frames:
        return None
    needed = place.clips * place.samples_per_clip * len(spans[windows.start].indices)
    if any(isinstance(source, FrameFolder) for source in sources) and needed < len(frames):
        return None
    pictures: list[Iterator[tuple[int, StoredPicture]]] = [source.pictures(sorted(frames)) for source in sources]
    firsts = [first for first in (next(one, None) for one in pictures) if first is not None]
    if len(firsts) < len(sources):
        return None
    windows, frames = selected(sum(picture.bytes_per_pixel for _, picture in firsts))
    held = [_held(chain([first], rest), frames) for first, rest in zip(firsts, pictures, strict=True)]
    read = [
        HeldFrames(source.size, one, decoded=frames, reopened=_opener(source, plan.max_frames, foreground))
        for source, one in zip(sources, held, strict=True)
    ]
    foreground.colour_frames, foreground.alpha_frames = read[0], read[-1]
    return ForegroundSegment(foreground, windows)


def _selected(
    spans: Sequence[Span], place: Place, bytes_per_pixel: float, *, pixels: int
) -> tuple[range, frozenset[int]]:
    """Return the windows and frames of a segment that the foreground has.

    bytes_per_pixel: of colour and alpha together, for which a segment may have twice as many bytes as a background's.
    """
    windows = segment_windows(
        place.lead,
        place.window_count or len(spans),
        samples_per_clip=place.samples_per_clip,
        frame_bytes=bytes_per_pixel / 2 * pixels,
    )
    windows = range(len(spans))[windows.start : windows.stop]
    return windows, frozenset(index for number in windows for index in spans[number].indices)


def _held(pictures: Iterator[tuple[int, StoredPicture]], frames: frozenset[int]) -> dict[int, FramePicture]:
    held: dict[int, FramePicture] = {}
    for index, picture in pictures:
        if index in frames:
            held[index] = picture
        if index >= max(frames):
            break
    return held


def _opener(
    source: FrameSource, max_frames: int, foreground: VideoForeground
) -> Callable[[], AbstractContextManager[FrameSource]]:
    """Return a function that opens a source again. It does not refer to the source or to the foreground: frames in a
    reference cycle would stay in memory for a while.
    """
    opened = partial(
        opened_frames,
        source.path,
        max_frames=max_frames,
        role=source.role,
        uses_container_tags=foreground.uses_container_tags,
    )
    return partial(_reopened, source.path, opened)


@contextmanager
def _reopened(path: Path, opened: Callable[[], FrameSource]) -> Iterator[FrameSource]:
    with present([path]), closing(opened()) as source:
        yield source


class HeldForegrounds:
    """The segments of foregrounds that a process holds, each until its last clip, at most `HELD`."""

    def __init__(self) -> None:
        self._held: OrderedDict[Hashable, tuple[ForegroundSegment | None, int]] = OrderedDict()

    def get(self, key: Hashable, plan: ClipPlan, place: Place) -> ForegroundSegment | None:
        """Return the segment of a key for one of its clips; decode it if it is not held."""
        segment, uses = self._held.pop(key, (None, 0))
        if not uses:
            while len(self._held) >= HELD:
                self._held.popitem(last=False)
            segment, uses = foreground_segment(plan, place), place.clips
        if uses > 1:
            self._held[key] = segment, uses - 1
        return segment

    def release(self) -> None:
        self._held.clear()
