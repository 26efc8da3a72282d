"""Videos against OpenCV's reader and the written values."""

import gc
import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from media_arrays import EVERY_FRAME, colours, filled, noise, opencv_frames, same, smooth, write_noisy_video, write_raw

from dvm_hf.media.pixels import Box, Size
from dvm_hf.media.video.video_writing import write_video
from dvm_hf.media.video.videos import Video

LIMITED, FULL = 1, 2  # FFmpeg's numbers of the two colour ranges


RAMP = np.tile(np.arange(256, dtype=np.uint8), (16, 1))  # every luma value


def alphas(path: Path, wanted: Iterable[int] = EVERY_FRAME) -> list[np.ndarray]:
    with Video(path) as video:
        return [frame for _, frame in video.alphas(wanted)]


@pytest.fixture(scope="module")
def noisy_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noisy_video(tmp_path_factory.mktemp("noisy") / "v.mp4")


@pytest.mark.parametrize("name", ["bt709_full_range.mp4", "h264_10bits.mp4", "h265_video.mp4", "nasa_13013.mp4"])
def test_camera_videos_match_the_opencv_reader(camera_media, name):
    expected = opencv_frames(camera_media / name, 20)
    assert len(expected) in (10, 20)
    assert same(colours(camera_media / name, range(20)), expected)


@pytest.mark.parametrize(
    ("pixel_format", "codec", "suffix"),
    [("yuv420p", "libx264", "mp4"), ("yuv422p", "ffv1", "mkv"), ("bgr24", "rawvideo", "avi")],
)
def test_synthetic_videos_match_the_opencv_reader(tmp_path, pixel_format, codec, suffix):
    frames = [av.VideoFrame.from_ndarray(smooth(48, 64, shift=i), format="rgb24") for i in range(6)]
    yuv = [frame.reformat(format=pixel_format) for frame in frames]
    path = tmp_path / f"v.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixel_format
        for frame in [*yuv, None]:
            container.mux(stream.encode(frame))
    expected = opencv_frames(path)
    assert len(expected) == 6
    assert same(colours(path), expected)


def test_rgb_videos_keep_every_value(tmp_path):
    frames = [noise(17, 23, 3, seed=i) for i in range(4)]
    path = write_raw(tmp_path / "v.mov", frames, "rgb24", codec="png")
    assert same(colours(path), frames)


@pytest.mark.parametrize("codec", ["libx264", "qtrle"])  # qtrle decodes to RGB, each frame on top of the one before
def test_a_frame_belongs_to_the_caller(tmp_path, codec):
    frames = [smooth(32, 48)] * 6
    for i in range(6):
        frames[i] = frames[max(i - 1, 0)].copy()
        frames[i][5 * i : 5 * i + 5] = noise(5, 48, 3, seed=i)
    if codec == "libx264":
        frames = [cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420) for frame in frames]
    path = write_raw(tmp_path / "v.mov", frames, {"libx264": "yuv420p", "qtrle": "rgb24"}[codec], codec=codec)
    untouched = opencv_frames(path)
    assert len(untouched) == 6
    kept = colours(path)
    gc.collect()
    assert same(kept, untouched)  # after the video has been closed
    found = []
    with Video(path) as video:
        for _, frame in video.colours(EVERY_FRAME):
            found.append(frame.copy())
            frame[:] = 77  # changes to a frame must not reach the next one
    assert same(found, untouched)


@pytest.mark.parametrize("wanted", [[0], [39], [1, 2, 3], [0, 7, 8, 31], [5, 38, 39], range(3, 40, 9)], ids=str)
def test_selected_frames_equal_those_of_a_full_read(noisy_video, wanted):
    whole = opencv_frames(noisy_video)
    assert len(whole) == 40
    with Video(noisy_video) as video:
        found = list(video.colours(wanted))
    assert [index for index, _ in found] == list(wanted)
    assert same([frame for _, frame in found], [whole[index] for index in wanted])


@pytest.mark.parametrize(("wanted", "expected"), [([3, 39, 40, 41], [3, 39]), ([40], []), ([], [])])
def test_frames_beyond_the_end_are_not_returned(noisy_video, caplog, wanted, expected):
    with Video(noisy_video) as video:
        assert [index for index, _ in video.colours(wanted)] == expected
    assert not caplog.records  # the header declares it


@pytest.mark.parametrize("size", [(48, 64), (64, 36), (18, 130)])
def test_size_and_frame_count_are_known_from_the_start(tmp_path, size):
    write_video(tmp_path / "v.mp4", (noise(*size, 3, seed=i) for i in range(7)))
    with Video(tmp_path / "v.mp4") as video:
        assert video.size == size
        assert video.frame_count == 7
        assert [frame.shape for _, frame in video.colours(EVERY_FRAME)] == [(*size, 3)] * 7


@pytest.mark.parametrize("suffix", ["mkv", "ts", "fragmented mp4"])
def test_frames_are_counted_if_the_header_has_no_count(tmp_path, suffix):
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"} if "mp4" in suffix else {}
    path = tmp_path / f"v.{suffix[-3:].strip()}"
    frames = [noise(72, 64, seed=i) for i in range(50)]
    write_raw(path, frames, "yuv420p", codec="libx264", options={"g": "12"}, container_options=options)
    with Video(path) as video:
        assert video.frame_count == 50
        assert len(list(video.colours(EVERY_FRAME))) == 50


def test_frames_of_camera_matroska_are_counted(camera_media):
    with av.open(str(camera_media / "av1_video.mkv")) as container:
        count = sum(1 for _ in container.decode(video=0))
    with Video(camera_media / "av1_video.mkv") as video:
        assert video.frame_count == count > 1
        assert len(list(video.alphas(EVERY_FRAME))) == count


def test_displayed_frames_are_counted_regardless_of_the_header(tmp_path, noisy_video):
    data = noisy_video.read_bytes()
    path = filled(tmp_path / "cut.mp4", data[: len(data) // 2])
    expected = len(colours(path))
    assert expected < 40
    with Video(path) as video:
        assert (video.frame_count, video.presentation().count) == (40, expected)
        assert not video.presentation().is_complete
        assert len(list(video.colours(EVERY_FRAME))) == expected  # counting has not moved the reading on
    with Video(noisy_video) as video:
        assert video.presentation().count == 40


# The display matrix of an mp4: (a, b, c, d) of x' = a x + c y, y' = b x + d y
TURNS = {
    "none": ((1, 0, 0, 1), 0),
    "right": ((0, 1, -1, 0), -1),
    "over": ((-1, 0, 0, -1), 2),
    "left": ((0, -1, 1, 0), 1),
}


def turned(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """A copy of an MP4 whose header declares a rotation, as phones write it."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value * 65536 for value in matrix)
    assert struct.unpack_from(">9i", data, start) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", data, start, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    copy = path.with_name("turned.mp4")
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize("turn", TURNS)
def test_a_rotated_video_is_returned_upright(tmp_path, turn):
    matrix, quarters = TURNS[turn]
    write_video(tmp_path / "v.mp4", (smooth(48, 80, shift=i) for i in range(3)))
    path = turned(tmp_path / "v.mp4", matrix)
    plain = colours(tmp_path / "v.mp4")
    assert same(colours(path), [np.rot90(frame, quarters) for frame in plain])
    assert same(colours(path), opencv_frames(path))
    assert same(alphas(path), [np.rot90(frame, quarters) for frame in alphas(tmp_path / "v.mp4")])
    with Video(path) as video:
        assert video.size == Size(*np.rot90(plain[0], quarters).shape[:2])


def luma_ramp(pixel_format: str, dtype: type = np.uint8) -> np.ndarray:
    """Every 8-bit luma value with neutral chroma, in a planar array for PyAV."""
    deep = 4 if dtype is np.uint16 else 1
    luma = RAMP.astype(dtype) * deep
    if pixel_format.startswith("gray"):
        return luma
    if "444" in pixel_format:
        return np.stack([luma, np.full_like(luma, 128 * deep), np.full_like(luma, 128 * deep)])
    return np.concatenate([luma, np.full((8, 256), 128 * deep, dtype)])


def stretched(value: np.ndarray) -> np.ndarray:
    """Limited range to full: 16 -> 0, 235 -> 255, to the nearest level."""
    return np.clip(np.rint((value.astype(float) - 16) * 255 / 219), 0, 255)


@pytest.mark.parametrize(
    ("pixel_format", "colour_range", "is_full"),
    [
        ("yuv420p", None, False),
        ("yuv420p", LIMITED, False),
        ("yuv420p", FULL, True),
        ("yuvj420p", None, True),
        ("yuv444p", LIMITED, False),
    ],
)
def test_limited_range_luma_of_an_alpha_video_is_stretched(tmp_path, pixel_format, colour_range, is_full):
    ramp = luma_ramp(pixel_format)
    path = write_raw(
        tmp_path / "a.mp4",
        [ramp] * 2,
        pixel_format,
        codec="libx264",
        colour_range=colour_range,
        options={"qp": "0"},
    )
    expected = RAMP if is_full else stretched(RAMP)
    assert same(alphas(path), [expected, expected])


def test_a_grey_alpha_video_is_read_unchanged(tmp_path):
    (found,) = alphas(write_raw(tmp_path / "a.mkv", [RAMP], "gray"))
    assert np.array_equal(found, RAMP)


@pytest.mark.parametrize("colour_range", [None, LIMITED, FULL])
def test_each_ten_bit_luma_value_becomes_the_nearest_level(tmp_path, colour_range):
    """By BT.709: black is 64 and white 940 in limited range, 0 and 1023 in full range. In exact fractions."""
    luma = np.tile(np.arange(1024, dtype=np.uint16), (16, 1))
    frame = np.concatenate([luma, np.full((8, 1024), 512, np.uint16)])
    (found,) = alphas(write_raw(tmp_path / "a.mkv", [frame], "yuv420p10le", colour_range=colour_range))
    black, white = (0, 1023) if colour_range == FULL else (64, 940)
    exact = [Fraction(255 * (value - black), white - black) for value in range(1024)]
    expected = [min(max(round(level), 0), 255) for level in exact]
    assert found.tolist() == [expected] * 16


def test_frames_are_converted_on_one_thread(tmp_path, monkeypatch):
    """With more threads, swscale gives different pixels between its slices, not always the same."""
    asked = []

    class Spy:
        def __init__(self):
            self.scaler = VideoReformatter()

        def reformat(self, *args, **kwargs):
            asked.append(kwargs["threads"])
            return self.scaler.reformat(*args, **kwargs)

    monkeypatch.setattr("dvm_hf.media.video.videos.VideoReformatter", Spy)
    path = write_raw(tmp_path / "v.mov", [noise(18, 24, 3)] * 2, "rgb24", codec="png")
    assert len(colours(path)) == len(alphas(path)) == 2
    assert asked == [1] * 4


def test_a_written_alpha_video_keeps_0_and_255(tmp_path):
    alpha = np.zeros((64, 96), np.uint8)
    alpha[16:48, 32:64] = 255
    write_video(tmp_path / "a.mp4", [alpha] * 5)
    for found in alphas(tmp_path / "a.mp4"):
        assert found.shape == (64, 96)
        assert np.all(found[20:44, 36:60] == 255)
        assert np.all(found[:12] == 0)


def test_a_written_video_is_tagged_and_keeps_its_colours(tmp_path):
    patches = np.array(
        [[[200, 30, 40], [20, 180, 60], [30, 40, 220]], [[128, 128, 128], [230, 220, 30], [222, 184, 160]]]
    )
    frame = patches.astype(np.uint8).repeat(32, axis=0).repeat(32, axis=1)
    write_video(tmp_path / "v.mp4", [frame] * 5)
    found = opencv_frames(tmp_path / "v.mp4")
    assert len(found) == 5
    for shown in found:
        assert np.abs(shown[16::32, 16::32].astype(int) - patches).max() <= 4
    with av.open(str(tmp_path / "v.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.color_range, context.colorspace, context.pix_fmt) == (LIMITED, 1, "yuv420p")  # 1: BT.709


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv422p"])
@pytest.mark.parametrize("size", [(96, 160), (98, 150), (64, 70)])
def test_a_part_of_a_picture_equals_that_part_of_the_full_picture(tmp_path, pixel_format, size):
    rng = np.random.default_rng(3)
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"qp": "1"})
        stream.height, stream.width = size
        stream.pix_fmt = pixel_format
        noise = av.VideoFrame.from_ndarray(rng.integers(0, 256, (*size, 3), np.uint8), format="rgb24")
        container.mux([*stream.encode(noise.reformat(format=pixel_format)), *stream.encode(None)])
    (whole,) = opencv_frames(path)
    with Video(path) as video:
        ((_, picture),) = video.pictures(range(1))
        for _ in range(60):
            top, bottom = sorted(rng.choice(size[0] + 1, 2, replace=False).tolist())
            left, right = sorted(rng.choice(size[1] + 1, 2, replace=False).tolist())
            assert np.array_equal(picture.rgb(Box(top, left, bottom, right)), whole[top:bottom, left:right])


def test_a_small_part_of_a_picture_does_not_keep_all_of_it_in_memory(tmp_path):
    """4:2:2 is converted as a complete frame."""
    path = write_raw(tmp_path / "v.mkv", [noise(2 * 96, 160, seed=1)], "yuv422p", codec="ffv1")
    with Video(path) as video:
        ((_, picture),) = video.pictures(range(1))
        pixels = owner = picture.rgb(Box(10, 20, 40, 60))
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    assert pixels.shape == (30, 40, 3)
    assert owner.nbytes <= 2 * pixels.nbytes


def test_a_part_of_a_full_range_picture_has_full_range(tmp_path):
    """VP9 stores the range separately from the pixel format, which is the same. Neutral chroma: R = G = B = luma."""
    luma = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    frame = np.concatenate([luma, np.full((32, 256), 128, np.uint8)])
    options = {"lossless": "1"}
    path = write_raw(tmp_path / "v.webm", [frame], "yuv420p", codec="libvpx-vp9", colour_range=FULL, options=options)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).format.name == "yuv420p"
    expected = np.dstack([luma] * 3)
    with Video(path) as video:
        ((_, picture),) = video.pictures(range(1))
        for box in (Box(0, 0, 64, 256), Box(10, 200, 42, 256), Box(0, 0, 30, 60)):
            assert np.array_equal(picture.rgb(box), expected[box.top : box.bottom, box.left : box.right]), box
