"""Frame i of a matte belongs to frame i of its colour: every frame of these films carries its number in its pixels."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    with_null_frames,
)

from dvm_hf.check.report import check
from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.clips.windows import render
from dvm_hf.dataset.config import DVMConfig
from dvm_hf.errors import SourceError
from dvm_hf.media.videos import Video
from dvm_hf.sources.tree import scan

N = range(1, 25)
Maker = Callable[[Path], object]


def plain(name: str, numbers: Any = N, codec: str = "libx264", **options: Any) -> Maker:
    return lambda folder: film(folder / name, numbers, codec, **options)


def then(change: Callable[..., Path], name: str, *values: Any, codec: str = "libx264", **options: str) -> Maker:
    """A film of N, changed in its file."""
    return lambda folder: change(film(folder / name, N, codec, **options), *values)


def dropped(name: str, number: int, codec: str, **options: str) -> Maker:
    """Without one packet."""

    def make(folder: Path) -> None:
        whole = film(folder / f"whole{Path(name).suffix}", N, codec, **options)
        copied(folder / name, whole, lambda packet: packet != number)
        whole.unlink()

    return make


def dropped_and_emptied(name: str, codec: str = "libx264", **options: str) -> Maker:
    """N without two packets, whose time stays, and with an empty sample later, or two at once."""

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
H264_OPEN = {"x264-params": OPEN_GROUPS}
H265_OPEN = {"x265-params": f"{OPEN_GROUPS}:log-level=none"}
PAIRS: dict[str, tuple[Maker, Maker, list[int]]] = {
    "B-frames and none": (plain("f.mp4", bf="3"), plain("a.mp4", bf="0"), [*N]),
    "transport stream, which begins at 1.4 s": (plain("f.ts"), plain("a.mp4"), [*N]),
    "MPEG-4 in AVI, reordered": (plain("f.avi", codec="mpeg4", bf="2"), plain("a.mkv"), [*N]),
    "MPEG-2 program stream": (plain("f.mpg", codec="mpeg2video", bf="2"), plain("a.mov", codec="prores_ks"), [*N]),
    "VP8 with invisible frames": (
        plain("f.webm", codec="libvpx", **{"auto-alt-ref": "1", "lag-in-frames": "16"}),
        plain("a.mp4"),
        [*N],
    ),
    "other rates": (plain("f.mp4"), plain("a.mp4", rate=29.97), [*N]),
    "trimmed, matte of what is shown": (
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
    "open group, matte of what is shown": (
        cut_open_group("f.mp4", "libx264", **H264_OPEN),
        plain("a.mp4", range(13, 34)),
        [*range(13, 34)],
    ),
    "empty samples in both": (
        then(emptied, "f.mp4", (5, 6), **INTRA),
        then(emptied, "a.mov", (5, 6), codec="mjpeg"),
        [1, 2, 3, 4, 5, 5, 5, *range(8, 25)],
    ),
    "empty samples beside a gap in both": (
        dropped_and_emptied("f.mp4", **INTRA),
        dropped_and_emptied("a.mov", codec="mjpeg"),
        [*range(1, 9), *range(11, 16), 15, *range(17, 20), 19, 19, *range(22, 25)],
    ),
    "an empty sample first, matte of what is shown": (
        then(emptied, "f.mov", (0,), codec="png"),
        plain("a.mp4", range(2, 25)),
        [*range(2, 25)],
    ),
    "null frames, matte of what is shown": (
        then(with_null_frames, "f.avi", (5, 15), codec="mjpeg"),
        plain("a.mp4", [1, 2, 3, 4, 5, 5, *range(7, 16), 15, *range(17, 25)]),
        [1, 2, 3, 4, 5, 5, *range(7, 16), 15, *range(17, 25)],
    ),
    "the same packet lacks in both": (
        dropped("f.mkv", 10, "libx264", **INTRA),
        dropped("a.mkv", 10, "mjpeg"),
        [n for n in N if n != 11],
    ),
}
COUNTS = "{} has {} frames, but {} has {}; both must match, and frame {} is the first that only one of them has"
REFUSED: dict[str, tuple[Maker, Maker, str]] = {  # and what is said, beside which file
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
    "matte of the whole trimmed film": (
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
    "a packet lost in Matroska": (
        dropped("f.mkv", 10, "libx264", **INTRA),
        plain("a.mp4"),
        COUNTS.format("f.mkv", 23, "a.mp4", 24, 10),
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
    """The numbers in the colour and in the alpha of every frame of a clip."""
    windows = render(plan, each=lambda frame: (number_in(frame.foreground), number_in(frame.alpha)), **options)
    return [pair for window in windows for pair in window.frames]


@pytest.mark.slow
@pytest.mark.parametrize("case", PAIRS)
def test_whole_films_pair_frame_by_frame(tmp_path: Path, case: str) -> None:
    colour, alpha, numbers = PAIRS[case]
    plan = planned(written(tmp_path / "DVM", colour, alpha))
    assert pairs(plan) == [(number, number) for number in numbers]
    third = numbers[10:15]
    assert pairs(plan, numbers=[2]) == [(number, number) for number in third[: len(numbers) - 10]]
    told = check(tmp_path / "DVM", configs=[DVMConfig(name="train", data_dir=str(tmp_path / "DVM"))]).findings
    assert [one.code for one in told if one.severity == "error"] == []


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_pair_is_refused_by_name_by_build_and_deep_check_alike(tmp_path: Path, case: str) -> None:
    colour, alpha, text = REFUSED[case]
    root = written(tmp_path / "DVM", colour, alpha)
    for recipe in ("dvm", "reference"):
        with pytest.raises(SourceError, match=re.escape(f"{root / 'fg/video/train/0000'}: {text}")):
            pairs(planned(root, recipe=recipe), numbers=[3])
    assert text in errors_of_deep_check(root, tmp_path / "found")


def errors_of_deep_check(root: Path, found: Path) -> str:
    from dvm_hf.check.check_cache import CheckCache

    config = DVMConfig(name="train", data_dir=str(root))
    report = check(root, configs=[config], checked=CheckCache(found, root), processes=0)
    return "\n".join(str(one) for one in report.findings if one.severity == "error")


def test_a_build_that_skips_says_which_pair_it_has_left_out(
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
def test_a_single_film_is_read_as_a_player_shows_it(tmp_path: Path, make: Maker, numbers: list[int]) -> None:
    make(tmp_path)
    (path,) = tmp_path.iterdir()
    with Video(path) as video:
        assert video.frame_count == len(numbers)
        assert [number_in(pixels) for _, pixels in video.colours(range(99))] == numbers
    with Video(path, most=9) as video:
        assert [number_in(pixels) for _, pixels in video.colours([4, 7, 8])] == [numbers[4], numbers[7], numbers[8]]


def test_pictures_carry_their_numbers() -> None:
    from numbered_films import picture

    noise = np.random.default_rng(0)
    for number in (0, 1, 77, 128, 255):
        pixels = picture(number)
        assert number_in(pixels) == number_in(pixels[..., 0]) == number
        assert number_in(np.clip(pixels + noise.normal(0, 20, pixels.shape), 0, 255)) == number
