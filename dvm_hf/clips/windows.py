"""Render a ClipPlan into windows of frames: decode, warp, composite, trimap. Holds one window in memory.

plan -> Scene (geometry, random parameters, opened sources) -> frame indices of each window -> frames -> windows
"""

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, overload

from dvm_hf.clips.foreground_protocols import OpenedForeground
from dvm_hf.clips.geometry import centred_box
from dvm_hf.clips.motion import Placement
from dvm_hf.clips.opencv_threads import one_opencv_thread
from dvm_hf.clips.plan import ClipPlan, Rendering, number_stream
from dvm_hf.clips.scene import Frame, Scene
from dvm_hf.freed_memory import keep_freed_memory
from dvm_hf.machine_faults import retried
from dvm_hf.media.pixels import Box
from dvm_hf.media.video.frame_sources import OpenBackground

F = TypeVar("F")
T = TypeVar("T")
C = TypeVar("C", covariant=True)
R = TypeVar("R", contravariant=True)
Numbers: TypeAlias = Container[int] | Callable[[int], Sequence[int]] | None


@dataclass(frozen=True)
class Window(Generic[C]):
    """One window of a clip.

    number, start: index of the window in the clip, and of its first frame. view: the rendered box of the composite's
    frame. placements: of the foreground, one per frame, before any crop. frames: a tuple of the results of `each`, or
    what a collector made of them, see `render`. motion: by frame, the numbers of `motion_columns`.
    hidden: of each foreground, the largest part of its alpha in a frame that those in front of it hide; empty for a
    clip with one foreground.
    """

    plan: ClipPlan
    number: int
    start: int
    view: Box
    placements: tuple[Placement, ...]
    frames: C
    motion: tuple[tuple[float, ...], ...]
    hidden: tuple[float, ...] = ()


class FrameCollector(Protocol[R, C]):
    """Collects the frames of one window, for example in a video, so that they need not be held."""

    def append(self, result: R, /) -> None:
        """Add the next frame of the window, a result of `each`."""

    def __len__(self) -> int:
        """Return the number of frames."""

    def frames(self) -> C:
        """Return all frames. Called once, after the last one, unless the window is dropped."""


class FrameTuple(Generic[F]):
    """The usual collector: holds the frames in a tuple."""

    def __init__(self) -> None:
        self._frames: list[F] = []

    def append(self, result: F, /) -> None:
        self._frames.append(result)

    def __len__(self) -> int:
        return len(self._frames)

    def frames(self) -> tuple[F, ...]:
        return tuple(self._frames)


class Span(NamedTuple):
    """Indices of the frames of one window."""

    number: int
    indices: range


def spans(
    frame_count: int,
    *,
    clip_length: int | Literal["all"],
    frame_step: int = 1,
    clip_step: int | None = None,
    remainder: str = "keep",
) -> Iterator[Span]:
    """Yield the frame indices of each window of a clip of `frame_count` frames.

    # 10 frames, clip_length 4:               0 1 2 3 | 4 5 6 7 | 8 9 (partial)
    # 10 frames, clip_length 4, clip_step 3:  0 1 2 3 | 3 4 5 6 | 6 7 8 9
    # 10 frames, clip_length 3, frame_step 2: 0 2 4 | 6 8 (partial)

    The first window that the clip cannot fill is the partial window, and the last one. It is dropped if
    `remainder="drop"`, or if it has no frame after those of earlier windows.
    """
    length = len(range(0, frame_count, frame_step)) if clip_length == "all" else clip_length
    stride = clip_step or length * frame_step
    reached = -1
    for number in count():
        indices = range(number * stride, frame_count, frame_step)[:length]
        if not indices or (len(indices) < length and (remainder == "drop" or indices[-1] <= reached)):
            return
        yield Span(number, indices)
        if len(indices) < length:
            return
        reached = indices[-1]


def planned_windows(rendering: Rendering, frame_count: int) -> Iterator[Span]:
    """Yield the frame indices of each window of a clip, by its rendering fields; see `spans`."""
    return spans(
        frame_count,
        clip_length=rendering.clip_length,
        frame_step=rendering.frame_step,
        clip_step=rendering.clip_step,
        remainder=rendering.remainder,
    )


@overload
def render(
    plan: ClipPlan,
    *,
    each: Callable[[Frame], F],
    numbers: Numbers = None,
    backdrop: OpenBackground | None = None,
    foreground: OpenedForeground | None = None,
) -> Iterator[Window[tuple[F, ...]]]: ...


@overload
def render(
    plan: ClipPlan,
    *,
    each: Callable[[Frame], F],
    collect: Callable[[], FrameCollector[F, T]],
    numbers: Numbers = None,
    backdrop: OpenBackground | None = None,
    foreground: OpenedForeground | None = None,
) -> Iterator[Window[T]]: ...


def render(
    plan: ClipPlan,
    *,
    each: Callable[[Frame], Any],
    collect: Callable[[], FrameCollector[Any, Any]] = FrameTuple,
    numbers: Numbers = None,
    backdrop: OpenBackground | None = None,
    foreground: OpenedForeground | None = None,
) -> Iterator[Window[Any]]:
    """Render the windows of a clip, in order.

    A window ends before a frame that is damaged or beyond the end of a source. Windows after a damaged frame are still
    rendered, because a caller that selects only those windows does not decode the damaged one.

    each: called with each frame as soon as it is rendered, for example to encode it; `lambda frame: frame` keeps the
        frame. Only the results are held in memory.
    collect: returns the collector of a window. It gets each result as soon as there is one.
    numbers: selects windows, which are the same as when all are rendered. It can also be a function of the number of
        windows n, called if n > 0. The numbers it returns must be in the order of number % n; a number >= n is window
        number % n again, with another crop.
    backdrop: the background, if it is already open; it stays open.
    foreground: the foreground of a clip without companions, if it is already open; it stays open.

    Raises SourceError if a source cannot be used.
    """
    keep_freed_memory()
    with ExitStack() as opened:
        scene = Scene(plan, opened, backdrop=backdrop, foreground=foreground)
        planned = list(planned_windows(plan.rendering, scene.frame_count))
        chosen = _chosen(planned, numbers)
        scene.start(sorted({index for span in chosen for index in span.indices}))
        next_starts = [span.indices[0] for span in chosen[1:]] + [scene.frame_count]
        rendered: dict[int, Any] = {}  # by index: frames that the next windows share
        for span, next_start in zip(chosen, next_starts, strict=False):
            view = window_view(scene, span)
            kept, collected = 0, collect()
            for result in _frames(scene, span, view, rendered=rendered, each=each, next_start=next_start):
                collected.append(result)
                kept += 1
            if kept == len(span.indices) or _keeps_partial(plan.rendering, planned, span, kept=kept):
                for _ in range(_repeats(plan.rendering, kept)):
                    collected.append(result)
                yield _window(scene, span, view, collected, kept=kept)
            del collected  # otherwise the window would stay in memory while the next one is rendered


def retried_windows(
    plan: ClipPlan, *, each: Callable[[Frame], F], collect: Callable[[], FrameCollector[F, T]]
) -> Iterator[Window[T]]:
    """Render all windows and resume after a fault of the machine; raises `MachineError` if the fault persists."""
    next_number = 0

    def remaining(done: int) -> Iterator[Window[T]]:
        nonlocal next_number
        first = next_number
        numbers = (lambda count: range(first, count)) if done else None
        for window in render(plan, each=each, collect=collect, numbers=numbers):
            next_number = window.number + 1
            yield window
            del window

    return retried(remaining)


def _frames(
    scene: Scene, span: Span, view: Box, *, rendered: dict[int, F], each: Callable[[Frame], F], next_start: int
) -> Iterator[F]:
    """Yield the frames of one window that the sources have; `rendered` keeps those shared with the next windows."""
    shares_frames = scene.plan.rendering.crop_size is None  # each window has its own crop
    for skipped in [index for index in rendered if index < span.indices[0]]:
        del rendered[skipped]
    for index in span.indices:
        if index in rendered:
            result = rendered[index]
        else:
            with one_opencv_thread():
                frame = scene.frame(index, view)
                if frame is None:
                    break
                result = each(frame)
        if shares_frames and index >= next_start:
            rendered[index] = result
        else:
            rendered.pop(index, None)
        yield result
        scene.release(min(index + 1, next_start))


def _chosen(planned: list[Span], numbers: Container[int] | Callable[[int], Sequence[int]] | None) -> list[Span]:
    if callable(numbers):
        wanted = numbers(len(planned)) if planned else ()
        return [Span(number, planned[number % len(planned)].indices) for number in wanted]
    return [span for span in planned if numbers is None or span.number in numbers]


def _keeps_partial(rendering: Rendering, planned: list[Span], span: Span, *, kept: int) -> bool:
    """Whether to yield a window that ends early; see `spans`."""
    is_dropped = rendering.remainder == "drop" and rendering.clip_length != "all"
    position = span.number % len(planned)
    reached = planned[position - 1].indices[-1] if position else -1
    return kept > 0 and not is_dropped and span.indices[kept - 1] > reached


def window_view(scene: Scene, span: Span) -> Box:
    """Return the full frame, or the crop around a random unknown pixel of the middle frame (its centre if none)."""
    rendering, frame = scene.plan.rendering, scene.geometry.frame
    if rendering.crop_size is None:
        return scene.geometry.frame_box
    length = len(span.indices)
    if rendering.remainder == "repeat_last" and rendering.clip_length != "all":
        length = rendering.clip_length
    middle = span.indices[min(length // 2, len(span.indices) - 1)]
    rng = number_stream(scene.plan.seed, "window_crop", index=span.number)
    chance = rng.random()
    pixel = None
    with one_opencv_thread():
        for index in range(middle, span.indices[0] - 1, -rendering.frame_step):  # back to a frame that the source has
            pixel = pixel or scene.unknown_pixel(index, chance, rng)
    row, column = pixel or scene.middle_pixel
    return centred_box(row, column, side=rendering.crop_size, frame=frame)


def _repeats(rendering: Rendering, kept: int) -> int:
    """Return how often the last frame of a window is repeated."""
    if rendering.remainder != "repeat_last" or rendering.clip_length == "all":
        return 0
    return rendering.clip_length - kept


def _window(scene: Scene, span: Span, view: Box, collected: FrameCollector[Any, T], *, kept: int) -> Window[T]:
    indices = [*span.indices[:kept]]
    indices += indices[-1:] * (len(collected) - kept)
    placements = tuple(scene.random_parameters.placements[index] for index in indices)
    motion = tuple(scene.motion(index) for index in indices)
    shares = zip(*(scene.hidden[index] for index in indices if scene.hidden), strict=True)
    hidden = tuple(map(max, shares))
    return Window(scene.plan, span.number, span.indices[0], view, placements, collected.frames(), motion, hidden)
