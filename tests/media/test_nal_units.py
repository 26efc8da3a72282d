"""What packets declare about their frames: bytes worked by hand from the standards, and x264's log."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from dvm_hf.media.formats.nal_units import UNKNOWN, FrameKind, frame_kind, has_one_sublayer, unit_length_size

pytestmark = pytest.mark.one_lane


def packet(*units: bytes, length_size: int = 4) -> memoryview:
    return memoryview(b"".join(len(unit).to_bytes(length_size, "big") + unit for unit in units))


SLICE, REFERRED, IDR, SEI, SPS, AUD = b"\x01z", b"\x41z", b"\x65z", b"\x06z", b"\x67z", b"\x09z"
H264 = {
    "an unreferenced slice": ([SLICE], FrameKind(False, False)),
    "two of them after a delimiter and a message": ([AUD, SEI, SLICE, SLICE], FrameKind(False, False)),
    "a slice that others need": ([REFERRED], FrameKind(False, True)),
    "slices that disagree": ([SLICE, REFERRED], FrameKind(False, True)),
    "a key frame": ([SPS, SEI, IDR], FrameKind(True, True)),
    "a keyframe with a slice of another type": ([IDR, SLICE], FrameKind(False, True)),
    "parameters that others may need": ([SPS, SLICE], FrameKind(False, True)),
    "a message alone": ([SEI], FrameKind(False, True)),
    "nothing": ([], UNKNOWN),
    "an empty unit": ([SLICE, b""], UNKNOWN),
}


@pytest.mark.parametrize("length_size", [1, 2, 4])
@pytest.mark.parametrize("case", H264)
def test_h264_declares_reference_frames(case: str, length_size: int) -> None:
    units, expected = H264[case]
    assert frame_kind("h264", packet(*units, length_size=length_size), length_size) == expected


def test_inconsistent_lengths_are_ignored() -> None:
    whole = bytes(packet(SLICE, SLICE))
    for wrong in (whole[:-1], whole + b"\0", whole[:5], b"\xff" * 12):
        assert frame_kind("h264", memoryview(wrong), 4) == UNKNOWN


@pytest.mark.parametrize(
    ("kind", "is_key"),
    [(0, False), (1, False), (15, False), (16, True), (19, True), (21, True), (22, False), (31, False)],
)
def test_every_frame_of_h265_with_sublayers_counts_as_needed(kind: int, is_key: bool) -> None:
    parameters = bytes([32 << 1, 1, 0])
    assert frame_kind("hevc", packet(parameters, bytes([kind << 1, 1, 0])), 4) == FrameKind(is_key, True)


def hevc(kind: int, *, layer: int = 0, sublayer: int = 0) -> bytes:
    """A unit of H.265: a zero bit, nal_unit_type, nuh_layer_id, nuh_temporal_id_plus1, and a byte of payload."""
    return (kind << 9 | layer << 3 | sublayer + 1).to_bytes(2, "big") + b"z"


@pytest.mark.parametrize(
    ("units", "is_needed"),
    [
        ([hevc(0)], False),  # TRAIL_N
        ([hevc(35), hevc(39), hevc(8), hevc(8), hevc(40)], False),  # delimiter, message, two RASL_N, message
        ([hevc(1)], True),  # TRAIL_R
        ([hevc(0), hevc(1)], True),
        ([hevc(19)], True),  # IDR
        ([hevc(34), hevc(0)], True),  # picture parameters that others may need
        ([hevc(0, sublayer=1)], True),
        ([hevc(0, layer=1)], True),
        ([hevc(16)], True),
        ([hevc(39)], True),
        ([], True),
    ],
)
def test_h265_declares_frames_that_its_only_sublayer_does_not_reference(units: list[bytes], is_needed: bool) -> None:
    """Rec. ITU-T H.265, table 7-1: even types up to 14 are sub-layer non-reference pictures."""
    assert frame_kind("hevc", packet(*units), 4, has_one_sublayer=True).is_needed is is_needed
    assert frame_kind("hevc", packet(*units), 4).is_needed


def test_the_header_of_h265_declares_its_sublayers() -> None:
    """ISO/IEC 14496-15, 8.3.3.1: numTemporalLayers is in bits 3 to 5 of byte 21; 0 is unknown."""
    for layers in range(8):
        header = bytes([1, *bytes(20), 0b1100_0111 | layers << 3, *bytes(9)])
        assert has_one_sublayer("hevc", header) is (layers == 1)
        assert not has_one_sublayer("h264", header)
    for other in (None, b"", b"\1" * 21, bytes([0, *bytes(20), 1 << 3])):
        assert not has_one_sublayer("hevc", other)


@pytest.mark.parametrize(
    ("other", "is_key"), [(0, False), (15, False), (21, True), (31, False), (32, True), (39, True)]
)
def test_an_h265_keyframe_has_no_other_slices(other: int, is_key: bool) -> None:
    """Rec. ITU-T H.265, table 7-1: types up to 31 are slices, 16 to 21 those of keyframes."""
    units = bytes([19 << 1, 1, 0]), bytes([other << 1, 1, 0])
    assert frame_kind("hevc", packet(*units), 4).is_key is is_key


def test_reference_frames_match_x264(tmp_path: Path) -> None:
    """By picture type: without a pyramid, all frames except B-frames are references."""
    path = tmp_path / "video.mp4"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        options = {"bf": "3", "g": "12", "x264-params": "b-pyramid=none:b-adapt=0:scenecut=0"}
        stream: Any = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(40):
            noise = av.VideoFrame.from_ndarray(rng.integers(0, 256, (64, 96, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(noise.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        size = unit_length_size("h264", codec.extradata)
        assert size == 4
        kinds = {
            packet.pts: frame_kind("h264", memoryview(packet), size)
            for packet in container.demux(video=0)
            if packet.size
        }
    with av.open(str(path)) as container:
        shown = {frame.pts: (PictureType(frame.pict_type).name, frame.key_frame) for frame in container.decode(video=0)}
    assert kinds.keys() == shown.keys()
    assert {picture for picture, _ in shown.values()} == {"I", "P", "B"}
    for time, (picture, is_key) in shown.items():
        assert kinds[time] == FrameKind(is_key, picture != "B")


@pytest.mark.parametrize("extradata", [None, b"", b"\x01", b"\0\0\0\1\x67" + bytes(30), b"\x02" + bytes(30)])
def test_units_in_other_formats_are_not_read(extradata: bytes | None) -> None:
    assert unit_length_size("h264", extradata) is None
    assert unit_length_size("vp9", b"\x01" * 40) is None
