"""What a decoder's frames take, against what was written."""

from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from dvm_hf.errors import SourceError
from dvm_hf.media.containers import opened_container, video_header
from dvm_hf.media.formats.decoder_memory import MAX_BYTES, allowed_threads, decoder_bytes, frame_bytes, references
from dvm_hf.media.videos import Video


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
def test_the_references_are_those_that_the_encoder_was_told(
    tmp_path: Path, refs: int, layout: str, suffix: str
) -> None:
    with opened_container(film(tmp_path / f"a{suffix}", refs=refs, layout=layout)) as container:
        codec = container.streams.video[0].codec_context
        assert references(codec.extradata) == refs
        samples = {"yuv420p": 1.5, "yuv444p": 3, "yuv422p10le": 4}[layout]  # bytes a pixel
        assert frame_bytes(codec) == 48 * 64 * samples
        assert decoder_bytes(codec) == 48 * 64 * samples * (refs + 3)


@pytest.mark.parametrize("profile", [44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244])
def test_all_profiles_that_have_a_chroma_format_are_known(tmp_path: Path, profile: int) -> None:
    """Rec. ITU-T H.264, 7.3.2.1.1."""
    with opened_container(film(tmp_path / "a.mp4", refs=3, layout="yuv444p")) as container:
        data = bytearray(container.streams.video[0].codec_context.extradata)
    assert data[9] == 244
    data[9] = profile
    assert references(bytes(data)) == 3
    data[9] = 77  # without one, these bits mean something else
    assert references(bytes(data)) != 3


@pytest.mark.parametrize("data", [b"", b"\1", b"\1\x64" + bytes(9), b"\0\0\1\x67\x64\0\x1f", b"\xff" * 40, bytes(40)])
def test_what_cannot_be_read_counts_as_the_most(data: bytes) -> None:
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
def test_what_cameras_make_is_read_as_long_as_it_fits(kind: str) -> None:
    height, width, layout, name, is_read = SIZES[kind]
    codec = SimpleNamespace(height=height, width=width, pix_fmt=layout, name=name, extradata=b"")
    assert (decoder_bytes(codec) <= MAX_BYTES) == is_read
    if is_read:
        threads = allowed_threads(codec) or 16
        assert decoder_bytes(codec) + (threads - 1) * frame_bytes(codec) <= MAX_BYTES


def test_check_and_build_refuse_what_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "many.mp4", refs=16)
    monkeypatch.setattr("dvm_hf.media.containers.MAX_BYTES", 48 * 64 * 1.5 * 19 - 1)
    for read in (video_header, Video):
        with pytest.raises(SourceError, match=r"many.mp4: decoding its frames of 64 x 48 px .* takes 87,552 bytes"):
            read(path)
    assert video_header(film(path, refs=15)).codec == "h264"
