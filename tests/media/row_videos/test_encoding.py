"""The videos of rows: exact mattes, colours by the equations of BT.601, tags, and bytes that depend on pixels only."""

import io
import re
import struct

import av
import numpy as np
import pytest
from row_videos import COLOUR, GREY, decoded, encoded, mattes, pictures, planes

from dvm_hf.media.pixels import Size
from dvm_hf.media.row_videos import encoding
from dvm_hf.media.row_videos.encoding import VideoEncoder, encoder_frame, encoder_version, has_encoder, padded_size

SIZES = [(1, 1), (2, 2), (3, 5), (15, 17), (16, 16), (33, 70), (40, 57), (300, 6)]  # height, width
# Rows of R, G, B to Y, Cb, Cr in ITU-T T.871 (JFIF), with the coefficients of BT.601 at full range.
TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.299 / 1.772, -0.587 / 1.772, 0.5], [0.5, -0.587 / 1.402, -0.114 / 1.402]])


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_mattes_are_exact_at_any_size(height: int, width: int) -> None:
    frames = mattes(3, height, width)
    found = decoded(encoded(frames))
    assert len(found) == 3
    for frame, matte in zip(found, frames, strict=True):
        assert (frame.height, frame.width) == (height + height % 2, width + width % 2)
        assert np.array_equal(planes(frame)[0][:height, :width], matte)
        assert np.array_equal(frame.to_ndarray(format="gray")[:height, :width], matte)  # as FFmpeg converts it
        assert np.array_equal(frame.to_ndarray(format="rgb24")[:height, :width], np.dstack([matte] * 3))


def test_noise_and_trimaps_are_exact() -> None:
    rng = np.random.default_rng(3)
    for values in (rng.integers(0, 256, (5, 48, 64)), rng.choice([0, 128, 255], (5, 48, 64))):
        frames = list(values.astype(np.uint8))
        assert all(
            np.array_equal(planes(one)[0], two) for one, two in zip(decoded(encoded(frames)), frames, strict=True)
        )


def test_the_planes_are_those_of_the_equations() -> None:
    """Luma of each pixel, chroma of the mean of four; both are rounded twice."""
    rgb = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    luma, blue, red = planes(encoder_frame(rgb, COLOUR))
    means = rgb.reshape(16, 2, 24, 2, 3).mean(axis=(1, 3))
    assert np.abs(luma - rgb @ TO_YCC[0]).max() <= 0.6
    assert np.abs(blue.astype(int) - 128 - means @ TO_YCC[1]).max() <= 1.1
    assert np.abs(red.astype(int) - 128 - means @ TO_YCC[2]).max() <= 1.1


def test_grey_levels_are_exact_before_the_quantizer_and_have_no_colour() -> None:
    levels = np.dstack([np.arange(256, dtype=np.uint8).reshape(16, 16).repeat(2, 0).repeat(2, 1)] * 3)
    luma, blue, red = planes(encoder_frame(levels, COLOUR))
    assert np.array_equal(luma, levels[..., 0])
    assert (blue == 128).all()
    assert (red == 128).all()


def test_flat_colours_return_from_the_video_within_six_levels() -> None:
    """Chroma is not subsampled in patches of 16 px: what remains is rounding and the quantizer."""
    patches = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    for frame in decoded(encoded([patches] * 3)):
        error = np.abs(frame.to_ndarray(format="rgb24").astype(int) - patches)
        assert error.max() <= 6
        assert error.mean() < 1.2


@pytest.mark.parametrize("kind", ["smooth", "noise"])
def test_the_quantizer_bounds_the_error_of_any_content(kind: str) -> None:
    rng = np.random.default_rng(2)
    frames = pictures(4, 64, 96) if kind == "smooth" else list(rng.integers(0, 256, (4, 64, 96, 3), np.uint8))
    for frame, rgb in zip(decoded(encoded(frames)), frames, strict=True):
        for found, wanted in zip(planes(frame), planes(encoder_frame(rgb, COLOUR)), strict=True):
            error = np.square(found.astype(float) - wanted).mean()
            assert 10 * np.log10(255**2 / error) > 47


def test_odd_sizes_repeat_the_last_row_and_column() -> None:
    (rgb,) = pictures(1, 33, 47)
    padded = np.pad(rgb, ((0, 1), (0, 1), (0, 0)), mode="edge")
    for one, two in zip(planes(encoder_frame(rgb, COLOUR)), planes(encoder_frame(padded, COLOUR)), strict=True):
        assert np.array_equal(one, two)
    assert padded_size(Size(33, 46)) == (34, 46)


@pytest.mark.parametrize("frames", [pictures(5, 33, 48), mattes(5, 33, 48)], ids=["colour", "grey"])
def test_all_tags_are_in_the_stream_and_in_the_container(frames: list[np.ndarray]) -> None:
    data = encoded(frames)
    # colr of type nclx: primaries BT.709, transfer sRGB, matrix BT.601, full range (ISO/IEC 14496-12, 12.1.5)
    at = data.index(b"colrnclx") + 8
    assert struct.unpack(">HHHB", data[at : at + 7]) == (1, 13, 6, 0x80)
    frame = decoded(data)[-1]
    assert (frame.color_primaries, frame.color_trc, frame.color_range) == (1, 13, 2)
    if frames[0].ndim == 3:
        assert frame.colorspace in (5, 6)  # both numbers mean BT.601


def test_there_is_one_keyframe_and_no_frame_waits_for_another() -> None:
    for frames in (pictures(20, 40, 56), mattes(20, 40, 56)):
        frames[10] = 255 - frames[10]  # a change of scene
        with av.open(io.BytesIO(encoded(frames))) as container:
            (stream,) = container.streams
            packets = [packet for packet in container.demux(stream) if packet.size]
            assert [packet.is_keyframe for packet in packets] == [True] + [False] * 19
            assert [packet.pts for packet in packets] == [packet.dts for packet in packets]
            assert stream.average_rate == 25
            assert stream.frames == 20


def test_bytes_depend_on_the_pixels_only() -> None:
    frames, matte = pictures(6, 45, 70), mattes(6, 45, 70)
    made = [encoded(frames), encoded(matte)]
    assert made == [encoded(frames), encoded(matte)]
    for data in made:
        assert b"Lavf" not in data
        assert b"Lavc" not in data
        at = data.index(b"mvhd") + 4
        assert data[at : at + 12] == bytes(12)  # version, flags, creation and modification time


def test_a_frame_can_be_encoded_again() -> None:
    """Overlapping windows share frames, and repeat_last repeats the last one."""
    (rgb,) = pictures(1, 40, 56)
    shared, encoders = encoder_frame(rgb, COLOUR), [VideoEncoder(COLOUR) for _ in range(2)]
    for _ in range(3):
        for encoder in encoders:
            encoder.append(shared)
    assert {encoder.finished() for encoder in encoders} == {encoded([rgb] * 3)}


def test_the_version_is_that_in_the_stream() -> None:
    assert re.fullmatch(r"core \d+.*", encoder_version())
    assert f"x264 - {encoder_version()} - ".encode() in encoded(mattes(1, 16, 16))


def test_the_settings_are_in_the_stream() -> None:
    options = {GREY: encoded(mattes(2, 320, 64)), COLOUR: encoded(pictures(2, 320, 64))}  # high enough for threads
    for data in options.values():
        for setting in (b" threads=1 ", b"bframes=0", b"keyint=infinite", b"scenecut=0", b"rc=cqp", b"cabac=0"):
            assert setting in data
    assert b"qp=12" in options[COLOUR]
    assert b"qp=0" in options[GREY]


def test_a_build_of_pyav_without_x264_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_encoder()
    monkeypatch.setattr(encoding, "codecs_available", frozenset({"h264", "mpeg4"}))
    assert not has_encoder()
