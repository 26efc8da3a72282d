"""Which windows of a clip belong to the segment that several clips share. Numbers only, without PyTorch."""

import math

from dvm_hf.clips.plan import ClipPlan, Rendering, number_stream

LEAST_WINDOWS = 4  # end to end, so that the clips of a segment have different windows even with one sample per clip
MAX_BYTES = 2**26  # of the frames of a segment: 21 of 1080p as 8-bit 4:2:0


def segment_windows(
    plan: ClipPlan, windows: int, *, samples_per_clip: int, frame_bytes: float, speed: float = 1
) -> range:
    """Return the windows of a segment of a source that has `windows` windows, at a place that the plan's seed draws.

    A segment with fewer windows, because of more bytes per frame, is a part of one with more. frame_bytes, speed: see
    `segment_length`.
    """
    count = segment_length(
        plan.rendering, windows, samples_per_clip=samples_per_clip, frame_bytes=frame_bytes, speed=speed
    )
    first = int(number_stream(plan.seed, "background_segment").random() * (windows - count + 1))
    return range(first, first + count)


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
