"""recipe="reference" against a plain rendering written from the description of the published pipeline alone.

That rendering, `published`, is in the benchmarks, which measure against it.
"""

import random
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from conftest import soft_disc
from media_arrays import smooth, with_container_tags
from PIL import Image
from published import published_frames, published_walk

from dvm_hf import ClipPlan, Rendering, render
from dvm_hf.errors import SourceError
from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.media.video.video_writing import write_video
from dvm_hf.sources.records import Background, Foreground

IMAGES = ("frames", "alpha", "foreground", "background")


def assert_published(plan: ClipPlan) -> int:
    """Compare every pixel of every frame; return the number of frames."""
    frames = [frame for window in render(plan, each=lambda frame: frame) for frame in window.frames]
    expected = list(published_frames(plan))
    assert len(frames) == len(expected) > 0
    for frame, (v, a, f, b) in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame.composite, v[..., ::-1])
        np.testing.assert_array_equal(frame.alpha, a[..., 2])  # red
        np.testing.assert_array_equal(frame.foreground, f[..., ::-1])
        np.testing.assert_array_equal(frame.background, b[..., ::-1])
    return len(frames)


def reference_plan(foreground: Foreground, background: Path, *, seed: int = 2019, **changes: object) -> ClipPlan:
    rendering = Rendering(**({"recipe": "reference", "columns": IMAGES} | changes))
    return ClipPlan("clip", foreground, Background("b", background), seed=seed, rendering=rendering)


def busy(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Coloured noise of two scales, in which a subpixel shift is visible."""
    coarse = cv2.resize(rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8), (width, height))
    return cv2.addWeighted(coarse, 0.7, rng.integers(0, 256, (height, width, 3), np.uint8), 0.3, 0)


def matte(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A soft disc with hairs out to the edges."""
    alpha = soft_disc(height, width)
    for _ in range(60):
        ends = rng.integers(0, (width, height), (2, 2))
        cv2.line(alpha, ends[0].tolist(), ends[1].tolist(), int(rng.integers(20, 255)), 1, cv2.LINE_AA)
    return alpha


def drifting(wide: np.ndarray, width: int, frames: int) -> Iterator[np.ndarray]:
    return (np.ascontiguousarray(wide[:, 2 * i : 2 * i + width]) for i in range(frames))


def still_in(folder: Path, size: tuple[int, int]) -> Foreground:
    rng = np.random.default_rng(size)
    write_image(folder / "colour.png", busy(rng, *size))
    write_image(folder / "alpha.png", matte(rng, *size))
    return Foreground("image", "still", folder / "colour.png", folder / "alpha.png")


def moving_in(folder: Path, size: tuple[int, int], frames: int) -> Foreground:
    rng, (height, width) = np.random.default_rng(size), size
    write_video(folder / "f.mp4", drifting(busy(rng, height, width + 2 * frames), width, frames))
    write_video(folder / "a.mp4", drifting(matte(rng, height, width + 2 * frames), width, frames))
    return Foreground("video", "0000", folder / "f.mp4", folder / "a.mp4")


def background_in(folder: Path, size: tuple[int, int], frames: int) -> Path:
    wide = busy(np.random.default_rng(size), size[0], size[1] + 2 * frames)
    write_video(folder / "background.mp4", drifting(wide, size[1], frames))
    return folder / "background.mp4"


@pytest.mark.parametrize("still", [(160, 110), (90, 161), (101, 75), (64, 64)])
@pytest.mark.parametrize("background", [(72, 128), (128, 72), (240, 320), (160, 110)])
def test_images_of_every_shape_have_the_published_pixels(
    tmp_path: Path, still: tuple[int, int], background: tuple[int, int]
) -> None:
    plan = reference_plan(still_in(tmp_path, still), background_in(tmp_path, background, 9), max_size=128)
    assert assert_published(plan) == 9


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_long_walks_have_the_published_pixels(tmp_path: Path, seed: int) -> None:
    foreground, background = still_in(tmp_path, (40, 51)), background_in(tmp_path, (48, 64), 240)
    assert assert_published(reference_plan(foreground, background, seed=seed, max_image_frames=240)) == 240


def test_long_walks_bounce_and_reach_both_zoom_limits() -> None:
    rng = [random.Random(seed) for seed in range(6)]
    for one in rng:  # the draws of the crop come first
        one.randint(0, 3)
        one.randint(0, 0)
    places = [place for one in rng for _, place in zip(range(240), published_walk(one, 48, 61), strict=False)]
    rows, columns, angles, zooms = (np.array(values) for values in zip(*places, strict=True))
    assert min(rows) < 4
    assert max(rows) > 43
    assert min(columns) < 5
    assert max(columns) > 55
    assert max(abs(angles)) > 45
    assert min(zooms) < 0.9
    assert max(zooms) > 1.1


@pytest.mark.parametrize("size", [(60, 80), (44, 130), (150, 90)])
@pytest.mark.parametrize("background", [(72, 128), (200, 300)])
def test_video_foregrounds_have_the_published_pixels(
    tmp_path: Path, size: tuple[int, int], background: tuple[int, int]
) -> None:
    plan = reference_plan(moving_in(tmp_path, size, 12), background_in(tmp_path, background, 14), max_size=128)
    assert assert_published(plan) == 12


def test_an_alpha_video_with_colour_keeps_its_three_channels(tmp_path: Path) -> None:
    foreground, rng = moving_in(tmp_path, (48, 64), 5), np.random.default_rng(0)
    tint = np.dstack([matte(rng, 48, 64), np.roll(matte(rng, 48, 64), 3, 1), matte(rng, 48, 64) // 2])
    write_video(foreground.alpha, (tint for _ in range(5)))
    assert assert_published(reference_plan(foreground, background_in(tmp_path, (72, 96), 5))) == 5


@pytest.mark.parametrize("moving", [False, True])
def test_the_background_blur_has_the_published_pixels(tmp_path: Path, moving: bool) -> None:
    foreground = moving_in(tmp_path, (60, 70), 5) if moving else still_in(tmp_path, (60, 70))
    assert (
        assert_published(reference_plan(foreground, background_in(tmp_path, (90, 120), 5), background_blur=True)) == 5
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["h264_10bits.mp4", "bt709_full_range.mp4", "nasa_13013.mp4", "h265_video.mp4"])
def test_camera_backgrounds_have_the_published_pixels(camera_media: Path, name: str) -> None:
    foreground = Foreground("image", "lemur", camera_media / "lemur_foreground.png", camera_media / "lemur_alpha.png")
    assert_published(reference_plan(foreground, camera_media / name, max_image_frames=12))


@pytest.mark.parametrize(("pix_fmt", "color_range"), [("yuv420p10le", 1), ("yuvj420p", 2)])
def test_ten_bit_and_full_range_backgrounds_have_the_published_pixels(
    tmp_path: Path, pix_fmt: str, color_range: int
) -> None:
    with av.open(str(tmp_path / "b.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, pix_fmt
        stream.codec_context.color_range = color_range
        for shift in range(6):
            ramp = np.add.outer(np.arange(96) * 3, np.arange(128) * 2 + 9 * shift) % 256
            rgb = np.dstack([ramp, ramp[::-1], ramp[:, ::-1]]).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    assert assert_published(reference_plan(still_in(tmp_path, (70, 60)), tmp_path / "b.mp4")) == 6


@pytest.mark.parametrize("matrix", [1, 9])
def test_a_matrix_that_only_the_container_declares_is_ignored_as_in_opencv(tmp_path: Path, matrix: int) -> None:
    frames = (smooth(60, 80, shift=8 * index) for index in range(18))
    paths = []
    for name in ("f", "a", "b"):
        source = tmp_path / f"{name}_stream.mp4"
        with av.open(str(source), "w") as container:
            stream = container.add_stream("libx265", rate=25, options={"x265-params": "log-level=none:pools=none"})
            stream.width, stream.height, stream.pix_fmt = 80, 60, "yuv420p"
            for _ in range(6):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(next(frames), format="rgb24")))
            container.mux(stream.encode(None))
        paths.append(with_container_tags(source, tmp_path / f"{name}.mp4", matrix=matrix))
    plan = reference_plan(Foreground("video", "0", *paths[:2]), paths[2])
    assert assert_published(plan) == 6


@pytest.mark.parametrize("trimap", ["dvm-test", "dvm-train", 6])
def test_a_crop_equals_the_crop_of_the_full_frame(tmp_path: Path, trimap: str | int) -> None:
    foreground, background = still_in(tmp_path, (100, 120)), background_in(tmp_path, (60, 80), 8)
    changes = {"clip_length": 4, "trimap": trimap, "columns": (*IMAGES, "trimap")}
    plans = [reference_plan(foreground, background, **changes, crop_size=size) for size in (None, 40)]
    for whole, part in zip(*(render(plan, each=lambda frame: frame) for plan in plans), strict=True):
        cut = np.s_[part.view.top : part.view.bottom, part.view.left : part.view.right]
        for a, b in zip(whole.frames, part.frames, strict=True):
            for layer in ("composite", "alpha", "trimap", "foreground", "background"):
                np.testing.assert_array_equal(getattr(a, layer)[cut], getattr(b, layer))


def test_training_trimaps_are_drawn_for_each_frame_from_the_published_kernels(tmp_path: Path) -> None:
    foreground, background = still_in(tmp_path, (100, 120)), background_in(tmp_path, (120, 160), 12)
    plan = reference_plan(foreground, background, trimap="dvm-train", columns=("alpha", "trimap"))
    kernels = set()
    for window in render(plan, each=lambda frame: frame):
        for frame in window.frames:
            fits = [
                key for key in product((2, 3, 4), range(5, 15)) if (_trimap(frame.alpha, *key) == frame.trimap).all()
            ]
            assert fits
            kernels.add(fits[0])
    assert len(kernels) > 3


def _trimap(alpha: np.ndarray, size: int, iterations: int) -> np.ndarray:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    lowest, highest = (change(alpha, kernel, iterations=iterations) for change in (cv2.erode, cv2.dilate))
    return np.where(lowest >= 255, 255, np.where(highest <= 0, 0, 128))


def alphas_of_many_kinds(alpha: np.ndarray) -> dict[str, Image.Image]:
    opaque = np.full_like(alpha, 255)
    rgb = [np.dstack([alpha, alpha, alpha]), np.dstack([alpha, 255 - alpha, alpha // 2])]
    return {
        "coloured": Image.fromarray(rgb[1]),
        "with an alpha channel": Image.fromarray(np.dstack([rgb[0], 255 - alpha])),
        "white with an alpha channel": Image.fromarray(np.dstack([opaque, opaque, opaque, alpha])),
        "grey with an alpha channel": Image.fromarray(np.dstack([alpha, 255 - alpha])),
        "palette": Image.fromarray(rgb[1]).quantize(32),
        "16 bit": Image.fromarray(alpha.astype(np.uint16) * 256 + 200),
    }


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize("max_size", [1920, 50], ids=["own size", "shrunk"])
@pytest.mark.parametrize("kind", alphas_of_many_kinds(np.zeros((2, 2), np.uint8)))
def test_alphas_are_read_as_the_published_code_reads_them(tmp_path: Path, kind: str, max_size: int) -> None:
    foreground, background = still_in(tmp_path, (60, 71)), background_in(tmp_path, (72, 96), 4)
    alphas_of_many_kinds(matte(np.random.default_rng(3), 60, 71))[kind].save(foreground.alpha)
    plan = reference_plan(foreground, background, max_size=max_size)
    assert assert_published(plan) == 4
    assert_published(reference_plan(foreground, background, max_size=max_size, background_blur=True))


def test_colours_of_16_bits_are_truncated_to_8_like_in_the_published_code(tmp_path: Path) -> None:
    foreground, background = still_in(tmp_path, (60, 71)), background_in(tmp_path, (72, 96), 3)
    deep = np.random.default_rng(4).integers(0, 1 << 16, (60, 71, 3)).astype(np.uint16)
    cv2.imwrite(str(foreground.colour), deep)
    assert assert_published(reference_plan(foreground, background)) == 3


@pytest.mark.parametrize("size", [(73, 96), (72, 97), (73, 97)])
def test_backgrounds_of_odd_sides_have_the_published_pixels(tmp_path: Path, size: tuple[int, int]) -> None:
    wide = busy(np.random.default_rng(size), size[0], size[1] + 8)
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for pixels in drifting(wide, size[1], 4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    foreground = still_in(tmp_path, (60, 71))
    assert assert_published(reference_plan(foreground, path)) == 4


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1)])
def test_a_still_that_the_published_zoom_shrinks_to_nothing_is_named(tmp_path: Path, size: tuple[int, int]) -> None:
    background = background_in(tmp_path, (72, 96), 3)
    write_image(tmp_path / "colour.png", np.full((*size, 3), 9, np.uint8))
    write_image(tmp_path / "alpha.png", np.full(size, 255, np.uint8))
    foreground = Foreground("image", "still", tmp_path / "colour.png", tmp_path / "alpha.png")
    with pytest.raises(SourceError, match=rf"colour.png: is {size[1]} x {size[0]} px; .* use recipe='dvm'"):
        list(render(reference_plan(foreground, background), each=lambda frame: frame))
