"""Memory of a decoder's frames, against the written video."""

from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from dvm_hf.errors import SourceError
from dvm_hf.media.formats.decoder_memory import MAX_BYTES, allowed_threads, decoder_bytes, frame_bytes, references
from dvm_hf.media.video.containers import opened_container, video_header
from dvm_hf.media.video.videos import Video


def film(path: Path, *, refs: int, layout: str = "yuv420p", size: tuple[int, int] = (48, 64)) -> Path:
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "x264-params": f"ref={refs}:cqm=jvt:bframes=0"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *size, layout
        for _ in range(20):  # fewer are too short for an MPEG-TS to be found out
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((*size, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("layout", ["yuv420p", "yuv444p", "yuv422p10le"])
@pytest.mark.parametrize("refs", [1, 4, 16])
def test_the_reference_frames_match_the_encoder_setting(tmp_path: Path, refs: int, layout: str, suffix: str) -> None:
    with opened_container(film(tmp_path / f"a{suffix}", refs=refs, layout=layout)) as container:
        codec = container.streams.video[0].codec_context
        assert references(codec.extradata) == refs
        samples = {"yuv420p": 1.5, "yuv444p": 3, "yuv422p10le": 4}[layout]  # bytes a pixel
        assert frame_bytes(codec) == 48 * 64 * samples
        assert decoder_bytes(codec) == 48 * 64 * samples * (refs + 3)


@pytest.mark.parametrize("profile", [44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244])
def test_all_profiles_with_a_chroma_format_are_parsed(tmp_path: Path, profile: int) -> None:
    """Rec. ITU-T H.264, 7.3.2.1.1."""
    with opened_container(film(tmp_path / "a.mp4", refs=3, layout="yuv444p")) as container:
        data = bytearray(container.streams.video[0].codec_context.extradata)
    assert data[9] == 244
    data[9] = profile
    assert references(bytes(data)) == 3
    data[9] = 77  # without one, these bits mean something else
    assert references(bytes(data)) != 3


def sps(chroma: int, lists: list[str], *, refs: str) -> bytes:
    """An H.264 sequence parameter set of the profile High 4:4:4 Predictive with scaling lists: 7.3.2.1.1."""
    head = f"{244:08b}{0:08b}{31:08b}" + "1"  # profile, constraints, level, its ID 0
    colours = {1: "010", 3: "00100" + "0"}[chroma] + "11" + "0"  # format, no separate planes; 8 bits each, no bypass
    rest = "1" + "1" + "1" + refs  # 4 bits of frame_num; order by 4 bits; the reference frames
    bits = head + colours + "1" + "".join(lists) + rest
    padded = bits + "1" + "0" * (-(len(bits) + 1) % 8)
    return bytes(int(padded[at : at + 8], 2) for at in range(0, len(padded), 8))


@pytest.mark.parametrize(("chroma", "count"), [(1, 8), (3, 12)])
def test_scaling_lists_are_skipped(chroma: int, count: int) -> None:
    """A list is absent ("0"), or has the difference of each value to the one before: "1" is 0, and -8 ends the list."""
    absent, default = "0", "1" + "000010001"
    for first, last in ((absent, absent), ("1" + "1" * 16, "1" + "1" * 64), (default, default)):
        lists = [first, default, *[absent] * (count - 3), last]
        data = b"\1" + bytes(8) + sps(chroma, lists, refs="00110")
        assert references(data) == 5


@pytest.mark.parametrize("data", [b"", b"\1", b"\1\x64" + bytes(9), b"\0\0\1\x67\x64\0\x1f", b"\xff" * 40, bytes(40)])
def test_an_unreadable_header_counts_as_the_maximum(data: bytes) -> None:
    assert references(data) == 16


SIZES = {  # height, width, format, codec: whether it may be read
    "8K, phone": (4320, 7680, "yuv420p", "hevc", True),
    "8K, AV1": (4320, 7680, "yuv420p", "libdav1d", True),
    "8K, ProRes": (4320, 7680, "yuv422p10le", "prores", True),
    "8K, ProRes 4444": (4320, 7680, "yuva444p12le", "prores", False),
    "5.3K, action camera": (4648, 5312, "yuv420p10le", "hevc", True),
    "6K, ProRes": (3240, 5760, "yuv422p10le", "prores", True),
    "4K, HDR": (2160, 3840, "yuv420p10le", "hevc", True),
    "4K, VP9 of 12 bits": (2160, 3840, "yuv444p12le", "vp9", True),
    "8K, HDR": (4320, 7680, "yuv420p10le", "hevc", False),
}


@pytest.mark.parametrize("kind", SIZES)
def test_camera_formats_are_read_if_they_fit(kind: str) -> None:
    height, width, layout, name, is_read = SIZES[kind]
    codec = SimpleNamespace(height=height, width=width, pix_fmt=layout, name=name, extradata=b"")
    assert (decoder_bytes(codec) <= MAX_BYTES) == is_read
    if is_read:
        allowed = allowed_threads(codec)  # 0: FFmpeg decides, for up to 16; otherwise as many of 4 as fit
        assert decoder_bytes(codec) + ((allowed or 16) - 1) * frame_bytes(codec) <= MAX_BYTES
        assert allowed in (0, 4) or decoder_bytes(codec) + allowed * frame_bytes(codec) > MAX_BYTES


def test_a_frame_of_unknown_format_has_three_bytes_per_pixel() -> None:
    assert frame_bytes(SimpleNamespace(height=10, width=20, pix_fmt=None)) == 600


def test_check_and_build_refuse_videos_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "many.mp4", refs=16)
    monkeypatch.setattr("dvm_hf.media.video.containers.MAX_BYTES", 48 * 64 * 1.5 * 19 - 1)
    for read in (video_header, Video):
        with pytest.raises(SourceError, match=r"many.mp4: decoding its frames of 64 x 48 px .* takes 87,552 bytes"):
            read(path)
    assert video_header(film(path, refs=15)).codec == "h264"
