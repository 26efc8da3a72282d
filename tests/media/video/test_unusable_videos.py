"""Videos that cannot be read, or not to their end, are named with the reason."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from media_arrays import (
    EVERY_FRAME,
    colours,
    filled,
    noise,
    opencv_frames,
    result_or_error,
    same,
    video_frame,
    write_noisy_video,
    write_raw,
)

from dvm_hf.errors import SourceError
from dvm_hf.media.video.video_writing import write_video
from dvm_hf.media.video.videos import Video


@pytest.fixture(scope="module")
def noisy_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noisy_video(tmp_path_factory.mktemp("noisy") / "v.mp4")


def write_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


def unfinished(path: Path) -> Path:
    """An MP4 like a camera leaves it when its battery dies: frames, but no index."""
    write_video(path, (noise(48, 64, 3, seed=i) for i in range(5)))
    data = path.read_bytes()
    assert data.index(b"mdat") < data.index(b"moov")
    path.write_bytes(data[: data.index(b"moov") - 4])
    return path


def of_unknown_codec(path: Path) -> Path:
    """An MP4 whose header names an unknown codec."""
    write_video(path, [noise(48, 64, 3)] * 2)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
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
def test_a_truncated_video_yields_its_complete_frames_and_a_warning(tmp_path, noisy_video, caplog, share):
    data = noisy_video.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    path = filled(tmp_path / "cut.mp4", data[: int(len(data) * share)])
    found, whole = colours(path), opencv_frames(noisy_video)
    assert 40 * share / 3 < len(found) < 40
    assert same(found, whole[: len(found)])
    assert f"{path}: ends after {len(found)} frames, its header declares 40" in caplog.text


def test_too_many_declared_frames_are_reported(tmp_path, caplog):
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


def test_a_container_without_an_index_is_not_reported_to_have_one(tmp_path, caplog):
    path = write_raw(tmp_path / "v.mkv", [noise(48, 32, seed=i) for i in range(10)], "yuv420p", codec="mpeg4")
    with av.open(path) as container:
        assert container.streams.video[0].frames == 0  # Matroska lists none
        last = [bytes(packet) for packet in container.demux(video=0) if packet.size][-1]
    data = path.read_bytes()
    path.write_bytes(data.replace(last, bytes(len(last))))
    with Video(path) as video:
        assert len(list(video.colours(range(10)))) == 9
    assert f"{path}: ends after 9 frames, but has packets for 10; its clips end there" in caplog.text


def test_a_damaged_frame_is_not_used_silently(tmp_path, caplog):
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
def test_a_matrix_without_rgb_conversion_is_named(tmp_path, matrix):
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


def test_a_colon_in_a_relative_path_is_not_a_protocol(tmp_path, monkeypatch):
    folder = tmp_path / "take:2"
    folder.mkdir()
    write_video(tmp_path / "v.mp4", [noise(48, 64, 3)] * 2)
    (tmp_path / "v.mp4").rename(folder / "v.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(colours(Path("take:2/v.mp4"))) == 2
