"""Findings about videos, by their headers and by their frames."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numbered_films
import numpy as np
import pytest
from check_runs import (
    AVI,
    LIMITED,
    SIZE,
    TS,
    A,
    B,
    F,
    build_error,
    claiming,
    cut,
    film,
    found,
    keyed,
    looked_at,
    recorded,
    write,
)
from conftest import TreeWriter, soft_disc

from dvm_hf.check import videos
from dvm_hf.media.video.video_measures import Measures

FULL = soft_disc(*SIZE)


def alpha_film(luma: np.ndarray, **options: bool) -> Callable[[Path], object]:
    return lambda root: film(root / A, [luma] * 12, **options)


def tinted(luma: np.ndarray) -> np.ndarray:
    return np.dstack([luma, np.full_like(luma, 90), np.full_like(luma, 150)])


def with_gap(root: Path) -> None:
    film(root / B, [np.full(SIZE, 90 + i, np.uint8) for i in range(12)], times=[*range(6), *range(9, 15)])


def damaged(root: Path) -> None:
    """A background whose seventh frame is noise."""
    with av.open(str(root / B)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][6]
        start, size = packet.pos, packet.size
    data = bytearray((root / B).read_bytes())
    data[start : start + size] = b"\xff" * size
    (root / B).write_bytes(data)


def resized_midway(root: Path) -> None:
    """A background of two sizes: raw H.264 streams, one after the other, in a transport stream."""
    parts = []
    for size in (SIZE, (64, 80)):
        path = root.parent / "part.h264"
        with av.open(str(path), "w", format="h264") as container:
            stream = container.add_stream("libx264", rate=25, options={"crf": "20", "bf": "0"})
            stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
            for level in range(4):
                frame = av.VideoFrame.from_ndarray(np.full((*size, 3), 60 * level, np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        parts.append(path.read_bytes())
    path.write_bytes(b"".join(parts))
    (root / B).unlink()
    with av.open(str(path)) as source, av.open(str(root / B).replace(".mp4", ".ts"), "w") as target:
        copied = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            packet.stream, packet.pts, packet.dts = copied, number, number
            packet.time_base = Fraction(1, 25)
            target.mux(packet)


def cut_with_header(root: Path) -> None:
    """A background whose header comes first, and whose last third is missing."""
    fast = root / "fast.mp4"
    with (
        av.open(str(root / B)) as source,
        av.open(str(fast), "w", options={"movflags": "faststart"}) as target,
    ):
        copied = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copied
                target.mux(packet)
    data = fast.read_bytes()
    fast.unlink()
    (root / B).write_bytes(data[: len(data) - (len(data) - data.index(b"mdat")) // 3])


VIDEOS: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]], list[tuple[str, str]]]] = {
    # change, findings from headers, additional or different findings from decoding
    "text for a video": (write(B, b"just words"), [("video-unreadable", B)], [("video-unreadable", B)]),
    "cut short": (cut(B, keep=0.5), [("video-unreadable", B)], [("video-unreadable", B)]),
    "counts": (
        lambda root: TreeWriter(root).moving("0000", frames=12, alpha_frames=10),
        [("counts-differ", "fg/video/train/0000")],
        [("counts-differ", "fg/video/train/0000")],
    ),
    "sizes": (
        lambda root: film(root / A, [LIMITED[:, :48]] * 12),
        [("size-differs", F)],
        [("size-differs", F)],
    ),
    "rates": (
        lambda root: film(root / A, [LIMITED] * 12, rate=30),
        [("rates-differ", "fg/video/train/0000")],
        [("rates-differ", "fg/video/train/0000")],
    ),
    "no tags": (
        lambda root: film(root / B, [np.full(SIZE, 90 + i, np.uint8) for i in range(9)], tagged=False),
        [("untagged", B)],
        [("untagged", B)],
    ),
    "a full alpha, tagged so": (alpha_film(FULL, full=True), [], []),
    "a limited alpha, tagged so": (alpha_film(LIMITED), [], []),
    "limited taken for full": (alpha_film(LIMITED, full=True), [], [("alpha-limited", A)]),
    "full taken for limited": (alpha_film(FULL), [], [("alpha-clipped", A)]),
    "full without a tag": (alpha_film(FULL, tagged=False), [("untagged", A)], [("alpha-clipped", A), ("untagged", A)]),
    "coloured alpha": (alpha_film(tinted(LIMITED)), [], [("alpha-coloured", A)]),
    "flat alpha": (alpha_film(np.full(SIZE, 235, np.uint8)), [], [("alpha-flat", A)]),
    "alpha without background": (alpha_film(np.maximum(LIMITED, 60)), [], [("alpha-no-zero", A)]),
    "black outside": (keyed(16), [], [("colour-keyed", F)]),
    "white outside": (keyed(235), [], [("colour-keyed", F)]),
    "uneven": (with_gap, [], [("variable-rate", B)]),
    "fewer frames than listed": (claiming, [], [("count-wrong", AVI)]),
    "a damaged frame": (damaged, [], [("undecodable", B)]),
    "header first, cut short": (
        cut_with_header,
        [("video-truncated", B)],
        [("undecodable", B), ("video-truncated", B)],
    ),
    "two sizes": (
        resized_midway,
        [("no-frame-count", TS), ("untagged", TS)],
        [("frame-size-changes", TS), ("no-frame-count", TS), ("untagged", TS)],
    ),
}


def cut_in_the_container(root: Path) -> None:
    """f.mp4 cut like by `-ss ... -c copy`: an edit list hides the frames before the cut; a.mp4 is encoded again."""
    film(root / "long.mp4", [np.full(SIZE, 90 + i, np.uint8) for i in range(20)])
    with (
        av.open(str(root / "long.mp4")) as whole,
        av.open(str(root / F), "w", options={"avoid_negative_ts": "disabled"}) as part,
    ):
        source = whole.streams.video[0]
        stream = part.add_stream_from_template(source)
        for packet in whole.demux(source):
            if packet.dts is not None:
                shift = round(8 / 25 / source.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                part.mux(packet)
    (root / "long.mp4").unlink()


def with_times(path: str, times: list[int], *, unit: Fraction, suffix: str = ".mp4") -> Callable[[Path], object]:
    """A video with frames at these multiples of a unit of time."""

    def change(root: Path) -> None:
        with av.open(str((root / path).with_suffix(suffix)), "w") as container:
            stream = container.add_stream("mpeg4", rate=round(1 / (unit * (times[1] - times[0]))))
            stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
            stream.codec_context.color_range = stream.codec_context.colorspace = 1
            stream.codec_context.time_base = unit
            for number, at in enumerate(times):
                frame = av.VideoFrame.from_ndarray(np.full((*SIZE, 3), number, np.uint8), format="rgb24")
                frame.pts, frame.time_base = at, unit
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    return change


@pytest.mark.slow
def test_rounding_to_ticks_is_not_a_variable_rate(checked_root: Path) -> None:
    for rate, name in ((120, "a"), (144, "b"), (60, "c")):
        with_times(f"bg/train/{name}.mkv", list(range(40)), unit=Fraction(1, rate), suffix=".mkv")(checked_root)
    assert [pair for pair in found(checked_root, deep=True) if pair[0] == "variable-rate"] == []
    with_times("bg/train/d.mkv", [*range(20), *range(24, 40)], unit=Fraction(1, 120), suffix=".mkv")(checked_root)
    with_times("bg/train/e.mkv", [4 * i + i // 3 for i in range(40)], unit=Fraction(1, 100), suffix=".mkv")(
        checked_root
    )
    told = found(checked_root, deep=True)
    assert [pair for pair in told if pair[0] == "variable-rate"] == [
        ("variable-rate", "bg/train/d.mkv"),
        ("variable-rate", "bg/train/e.mkv"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("late", "expected"), [(0, []), (11, []), (33, ["variable-rate"])])
def test_jitter_without_a_declared_rate_is_not_a_variable_rate(
    checked_root: Path, late: int, expected: list[str]
) -> None:
    recorded(checked_root / "bg/train/browser.webm", late=late)
    told = [code for code, where in found(checked_root, deep=True) if where == "bg/train/browser.webm"]
    assert [code for code in told if "rate" in code] == expected


def test_a_rate_that_only_ffmpeg_estimates_is_not_compared(root: Path) -> None:
    folder = root / "fg/video/train/0000"
    (folder / "f.mp4").unlink()
    recorded(folder / "f.webm", frames=12)  # FFmpeg estimates 30 frames/s; a.mp4 has 25
    assert [code for code, _ in found(root) if "rate" in code] == []


def test_decreasing_timestamps_are_reported() -> None:
    (told,) = videos._of_steps("x.ts", Measures(frames=5, steps=[0.04, 0.04, -0.16, 0.04], tick=0.001), 0.1)
    assert (told.code, told.text.count("0.16")) == ("time-goes-back", 1)


def test_frames_hidden_by_an_edit_list_are_not_a_fault(checked_root: Path) -> None:
    cut_in_the_container(checked_root)
    told = [pair for pair in found(checked_root) if pair[0] in ("counts-differ", "count-wrong")]
    assert told == found(checked_root, deep=True) == []
    assert build_error(checked_root) == ""


@pytest.mark.slow
@pytest.mark.parametrize("edits", [[(0, 10), (10, 10)], [(11, 3), (25, 3)], [(30, 9), (4, 7), (22, 5)]], ids=str)
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_joined_parts_of_a_video_are_not_a_fault(checked_root: Path, codec: str, edits: list[tuple[int, int]]) -> None:
    options = {"x265-params": "keyint=12:bframes=3:log-level=none"} if codec == "libx265" else {"g": "12", "bf": "2"}
    numbered_films.edited(numbered_films.film(checked_root / F, range(1, 41), codec, **options), edits)
    numbered_films.film(checked_root / A, [first + 1 + at for first, count in edits for at in range(count)])
    codes = {code for deep in (False, True) for code, path in found(checked_root, deep=deep) if path != A}
    assert codes == {"untagged"}
    assert build_error(checked_root) == ""


def delayed(path: Path, frames: float) -> Path:
    """12 frames, the first of which is shown after the duration of so many frames, at 25 frames/s."""
    source = numbered_films.film(path.with_name(f"source{path.suffix}"), range(1, 13), bf="0")
    if path.suffix == ".mp4":
        return numbered_films.edited(source.rename(path), [(-1, round(frames)), (0, 12)])
    ticks = {".mkv": 1000, ".mov": 12800, ".ts": 90000}[path.suffix]
    numbered_films.copied(path, source, shift=-round(frames * ticks / 25))
    source.unlink()
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("colour", "alpha", "starts"),
    [
        (("f.mp4", 3), ("a.mov", 0), ("0.120", "0.000")),
        (("f.mkv", 0), ("a.mp4", 10), ("0.000", "0.400")),
        (("f.mov", 5), ("a.mkv", 2), ("0.200", "0.080")),
        (("f.mkv", 7), ("a.mov", 7), None),
        (("f.mkv", 2.3), ("a.mov", 2), None),
        (("f.ts", 4), ("a.mov", 0), None),  # its clock starts anywhere
    ],
)
def test_videos_that_start_at_different_times_are_noted(
    root: Path, colour: tuple[str, float], alpha: tuple[str, float], starts: tuple[str, str] | None
) -> None:
    folder = root / "fg/video/train/0000"
    for name in ("f.mp4", "a.mp4"):
        (folder / name).unlink()
    for name, frames in (colour, alpha):
        delayed(folder / name, frames)
    for deep in (False, True):
        notes = [one for one in looked_at(root, deep=deep).findings if one.code == "starts-differ"]
        assert [(one.severity, one.path) for one in notes] == [("note", "fg/video/train/0000")] * bool(starts)
        if starts:
            assert notes[0].text.startswith(f"{colour[0]} starts at {starts[0]} s, but {alpha[0]} at {starts[1]} s")
    assert build_error(root) == ""


@pytest.mark.slow
@pytest.mark.parametrize("damage", VIDEOS)
def test_videos(checked_root: Path, damage: str) -> None:
    change, by_headers, by_decoding = VIDEOS[damage]
    change(checked_root)
    assert found(checked_root) == by_headers
    assert found(checked_root, deep=True) == by_decoding
