"""Damage within packets is found if the codec or FFmpeg can detect it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dvm_hf.media.formats.packet_checksums import is_damaged
from dvm_hf.media.video.video_measures import measured
from dvm_hf.media.video.videos import Video

SIZE, COUNT, DAMAGED = (144, 192), 12, 6
HASHED = {"x265-params": "hash=1:log-level=none"}  # MD5 of each picture


def film(path: Path, codec: str, layout: str, **options: str) -> Path:
    """Seeded noise over a moving ramp."""
    rng, ramp = np.random.default_rng(0), np.add.outer(np.arange(SIZE[0]), np.arange(SIZE[1]))
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *SIZE, layout
        if codec in ("mpeg4", "msmpeg4", "mpeg2video"):
            stream.bit_rate = 1_500_000
        for number in range(COUNT):
            picture = (np.dstack([ramp + 5 * number] * 3) + rng.integers(0, 30, (*SIZE, 3))) % 256
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame.reformat(format=layout)))
        container.mux(stream.encode(None))
    return path


def zeroed(path: Path, *, share: float, start: float) -> Path:
    """The file with zeros in the packet of a middle frame; share, start: fractions of the packet."""
    with av.open(str(path)) as container:
        packet = bytes([packet for packet in container.demux(video=0) if packet.size][DAMAGED])
    data = bytearray(path.read_bytes())
    at = data.find(packet[-60:]) + 60 - len(packet)  # containers may store the first bytes elsewhere
    first, length = round(start * len(packet)), max(1, round(share * len(packet)))
    data[at + first : at + first + length] = bytes(length)
    path.write_bytes(data)
    return path


FOUND: dict[str, Callable[[Path], Path]] = {
    "MPEG-4 in MP4": lambda folder: film(folder / "f.mp4", "mpeg4", "yuv420p"),
    "MPEG-4 in AVI": lambda folder: film(folder / "f.avi", "mpeg4", "yuv420p", bf="2"),
    "MPEG-4 of Microsoft": lambda folder: film(folder / "f.avi", "msmpeg4", "yuv420p"),
    "MPEG-2": lambda folder: film(folder / "f.mkv", "mpeg2video", "yuv420p"),
    "H.264": lambda folder: film(folder / "f.mp4", "libx264", "yuv420p"),
    "H.265 with hashes": lambda folder: film(folder / "f.mp4", "libx265", "yuv420p", **HASHED),
    "ProRes": lambda folder: film(folder / "f.mov", "prores_ks", "yuv422p10le"),
    "JPEG": lambda folder: film(folder / "f.mov", "mjpeg", "yuvj420p"),
    "PNG": lambda folder: film(folder / "f.mov", "png", "rgb24"),
    "FFV1": lambda folder: film(folder / "f.mkv", "ffv1", "yuv420p", level="3"),
    "FFV1 in AVI": lambda folder: film(folder / "f.avi", "ffv1", "yuv420p", level="3", slices="9"),
    "FFV1 with few keyframes": lambda folder: film(folder / "f.mkv", "ffv1", "yuv420p", level="3", g="12", context="1"),
}


@pytest.mark.parametrize(("share", "start"), [(0.2, 0.4), (0.5, 0.5), (0.05, 0.3)])
@pytest.mark.parametrize("codec", FOUND)
def test_damaged_frames_are_not_returned(tmp_path: Path, codec: str, share: float, start: float) -> None:
    path = FOUND[codec](tmp_path)
    with Video(path) as video:
        whole = dict(video.colours(range(COUNT)))
    assert len(whole) == COUNT
    with Video(zeroed(path, share=share, start=start)) as video:
        left = dict(video.colours(range(COUNT)))
    assert 0 < len(left) < COUNT
    assert all(np.array_equal(pixels, whole[number]) for number, pixels in left.items())


@pytest.mark.parametrize("codec", ["FFV1", "FFV1 in AVI", "PNG", "MPEG-4 of Microsoft", "JPEG"])
def test_a_deep_check_names_the_frame_that_a_build_ends_at(
    tmp_path: Path, codec: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = zeroed(FOUND[codec](tmp_path), share=0.3, start=0.4)
    found = measured(path)
    assert (found.frames, bool(found.fault)) == (DAMAGED, True)
    with Video(path) as video:
        assert len(list(video.colours(range(COUNT)))) >= DAMAGED
    assert f"{path}: frame {DAMAGED}" in caplog.text


@pytest.mark.parametrize(
    "options",
    [{"level": "1"}, {"level": "3", "slicecrc": "0"}, {"level": "3", "slices": "4"}, {"level": "4", "strict": "-2"}],
)
def test_valid_packets_with_and_without_checksums_pass(tmp_path: Path, options: dict[str, str]) -> None:
    path = film(tmp_path / "f.mkv", "ffv1", "yuv420p", **options)
    with av.open(str(path)) as container:
        packets = [memoryview(packet) for packet in container.demux(video=0) if packet.size]
        assert not any(is_damaged("ffv1", packet, has_header=options["level"] != "1") for packet in packets)
    with Video(path) as video:
        assert len(list(video.colours(range(COUNT)))) == COUNT


def test_every_bit_of_a_slice_is_checked(tmp_path: Path) -> None:
    with av.open(str(film(tmp_path / "f.mkv", "ffv1", "yuv420p", level="3"))) as container:
        packet = next(bytes(packet) for packet in container.demux(video=0))
    for place in (0, len(packet) // 3, len(packet) // 2, len(packet) - 1):
        damaged = bytearray(packet)
        damaged[place] ^= 1
        assert is_damaged("ffv1", damaged, has_header=True), place


def test_a_png_may_have_damaged_chunks_unrelated_to_pixels(tmp_path: Path) -> None:
    text = b"\0\0\0\4tEXta\0bc" + b"none"
    with av.open(str(film(tmp_path / "f.mov", "png", "rgb24"))) as container:
        packet = next(bytes(packet) for packet in container.demux(video=0))
    assert not is_damaged("png", packet[:33] + text + packet[33:], has_header=False)
    damaged = packet[:-60] + b"x" + packet[-59:]
    assert is_damaged("png", damaged, has_header=False)
    assert not any(is_damaged(codec, damaged, has_header=False) for codec in ("mjpeg", "prores", "qtrle", "vp9"))
