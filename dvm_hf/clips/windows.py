"""Render a ClipPlan into windows of frames: decode, warp, composite, trimap. Holds one window in memory.

plan -> Scene (geometry, random parameters, opened sources) -> frame indices of each window -> frames -> windows
"""

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from typing import Generic, Literal, NamedTuple, TypeVar

from dvm_hf.clips.geometry import centred_box
from dvm_hf.clips.motion import Placement
from dvm_hf.clips.opencv_threads import one_opencv_thread
from dvm_hf.clips.plan import ClipPlan, Rendering, number_stream
from dvm_hf.clips.scene import Frame, Scene
from dvm_hf.machine_faults import retried
from dvm_hf.media.pixels import Box
from dvm_hf.media.video.frame_sources import OpenBackground

F = TypeVar("F")


@dataclass(frozen=True)
class Window(Generic[F]):
    """One window of a clip.

    number, start: index of the window in the clip, and of its first frame. view: the rendered box of the composite's
    frame. placements: one per frame, before any crop. frames: the results of `each`, see `render`.
    """

    plan: ClipPlan
    number: int
    start: int
    view: Box
    placements: tuple[Placement, ...]
    frames: tuple[F, ...]


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


def render(
    plan: ClipPlan,
    *,
    each: Callable[[Frame], F],
    numbers: Container[int] | Callable[[int], Sequence[int]] | None = None,
    backdrop: OpenBackground | None = None,
) -> Iterator[Window[F]]:
    """Render the windows of a clip, in order.

    A window ends before a frame that is damaged or beyond the end of a source. Windows after a damaged frame are still
    rendered, because a caller that selects only those windows does not decode the damaged one.

    each: called with each frame as soon as it is rendered, for example to encode it; `lambda frame: frame` keeps the
        frame. Only the results are held in memory.
    numbers: selects windows, which are the same as when all are rendered. It can also be a function of the number of
        windows n, called if n > 0. The numbers it returns must be in the order of number % n; a number >= n is window
        number % n again, with another crop.
    backdrop: the background, if it is already open; it stays open.

    Raises SourceError if a source cannot be used.
    """
    with ExitStack() as opened:
        scene = Scene(plan, opened, backdrop=backdrop)
        planned = list(planned_windows(plan.rendering, scene.frame_count))
        chosen = _chosen(planned, numbers)
        scene.start(sorted({index for span in chosen for index in span.indices}))
        next_starts = [span.indices[0] for span in chosen[1:]] + [scene.frame_count]
        rendered: dict[int, F] = {}  # by index: frames that overlapping windows share
        for span, next_start in zip(chosen, next_starts, strict=False):
            view = _view(scene, span)
            kept = _frames(scene, span, view, rendered=rendered, each=each, next_start=next_start)
            is_complete = len(kept) == len(span.indices)
            if is_complete or _keeps_partial(plan.rendering, planned, span, kept=len(kept)):
                yield _window(scene, span, view, kept)


def retried_windows(plan: ClipPlan, *, each: Callable[[Frame], F]) -> Iterator[Window[F]]:
    """Render all windows and resume after a fault of the machine; raises `MachineError` if the fault persists."""
    next_number = 0

    def remaining(done: int) -> Iterator[Window[F]]:
        nonlocal next_number
        first = next_number
        for window in render(plan, each=each, numbers=(lambda count: range(first, count)) if done else None):
            next_number = window.number + 1
            yield window

    return retried(remaining)


def _frames(
    scene: Scene, span: Span, view: Box, *, rendered: dict[int, F], each: Callable[[Frame], F], next_start: int
) -> list[F]:
    """Return the frames of one window that the sources have; `rendered` keeps those shared with the next window."""
    kept: list[F] = []
    for index in span.indices:
        if index not in rendered:
            with one_opencv_thread():
                frame = scene.frame(index, view)
                if frame is None:
                    break
                rendered[index] = each(frame)
        kept.append(rendered[index])
        scene.release(min(index + 1, next_start))
    shares_frames = scene.plan.rendering.crop_size is None  # each window has its own crop
    for index in [index for index in rendered if index < next_start or not shares_frames]:
        del rendered[index]
    return kept


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


def _view(scene: Scene, span: Span) -> Box:
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


def _window(scene: Scene, span: Span, view: Box, kept: list[F]) -> Window[F]:
    placements = [scene.random_parameters.placements[index] for index in span.indices[: len(kept)]]
    rendering = scene.plan.rendering
    if rendering.remainder == "repeat_last" and rendering.clip_length != "all":
        missing = rendering.clip_length - len(kept)
        kept, placements = kept + kept[-1:] * missing, placements + placements[-1:] * missing
    return Window(scene.plan, span.number, span.indices[0], view, tuple(placements), tuple(kept))
