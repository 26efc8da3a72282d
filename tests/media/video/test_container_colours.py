"""Colour tags that only the container declares: pixels by the equations of ITU-R BT.601, BT.709 and BT.2020."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media_arrays import opencv_frames, with_container_tags, write_raw

from dvm_hf.check.videos import video_by_header
from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Box
from dvm_hf.media.video.containers import video_header
from dvm_hf.media.video.video_measures import measured
from dvm_hf.media.video.video_tags import specify_colours, video_tags
from dvm_hf.media.video.videos import Video

BT709, UNSPECIFIED, BT601, SMPTE240M, BT2020 = 1, 2, 6, 7, 9  # ITU-T H.273, table 4
WEIGHTS = {  # of red and blue in the luma
    BT709: (0.2126, 0.0722),
    BT601: (0.299, 0.114),
    SMPTE240M: (0.212, 0.087),
    BT2020: (0.2627, 0.0593),
}
PATCH, ROWS, COLUMNS, FRAMES = 32, 4, 6, 30
X264 = {"qp": "1", "g": "8", "x264-params": "transfer=bt709"}  # describes its colours, but not the matrix
X265 = {"preset": "ultrafast", "x265-params": "lossless=1:log-level=none:keyint=8:pools=none"}
VP9 = {"lossless": "1", "cpu-used": "8", "deadline": "realtime", "g": "8"}
KINDS: dict[str, tuple[str, str, dict[str, str], str, str]] = {
    "H.264 in MP4": ("libx264", "yuv420p", X264, "mp4", "mp4"),
    "H.264 in Matroska": ("libx264", "yuv420p", X264, "mp4", "mkv"),
    "HEVC in MP4": ("libx265", "yuv420p", X265, "mp4", "mp4"),
    "HEVC in Matroska": ("libx265", "yuv420p", X265, "mp4", "mkv"),
    "10-bit HEVC in MOV": ("libx265", "yuv420p10le", X265, "mp4", "mov"),
    "ProRes in MOV": ("prores_ks", "yuv422p10le", {"profile": "3"}, "mov", "mov"),
    "VP9 in MP4": ("libvpx-vp9", "yuv420p", VP9, "mp4", "mp4"),
    "VP9 in WebM": ("libvpx-vp9", "yuv420p", VP9, "webm", "webm"),
}


def drawn_patches(index: int) -> np.ndarray:
    """Limited-range Y, Cb and Cr (3, ROWS, COLUMNS), different in each frame; saturated, but within RGB."""
    rng = np.random.default_rng(index)
    return np.stack([rng.integers(low, high, (ROWS, COLUMNS)) for low, high in ((90, 150), (100, 157), (100, 157))])


def rgb(patches: np.ndarray, matrix: int) -> np.ndarray:
    """Y = kr R + kg G + kb B; Cb = (B - Y) / (2 - 2 kb); Cr = (R - Y) / (2 - 2 kr)."""
    red, blue = WEIGHTS[matrix]
    y, cb, cr = (patches - np.array([16, 128, 128])[:, None, None]) * 255 / np.array([219, 224, 224])[:, None, None]
    r, b = y + (2 - 2 * red) * cr, y + (2 - 2 * blue) * cb
    return np.dstack([r, (y - red * r - blue * b) / (1 - red - blue), b])


def filmed(path: Path, kind: str, **tags: int) -> Path:
    """A video whose stream declares no matrix, in a container with these tags."""
    codec, layout, options, inner, suffix = KINDS[kind]
    source, path = path.with_name(f"stream_of_{path.name}.{inner}"), path.with_suffix(f".{suffix}")
    with av.open(str(source), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = PATCH * COLUMNS, PATCH * ROWS, layout
        for index in range(FRAMES):
            container.mux(stream.encode(frame_of(drawn_patches(index), layout)))
        container.mux(stream.encode(None))
    return with_container_tags(source, path, **tags)


def frame_of(patches: np.ndarray, layout: str) -> av.VideoFrame:
    frame = av.VideoFrame(PATCH * COLUMNS, PATCH * ROWS, layout)
    depth, scale = ("<u2", 4) if "10" in layout else ("u1", 1)
    for plane, values in zip(frame.planes, patches, strict=True):
        full = np.kron(values * scale, np.ones((PATCH, PATCH), np.uint16))
        part = full[:: full.shape[0] // plane.height, :: full.shape[1] // plane.width]
        rows = np.zeros((plane.height, plane.line_size // np.dtype(depth).itemsize), depth)
        rows[:, : plane.width] = part
        plane.update(rows.tobytes())
    return frame


def centres(pixels: np.ndarray) -> np.ndarray:
    return pixels[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH].astype(float)


def decoded_tags(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return int(frame.colorspace), int(frame.color_range)


def codes(path: Path, **options: Any) -> list[str]:
    return [one.code for one in video_by_header(path.parent, path.name, **options)[0]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("matrix", [BT709, SMPTE240M, BT2020])
def test_the_matrix_of_the_container_applies_if_the_codec_leaves_it_unspecified(
    tmp_path: Path, kind: str, matrix: int
) -> None:
    path = filmed(tmp_path / "f", kind, matrix=matrix)
    assert decoded_tags(path)[0] == UNSPECIFIED
    with Video(path) as video:
        frames = dict(video.colours(range(FRAMES)))
    with Video(path) as video:
        ((_, late),) = video.colours([FRAMES - 2])
    with Video(path) as video:
        ((_, picture),) = video.pictures([3])
        part = picture.rgb(Box(10, 40, 70, 100))
    for index in (0, 3, FRAMES - 2):
        expected = rgb(drawn_patches(index), matrix)
        assert abs(expected - rgb(drawn_patches(index), BT601)).max() > 8
        assert abs(centres(frames[index]) - expected).max() <= 3
    assert np.array_equal(late, frames[FRAMES - 2])
    assert np.array_equal(part, frames[3][10:70, 40:100])
    header = video_header(path)
    assert (header.has_matrix, header.tags.matrix) == (True, matrix)
    assert "untagged" not in codes(path)


@pytest.mark.parametrize("kind", ["HEVC in MP4", "HEVC in Matroska", "H.264 in MP4"])
def test_the_matrix_of_the_codec_precedes_that_of_the_container(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec, layout, options, inner, suffix = KINDS[kind]
    described = {name: f"{value}:colormatrix=bt2020nc" for name, value in options.items() if name.endswith("params")}
    monkeypatch.setitem(KINDS, kind, (codec, layout, options | described, inner, suffix))
    path = filmed(tmp_path / "f", kind, matrix=BT709)
    assert decoded_tags(path)[0] == BT2020
    with Video(path) as video:
        (_, first), (_, later) = video.colours([0, 7])
    assert abs(centres(first) - rgb(drawn_patches(0), BT2020)).max() <= 3
    assert abs(centres(later) - rgb(drawn_patches(7), BT2020)).max() <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_videos_without_a_matrix_are_noted_and_read_as_bt_601(tmp_path: Path, kind: str) -> None:
    path = filmed(tmp_path / "f", kind, matrix=UNSPECIFIED)
    with Video(path) as video:
        ((_, later),) = video.colours([5])
    assert abs(centres(later) - rgb(drawn_patches(5), BT601)).max() <= 3
    assert "untagged" in codes(path)


@pytest.mark.parametrize(
    ("codec", "layout", "expected"),
    [
        ("rawvideo", "uyvy422", True),
        ("rawvideo", "yuyv422", True),
        ("rawvideo", "nv12", True),
        ("ffv1", "yuv444p", True),
        ("ffv1", "bgr0", False),
        ("ffv1", "gray", False),
    ],
)
def test_formats_with_chroma_need_a_matrix(tmp_path: Path, codec: str, layout: str, expected: bool) -> None:
    path = tmp_path / "f.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 32, layout
        container.mux(stream.encode(av.VideoFrame(64, 32, layout)))
        container.mux(stream.encode(None))
    assert ("untagged" in codes(path)) is expected


@pytest.mark.parametrize("kind", ["HEVC in MP4", "HEVC in Matroska", "ProRes in MOV", "VP9 in WebM"])
def test_opencv_ignores_the_matrix_of_the_container(tmp_path: Path, kind: str) -> None:
    path = filmed(tmp_path / "f", kind, matrix=BT709)
    with Video(path, uses_container_tags=False) as video:
        frames = [frame for _, frame in video.colours(range(4))]
    for frame, expected in zip(frames, opencv_frames(path, 4), strict=True):
        np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
@pytest.mark.parametrize("kind", ["HEVC in MP4", "HEVC in Matroska", "ProRes in MOV", "VP9 in WebM"])
def test_hdr_that_only_the_container_declares_is_refused(tmp_path: Path, kind: str, transfer: int, name: str) -> None:
    path = filmed(tmp_path / "f", kind, matrix=BT2020, transfer=transfer)
    for read in (Video, measured):
        with pytest.raises(SourceError, match=f"is HDR video with the transfer {name}"):
            read(path)
    assert codes(path) == ["video-unreadable"]


@pytest.mark.parametrize("kind", ["HEVC in MP4", "VP9 in WebM", "ProRes in MOV"])
def test_the_range_of_the_codec_precedes_that_of_the_container(tmp_path: Path, kind: str) -> None:
    path = filmed(tmp_path / "a", kind, matrix=BT709, colour_range=2)
    assert decoded_tags(path)[1] == 1
    assert not measured(path, role="alpha").is_full_range
    with Video(path, role="alpha") as video:
        ((_, alpha),) = video.alphas([2])
    expected = (drawn_patches(2)[0] - 16) * 255 / 219
    assert abs(centres(alpha) - expected).max() <= 1


@pytest.mark.parametrize(("own", "container", "expected"), [(0, 2, 2), (0, 1, 1), (1, 2, 1), (2, 1, 2), (0, 0, 0)])
def test_a_frame_without_a_range_gets_that_of_the_container(
    tmp_path: Path, own: int, container: int, expected: int
) -> None:
    frames = [np.full((48, 32), 100, np.uint8)]
    path = write_raw(tmp_path / "a.mkv", frames, "yuv420p", colour_range=container)
    frame = av.VideoFrame(32, 32, "yuv420p")
    frame.color_range = own
    with av.open(str(path)) as opened:
        specify_colours(frame, video_tags(opened.streams.video[0]))
    assert int(frame.color_range) == expected
