"""Reading against OpenCV's video reader, Pillow and the numbers that were written; bad files of every kind."""

import gc
import io
import multiprocessing
import os
import pickle
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import multiprocess
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from PIL import Image, ImageOps

from dvm_hf.clips.frame_buffer import FrameBuffer
from dvm_hf.errors import SourceError
from dvm_hf.media.image_encoding import ENCODINGS, encoded_image, write_image
from dvm_hf.media.pixels import Box, Size
from dvm_hf.media.stills import read_colour, read_grey
from dvm_hf.media.video_writing import write_video
from dvm_hf.media.videos import Video, decoder_threads

EVERY_FRAME = range(10_000)
LIMITED, FULL = 1, 2  # FFmpeg's numbers of the two colour ranges
RAMP = np.tile(np.arange(256, dtype=np.uint8), (16, 1))  # every luma value


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def smooth(height: int, width: int, *, shift: int = 0) -> np.ndarray:
    """(H, W, 3) with colours that change slowly from pixel to pixel."""
    rows, columns = np.mgrid[:height, :width] + shift
    return np.dstack(
        [128 + 100 * np.sin(rows / 9), 128 + 100 * np.cos(columns / 11), (rows + columns) % 256 // 2]
    ).astype(np.uint8)


def video_frame(array: np.ndarray, pixel_format: str) -> av.VideoFrame:
    """As PyAV makes it of an array; deep 4:2:0, which PyAV 17 does not take, plane by plane."""
    if pixel_format != "yuv420p10le":
        return av.VideoFrame.from_ndarray(array, format=pixel_format)
    height, width = array.shape[0] * 2 // 3, array.shape[1]
    frame = av.VideoFrame(width, height, pixel_format)
    chroma = array[height:].reshape(2, height // 2, width // 2)
    for plane, values in zip(frame.planes, (array[:height], *chroma), strict=True):
        rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
        rows[:, : values.shape[1]] = values
        plane.update(rows.tobytes())
    return frame


def write_raw(
    path: Path,
    frames: Iterable[np.ndarray],
    pixel_format: str,
    *,
    codec: str = "ffv1",
    colour_range: int | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """A video of frames in a given pixel format, by default without loss."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = None
        for array in frames:
            frame = video_frame(np.ascontiguousarray(array), pixel_format)
            if colour_range is not None:
                frame.color_range = colour_range
            if stream is None:
                stream = container.add_stream(codec, rate=Fraction(25), options=options or {})
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixel_format
                if colour_range is not None:
                    stream.codec_context.color_range = colour_range
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def colours(path: Path, wanted: Iterable[int] = EVERY_FRAME) -> list[np.ndarray]:
    with Video(path) as video:
        return [frame for _, frame in video.colours(wanted)]


def alphas(path: Path, wanted: Iterable[int] = EVERY_FRAME) -> list[np.ndarray]:
    with Video(path) as video:
        return [frame for _, frame in video.alphas(wanted)]


def opencv_frames(path: Path, count: int = 10_000) -> list[np.ndarray]:
    """RGB frames as OpenCV's reader gives them."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while len(frames) < count:
        is_there, bgr = capture.read()
        if not is_there:
            break
        frames.append(bgr[..., ::-1])
    capture.release()
    return frames


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def result_or_error(read: Callable[[Path], Any], path: Path) -> Any:
    """What is read, or the text of the SourceError."""
    try:
        return read(path)
    except SourceError as error:
        return str(error)


@pytest.fixture(scope="module")
def noisy_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames of 96 x 128 that do not compress well, with B-frames, its index before its frames."""
    blocks = (np.kron(noise(12, 16, 3, seed=i), np.ones((8, 8, 1), np.uint8)) for i in range(40))
    yuv = (cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420) for frame in blocks)
    path = tmp_path_factory.mktemp("noisy") / "v.mp4"
    return write_raw(
        path, yuv, "yuv420p", codec="libx264", options={"bf": "3"}, container_options={"movflags": "faststart"}
    )


# Videos: colours


@pytest.mark.parametrize("name", ["bt709_full_range.mp4", "h264_10bits.mp4", "h265_video.mp4", "nasa_13013.mp4"])
def test_camera_videos_have_the_colours_of_opencvs_reader(camera_media, name):
    expected = opencv_frames(camera_media / name, 20)
    assert len(expected) in (10, 20)
    assert same(colours(camera_media / name, range(20)), expected)


@pytest.mark.parametrize(
    ("pixel_format", "codec", "suffix"),
    [("yuv420p", "libx264", "mp4"), ("yuv422p", "ffv1", "mkv"), ("bgr24", "rawvideo", "avi")],
)
def test_drawn_videos_have_the_colours_of_opencvs_reader(tmp_path, pixel_format, codec, suffix):
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
def test_a_frame_is_the_callers_own(tmp_path, codec):
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
            frame[:] = 77  # what is laid over a frame must not reach the next one
    assert same(found, untouched)


@pytest.mark.parametrize("wanted", [[0], [39], [1, 2, 3], [0, 7, 8, 31], [5, 38, 39], range(3, 40, 9)], ids=str)
def test_wanted_frames_are_those_of_the_whole_video(noisy_video, wanted):
    whole = opencv_frames(noisy_video)
    assert len(whole) == 40
    with Video(noisy_video) as video:
        found = list(video.colours(wanted))
    assert [index for index, _ in found] == list(wanted)
    assert same([frame for _, frame in found], [whole[index] for index in wanted])


@pytest.mark.parametrize(("wanted", "expected"), [([3, 39, 40, 41], [3, 39]), ([40], []), ([], [])])
def test_frames_beyond_the_end_are_not_given(noisy_video, caplog, wanted, expected):
    with Video(noisy_video) as video:
        assert [index for index, _ in video.colours(wanted)] == expected
    assert not caplog.records  # the header said so


@pytest.mark.parametrize("size", [(48, 64), (64, 36), (18, 130)])
def test_size_and_frame_count_are_known_from_the_start(tmp_path, size):
    write_video(tmp_path / "v.mp4", (noise(*size, 3, seed=i) for i in range(7)))
    with Video(tmp_path / "v.mp4") as video:
        assert video.size == size
        assert video.frame_count == 7
        assert [frame.shape for _, frame in video.colours(EVERY_FRAME)] == [(*size, 3)] * 7


@pytest.mark.parametrize("suffix", ["mkv", "ts", "fragmented mp4"])
def test_frames_are_counted_where_the_header_has_no_count(tmp_path, suffix):
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


def test_frames_that_are_shown_are_counted_whatever_the_header_says(tmp_path, noisy_video):
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
    """A copy of an mp4 whose header asks to be shown turned, as phones write it."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value * 65536 for value in matrix)
    assert struct.unpack_from(">9i", data, start) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", data, start, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    copy = path.with_name("turned.mp4")
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize("turn", TURNS)
def test_a_video_filmed_sideways_stands_upright(tmp_path, turn):
    matrix, quarters = TURNS[turn]
    write_video(tmp_path / "v.mp4", (smooth(48, 80, shift=i) for i in range(3)))
    path = turned(tmp_path / "v.mp4", matrix)
    plain = colours(tmp_path / "v.mp4")
    assert same(colours(path), [np.rot90(frame, quarters) for frame in plain])
    assert same(colours(path), opencv_frames(path))
    assert same(alphas(path), [np.rot90(frame, quarters) for frame in alphas(tmp_path / "v.mp4")])
    with Video(path) as video:
        assert video.size == Size(*np.rot90(plain[0], quarters).shape[:2])


# Videos: alphas


def luma_ramp(pixel_format: str, dtype: type = np.uint8) -> np.ndarray:
    """Every 8-bit luma value, neutral chroma, in a planar array as PyAV takes it."""
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
def test_luma_of_an_alpha_video_is_stretched_where_its_range_is_limited(tmp_path, pixel_format, colour_range, is_full):
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


def test_grey_alpha_video_is_read_as_it_is(tmp_path):
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
    """With more, swscale leaves other pixels between its slices, not always the same."""
    asked = []

    class Spy:
        def __init__(self):
            self.scaler = VideoReformatter()

        def reformat(self, *args, **kwargs):
            asked.append(kwargs["threads"])
            return self.scaler.reformat(*args, **kwargs)

    monkeypatch.setattr("dvm_hf.media.videos.VideoReformatter", Spy)
    path = write_raw(tmp_path / "v.mov", [noise(18, 24, 3)] * 2, "rgb24", codec="png")
    assert len(colours(path)) == len(alphas(path)) == 2
    assert asked == [1] * 4


def test_a_written_alpha_video_comes_back_certain_where_it_was(tmp_path):
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


# Videos that cannot be used


def write_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


def unfinished(path: Path) -> Path:
    """An mp4 as a camera leaves it when its battery dies: frames, but no index."""
    write_video(path, (noise(48, 64, 3, seed=i) for i in range(5)))
    data = path.read_bytes()
    assert data.index(b"mdat") < data.index(b"moov")
    path.write_bytes(data[: data.index(b"moov") - 4])
    return path


def of_unknown_codec(path: Path) -> Path:
    """An mp4 whose header names a codec that nobody has heard of."""
    write_video(path, [noise(48, 64, 3)] * 2)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    return path


def filled(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


BAD_VIDEOS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "empty": (lambda path: filled(path, b""), "empty"),
    "text": (lambda path: filled(path, b"once there was a video here\n" * 50), "cannot be read as a video"),
    "zeros": (lambda path: filled(path, bytes(5000)), "cannot be read as a video"),
    "without index": (unfinished, "cannot be read as a video"),
    "sound only": (write_sound, "no video stream"),
    "unknown codec": (of_unknown_codec, r"0007\.mp4"),
    "missing": (lambda path: path, "no such file"),
}


@pytest.mark.parametrize("kind", BAD_VIDEOS)
def test_an_unusable_video_is_named_with_the_reason(tmp_path, kind):
    write, reason = BAD_VIDEOS[kind]
    path = write(tmp_path / "0007.mp4")
    with pytest.raises(SourceError, match=reason) as raised:
        Video(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_a_video_cut_off_in_the_middle_gives_its_whole_frames_and_says_so(tmp_path, noisy_video, caplog, share):
    data = noisy_video.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    path = filled(tmp_path / "cut.mp4", data[: int(len(data) * share)])
    found, whole = colours(path), opencv_frames(noisy_video)
    assert 40 * share / 3 < len(found) < 40
    assert same(found, whole[: len(found)])
    assert f"{path}: ends after {len(found)} frames, its header declares 40" in caplog.text


def test_a_header_that_promises_too_many_frames_is_reported(tmp_path, caplog):
    path = write_raw(tmp_path / "v.avi", [noise(48, 32, seed=i) for i in range(10)], "yuv420p", codec="mpeg4")
    data = bytearray(path.read_bytes())
    length = data.index(b"strh") + 8 + 32  # dwLength of the stream's header
    assert struct.unpack_from("<I", data, length) == (10,)
    struct.pack_into("<I", data, length, 14)
    path.write_bytes(data)
    with Video(path) as video:
        assert video.frame_count == 14
        assert len(list(video.colours([2, 9]))) == 2
        assert not caplog.records
    with Video(path) as video:
        assert len(list(video.colours(range(14)))) == 10
    assert f"{path}: ends after 10 frames, its header declares 14" in caplog.text


def test_a_container_without_a_list_of_frames_is_not_said_to_have_one(tmp_path, caplog):
    path = write_raw(tmp_path / "v.mkv", [noise(48, 32, seed=i) for i in range(10)], "yuv420p", codec="mpeg4")
    with av.open(path) as container:
        assert container.streams.video[0].frames == 0  # Matroska lists none
        last = [bytes(packet) for packet in container.demux(video=0) if packet.size][-1]
    data = path.read_bytes()
    path.write_bytes(data.replace(last, bytes(len(last))))
    with Video(path) as video:
        assert len(list(video.colours(range(10)))) == 9
    assert f"{path}: ends after 9 frames, but has packets for 10; its clips end there" in caplog.text


def test_a_damaged_frame_is_not_passed_on_in_silence(tmp_path, caplog):
    path = write_raw(
        tmp_path / "v.avi", [noise(144, 96, seed=i) for i in range(8)], "yuv420p", codec="mpeg4", options={"g": "1"}
    )
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = b"\xaa" * 400
    path.write_bytes(data)
    with av.open(str(path)) as container:  # FFmpeg knows of the damage
        assert any(frame.is_corrupt for frame in container.decode(video=0))
    result = result_or_error(colours, path)
    assert str(path) in (result if isinstance(result, str) else caplog.text)


def test_frames_of_two_sizes_are_refused_with_both(tmp_path):
    parts = [
        write_raw(tmp_path / f"{width}.ts", [noise(72, width, seed=i) for i in range(3)], "yuv420p", codec="libx264")
        for width in (64, 96)
    ]
    path = filled(tmp_path / "v.ts", b"".join(part.read_bytes() for part in parts))
    with Video(path) as video, pytest.raises(SourceError, match="the same size") as raised:
        list(video.colours(EVERY_FRAME))
    assert all(word in str(raised.value) for word in (str(path), "64", "96"))


@pytest.mark.parametrize("matrix", [8, 10], ids=["YCgCo", "BT.2020 with constant luminance"])
def test_a_matrix_that_cannot_be_made_rgb_is_named(tmp_path, matrix):
    path = tmp_path / "odd.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.colorspace = matrix
        container.mux(stream.encode(video_frame(noise(96, 64), "yuv420p")))  # 64 x 64 px and their chroma
        container.mux(stream.encode(None))
    with pytest.raises(
        SourceError, match=re.escape(f"{path}: its colours (yuv420p, matrix {matrix}) cannot be converted to RGB")
    ):
        colours(path)


def test_a_colon_in_a_relative_path_names_no_protocol(tmp_path, monkeypatch):
    folder = tmp_path / "take:2"
    folder.mkdir()
    write_video(tmp_path / "v.mp4", [noise(48, 64, 3)] * 2)
    (tmp_path / "v.mp4").rename(folder / "v.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(colours(Path("take:2/v.mp4"))) == 2


# Frame buffer


def numbered(indices: Iterable[int], read: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    for index in indices:
        read.append(index)
        yield index, np.full((1, 1), index, np.uint8)


def test_frame_buffer_reads_forwards_once_and_only_as_far_as_asked():
    read: list[int] = []
    buffer = FrameBuffer(numbered(range(6), read))
    assert not read
    assert buffer.get(2).item() == 2
    assert read == [0, 1, 2]
    assert [buffer.get(index).item() for index in (0, 1, 2, 1)] == [0, 1, 2, 1]
    assert read == [0, 1, 2]


def test_frame_buffer_has_nothing_beyond_the_end():
    buffer = FrameBuffer(numbered(range(3), []))
    assert buffer.get(3) is None
    assert buffer.get(2).item() == 2
    assert buffer.get(7) is None


def test_frame_buffer_holds_what_has_not_been_let_go():
    buffer = FrameBuffer(numbered(range(9), []))
    buffer.get(5)
    buffer.release(4)
    assert [buffer.get(index) for index in (0, 3)] == [None, None]
    assert [buffer.get(index).item() for index in (4, 5, 6)] == [4, 5, 6]


def test_frame_buffer_goes_by_index_where_frames_are_left_out():
    buffer = FrameBuffer(numbered([0, 3, 7], []))
    assert buffer.get(3).item() == 3
    assert buffer.get(2) is None
    assert buffer.get(7).item() == 7


# Stills


def pillow(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


GREY, RGB, COVER = noise(13, 19), noise(13, 19, 3, seed=1), noise(13, 19, seed=2)
BITS = (noise(13, 19) > 127).astype(np.uint8) * 255


def repeated(grey: np.ndarray) -> np.ndarray:
    return np.dstack([grey] * 3)


def palette(transparency: bytes | int | None) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """A palette image of 16 colours; its colours and its alpha, looked up here."""
    indices, table = noise(13, 19) % 16, noise(16, 3, seed=3)
    image = Image.fromarray(indices)
    image.putpalette(table.tobytes())
    if transparency is not None:
        image.info["transparency"] = transparency
    covers = np.full(16, 255, np.uint8)
    if isinstance(transparency, bytes):
        covers[: len(transparency)] = list(transparency)
    elif transparency is not None:
        covers[transparency] = 0
    return image, table[indices], covers[indices]


STILLS: dict[str, tuple[Image.Image, np.ndarray, np.ndarray | None]] = {
    # image, its colours, its grey (None: the luma of its colours)
    "L": (Image.fromarray(GREY), repeated(GREY), GREY),
    "1": (Image.fromarray(BITS).convert("1"), repeated(BITS), BITS),
    "RGB": (Image.fromarray(RGB), RGB, None),
    "RGB all grey": (Image.fromarray(repeated(GREY)), repeated(GREY), GREY),
    "RGBA": (Image.fromarray(np.dstack([RGB, COVER])), RGB, COVER),
    "RGBA opaque": (Image.fromarray(np.dstack([repeated(GREY), np.full_like(GREY, 255)])), repeated(GREY), GREY),
    "LA": (Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(COVER)]), repeated(GREY), COVER),
    "LA opaque": (Image.fromarray(GREY).convert("LA"), repeated(GREY), GREY),
    "P": (*palette(None)[:2], None),
    "P with alphas": palette(bytes(range(0, 256, 17))),
    "P with one clear colour": palette(5),
}


@pytest.mark.parametrize("kind", STILLS)
def test_stills_of_every_mode_are_read_as_colour_and_as_grey(tmp_path, kind):
    image, colour, grey = STILLS[kind]
    image.save(tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as written:
        assert written.mode == image.mode
    found = read_colour(tmp_path / "x.png")
    assert found.dtype == np.uint8
    assert np.array_equal(found, colour)
    found = read_grey(tmp_path / "x.png")
    if grey is not None:
        assert np.array_equal(found, grey)
    else:
        assert np.abs(found - colour @ [0.299, 0.587, 0.114]).max() < 1


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_grey_of_few_bits_reaches_from_0_to_255(tmp_path, depth):
    values = np.arange(2**depth, dtype=np.uint8).repeat(8 // depth)  # whole bytes
    bits = np.unpackbits(values[:, None], axis=1)[:, -depth:]
    path = filled(tmp_path / "x.png", png(np.packbits(bits).tobytes(), (1, len(values)), depth=depth, colour_type=0))
    assert np.array_equal(read_grey(path), [values * (255 // (2**depth - 1))])


def png(row: bytes, size: tuple[int, int], *, depth: int, colour_type: int, extra: bytes = b"") -> bytes:
    """A PNG out of its unfiltered rows; `extra` chunks come before the pixels."""
    height, width = size
    rows = b"".join(b"\0" + row[i : i + len(row) // height] for i in range(0, len(row), len(row) // height))
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def scaled(deep: np.ndarray) -> np.ndarray:
    """v -> v * 255 / 65535 = v / 257, rounded; 257 is odd, so that no value lies half way."""
    return (2 * deep.astype(np.int64) + 257) // 514


def test_every_16_bit_grey_is_rounded_to_8_bits(tmp_path):
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(deep).save(tmp_path / "x.png")
    assert np.array_equal(read_grey(tmp_path / "x.png"), scaled(deep))
    assert np.array_equal(read_colour(tmp_path / "x.png"), repeated(scaled(deep)))


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colours_are_rounded_to_8_bits(tmp_path, channels):
    deep = np.random.default_rng(5).integers(0, 65536, (29, 31, channels), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "x.png"), deep[..., [2, 1, 0, 3][:channels]])
    assert np.array_equal(read_colour(tmp_path / "x.png"), scaled(deep[..., :3]))
    if channels == 4:
        assert np.array_equal(read_grey(tmp_path / "x.png"), scaled(deep[..., 3]))


def test_16_bit_grey_with_alpha_is_rounded_to_8_bits(tmp_path):
    deep = np.random.default_rng(6).integers(0, 65536, (11, 9, 2), dtype=np.uint16)
    path = filled(tmp_path / "x.png", png(deep.astype(">u2").tobytes(), (11, 9), depth=16, colour_type=4))
    assert np.array_equal(read_colour(path), repeated(scaled(deep[..., 0])))
    assert np.array_equal(read_grey(path), scaled(deep[..., 1]))


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("value", range(1, 9))
def test_stills_stand_upright_as_their_exif_says(tmp_path, value, suffix):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(smooth(40, 64)).save(path, exif=orientation(value))
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert expected.shape == ((40, 64, 3) if value < 5 else (64, 40, 3))
    assert np.array_equal(read_colour(path), expected)


@pytest.mark.parametrize("colour_type", [0, 2, 4, 6], ids=["grey", "rgb", "grey with alpha", "rgba"])
def test_16_bit_stills_stand_upright_as_their_exif_says(tmp_path, colour_type):
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    deep = np.random.default_rng(7).integers(0, 65536, (5, 8, channels), dtype=np.uint16)
    turned_right = chunk(b"eXIf", orientation(6).tobytes().removeprefix(b"Exif\0\0"))
    data = png(deep.astype(">u2").tobytes(), (5, 8), depth=16, colour_type=colour_type, extra=turned_right)
    expected = np.rot90(scaled(deep), -1)
    found = read_colour(filled(tmp_path / "x.png", data))
    assert np.array_equal(found, expected[..., :3] if channels > 2 else repeated(expected[..., 0]))


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_colour_without_alpha_channel_means_the_same_at_any_depth(tmp_path, depth):
    values = np.array([[[9, 9, 9], [200, 200, 200], [9, 9, 9], [70, 70, 70]]])
    deep = values * 257 if depth == 16 else values
    key = chunk(b"tRNS", struct.pack(">HHH", *deep[0, 0]))
    rows = deep.astype(">u2" if depth == 16 else np.uint8).tobytes()
    path = filled(tmp_path / "x.png", png(rows, (1, 4), depth=depth, colour_type=2, extra=key))
    assert np.array_equal(read_colour(path), values)
    assert read_grey(path).tolist() == [[9, 200, 9, 70]]


def test_jpegs_are_read_as_pillow_reads_them(tmp_path):
    for mode in ("RGB", "L"):
        Image.fromarray(smooth(33, 47)).convert(mode).save(tmp_path / "x.jpg")
        expected = pillow(tmp_path / "x.jpg")
        colour = expected if mode == "RGB" else repeated(expected)
        assert np.array_equal(read_colour(tmp_path / "x.jpg"), colour)
        if mode == "L":
            assert np.array_equal(read_grey(tmp_path / "x.jpg"), expected)


def test_camera_stills_are_read_as_pillow_reads_them(camera_media):
    colour = pillow(camera_media / "lemur_foreground.png")
    assert np.array_equal(read_colour(camera_media / "lemur_foreground.png"), colour)
    alpha = pillow(camera_media / "lemur_alpha.png")
    assert np.array_equal(read_grey(camera_media / "lemur_alpha.png"), alpha)
    drawn = pillow(camera_media / "lemur_trimap.png")  # grey as RGB, with an opaque alpha channel
    assert np.array_equal(read_grey(camera_media / "lemur_trimap.png"), drawn[..., 0])


# Stills that cannot be used


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


BAD_STILLS: dict[str, tuple[bytes | None, str]] = {
    "empty": (b"", "empty"),
    "text": (b"once there was an image here\n" * 50, "neither PNG nor JPEG"),
    "CMYK": (saved(Image.fromarray(RGB).convert("CMYK"), "JPEG"), "CMYK"),
    "TIFF": (saved(Image.fromarray(RGB), "TIFF"), "neither PNG nor JPEG"),
    "GIF": (saved(Image.fromarray(GREY), "GIF"), "neither PNG nor JPEG"),
    "missing": (None, "no such file"),
}


@pytest.mark.parametrize("read", [read_colour, read_grey])
@pytest.mark.parametrize("kind", BAD_STILLS)
def test_an_unusable_still_is_named_with_the_reason(tmp_path, kind, read):
    data, reason = BAD_STILLS[kind]
    path = tmp_path / "cat.png"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(SourceError, match=reason) as raised:
        read(path)
    assert str(path) in str(raised.value)


PNG = saved(Image.fromarray(RGB), "PNG")
DEEP = np.random.default_rng(8).integers(0, 65536, (13, 19, 3), dtype=np.uint16)
DEEP_PNG = png(DEEP.astype(">u2").tobytes(), (13, 19), depth=16, colour_type=2)


@pytest.mark.parametrize(("data", "whole"), [(PNG, RGB), (DEEP_PNG, scaled(DEEP))], ids=["8 bit", "16 bit"])
def test_a_truncated_png_is_named_unless_all_its_pixels_are_there(tmp_path, data, whole):
    path = tmp_path / "cat.png"
    offsets = [*range(1, 60, 7), *range(60, len(data), 41), *range(len(data) - 24, len(data))]
    for offset in offsets:
        path.write_bytes(data[:offset])
        result = result_or_error(read_colour, path)
        if isinstance(result, str):
            assert str(path) in result
        else:
            assert offset > len(data) - 24  # in the last chunk, after the pixels
            assert np.array_equal(result, whole)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.9, 0.98])
def test_a_truncated_jpeg_is_named(tmp_path, share):
    data = saved(Image.fromarray(noise(60, 80, 3)), "JPEG")
    path = filled(tmp_path / "cat.jpg", data[: int(len(data) * share)])
    with pytest.raises(SourceError) as raised:
        read_colour(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("data", [PNG, DEEP_PNG], ids=["8 bit", "16 bit"])
def test_a_png_whose_pixels_are_damaged_is_named(tmp_path, data):
    broken = bytearray(data)
    start = data.index(b"IDAT") + 4
    broken[start + 20 : start + 40] = bytes(20)
    path = filled(tmp_path / "cat.png", bytes(broken))
    with pytest.raises(SourceError) as raised:
        read_colour(path)
    assert str(path) in str(raised.value)


# Encoding


@pytest.mark.parametrize("pixels", [noise(31, 45, 3), noise(31, 45), noise(1, 1, 3), np.zeros((8, 300), np.uint8)])
@pytest.mark.parametrize("encoding", ["grey_png", "colour_png", "flat_png", "bmp"])
def test_lossless_encodings_come_back_as_they_were(pixels, encoding):
    image = Image.open(io.BytesIO(encoded_image(pixels, encoding)))
    assert image.format == ("BMP" if encoding == "bmp" else "PNG")
    assert image.mode == ("L" if pixels.ndim == 2 else "RGB")
    assert np.array_equal(np.asarray(image), pixels)


def grey_png(pixels, png_filter):
    """By OpenCV, with one filter for all rows."""
    rle = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    return cv2.imencode(".png", pixels, [*rle, cv2.IMWRITE_PNG_FILTER, png_filter])[1].tobytes()


def test_a_matte_gets_the_filter_that_makes_the_smaller_file():
    specks = np.where(noise(200, 300) > 230, noise(200, 300, seed=1), 0)  # unlike the row above
    slope = smooth(200, 300)[..., 1]  # like it
    for pixels, smaller in ((specks, cv2.IMWRITE_PNG_FILTER_NONE), (slope, cv2.IMWRITE_PNG_FILTER_UP)):
        none, up = (grey_png(pixels, f) for f in (cv2.IMWRITE_PNG_FILTER_NONE, cv2.IMWRITE_PNG_FILTER_UP))
        assert encoded_image(pixels, "grey_png") == grey_png(pixels, smaller) == min(none, up, key=len)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 1), (16, 1), (17, 2), (33, 5)])
def test_mattes_of_few_rows_or_columns_can_be_encoded(shape):
    for pixels in (noise(*shape), np.zeros(shape, np.uint8)):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(encoded_image(pixels, "grey_png")))), pixels)


def test_a_cut_out_region_is_encoded_like_a_copy_of_it():
    whole = noise(60, 80, 3)
    for encoding in ENCODINGS:
        for pixels in (whole[5:40, 9:70], whole[..., 1][5:40, 9:70]):
            assert encoded_image(pixels, encoding) == encoded_image(pixels.copy(), encoding)


def test_jpeg_has_quality_95_and_is_close():
    pixels = smooth(64, 96)
    data = encoded_image(pixels, "jpeg")
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    reference = Image.open(io.BytesIO(saved(Image.fromarray(pixels), "JPEG", quality=95)))
    assert image.quantization == reference.quantization
    assert np.abs(np.asarray(image).astype(int) - pixels).mean() < 2


@pytest.mark.parametrize("pixels", [noise(20, 30, 3), noise(20, 30)])
def test_a_written_image_is_read_back_by_pillow(tmp_path, pixels):
    write_image(tmp_path / "x.png", pixels)
    assert np.array_equal(pillow(tmp_path / "x.png"), pixels)


# Threads


def test_a_decoder_takes_all_threads_in_the_main_process():
    assert decoder_threads() == 0


def in_forked_child(function: Callable[[], Any]) -> Any:
    receiving, sending = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: this process has threads
        child = os.fork()
    if child == 0:
        os.write(sending, pickle.dumps(function()))
        os._exit(0)
    os.waitpid(child, 0)
    with open(receiving, "rb") as file:
        os.close(sending)
        return pickle.load(file)


def test_a_decoder_takes_one_thread_in_a_forked_child():
    assert in_forked_child(decoder_threads) == 1


@pytest.mark.parametrize("package", [multiprocessing, multiprocess], ids=["multiprocessing", "multiprocess"])
def test_a_decoder_takes_one_thread_in_a_spawned_worker(package):
    with package.get_context("spawn").Pool(1) as pool:  # `datasets` starts its workers with multiprocess
        assert pool.apply(decoder_threads) == 1
        pool.close()
        pool.join()


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv422p"])
@pytest.mark.parametrize("size", [(96, 160), (98, 150), (64, 70)])
def test_a_part_of_a_picture_is_that_part_of_the_whole(tmp_path, pixel_format, size):
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


def test_a_part_of_a_full_range_picture_is_of_full_range(tmp_path):
    """VP9 stores the range beside a pixel format that is the same for both. Neutral chroma: R = G = B = luma."""
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
