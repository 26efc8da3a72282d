"""Declared colours and alpha channels of videos are used, noted or refused, alike in build and check."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from conftest import soft_disc

from dvm_hf.check.videos import video_by_header
from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Box
from dvm_hf.media.video.containers import video_header
from dvm_hf.media.video.decoded_frames import alpha_channel
from dvm_hf.media.video.video_measures import measured
from dvm_hf.media.video.video_tags import hevc_layers
from dvm_hf.media.video.videos import Video

DISC = soft_disc(48, 64)
COLOURED = np.full((48, 64, 3), (200, 90, 30), np.uint8)


def film(
    path: Path, frames: list[np.ndarray], *, codec: str, layout: str, options: dict[str, str] | None = None
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width, stream.pix_fmt = 48, 64, layout
        for pixels in frames:
            kind = "rgba" if pixels.shape[2] == 4 else "rgb24"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format=kind).reformat(format=layout)))
        container.mux(stream.encode(None))
    return path


def tagged(path: Path, *, transfer: int = 1, primaries: int = 1, matrix: int = 1, interlaced: bool = False) -> Path:
    """H.264 with these numbers in its VUI; each field has a different colour."""
    options = {"qp": "1", "x264-params": "tff=1" if interlaced else "crf=1"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 160, 192, "yuv420p"
        codec = stream.codec_context
        codec.color_trc, codec.color_primaries, codec.colorspace, codec.color_range = transfer, primaries, matrix, 1
        luma = np.add.outer(np.arange(160), np.arange(192)) // 2 + 40
        red = np.full((80, 96), 220)
        red[1::2] = 60
        planes = np.concatenate([luma.ravel(), np.full(80 * 96, 128), red.ravel()]).astype(np.uint8).reshape(-1, 192)
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range = transfer, primaries, matrix, 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def codes(path: Path, **options: Any) -> list[str]:
    return [one.code for one in video_by_header(path.parent, path.name, **options)[0]]


def alpha(path: Path) -> np.ndarray:
    with Video(path, role="alpha") as video:
        return next(video.alphas([0]))[1]


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_hdr_colours_are_refused_but_not_an_alpha(tmp_path: Path, transfer: int, name: str, suffix: str) -> None:
    path = tagged(tmp_path / f"a.{suffix}", transfer=transfer, primaries=9, matrix=9)
    with pytest.raises(SourceError, match=f"is HDR video with the transfer {name}"):
        Video(path)
    assert codes(path) == ["video-unreadable"]
    assert alpha(path).shape == (160, 192)
    assert "video-unreadable" not in codes(path, role="alpha")


@pytest.mark.parametrize("transfer", [1, 6, 14, 15, 13])
def test_sdr_transfers_are_read_and_wide_primaries_noted(tmp_path: Path, transfer: int) -> None:
    path = tagged(tmp_path / "a.mp4", transfer=transfer, primaries=9, matrix=9)
    with Video(path) as video:
        assert video.size == (160, 192)
    assert codes(path) == ["wide-gamut"]
    assert codes(path, role="alpha") == []


@pytest.mark.parametrize("matrix", [8, 10, 14])
def test_unknown_matrices_are_refused_for_colours_only(tmp_path: Path, matrix: int) -> None:
    path = tagged(tmp_path / "a.mp4", matrix=matrix)
    with pytest.raises(SourceError, match="cannot be converted to RGB"):
        Video(path)
    assert codes(path) == ["video-unreadable"]
    assert alpha(path).shape == (160, 192)


def test_a_crop_of_interlaced_video_equals_the_full_frame(tmp_path: Path) -> None:
    path = tagged(tmp_path / "a.mp4", interlaced=True)
    assert video_header(path).is_interlaced
    assert measured(path).interlaced == 3
    assert codes(path) == ["interlaced"]
    with Video(path) as video:
        ((_, picture),) = video.pictures([0])
        whole = picture.rgb(Box(0, 0, *video.size))
        for box in (Box(10, 20, 60, 90), Box(0, 0, 40, 192), Box(61, 65, 119, 127)):
            assert np.array_equal(picture.rgb(box), whole[box.top : box.bottom, box.left : box.right])
    fields = whole[0::2, :, 0].astype(int), whole[1::2, :, 0].astype(int)
    assert abs((fields[0] - fields[1]).mean()) > 80  # red in one field, green in the other


CHANNELS = {
    "prores": ("prores_ks", "yuva444p10le", "mov", {"profile": "4444"}),
    "png": ("png", "rgba", "mov", {}),
    "animation": ("qtrle", "argb", "mov", {}),
    "ffv1": ("ffv1", "yuva420p", "mkv", {}),
    "deep ffv1": ("ffv1", "gbrap10le", "mkv", {}),
}


@pytest.mark.parametrize("kind", CHANNELS)
def test_an_alpha_file_is_read_from_its_alpha_channel(tmp_path: Path, kind: str) -> None:
    codec, layout, suffix, options = CHANNELS[kind]
    rgba = np.dstack([COLOURED, DISC])
    path = film(tmp_path / f"a.{suffix}", [rgba] * 3, codec=codec, layout=layout, options=options)
    assert np.abs(alpha(path).astype(int) - DISC).max() <= 1
    assert "alpha-in-channel" in codes(path, role="alpha")
    assert "video-has-alpha" in codes(path)
    with Video(path) as video:
        assert np.abs(next(video.colours([0]))[1].astype(int) - COLOURED).max() <= 3
    luma = measured(path, role="alpha").luma
    assert luma.argmax() in (0, 255)
    assert luma[:2].sum() == pytest.approx(3 * (DISC < 2).sum(), rel=0.01)


@pytest.mark.parametrize(
    ("layout", "at", "step"),  # of the alpha byte, from FFmpeg's list of pixel formats
    [
        ("ya8", 1, 2),
        ("rgba", 3, 4),
        ("bgra", 3, 4),
        ("argb", 0, 4),
        ("abgr", 0, 4),
        ("vuya", 3, 4),
        ("ayuv", 0, 4),
        ("uyva", 3, 4),
    ],
)
def test_packed_alpha_is_read_byte_by_byte(layout: str, at: int, step: int) -> None:
    frame = av.VideoFrame(50, 6, layout)
    plane = frame.planes[0]
    stored = np.random.default_rng(1).integers(0, 256, (6, plane.line_size), np.uint8)
    drawn = (np.arange(300) % 256).reshape(6, 50).astype(np.uint8)  # all levels
    stored[:, at : 50 * step : step] = drawn
    plane.update(stored.tobytes())
    assert np.array_equal(alpha_channel(frame, VideoReformatter()), drawn)


@pytest.mark.parametrize(("codec", "suffix"), [("png", "mov"), ("ffv1", "mkv"), ("ffv1", "avi")])
def test_grey_beside_an_opaque_channel_is_read(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *DISC.shape, "ya8"
        for number in range(2):
            frame = av.VideoFrame(DISC.shape[1], DISC.shape[0], "ya8")
            stored = np.full((DISC.shape[0], frame.planes[0].line_size), 255, np.uint8)
            stored[:, 0 : 2 * DISC.shape[1] : 2] = DISC
            frame.planes[0].update(stored.tobytes())
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert np.abs(alpha(path).astype(int) - DISC).max() <= 1
    assert measured(path, role="alpha").uses_alpha_channel is False


@pytest.mark.parametrize("kind", ["png", "animation", "ffv1"])
def test_an_opaque_alpha_channel_is_ignored_for_the_luma(tmp_path: Path, kind: str) -> None:
    codec, layout, suffix, options = CHANNELS[kind]
    rgba = np.dstack([DISC, DISC, DISC, np.full_like(DISC, 255)])
    path = film(tmp_path / f"a.{suffix}", [rgba] * 3, codec=codec, layout=layout, options=options)
    assert np.abs(alpha(path).astype(int) - DISC).max() <= 2


@pytest.mark.parametrize("kind", ["png", "animation", "ffv1"])
def test_a_channel_that_becomes_transparent_is_refused(tmp_path: Path, kind: str) -> None:
    codec, layout, suffix, options = CHANNELS[kind]
    frames = [np.dstack([COLOURED, np.full_like(DISC, 255)]), np.dstack([COLOURED, DISC])]
    path = film(tmp_path / f"a.{suffix}", frames, codec=codec, layout=layout, options=options)
    with Video(path, role="alpha") as video, pytest.raises(SourceError, match="opaque in frame 0 but not in frame 1"):
        list(video.alphas([0, 1]))
    with pytest.raises(SourceError, match="opaque in frame 0 but not in frame 1"):
        measured(path, role="alpha")


@pytest.mark.parametrize("codec", ["libvpx-vp9", "libvpx"])
def test_a_webm_with_alpha_is_refused_as_an_alpha(tmp_path: Path, codec: str) -> None:
    options = {"crf": "4", "deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "0"}
    path = film(tmp_path / "a.webm", [np.dstack([COLOURED, DISC])] * 3, codec=codec, layout="yuva420p", options=options)
    with pytest.raises(SourceError, match=f"-c:v {codec} -i a.webm -vf alphaextract"):
        Video(path, role="alpha")
    assert codes(path, role="alpha") == ["video-unreadable"]
    assert "video-has-alpha" in codes(path)
    with Video(path) as video:
        assert video.size == (48, 64)


def vps(layers: int) -> bytes:
    """Its header, number 0, both flags of the base layer, and the number of layers less one."""
    first, second = 0b0000_11_00 | (layers - 1) >> 4, ((layers - 1) & 15) << 4
    return bytes([32 << 1, 1, first, second]) + b"\1\2\3"


def test_layers_of_hevc_are_counted() -> None:
    def described(*units: bytes) -> bytes:
        arrays = b"".join(bytes([unit[0] >> 1, 0, 1]) + len(unit).to_bytes(2, "big") + unit for unit in units)
        return b"\1" + bytes(21) + bytes([len(units)]) + arrays

    sps, of_layer_1 = bytes([33 << 1, 1, 5, 5]), bytes([33 << 1, 1 << 3 | 1, 5, 5])
    assert hevc_layers(described(vps(1), sps)) == 1
    assert hevc_layers(described(vps(2), sps)) == 2
    assert hevc_layers(described(vps(1), sps, of_layer_1)) == 2
    assert hevc_layers(b"\0\0\0\1" + vps(2) + b"\0\0\0\1" + sps) == 2
    assert hevc_layers(described(vps(2))[:-3]) == hevc_layers(b"") == hevc_layers(None) == 1


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="compares with the ffmpeg program")
def test_interlaced_colours_are_those_of_the_ffmpeg_program(tmp_path: Path) -> None:
    path = tagged(tmp_path / "a.mp4", interlaced=True)
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", "scale=interl=1:flags=bicubic,format=rgb24"]
    raw = subprocess.run([*command, "-frames:v", "1", "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
    with Video(path) as video:
        whole = next(video.colours([0]))[1]
    assert np.abs(whole.astype(int) - np.frombuffer(raw, np.uint8).reshape(160, 192, 3)).max() <= 4
