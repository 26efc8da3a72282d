"""Videos of rows are read up to the requested frame; anything else than a valid video of the row is an error."""

import io
import re
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest
from row_videos import decoded, encoded, mattes, pictures

from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Box, Size
from dvm_hf.media.row_videos.decoding import RowVideo

SIZE = Size(45, 130)
FRAMES = pictures(12, *SIZE)
MATTES = mattes(12, *SIZE)


def colours(data: bytes | None = None, *, kept: int = 1, size: Size = SIZE) -> RowVideo:
    return RowVideo(encoded(FRAMES) if data is None else data, size=size, is_grey=False, name="cat: frames", kept=kept)


def greys(data: bytes | None = None, *, kept: int = 1) -> RowVideo:
    return RowVideo(encoded(MATTES) if data is None else data, size=SIZE, is_grey=True, name="cat: alpha", kept=kept)


def offsets(data: bytes) -> list[int]:
    """Return the offset of each frame in the file."""
    with av.open(io.BytesIO(data)) as container:
        return [packet.pos for packet in container.demux(video=0) if packet.size]


def damaged(data: bytes, frame: int) -> bytes:
    """Overwrite the length in front of a frame's NAL unit."""
    offset = offsets(data)[frame]
    return data[:offset] + b"\x7f\xff\xff\xff" + data[offset + 4 :]


def test_all_frames_are_those_of_ffmpeg() -> None:
    found = list(colours().all_frames())
    assert len(found) == len(colours()) == 12
    for frame, expected in zip(found, decoded(encoded(FRAMES)), strict=True):
        whole = expected.to_ndarray(format="rgb24")[: SIZE.height, : SIZE.width]
        assert np.abs(frame.pixels().astype(int) - whole).max() <= 1
    for frame, matte in zip(greys().all_frames(), MATTES, strict=True):
        assert np.array_equal(frame.pixels(), matte)


@pytest.mark.parametrize("box", [Box(0, 0, *SIZE), Box(3, 5, 20, 41), Box(11, 97, 45, 130), Box(44, 0, 45, 130)])
def test_a_box_is_that_part_of_the_frame(box: Box) -> None:
    rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
    for video in (colours(), greys()):
        frame = video.frame(3)
        assert np.array_equal(frame.pixels(box), frame.pixels()[rows, columns])


def test_frames_can_be_requested_in_any_order() -> None:
    video = greys(kept=3)
    for index in (5, 4, 3, 5, 8, 7, 0, 11, 9, 2, 2):
        assert np.array_equal(video.frame(index).pixels(), MATTES[index])


def test_frames_that_are_held_are_not_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    decoder = RowVideo._decoder
    monkeypatch.setattr(RowVideo, "_decoder", lambda video: begun.append(video) or decoder(video))
    video = greys(kept=4)
    for index in (6, 3, 4, 5, 6, 8, 5, 9, 10):
        video.frame(index)
    assert len(begun) == 1
    video.frame(6)
    assert len(begun) == 2


def test_only_frames_up_to_the_requested_one_are_decoded() -> None:
    """The next one cannot be decoded."""
    for data, make in ((encoded(FRAMES), colours), (encoded(MATTES), greys)):
        video = make(damaged(data, 7))
        video.frame(6)
        with pytest.raises(SourceError, match=r"^cat: (frames|alpha): cannot be decoded"):
            video.frame(7)


def test_a_window_of_one_frame_is_read() -> None:
    (rgb,) = pictures(1, 8, 8)
    video = colours(encoded([rgb]), size=Size(8, 8))
    assert len(video) == 1
    assert np.abs(video.frame(0).pixels().astype(int) - rgb).mean() < 3


def test_the_psnr_is_that_of_the_planes() -> None:
    video = colours()
    assert video.frame(0).psnr(FRAMES[0], "colour_h264") > 47
    assert video.frame(0).psnr(FRAMES[1], "colour_h264") < 30
    dark = FRAMES[0] // 2
    assert colours(encoded([dark])).frame(0).psnr(dark + 8, "colour_h264") == pytest.approx(
        20 * np.log10(255 / 8), abs=0.5
    )


def written(codec: str, layout: str, size: Size, colour_range: int) -> bytes:
    """Return an MP4 of two frames in any codec, pixel format and size; the range is FFmpeg's number."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = size.height, size.width, layout
        stream.codec_context.color_range = colour_range
        for index in range(2):
            frame = av.VideoFrame(size.width, size.height, layout)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: b"", "(0 bytes): cannot be read as a video"),
        (lambda: b"not a video" * 50, "(550 bytes): cannot be read as a video"),
        (lambda: encoded(FRAMES)[:2000], "(2000 bytes): cannot be read as a video"),
        (
            lambda: encoded(pictures(2, 90, 130)),
            "has frames of 130 x 90 px, but the row's height and width require 130 x 46 px",
        ),
        (lambda: written("mpeg4", "yuv420p", Size(46, 130), 1), "contains mpeg4 video, but must contain H.264"),
        (lambda: written("libx264", "yuv420p", Size(46, 130), 1), "has frames in the format yuv420p"),
        (lambda: written("libx264", "yuv444p", Size(46, 130), 2), "has frames in the format yuvj444p"),
        (lambda: written("libx264", "yuv420p10le", Size(46, 130), 2), "has frames in the format yuv420p10le"),
    ],
)
def test_a_foreign_or_damaged_video_is_refused(make: Callable[[], bytes], text: str) -> None:
    with pytest.raises(SourceError, match=rf"^cat: frames.*{re.escape(text)}.*; rebuild the dataset$"):
        list(colours(make()).all_frames())


def test_a_missing_frame_is_named() -> None:
    with pytest.raises(SourceError, match=r"^cat: frames: has 12 frames, but frame 12 is needed; rebuild"):
        colours().frame(12)


def test_a_row_without_bytes_is_refused() -> None:
    with pytest.raises(SourceError, match=r"^x \(0 bytes\): cannot be read as a video"):
        len(RowVideo(None, size=SIZE, is_grey=True, name="x"))
