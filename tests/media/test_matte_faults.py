"""An invalid matte is refused by a build and is an error of `check --deep`, with the same text."""

import re
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import TreeWriter, soft_disc
from PIL import Image

from dvm_hf.check.check_cache import CheckCache
from dvm_hf.check.report import check
from dvm_hf.clips.windows import render
from dvm_hf.dataset.config import DVMConfig, plans
from dvm_hf.errors import SourceError
from dvm_hf.media.still.stills import read_grey
from dvm_hf.media.video.videos import Video

STILL, VIDEO = "fg/image/train/alpha/disc.png", "fg/video/train/0000/a.mkv"
SIZE = (48, 40)
DISC = soft_disc(*SIZE)
ZERO, FULL = np.zeros_like(DISC), np.full_like(DISC, 255)
CHECKER = np.kron(np.indices((6, 5)).sum(0) % 2, np.ones((8, 8))).astype(np.uint8) * 255
SPECKS = (np.arange(48 * 40).reshape(48, 40) % 4).astype(np.uint8)  # 0 .. 3: like one level after compression
BAR = np.where(np.arange(40) < 9, 255, 0).astype(np.uint8) * np.ones((48, 1), np.uint8)


def still(*channels: np.ndarray, suffix: str = "png", **options: object) -> Callable[[Path], None]:
    """An alpha with these channels."""

    def write(root: Path) -> None:
        pixels = channels[0] if len(channels) == 1 else np.dstack(channels)
        path = root / STILL
        path.unlink()
        Image.fromarray(pixels).save(path.with_suffix(f".{suffix}"), **options)

    return write


def video(*frames: tuple[np.ndarray, ...], codec: str = "ffv1", layout: str = "bgr0") -> Callable[[Path], None]:
    """An alpha video whose frames have these channels, lossless: bgr0, bgra or gray."""

    def write(root: Path) -> None:
        (root / VIDEO).with_suffix(".mp4").unlink()
        with av.open(str((root / VIDEO).with_suffix(".mp4")), "w", format="matroska") as container:
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = *SIZE, layout
            for channels in frames:
                pixels = channels[0] if len(channels) == 1 else np.ascontiguousarray(np.dstack(channels))
                name = {1: "gray", 3: "rgb24", 4: "rgba"}[len(channels)]
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format=name).reformat(format=layout)))
            container.mux(stream.encode(None))

    return write


@pytest.fixture
def root(tree: TreeWriter) -> Path:
    tree.still("disc", size=SIZE)
    tree.moving("0000", size=SIZE, frames=12)
    tree.background()
    return tree.root


def alphas_of_build(root: Path, kind: str) -> list[np.ndarray]:
    config = DVMConfig(
        name="train", data_dir=str(root), kinds=(kind,), columns=("frames", "alpha"), clip_length=1, remainder="keep"
    )
    plan = plans(config).clips[0]
    return [frame.alpha for window in render(plan, each=lambda frame: frame) for frame in window.frames]


def problems(root: Path, tmp_path: Path) -> dict[str, str]:
    """Return errors and warnings of a deep check about the alphas, by code."""
    config = DVMConfig(name="train", data_dir=str(root))
    report = check(root, configs=[config], checked=CheckCache(tmp_path / "found", root), processes=0)
    found = [one for one in report.findings if one.severity != "note" and ("alpha" in one.path or "a.mp4" in one.path)]
    assert all(one.severity == "error" for one in found if one.code in MATTE_ERRORS)
    return {one.code: str(one) for one in found}


MATTE_ERRORS = ("alpha-one-level", "alpha-dark", "alpha-one-channel")
OPAQUE = {
    "grey": ("image", still(FULL)),
    "three channels": ("image", still(FULL, FULL, FULL)),
    "video": ("video", video(*[(FULL, FULL, FULL)] * 12)),
    "grey video": ("video", video(*[(FULL,)] * 12, layout="gray")),
    "grey video, but for compression": ("video", video(*[(255 - SPECKS,)] * 12, layout="gray")),
}


@pytest.mark.parametrize("case", OPAQUE)
def test_an_opaque_alpha_is_built_with_a_warning(root: Path, tmp_path: Path, case: str) -> None:
    kind, write = OPAQUE[case]
    write(root)
    assert [*problems(root, tmp_path)] == ["alpha-flat"]
    assert all(alpha.max() == 255 for alpha in alphas_of_build(root, kind))


DEEP = DISC.astype(int)
REFUSED: dict[str, tuple[str, Callable[[Path], None], str, str]] = {
    # kind, contents, code of the finding, its text
    "red of three": ("image", still(DISC, ZERO, ZERO), "alpha-one-channel", "only in its red channel, so"),
    "green, others white": ("image", still(FULL, CHECKER, FULL), "alpha-one-channel", "only in its green"),
    "red and blue": ("image", still(BAR, ZERO, BAR), "alpha-one-channel", "only in its red and blue channels, so"),
    "red of an opaque four": ("image", still(DISC, ZERO, ZERO, FULL), "alpha-one-channel", "only in its red"),
    "blue of a JPEG": ("image", still(ZERO, ZERO, BAR, suffix="jpg", quality=90), "alpha-one-channel", "in its blue"),
    "10 bits in 16": (
        "image",
        still((DEEP * 1023 // 255).astype(np.uint16)),
        "alpha-dark",
        "has no value above 4 of 255",
    ),
    "12 bits in 16": (
        "image",
        still((DEEP * 4095 // 255).astype(np.uint16)),
        "alpha-dark",
        "has no value above 16 of 255",
    ),
    "0 and 1": ("image", still(CHECKER // 255), "alpha-dark", "has no value above 1 of 255"),
    "one level of grey": (
        "image",
        still(np.full_like(DISC, 128)),
        "alpha-one-level",
        "is 128 everywhere: an alpha needs",
    ),
    "one level of a channel": (
        "image",
        still(DISC, DISC, DISC, np.full_like(DISC, 90)),
        "alpha-one-level",
        "is 90 everywhere: an alpha needs",
    ),
    "red of a video": ("video", video(*[(DISC, ZERO, ZERO)] * 12), "alpha-one-channel", "has a matte only in its red"),
    "blue of a video, others white": (
        "video",
        video(*[(FULL, FULL, CHECKER)] * 12),
        "alpha-one-channel",
        "only in its blue",
    ),
    "green after empty frames": (
        "video",
        video(*[(ZERO,) * 3] * 8, *[(ZERO, BAR, ZERO)] * 4),
        "alpha-one-channel",
        "only in its green",
    ),
    "one level of a video": (
        "video",
        video(*[(FULL // 2,)] * 12, layout="gray"),
        "alpha-one-level",
        "is 127 everywhere",
    ),
    "one level of a video, but for compression": (
        "video",
        video(*[(100 + SPECKS,)] * 12, layout="gray"),
        "alpha-one-level",
        "is 100 everywhere",
    ),
    "one level that drifts from frame to frame": (
        "video",
        video(*[(np.full_like(DISC, 200 + number // 4),) for number in range(12)], layout="gray"),
        "alpha-one-level",
        "is 200 everywhere",
    ),
    "0 and 1 in a video": (
        "video",
        video(*[(CHECKER // 255,)] * 12, layout="gray"),
        "alpha-dark",
        "has no value above 1 of 255",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_invalid_matte_is_refused_by_build_and_check(root: Path, tmp_path: Path, case: str) -> None:
    kind, write, code, text = REFUSED[case]
    write(root)
    with pytest.raises(SourceError, match=re.escape(text)) as raised:
        alphas_of_build(root, kind)
    found = problems(root, tmp_path)
    assert str(raised.value).removeprefix(f"{root}/") == found[code]


READ: dict[str, tuple[Callable[[Path], None], np.ndarray]] = {
    "grey in three": (still(DISC, DISC, DISC), DISC),
    "grey in an opaque four": (still(CHECKER, CHECKER, CHECKER, FULL), CHECKER),
    "the fourth, colours of one value": (still(FULL, ZERO, ZERO, DISC), DISC),
    "the second of grey": (still(FULL, BAR), BAR),
}


@pytest.mark.parametrize("case", READ)
def test_a_recognizable_matte_is_read(root: Path, tmp_path: Path, case: str) -> None:
    write, expected = READ[case]
    write(root)
    assert np.array_equal(read_grey(root / STILL), expected)
    assert problems(root, tmp_path) == {}
    assert any(alpha.max() == 255 for alpha in alphas_of_build(root, "image"))


READ_VIDEOS = {
    "grey in three": (video(*[(BAR, BAR, BAR)] * 12), BAR, []),
    "a channel, colours of one value": (video(*[(FULL, ZERO, ZERO, CHECKER)] * 12, layout="bgra"), CHECKER, []),
    "opaque at first": (video(*[(FULL,)] * 11, (BAR,), layout="gray"), FULL, []),
    "two levels that compression does not make": (
        video(*[(np.where(CHECKER, np.uint8(104), np.uint8(100)),)] * 12, layout="gray"),
        np.where(CHECKER, 104, 100),
        ["alpha-no-full", "alpha-no-zero"],
    ),
    "empty at first": (video(*[(ZERO,)] * 8, *[(CHECKER,)] * 4, layout="gray"), ZERO, []),
}


@pytest.mark.parametrize("case", READ_VIDEOS)
def test_all_frames_of_a_video_are_considered(root: Path, tmp_path: Path, case: str) -> None:
    write, first, expected = READ_VIDEOS[case]
    write(root)
    path = (root / VIDEO).with_suffix(".mp4")
    with Video(path, role="alpha") as opened:
        ((_, alpha),) = opened.alphas([0])
    assert np.array_equal(alpha, first)
    assert [*problems(root, tmp_path)] == expected
    assert len(alphas_of_build(root, "video")) == 12


NEARLY = {
    "254 in 8 bits": (still(np.minimum(DISC, 254)), "alpha-nearly-full"),
    "254 in 16 bits": (still((np.minimum(DISC, 254).astype(np.uint16)) * 257), "alpha-nearly-full"),
    "8 bits cut to 7": (still(DISC // 2 * 2), "alpha-nearly-full"),
    "few at 254": (still(np.where(np.add.outer(np.arange(48), np.arange(40)) == 0, 254, DISC // 2)), "alpha-no-full"),
}


@pytest.mark.parametrize("case", NEARLY)
def test_opaque_alpha_below_255_is_a_warning(root: Path, tmp_path: Path, case: str) -> None:
    write, code = NEARLY[case]
    write(root)
    assert [*problems(root, tmp_path)] == [code]
    assert alphas_of_build(root, "image")


FULL_BUT_ONE = np.full((48, 40), 255, np.uint8)
FULL_BUT_ONE[0, :3] = 0
GREY_MATTE = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (48, 1))
CHANNELS: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "a matte next to an opaque channel": (
        still(GREY_MATTE, GREY_MATTE, GREY_MATTE, FULL_BUT_ONE),
        ["alpha-channel-opaque"],
    ),
    "the same in grey and alpha": (still(GREY_MATTE, FULL_BUT_ONE), ["alpha-channel-opaque"]),
    "colours next to it": (still(GREY_MATTE, ZERO, ZERO, FULL_BUT_ONE), []),
    "one grey level next to it": (still(ZERO + 90, ZERO + 90, ZERO + 90, FULL_BUT_ONE), []),
    "a channel with a matte": (still(GREY_MATTE, GREY_MATTE, GREY_MATTE, DISC), []),
}


VIDEO_CHANNELS: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "a matte next to an opaque channel": (
        video(*[(GREY_MATTE, GREY_MATTE, GREY_MATTE, FULL_BUT_ONE)] * 12, layout="bgra"),
        ["alpha-channel-opaque"],
    ),
    "colours next to it": (video(*[(GREY_MATTE, ZERO, ZERO, FULL_BUT_ONE)] * 12, layout="bgra"), []),
    "a channel with a matte": (video(*[(GREY_MATTE, GREY_MATTE, GREY_MATTE, DISC)] * 12, layout="bgra"), []),
}


@pytest.mark.parametrize("case", VIDEO_CHANNELS)
def test_video_alpha_channels_that_are_mostly_opaque_are_a_warning(root: Path, tmp_path: Path, case: str) -> None:
    write, expected = VIDEO_CHANNELS[case]
    write(root)
    assert [code for code in problems(root, tmp_path) if code == "alpha-channel-opaque"] == expected


@pytest.mark.parametrize("case", CHANNELS)
def test_a_matte_in_the_colours_next_to_an_opaque_alpha_channel_is_a_warning(
    root: Path, tmp_path: Path, case: str
) -> None:
    write, expected = CHANNELS[case]
    write(root)
    assert [code for code in problems(root, tmp_path) if code == "alpha-channel-opaque"] == expected
