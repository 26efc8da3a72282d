"""Decoded segments: how long they are, what they hold, and what happens outside of them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from conftest import TreeWriter

from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.errors import MachineError, SourceError
from dvm_hf.media.pixels import Box, Size
from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.media.video import frame_sources
from dvm_hf.media.video.frame_sources import opened_backdrop
from dvm_hf.media.video.videos import Video
from dvm_hf.sources.records import Background, Foreground
from dvm_hf.training import segment_windows
from dvm_hf.training.background_segments import HeldSegments, background_segment
from dvm_hf.training.segment_windows import segment_length

HD = 1.5 * 1920 * 1080  # bytes of a frame as 8-bit 4:2:0
CLIP = {"clip_length": 4, "clip_step": 1}


def plan_over(path: Path, *, seed: int = 7, max_frames: int = 60, **rendering: Any) -> ClipPlan:
    form = Rendering(remainder="drop", max_image_frames=max_frames, **CLIP | rendering)
    nothing = Path("none")
    return ClipPlan("image_cat_0", Foreground("image", "cat", nothing, nothing), Background("0", path), seed, form)


@pytest.mark.parametrize(
    ("rendering", "samples", "frame_bytes", "expected"),
    [
        (CLIP, 1, None, 1),  # of one clip: its samples end to end
        (CLIP, 3, None, 9),  # 12 frames
        (CLIP, 1, HD, 13),  # shared: four windows end to end, 16 frames
        (CLIP, 4, HD, 13),
        (CLIP, 12, HD, 18),  # 21 frames are the most, of which 48 would be needed
        (CLIP, 12, 4 * HD, 2),  # 5 frames
        ({"clip_length": 40, "clip_step": 1}, 2, HD, 1),  # one window, even if it is longer
        ({"clip_length": 4, "clip_step": 1, "frame_step": 2}, 1, HD, 14),  # 13 + 8 frames, not 4 x 8
        ({"clip_length": 4, "clip_step": 2}, 1, HD, 7),  # 6 x 2 + 4 frames
    ],
)
def test_a_segment_is_as_long_as_the_samples_of_a_clip_within_limits(
    rendering: dict[str, Any], samples: int, frame_bytes: float | None, expected: int
) -> None:
    form = Rendering(**rendering)
    assert segment_length(form, 100, samples_per_clip=samples, frame_bytes=frame_bytes) == expected
    assert segment_length(form, 1, samples_per_clip=samples, frame_bytes=frame_bytes) == 1


def test_a_segment_has_the_pictures_of_the_background(tree: TreeWriter) -> None:
    path = tree.background(frames=40)
    begins = set()
    for seed in range(12):
        segment = background_segment(plan_over(path, seed=seed), samples_per_clip=1)
        assert segment is not None
        begins.add(segment.windows.start)
        assert len(segment.windows) == 13
        assert (segment.frame_count, segment.size) == (40, Size(72, 96))
    assert 0 <= min(begins) < 6  # anywhere in the background
    assert 18 < max(begins) <= 24
    wanted = range(segment.windows.start + 2, segment.windows.start + 9)
    box = Box(8, 16, 40, 60)
    with opened_backdrop(path) as video:
        expected = [(index, picture.rgb(box)) for index, picture in video.pictures(wanted)]
    found = [(index, picture.rgb(box)) for index, picture in segment.pictures(wanted)]
    assert [index for index, _ in found] == [*wanted]
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(found, expected, strict=True))


def test_a_segment_lies_within_the_frames_of_its_clips(tree: TreeWriter) -> None:
    path = tree.background(frames=40)
    for seed in range(8):
        segment = background_segment(plan_over(path, seed=seed, max_frames=20), samples_per_clip=1)
        assert segment is not None
        assert segment.windows.stop <= 17  # the window of the frames 16 .. 19
    short = background_segment(plan_over(tree.background("0001", frames=3)), samples_per_clip=1)
    assert short is not None
    assert (len(short.windows), short.frame_count, list(short.pictures([]))) == (0, 3, [])


@pytest.mark.parametrize(
    ("pixel_format", "size", "bytes_per_pixel"),
    [("yuv420p", (64, 96), 1.5), ("yuv420p", (64, 97), 4.5), ("yuv420p10le", (64, 96), 6), ("yuv444p", (64, 96), 6)],
)
def test_a_segment_holds_fewer_frames_of_larger_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixel_format: str, size: tuple[int, int], bytes_per_pixel: float
) -> None:
    """The limit here is 24 bytes per pixel: 16, 5 or 4 frames. Formats that are converted as a whole are held twice."""
    path = tmp_path / "0000.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1" if size[1] % 2 else "libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *size, pixel_format
        for number in range(40):
            pixels = np.full((*size, 3), 6 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format=pixel_format)))
        container.mux(stream.encode())
    limit = 24 * size[0] * size[1]
    monkeypatch.setattr(segment_windows, "MAX_BYTES", limit)
    begins = set()
    for seed in range(9):
        segment = background_segment(plan_over(path, seed=seed), samples_per_clip=9)
        assert segment is not None
        frames = range(segment.windows.start, segment.windows.stop + 3)
        held = [picture for _, picture in segment.pictures(frames)]
        assert len(held) == len(frames) == int(24 / bytes_per_pixel)
        assert {picture.bytes_per_pixel for picture in held} == {bytes_per_pixel}  # type: ignore[attr-defined]
        begins.add(frames.start)
    assert 0 <= min(begins) < 9
    assert 31 - len(held) < max(begins) <= 40 - len(held)


class OpenedVideo(Video):
    """A video that counts how often it is opened, and that fails at some frames."""

    opened = 0
    fault: Exception | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        OpenedVideo.opened += 1
        super().__init__(*args, **kwargs)

    def pictures(self, wanted: Iterable[int]) -> Iterator[tuple[int, Any]]:
        for index, picture in super().pictures(wanted):
            if index >= 20 and self.fault:
                raise self.fault
            yield index, picture


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> type[OpenedVideo]:
    monkeypatch.setattr(frame_sources, "Video", OpenedVideo)
    monkeypatch.setattr(OpenedVideo, "opened", 0)
    monkeypatch.setattr(OpenedVideo, "fault", None)
    return OpenedVideo


def test_frames_outside_of_the_segment_are_decoded_again(tree: TreeWriter, opened: type[OpenedVideo]) -> None:
    path = tree.background(frames=40)
    segment = background_segment(plan_over(path), samples_per_clip=1)
    assert segment is not None
    begin = segment.windows.start
    assert len(list(segment.pictures([begin, begin + 3, begin + 15]))) == 3
    assert opened.opened == 1
    outside = (begin + 30) % 40
    assert [index for index, _ in segment.pictures([outside])] == [outside]
    assert opened.opened == 2


def test_a_fault_is_raised_only_for_a_clip_that_needs_the_frame(tree: TreeWriter, opened: type[OpenedVideo]) -> None:
    opened.fault = SourceError("frame 20 has another size")
    path = tree.background(frames=40)
    seed = next(s for s in range(99) if 10 < plan_start(path, s) < 17)
    segment = background_segment(plan_over(path, seed=seed), samples_per_clip=1)
    assert segment is not None
    assert [index for index, _ in segment.pictures([17, 18, 19])] == [17, 18, 19]
    with pytest.raises(SourceError, match="another size"):
        list(segment.pictures([19, 20]))
    opened.fault = MachineError("no memory")
    with pytest.raises(MachineError):
        background_segment(plan_over(path, seed=seed), samples_per_clip=1)


def plan_start(path: Path, seed: int) -> int:
    segment = background_segment(plan_over(path, seed=seed), samples_per_clip=1)
    assert segment is not None
    return segment.windows.start


def test_a_still_needs_no_segment(tmp_path: Path) -> None:
    write_image(tmp_path / "0.png", np.zeros((20, 30, 3), np.uint8))
    assert background_segment(plan_over(tmp_path / "0.png"), samples_per_clip=1) is None


def test_the_segments_used_last_are_held(tree: TreeWriter, opened: type[OpenedVideo]) -> None:
    paths = [tree.background(f"{number:04d}", frames=20) for number in range(3)]
    held = HeldSegments(1)
    first, second, _ = (
        held.get(number, plan_over(path), plan_over(path), limit=2) for number, path in enumerate(paths)
    )
    assert opened.opened == 3
    assert held.get(1, plan_over(paths[1]), plan_over(paths[1]), limit=2) is second
    assert held.get(0, plan_over(paths[0]), plan_over(paths[0]), limit=2) is not first
    assert opened.opened == 4
    held.release()
    held.get(0, plan_over(paths[0]), plan_over(paths[0]), limit=2)
    assert opened.opened == 5


@pytest.mark.parametrize(("speed", "windows"), [(0.5, 45), (1, 45), (2, 23), (3, 23), (4, 12), (5, 12)])
def test_windows_over_a_fast_video_start_closer_together(speed: float, windows: int) -> None:
    """Twelve windows of four frames: 48 frames end to end; at twice the speed, a window starts every two frames."""
    rendering = Rendering(clip_length=4, clip_step=1)
    assert segment_length(rendering, 100, samples_per_clip=12, speed=speed) == windows
    assert segment_length(rendering, 9, samples_per_clip=12, speed=speed) == 9
