"""Frame i of a matte belongs to frame i of its colour: the pixels of every test frame encode its number."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from conftest import TreeWriter
from numbered_films import (
    OPEN_GROUPS,
    copied,
    cut_from_second_key_frame,
    edited,
    emptied,
    film,
    number_in,
    unused_samples,
    voided,
    with_null_frames,
)

from dvm_hf.check.report import check
from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.clips.windows import render
from dvm_hf.dataset.config import DVMConfig
from dvm_hf.errors import SourceError
from dvm_hf.media.video.containers import video_header
from dvm_hf.media.video.frame_pairing import pair_fault
from dvm_hf.media.video.videos import Video
from dvm_hf.sources.tree import scan

N = range(1, 25)
Maker = Callable[[Path], object]


def plain(name: str, numbers: Any = N, codec: str = "libx264", **options: Any) -> Maker:
    return lambda folder: film(folder / name, numbers, codec, **options)


def then(change: Callable[..., Path], name: str, *values: Any, codec: str = "libx264", **options: str) -> Maker:
    """A film of N, changed in its file."""
    return lambda folder: change(film(folder / name, N, codec, **options), *values)


def dropped(name: str, number: int, codec: str, **options: str) -> Maker:
    """Drop one packet."""

    def make(folder: Path) -> None:
        whole = film(folder / f"whole{Path(name).suffix}", N, codec, **options)
        copied(folder / name, whole, lambda packet: packet != number)
        whole.unlink()

    return make


def dropped_and_emptied(name: str, codec: str = "libx264", **options: str) -> Maker:
    """N without two packets, whose time remains, and with one or two empty samples later."""

    def make(folder: Path) -> None:
        whole = film(folder / f"whole{Path(name).suffix}", N, codec, **options)
        copied(folder / name, whole, lambda packet: packet not in (8, 9))
        emptied(folder / name, (13, 17, 18))  # N without 9 and 10: 16, 20, 21
        whole.unlink()

    return make


def cut_open_group(name: str, codec: str, **options: str) -> Maker:
    """24 frames from number 10 on, of which 10, 11 and 12 cannot be decoded."""

    def make(folder: Path) -> None:
        whole = film(folder / "whole.mp4", range(1, 49), codec, **options)
        cut_from_second_key_frame(folder / name, whole, 24)
        whole.unlink()

    return make


INTRA = {"g": "1", "bf": "0"}
MOSTLY_NULL = (2, 4, 6, 9, 11, 13, 15, 17, 19, 21)  # of 24: most steps between pictures are two ticks
HELD = [max(number for number in N if number - 1 not in MOSTLY_NULL and number <= at) for at in N]
H264_OPEN = {"x264-params": OPEN_GROUPS}
H265_OPEN = {"x265-params": f"{OPEN_GROUPS}:log-level=none"}
PAIRS: dict[str, tuple[Maker, Maker, list[int]]] = {
    "with and without B-frames": (plain("f.mp4", bf="3"), plain("a.mp4", bf="0"), [*N]),
    "transport stream, which begins at 1.4 s": (plain("f.ts"), plain("a.mp4"), [*N]),
    "MPEG-4 in AVI, reordered": (plain("f.avi", codec="mpeg4", bf="2"), plain("a.mkv"), [*N]),
    "MPEG-2 program stream": (plain("f.mpg", codec="mpeg2video", bf="2"), plain("a.mov", codec="prores_ks"), [*N]),
    "VP8 with invisible frames": (
        plain("f.webm", codec="libvpx", **{"auto-alt-ref": "1", "lag-in-frames": "16"}),
        plain("a.mp4"),
        [*N],
    ),
    "other rates": (plain("f.mp4"), plain("a.mp4", rate=29.97), [*N]),
    "trimmed, matte of the displayed frames": (
        then(edited, "f.mp4", [(5, 12)], **INTRA),
        plain("a.mp4", range(6, 18)),
        [*range(6, 18)],
    ),
    "cut out of the middle": (
        then(edited, "f.mp4", [(2, 6), (15, 6)], g="4", bf="0"),
        plain("a.mp4", [*range(3, 9), *range(16, 22)]),
        [*range(3, 9), *range(16, 22)],
    ),
    "shown twice": (
        then(edited, "f.mp4", [(4, 6), (4, 6)], **INTRA),
        plain("a.mp4", [*range(5, 11)] * 2),
        [*range(5, 11)] * 2,
    ),
    "delayed": (then(edited, "f.mp4", [(-1, 3), (0, 24)], bf="0"), plain("a.mp4"), [*N]),
    "open group, matte of the displayed frames": (
        cut_open_group("f.mp4", "libx264", **H264_OPEN),
        plain("a.mp4", range(13, 34)),
        [*range(13, 34)],
    ),
    "empty samples in both": (
        then(emptied, "f.mp4", (5, 6), **INTRA),
        then(emptied, "a.mov", (5, 6), codec="mjpeg"),
        [1, 2, 3, 4, 5, 5, 5, *range(8, 25)],
    ),
    "empty samples next to a gap in both": (
        dropped_and_emptied("f.mp4", **INTRA),
        dropped_and_emptied("a.mov", codec="mjpeg"),
        [*range(1, 9), *range(11, 16), 15, *range(17, 20), 19, 19, *range(22, 25)],
    ),
    "an empty first sample, matte of the displayed frames": (
        then(emptied, "f.mov", (0,), codec="png"),
        plain("a.mp4", range(2, 25)),
        [*range(2, 25)],
    ),
    "null frames, matte of the displayed frames": (
        then(with_null_frames, "f.avi", (5, 15), codec="mjpeg"),
        plain("a.mp4", [1, 2, 3, 4, 5, 5, *range(7, 16), 15, *range(17, 25)]),
        [1, 2, 3, 4, 5, 5, *range(7, 16), 15, *range(17, 25)],
    ),
    "mostly null frames, matte of the displayed frames": (
        then(with_null_frames, "f.avi", MOSTLY_NULL, codec="mjpeg"),
        plain("a.mp4", HELD),
        HELD,
    ),
    "the same packet is missing in both": (
        dropped("f.mkv", 10, "libx264", **INTRA),
        dropped("a.mkv", 10, "mjpeg"),
        [n for n in N if n != 11],
    ),
}
COUNTS = "{} has {} frames, but {} has {}; both must match, and frame {} is the first that only one of them has"
REFUSED: dict[str, tuple[Maker, Maker, str]] = {  # colour, alpha, error text
    "open group of H.264": (
        cut_open_group("f.mp4", "libx264", **H264_OPEN),
        plain("a.mp4", range(10, 34)),
        COUNTS.format("f.mp4", 21, "a.mp4", 24, 0),
    ),
    "open group of H.265 in Matroska": (
        cut_open_group("f.mkv", "libx265", **H265_OPEN),
        plain("a.mp4", range(10, 34)),
        COUNTS.format("f.mkv", 21, "a.mp4", 24, 0),
    ),
    "matte of the untrimmed video": (
        then(edited, "f.mp4", [(5, 12)], **INTRA),
        plain("a.mp4"),
        COUNTS.format("f.mp4", 12, "a.mp4", 24, 12),
    ),
    "empty samples": (
        then(emptied, "f.mp4", (5, 6, 15), **INTRA),
        plain("a.mp4"),
        "f.mp4 has no picture for frame 5 and shows frame 4 again, but a.mp4 has a different picture there",
    ),
    "empty samples of JPEGs": (
        plain("f.mov", codec="mjpeg"),
        then(emptied, "a.mov", (7,), codec="mjpeg"),
        "a.mov has no picture for frame 7 and shows frame 6 again, but f.mov has a different picture there",
    ),
    "an empty sample first": (
        then(emptied, "f.mov", (0,), codec="prores_ks"),
        plain("a.mp4"),
        COUNTS.format("f.mov", 23, "a.mp4", 24, 0),
    ),
    "empty samples of MPEG-4": (
        plain("f.mov", codec="png"),
        then(emptied, "a.mp4", (7,), codec="mpeg4", g="1"),
        "a.mp4 has no picture for frame 7 and shows frame 6 again, but f.mov has a different picture there",
    ),
    "null frames": (
        then(with_null_frames, "f.avi", (3,), codec="ffv1"),
        plain("a.mp4"),
        "f.avi has no picture for frame 3 and shows frame 2 again, but a.mp4 has a different picture there",
    ),
    "mostly null frames, at different places": (
        then(with_null_frames, "f.avi", MOSTLY_NULL, codec="mjpeg"),
        then(with_null_frames, "a.avi", range(1, 20, 2), codec="mjpeg"),
        "a.avi has no picture for frame 1 and shows frame 0 again, but f.avi has a different picture there",
    ),
    "a packet lost in Matroska": (
        dropped("f.mkv", 10, "libx264", **INTRA),
        plain("a.mp4"),
        COUNTS.format("f.mkv", 23, "a.mp4", 24, 10),
    ),
    "one fewer at another rate": (
        plain("f.mp4"),
        plain("a.mp4", range(1, 24), rate=30),
        "f.mp4 has 24 frames, but a.mp4 has 23; both must match, and their timestamps do not show which frame",
    ),
    "one lost in the middle, the other short by its last": (
        dropped("f.mov", 10, "prores_ks"),
        plain("a.mp4", range(1, 24)),
        "f.mov and a.mp4 have 23 frames each, but frame 10 is shown at 0.440 s in one and at 0.400 s in the other",
    ),
    "packets lost between reordered frames": (
        dropped("f.ts", 10, "mpeg2video", bf="2"),
        plain("a.mp4", range(1, 24)),
        "f.ts and a.mp4 have 23 frames each, but one of them lacks frames",
    ),
}


def written(root: Path, colour: Maker, alpha: Maker) -> Path:
    folder = root / "fg/video/train/0000"
    folder.mkdir(parents=True)
    colour(folder)
    alpha(folder)
    TreeWriter(root).background("0000", size=(64, 128), frames=40)
    return root


def planned(root: Path, **fields: Any) -> ClipPlan:
    found = scan(root, "train")
    rendering = Rendering(columns=("alpha", "foreground"), clip_length=5, remainder="keep", **fields)
    return ClipPlan("video_0000_0000", found.foregrounds[0], found.backgrounds[0], 5, rendering)


def pairs(plan: ClipPlan, **options: Any) -> list[tuple[int, int]]:
    """Return the numbers in the colour and the alpha of every frame of a clip."""
    windows = render(plan, each=lambda frame: (number_in(frame.foreground), number_in(frame.alpha)), **options)
    return [pair for window in windows for pair in window.frames]


@pytest.mark.slow
@pytest.mark.parametrize("case", PAIRS)
def test_complete_videos_pair_frame_by_frame(tmp_path: Path, case: str) -> None:
    colour, alpha, numbers = PAIRS[case]
    plan = planned(written(tmp_path / "DVM", colour, alpha))
    assert pairs(plan) == [(number, number) for number in numbers]
    third = numbers[10:15]
    assert pairs(plan, numbers=[2]) == [(number, number) for number in third[: len(numbers) - 10]]
    config = DVMConfig(name="train", data_dir=str(tmp_path / "DVM"))
    findings = check(tmp_path / "DVM", configs=[config], processes=0).findings
    assert [one.code for one in findings if one.severity == "error"] == []


@pytest.mark.parametrize("case", REFUSED)
def test_mismatched_videos_are_refused_by_build_and_deep_check(tmp_path: Path, case: str) -> None:
    colour, alpha, text = REFUSED[case]
    root = written(tmp_path / "DVM", colour, alpha)
    for recipe in ("dvm", "reference"):
        with pytest.raises(SourceError, match=re.escape(f"{root / 'fg/video/train/0000'}: {text}")):
            pairs(planned(root, recipe=recipe), numbers=[3])
    assert text in errors_of_deep_check(root, tmp_path / "found")


@pytest.mark.parametrize(
    ("edits", "is_refused"),
    [
        ([(0, 10), (-1, 4), (20, 4)], True),
        ([(-1, 3), (0, 5), (-1, 2), (-1, 2), (8, 5)], True),
        ([(-1, 3), (-1, 2), (0, 10)], False),
        ([(0, 5), (8, 5), (-1, 3)], False),
    ],
)
def test_an_empty_edit_between_others_is_refused(
    tmp_path: Path, edits: list[tuple[int, int]], is_refused: bool
) -> None:
    path = edited(film(tmp_path / "f.mp4", N, **INTRA), edits)
    if is_refused:
        with pytest.raises(SourceError, match=re.escape(f"{path}: its edit list has an empty edit between others")):
            Video(path)
        with pytest.raises(SourceError, match="empty edit"):
            video_header(path)
    else:
        with Video(path) as video:
            numbers = [number_in(pixels) for _, pixels in video.colours(range(10))]
        assert numbers == [start + 1 + at for start, count in edits if start >= 0 for at in range(count)]


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(
    ("edits", "speeds", "refused"),
    [
        ([(0, 10)], [2], "2"),
        ([(0, 6), (12, 6)], [1, 0.5], "0.5"),
        ([(3, 8)], [0], "0"),  # a dwell: one frame for the duration of eight
        ([(-1, 2), (0, 9)], [1, -1], "-1"),
        ([(-1, 2), (0, 10)], [0, 1], None),  # an empty edit has no frames that a rate could change
        ([(0, 6), (6, 4)], [1, 1], None),
    ],
)
def test_an_edit_at_another_media_rate_is_refused(
    tmp_path: Path, edits: list[tuple[int, int]], speeds: list[float], refused: str | None, version: int
) -> None:
    path = edited(film(tmp_path / "f.mov", N, **INTRA), edits, speeds=speeds, version=version)
    if refused is None:
        with Video(path) as video:
            assert [number_in(pixels) for _, pixels in video.colours(range(99))] == [*range(1, 11)]
        return
    text = re.escape(f"{path}: its edit list has a media rate of {refused}, but FFmpeg shows all edits at a rate of 1")
    for read in (Video, video_header):
        with pytest.raises(SourceError, match=text):
            read(path)


JOINED = {  # runs of frames (first, count) of 60; -1: nothing for that time
    "a razor cut": [(0, 10), (10, 10)],
    "two parts between keyframes": [(11, 3), (25, 3)],
    "complete groups": [(0, 12), (24, 12)],
    "shown twice, overlapping": [(9, 11), (10, 11), (26, 3)],
    "backwards, delayed": [(-1, 3), (44, 9), (30, 14), (2, 5)],
    "to the last frame": [(50, 10), (1, 7)],
}
REORDERED: dict[str, tuple[str, dict[str, str]]] = {
    "H.264": ("libx264", {"g": "12", "bf": "2"}),
    "H.264, open groups": ("libx264", H264_OPEN),
    "H.265, open groups": ("libx265", {"x265-params": "keyint=12:bframes=3:log-level=none"}),
    "H.265, one group": ("libx265", {"x265-params": "keyint=250:bframes=4:log-level=none"}),
    "MPEG-4": ("mpeg4", {"g": "8", "bf": "2"}),
    "MPEG-2": ("mpeg2video", {"g": "12", "bf": "2"}),
}


@pytest.mark.parametrize("edits", JOINED)
@pytest.mark.parametrize("codec", REORDERED)
def test_parts_of_reordered_frames_join_without_a_gap(tmp_path: Path, codec: str, edits: str) -> None:
    name, options = REORDERED[codec]
    path = edited(film(tmp_path / "f.mov", range(1, 61), name, **options), JOINED[edits])
    numbers = [first + 1 + at for first, count in JOINED[edits] if first >= 0 for at in range(count)]
    film(tmp_path / "a.mkv", numbers, "ffv1")
    with Video(path) as colour, Video(tmp_path / "a.mkv", role="alpha") as alpha:
        times = colour.presentation().times
        assert times == pytest.approx([number / 25 for number in range(len(numbers))])
        assert colour.frame_count == len(numbers)
        assert [number_in(pixels) for _, pixels in colour.colours(range(99))] == numbers
        assert pair_fault(colour, alpha) is None
    with Video(path, max_frames=5) as colour:
        assert colour.presentation().times == pytest.approx(times[: len(colour.presentation().times)])
        assert colour.presentation().count == len(numbers)
        assert [number_in(pixels) for _, pixels in colour.colours([1, 4])] == [numbers[1], numbers[4]]
    film(tmp_path / "b.mkv", [*numbers[:4], *numbers[5:]], "ffv1")
    with Video(path) as colour, Video(tmp_path / "b.mkv", role="alpha") as alpha:
        fault = pair_fault(colour, alpha)
    assert fault is not None
    assert fault.code == "counts-differ"


@pytest.mark.slow
def test_a_video_longer_than_the_maximum_is_compared_up_to_there(tmp_path: Path) -> None:
    numbers = [*N] * 6
    path = edited(film(tmp_path / "f.mp4", numbers, g="250", bf="3"), [(3, 90), (20, 40)])
    film(tmp_path / "a.mkv", [*numbers[3:93], *numbers[20:60]], "ffv1")
    for most in range(4, 90, 3):  # the last packets before the limit are of other frames than in the alpha
        with Video(path, max_frames=most) as colour, Video(tmp_path / "a.mkv", max_frames=most, role="alpha") as alpha:
            assert pair_fault(colour, alpha) is None
            assert colour.presentation().count == 130


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_empty_samples_among_reordered_frames_keep_their_times(tmp_path: Path, suffix: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    seconds = np.cumsum(rng.choice((0.02, 0.035, 0.05, 0.11), len(N))).tolist()
    path = film(tmp_path / f"f.{suffix}", N, seconds=seconds, **{"x264-params": "bframes=2:b-pyramid=none:keyint=12"})
    which = [unused_samples(path)[at] for at in sorted(rng.choice(8, 3, replace=False))]
    emptied(path, sorted(sample for sample, _ in which))
    numbers = [*N]
    for _, index in sorted(which, key=lambda one: one[1]):
        numbers[index] = numbers[index - 1]
    film(tmp_path / "a.mkv", numbers, "ffv1", seconds=seconds)
    with Video(path) as colour, Video(tmp_path / "a.mkv", role="alpha") as alpha:
        assert [number_in(pixels) for _, pixels in colour.colours(range(99))] == numbers
        assert colour.presentation().times == pytest.approx([time - seconds[0] for time in seconds], abs=1e-4)
        assert colour.presentation().repeats == {index for _, index in which}
        assert pair_fault(colour, alpha) is None
    film(tmp_path / "b.mkv", N, "ffv1", seconds=seconds)
    with Video(path) as colour, Video(tmp_path / "b.mkv", role="alpha") as alpha:
        fault = pair_fault(colour, alpha)
    assert fault is not None
    assert fault.code == "repeats-differ"


def moving_colours(path: Path, frames: list[np.ndarray]) -> None:
    """Write frames (64, 128, 4) with a lossless alpha channel."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("qtrle", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "argb"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        container.mux(stream.encode())


@pytest.mark.parametrize("changing", ["colour beside a constant alpha channel", "hue"])
def test_a_repeated_frame_is_compared_in_the_colours_of_the_other_video(tmp_path: Path, changing: str) -> None:
    frames = [np.full((64, 128, 4), 100, np.uint8) for _ in N]
    for number, pixels in enumerate(frames):
        if changing == "hue":
            pixels[:, :64, :3] = (200, 49, 100) if number % 2 else 100  # both have about the same luma
            pixels[..., 3] = 255
        else:
            pixels[:, :64] = number * 10
            pixels[..., 3] = 200
    moving_colours(tmp_path / "f.mov", frames)
    emptied(film(tmp_path / "a.mov", N, "mjpeg"), (5,))
    with Video(tmp_path / "f.mov") as colour, Video(tmp_path / "a.mov", role="alpha") as alpha:
        found = pair_fault(colour, alpha)
    assert found is not None
    assert found.code == "repeats-differ"
    moving_colours(tmp_path / "f.mov", [*frames[:5], frames[4], *frames[6:]])
    with Video(tmp_path / "f.mov") as colour, Video(tmp_path / "a.mov", role="alpha") as alpha:
        assert pair_fault(colour, alpha) is None


def test_a_repeated_frame_does_not_match_a_damaged_one(tmp_path: Path) -> None:
    emptied(film(tmp_path / "f.mov", N, "mjpeg"), (5,))
    film(tmp_path / "a.mp4", [1, 2, 3, 4, 5, 5, *range(7, 25)], **INTRA)
    codes = []
    for _ in range(2):
        with Video(tmp_path / "f.mov") as colour, Video(tmp_path / "a.mp4", role="alpha") as alpha:
            found = pair_fault(colour, alpha)
        codes.append(found and found.code)
        voided(tmp_path / "a.mp4", 5)
    assert codes == [None, "repeats-differ"]


def errors_of_deep_check(root: Path, found: Path) -> str:
    from dvm_hf.check.check_cache import CheckCache

    config = DVMConfig(name="train", data_dir=str(root))
    report = check(root, configs=[config], checked=CheckCache(found, root), processes=0)
    return "\n".join(str(one) for one in report.findings if one.severity == "error")


def test_a_build_names_each_skipped_pair(
    tmp_path: Path, load: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    root = written(tmp_path / "DVM", *REFUSED["open group of H.264"][:2])
    TreeWriter(root).moving("good", frames=24)
    fields = {"data_dir": str(root), "split": "train", "clip_length": 4, "backgrounds_per_foreground": 1}
    rows = load("train", on_error="skip", **fields)
    assert set(rows["foreground_name"]) == {"good"}
    assert "f.mp4 has 21 frames, but a.mp4 has 24" in caplog.text


@pytest.mark.parametrize(
    ("make", "numbers"),
    [
        (then(with_null_frames, "x.avi", (5, 6), codec="mjpeg"), [1, 2, 3, 4, 5, 5, 5, *range(8, 25)]),
        (then(emptied, "x.mov", (5, 6, 15), codec="mjpeg"), [1, 2, 3, 4, 5, 5, 5, *range(8, 16), 15, *range(17, 25)]),
        (then(emptied, "x.mp4", (2,), **INTRA), [1, 2, 2, *range(4, 25)]),
        (then(emptied, "x.mov", (5, 6, 23), codec="png"), [1, 2, 3, 4, 5, 5, 5, *range(8, 24), 23]),
        (then(emptied, "x.mov", (1, 15), codec="prores_ks"), [1, 1, *range(3, 16), 15, *range(17, 25)]),
        (then(emptied, "x.mov", (5, 6), codec="qtrle", g="1"), [1, 2, 3, 4, 5, 5, 5, *range(8, 25)]),
        (then(emptied, "x.mp4", (5, 6, 23), codec="mpeg4", g="1"), [1, 2, 3, 4, 5, 5, 5, *range(8, 24), 23]),
        (then(emptied, "x.mov", (3,), codec="mpeg2video", g="1"), [1, 2, 3, 3, *range(5, 25)]),
        (then(emptied, "x.mov", (0,), codec="png"), [*range(2, 25)]),
        (then(emptied, "x.mov", (0, 1, 7), codec="prores_ks"), [3, 4, 5, 6, 7, 7, *range(9, 25)]),
        (then(emptied, "x.mp4", (0, 7), codec="mpeg4", g="1"), [*range(2, 8), 7, *range(9, 25)]),
        (cut_open_group("x.mp4", "libx265", **H265_OPEN), [*range(13, 34)]),
        (then(edited, "x.mp4", [(9, 12)], g="4", bf="0"), [*range(10, 22)]),
    ],
)
def test_a_single_video_is_read_like_a_player_shows_it(tmp_path: Path, make: Maker, numbers: list[int]) -> None:
    make(tmp_path)
    (path,) = tmp_path.iterdir()
    with Video(path) as video:
        assert video.frame_count == len(numbers)
        assert [number_in(pixels) for _, pixels in video.colours(range(99))] == numbers
    with Video(path, max_frames=9) as video:
        assert [number_in(pixels) for _, pixels in video.colours([4, 7, 8])] == [numbers[4], numbers[7], numbers[8]]


def test_frames_contain_their_numbers() -> None:
    from numbered_films import picture

    noise = np.random.default_rng(0)
    for number in (0, 1, 77, 128, 255):
        pixels = picture(number)
        assert number_in(pixels) == number_in(pixels[..., 0]) == number
        assert number_in(np.clip(pixels + noise.normal(0, 20, pixels.shape), 0, 255)) == number
