"""Seeking by key frame changes no pixel: against the same video read from its start."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from dvm_hf import frame_io
from dvm_hf.frame_io import Video
from dvm_hf.key_frames import KeyFrame, key_frame_before

FRAMES = 60
VIDEOS: dict[str, tuple[str, str, str, dict[str, str]]] = {  # codec, pixel format, suffix, options
    "H.264, B-frames, closed groups": ("libx264", "yuv420p", "mp4", {"g": "12", "bf": "3", "keyint_min": "12"}),
    "H.264, open groups": ("libx264", "yuv420p", "mp4", {"g": "12", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}),
    "H.264, no B-frames": ("libx264", "yuv420p", "mov", {"g": "10", "bf": "0"}),
    "H.264, one key frame": ("libx264", "yuv420p", "mp4", {"g": "250"}),
    "H.264, intra refresh": ("libx264", "yuv420p", "mp4", {"g": "12", "x264-params": "intra-refresh=1"}),
    "H.264, Matroska": ("libx264", "yuv420p", "mkv", {"g": "12"}),
    "H.264, transport stream": ("libx264", "yuv420p", "ts", {"g": "12"}),
    "H.264, 10 bit": ("libx264", "yuv420p10le", "mp4", {"g": "12"}),
    "H.265, closed groups": ("libx265", "yuv420p", "mp4", {"x265-params": "keyint=12:open-gop=0:log-level=none"}),
    "H.265, open groups": ("libx265", "yuv420p", "mp4", {"x265-params": "keyint=12:open-gop=1:log-level=none"}),
    "AV1": ("libsvtav1", "yuv420p", "mp4", {"g": "12", "preset": "12"}),
    "MPEG-4, B-frames": ("mpeg4", "yuv420p", "mp4", {"g": "12", "bf": "2"}),
    "VP9": ("libvpx-vp9", "yuv420p", "webm", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
}
SEEKABLE = ("H.264, B-frames, closed groups", "H.264, no B-frames", "H.264, 10 bit", "H.265, closed groups")


def written(path: Path, codec: str, pixel_format: str, options: dict[str, str], *, times: Any = None) -> Path:
    """A video of noise that drifts, so that every frame needs those before it."""
    rng = np.random.default_rng(1)
    wide = np.kron(rng.integers(0, 256, (18, 50, 3), np.uint8), np.ones((4, 4, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(25), options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 72, pixel_format
        for number in range(FRAMES):
            shift = number % 96
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(wide[:, shift : shift + 96]), format="rgb24")
            frame = frame.reformat(format=pixel_format)
            frame.pts = number if times is None else times[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_from(path: Path, start: int, monkeypatch: pytest.MonkeyPatch | None = None) -> tuple[list[np.ndarray], int]:
    """Frames from `start` to the end, and how many frames were decoded for them."""
    decoded = 0
    with Video(path) as video:
        advance = video._next_frame

        def counted(position: int) -> Any:
            nonlocal decoded
            decoded += 1
            return advance(position)

        if monkeypatch is not None:
            monkeypatch.setattr(video, "_next_frame", counted)
        return [pixels for _, pixels in video.colours(range(start, 10_000))], decoded


def sequential(path: Path) -> list[np.ndarray]:
    """All frames by PyAV alone, from the start, as OpenCV's reader converts them."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="bgr24", interpolation="BICUBIC") for frame in container.decode(video=0)]
    return [frame[..., ::-1] for frame in frames]


@pytest.mark.parametrize("name", VIDEOS)
def test_frames_behind_a_seek_are_those_of_the_whole_video(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec, pixel_format, suffix, options = VIDEOS[name]
    path = written(tmp_path / f"video.{suffix}", codec, pixel_format, options)
    whole = sequential(path)
    assert len(whole) == FRAMES
    for start in (0, 7, 8, 11, 12, 13, 23, 24, 25, 37, 48, 58, 59):
        got, decoded = read_from(path, start, monkeypatch)
        assert len(got) == FRAMES - start
        assert all(np.array_equal(a, b) for a, b in zip(got, whole[start:], strict=True)), (name, start)
        if name in SEEKABLE and start >= 24:
            assert decoded <= FRAMES - start + 13  # from the key frame before


def test_frames_of_real_videos_behind_a_seek(real_media: Path) -> None:
    for path in sorted(real_media.glob("*.m[pk][4v]")):
        whole, _ = read_from(path, 0)
        for start in range(5, len(whole), 1 + len(whole) // 7):
            got, _ = read_from(path, start)
            assert len(got) == len(whole) - start
            assert all(np.array_equal(a, b) for a, b in zip(got, whole[start:], strict=True)), (path.name, start)


def test_uneven_timestamps_are_read_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = [number + number // 20 for number in range(FRAMES)]  # a gap after every 20 frames
    path = written(tmp_path / "video.mp4", "libx264", "yuv420p", {"g": "12", "bf": "0"}, times=times)
    whole = sequential(path)
    got, decoded = read_from(path, 50, monkeypatch)
    assert all(np.array_equal(a, b) for a, b in zip(got, whole[50:], strict=True))
    assert decoded >= FRAMES - 1


def test_a_key_frame_that_is_not_where_the_index_says_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "video.mp4", "libx264", "yuv420p", {"g": "12", "bf": "0"})
    whole = sequential(path)
    found = frame_io.key_frame_before
    for wrong in ({"number": 35}, {"step": 1}, {"step": 10**6}):

        def misled(entries: Any, index: int, wrong: dict[str, int] = wrong) -> KeyFrame | None:
            key = found(entries, index)
            return key and key._replace(**wrong)

        monkeypatch.setattr(frame_io, "key_frame_before", misled)
        got, _ = read_from(path, 40)
        assert all(np.array_equal(a, b) for a, b in zip(got, whole[40:], strict=True)), wrong


def entries(flags: str, *, step: int = 512, start: int = -1024) -> list[Any]:
    """K: key frame, p: another, x: hidden by an edit list."""
    return [
        SimpleNamespace(timestamp=start + step * number, is_keyframe=flag == "K", is_discard=flag == "x")
        for number, flag in enumerate(flags)
    ]


CASES: dict[str, tuple[Callable[[], list[Any]], int, KeyFrame | None]] = {
    "the last one before": (lambda: entries("K" + "p" * 9 + "K" + "p" * 9 + "Kp"), 19, KeyFrame(10, 512)),
    "the frame itself": (lambda: entries("K" + "p" * 9 + "K" + "p" * 9 + "Kp"), 20, KeyFrame(20, 512)),
    "too near the start to save much": (lambda: entries("KpppKpppp"), 7, None),
    "only the first": (lambda: entries("K" + "p" * 30), 30, None),
    "no index": (list, 30, None),
    "an index that ends before": (lambda: entries("K" + "p" * 9 + "K"), 20, None),
    "hidden packets": (lambda: entries("Kx" + "p" * 9 + "Kp"), 12, None),
    "a start that is no key frame": (lambda: entries("p" * 10 + "Kpp"), 12, None),
    "equal timestamps": (lambda: entries("K" + "p" * 9 + "Kpp", step=0), 12, None),
    "a gap": (lambda: entries("K" + "p" * 9) + entries("Kpp", start=9999), 12, None),
}


@pytest.mark.parametrize("case", CASES)
def test_which_key_frame_is_taken(case: str) -> None:
    make, index, expected = CASES[case]
    assert key_frame_before(make(), index) == expected


def test_the_first_wanted_frame_alone_is_sought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "video.mp4", "libx264", "yuv420p", {"g": "12", "bf": "0"})
    whole = sequential(path)

    def wanted() -> Iterator[int]:
        yield from (0, 30, 55)

    with Video(path) as video:
        got = dict(video.colours(wanted()))
    assert all(np.array_equal(got[index], whole[index]) for index in (0, 30, 55))
