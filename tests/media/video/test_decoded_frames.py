"""Pictures: parts of decoded frames, which can be kept after their video is closed."""

from pathlib import Path

import av
import numpy as np
import pytest
from media_arrays import noise, opencv_frames
from own_alpha import write_video

from dvm_hf.media.pixels import Box
from dvm_hf.media.video.videos import Video

BOXES = (Box(0, 0, 48, 64), Box(3, 5, 17, 42), Box(47, 63, 48, 64), Box(0, 10, 48, 11), Box(9, 9, 9, 20))
LUMA_BITS = {"yuv420p": 8, "yuvj420p": 8, "yuv422p": 8, "yuv444p": 8, "yuv420p10le": 10, "gray": 8}


@pytest.mark.parametrize("layout", LUMA_BITS)
def test_a_part_of_an_alpha_is_that_part_of_the_expanded_luma(tmp_path: Path, layout: str) -> None:
    bits, is_full = LUMA_BITS[layout], layout in ("yuvj420p", "gray")
    path = tmp_path / "v.mkv"
    picture = noise(48, 64, seed=1) if layout == "gray" else noise(48, 64, 3, seed=1)
    write_video(path, [picture], "mjpeg" if layout == "yuvj420p" else "ffv1", layout)
    with av.open(str(path)) as container:
        plane = next(container.decode(video=0)).planes[0]
    stored = np.frombuffer(plane, np.uint8 if bits == 8 else "<u2").reshape(plane.height, -1)[:48, :64].astype(float)
    black, white = (0, 255) if is_full else (16 << (bits - 8), 235 << (bits - 8))
    expected = np.clip(np.round((stored - black) * 255 / (white - black)), 0, 255)
    with Video(path, role="alpha") as video:
        ((_, picture),) = video.pictures([0])
    for box in BOXES:
        assert np.array_equal(picture.alpha(box), expected[box.top : box.bottom, box.left : box.right]), box


@pytest.mark.parametrize(("layout", "codec"), [("yuva420p", "ffv1"), ("bgra", "ffv1"), ("yuva444p10le", "prores_ks")])
def test_a_part_of_an_alpha_channel_is_that_part_of_the_channel(tmp_path: Path, layout: str, codec: str) -> None:
    path = write_video(tmp_path / "v.mkv", [noise(48, 64, 4, seed=3)], codec, layout)
    with av.open(str(path)) as container:
        expected = next(container.decode(video=0)).reformat(format="rgba").to_ndarray()[..., 3].astype(int)
    with Video(path, role="both") as video:
        ((_, picture),) = video.pictures([0])
    for box in BOXES:
        part = picture.alpha(box)
        assert part.shape == (box.height, box.width)
        assert np.abs(part - expected[box.top : box.bottom, box.left : box.right]).max(initial=0) <= 1, box


@pytest.mark.parametrize("layout", ["yuv420p", "yuv444p"])
def test_pictures_are_valid_after_the_video_is_closed(tmp_path: Path, layout: str) -> None:
    """They hold the stored frames: 1.5 bytes per pixel, or 3 and a complete conversion if parts need it."""
    frames = [noise(96, 128, 3, seed=seed) for seed in range(40)]
    path = write_video(tmp_path / "v.mkv", frames, "libx264", layout, g="12")
    expected = opencv_frames(path)
    with Video(path) as video:
        kept = dict(video.pictures(range(40)))
    for index, picture in kept.items():
        for box in (Box(10, 20, 50, 61), Box(0, 0, 96, 128), Box(90, 100, 96, 128)):
            assert np.array_equal(picture.rgb(box), expected[index][box.top : box.bottom, box.left : box.right])
    pixels = {"yuv420p": 1.5, "yuv444p": 3 + 3}[layout] * 96 * 128
    assert all(pixels <= picture.nbytes <= 1.4 * pixels for picture in kept.values())  # rows are padded


def test_a_part_belongs_to_the_caller(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", [noise(96, 128, 4)], "ffv1", "yuva444p")
    with Video(path, role="both") as video:
        ((_, picture),) = video.pictures([0])
    box = Box(4, 4, 20, 20)
    for read in (picture.rgb, picture.alpha):
        untouched = read(box).copy()
        for _ in range(3):  # the first conversion is kept for later parts
            part = read(box)
            assert np.array_equal(part, untouched)
            part[:] = 7
