"""Effects of a camera: noise, defocus and compression, and the layers that do not change."""

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from conftest import TreeWriter
from PIL import Image
from scipy import ndimage
from textured_clips import LAYERS, draw_textured_sources, pixels, plan_of, windows

from dvm_hf.clips.appearance.sensor_noise import sensor_noise
from dvm_hf.media.pixels import Box

pytestmark = pytest.mark.one_lane
CAMERAS = ("noise=5", "jpeg=30", "h264=40", "defocus=20", "defocus,noise,jpeg")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_textured_sources(tmp_path_factory.mktemp("filmed"))


@pytest.mark.parametrize("deviation", [0.7, 4.0, 20.0])
def test_noise_is_normal_and_independent(deviation: float) -> None:
    noise = sensor_noise(deviation, key=7, frame=3, view=Box(10, 70, 310, 390)).astype(float)
    assert noise.shape == (300, 320, 3)
    assert noise.mean() == pytest.approx(0, abs=5 * deviation / np.sqrt(noise.size))
    assert noise.var() == pytest.approx(deviation**2 + 1 / 12, rel=0.03)  # 1/12: of rounding
    if deviation > 3:  # so that rounding has little influence on the shape
        assert np.mean(np.abs(noise) <= deviation) == pytest.approx(0.6827, abs=0.02 + 0.5 / deviation)
        assert np.mean(noise**4) / noise.var() ** 2 == pytest.approx(3, abs=0.1)
    for other in (noise[1:, :, :2], noise[..., 1:]):
        pair = noise[: len(other), :, : other.shape[2]] if other.shape[0] < 300 else noise[..., :2]
        assert abs(np.corrcoef(pair.ravel(), other.ravel())[0, 1]) < 0.01
    later = sensor_noise(deviation, key=7, frame=4, view=Box(10, 70, 310, 390))
    assert abs(np.corrcoef(noise.ravel(), later.ravel())[0, 1]) < 0.01


def test_noise_depends_on_the_position_in_the_frame_only() -> None:
    whole = sensor_noise(5, key=2**63 - 1, frame=149, view=Box(0, 0, 200, 300))
    for box in (Box(0, 0, 64, 64), Box(63, 65, 64, 66), Box(17, 200, 200, 300), Box(64, 128, 128, 192)):
        assert np.array_equal(
            sensor_noise(5, key=2**63 - 1, frame=149, view=box), whole[box.within(Box(0, 0, 200, 300))]
        )


@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize("camera", CAMERAS)
def test_a_camera_changes_the_composite_and_defocus_the_background(sources: Path, kind: str, camera: str) -> None:
    (plain,), (filmed,) = (
        windows(plan_of(sources, kind, camera=text, clip_length=3), numbers=[1]) for text in ("none", camera)
    )
    kept = ["alpha", "trimap", "foreground", *(["background"] if "defocus" not in camera else [])]
    assert plain.motion == filmed.motion
    for one, other in zip(plain.frames, filmed.frames, strict=True):
        assert all(np.array_equal(pixels(one, layer), pixels(other, layer)) for layer in kept)
        assert not np.array_equal(pixels(one, "composite"), pixels(other, "composite"))


def test_noise_is_added_to_the_composite(sources: Path) -> None:
    (plain,), (filmed,) = (windows(plan_of(sources, "video", camera=text)) for text in ("none", "noise=4"))
    change = np.stack(
        [pixels(b, "composite") - pixels(a, "composite") for a, b in zip(plain.frames, filmed.frames, strict=True)]
    )
    composite = np.stack([pixels(frame, "composite") for frame in plain.frames])
    inside = change[(composite > 25) & (composite < 230)]  # elsewhere, it is clipped
    assert inside.std() == pytest.approx(4, abs=0.1)


def test_jpeg_is_that_of_pillow_at_the_same_quality(sources: Path) -> None:
    (plain,), (filmed,) = (windows(plan_of(sources, "image", camera=text)) for text in ("none", "jpeg=30"))
    for one, other in zip(plain.frames, filmed.frames, strict=True):
        file = io.BytesIO()
        Image.fromarray(one.composite).save(file, "JPEG", quality=30, subsampling="4:2:0")
        expected = np.asarray(Image.open(file), int)
        assert np.abs(pixels(other, "composite") - expected).max() <= 2
        assert np.abs(expected - pixels(one, "composite")).max() > 10


def test_h264_is_that_of_ffmpeg_with_keyframes_only(sources: Path, tmp_path: Path) -> None:
    """As a file of the first frame alone, with the same quantizer, matrix and range, written through PyAV's muxer."""
    (plain,), (filmed,) = (windows(plan_of(sources, "image", camera=text)) for text in ("none", "h264=34"))
    for one, other in list(zip(plain.frames, filmed.frames, strict=True))[::6]:
        path = tmp_path / "one.mkv"
        height, width = one.composite.shape[:2]
        padded = np.pad(one.composite, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        with av.open(str(path), "w") as file:
            stream = file.add_stream("libx264", rate=1, options={"qp": "34", "preset": "veryfast"})
            stream.height, stream.width, stream.pix_fmt = *padded.shape[:2], "yuv444p"
            frame = av.VideoFrame.from_ndarray(padded, format="rgb24")
            file.mux([*stream.encode(frame), *stream.encode(None)])
        with av.open(str(path)) as file:
            coded = next(file.decode(video=0)).to_ndarray(format="rgb24")[:height, :width].astype(int)
        wanted, found = (
            np.square(each - pixels(one, "composite")).mean() for each in (coded, pixels(other, "composite"))
        )
        assert found == pytest.approx(wanted, rel=0.5)  # another chroma format, the same quantizer
        assert found > 4


def test_defocus_is_a_disc(sources: Path) -> None:
    """20 thousandths of 107 px: a radius of 2.14 px; each pixel of the kernel is covered by the disc or cut by it."""
    (plain,), (filmed,) = (windows(plan_of(sources, "image", camera=text)) for text in ("none", "defocus=20"))
    radius = 0.02 * min(plain.view.height, plain.view.width)
    y, x = np.mgrid[-40:41, -40:41] / 8  # eight samples for each pixel and direction
    fine = (np.hypot(x, y) <= radius).astype(float)
    centres = fine[:80, :80].reshape(10, 8, 10, 8).mean((1, 3))
    assert centres.sum() == pytest.approx(np.pi * radius**2, rel=0.05)
    for one, other in zip(plain.frames[::4], filmed.frames[::4], strict=True):
        background = pixels(one, "background").astype(float)
        kernel = np.clip(radius + 0.5 - np.hypot(*np.mgrid[-3:4, -3:4]), 0, 1)
        blurred = ndimage.convolve(background, (kernel / kernel.sum())[..., None], mode="mirror")
        assert np.abs(pixels(other, "background") - blurred).max() <= 0.6
        alpha = pixels(other, "alpha")[..., None] / 255
        blend = alpha * pixels(other, "foreground") + (1 - alpha) * pixels(other, "background")
        assert np.abs(pixels(other, "composite") - blend).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(("kind", "motion"), [("image", "dvm"), ("video", "rvm")])
@pytest.mark.parametrize("camera", CAMERAS[-2:])
def test_a_window_alone_has_the_bits_of_the_clip_and_a_crop_those_of_the_frame(
    sources: Path, kind: str, motion: str, camera: str
) -> None:
    for seed, light in enumerate(("shadow", "greenscreen")):
        fields: dict[str, Any] = {"camera": camera, "light": light, "motion": motion, "seed": seed, "clip_length": 3}
        fields["clip_step"] = 6
        every, crops = (windows(plan_of(sources, kind, crop_size=side, **fields)) for side in (None, 44))
        (alone,) = windows(plan_of(sources, kind, **fields), numbers=[1])
        for one, other in zip(alone.frames, every[1].frames, strict=True):
            assert all(np.array_equal(pixels(one, layer), pixels(other, layer)) for layer in LAYERS)
        for whole, crop in zip(every, crops, strict=True):
            cut = crop.view.within(whole.view)
            for one, other in zip(crop.frames, whole.frames, strict=True):
                for layer in LAYERS:
                    assert np.abs(pixels(one, layer) - pixels(other, layer)[cut]).max() <= 1, layer


def test_a_compressed_crop_has_the_bits_of_the_frame_over_an_enlarged_background(tmp_path: Path) -> None:
    """A difference of one level before the compression would be one of a block after it."""
    tree = TreeWriter(tmp_path)
    tree.still(size=(300, 330))
    tree.background(size=(100, 120), frames=12)
    for seed, (light, camera) in enumerate([("shadow", "jpeg=20,noise"), ("shadow,greenscreen", "jpeg=20,h264=30")]):
        fields: dict[str, Any] = {"camera": camera, "light": light, "seed": seed, "clip_length": 3}
        fields["max_image_frames"] = 6
        every, crops = (windows(plan_of(tree.root, "image", crop_size=side, **fields)) for side in (None, 24))
        for whole, crop in zip(every, crops, strict=True):
            cut = crop.view.within(whole.view)
            for one, other in zip(crop.frames, whole.frames, strict=True):
                assert np.array_equal(pixels(one, "composite"), pixels(other, "composite")[cut])
