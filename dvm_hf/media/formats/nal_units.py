"""Determine whether a packet of H.264 or H.265 is a keyframe or is referenced, without decoding it."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

HEADER = {"h264": 1, "hevc": 2}  # bytes of a NAL unit's header
H264_SLICE, H264_IDR = 1, 5
H264_HARMLESS = (6, 9, 12)  # SEI messages, access unit delimiters and filler data, which affect this frame only
HEVC_SLICES, HEVC_IRAP = range(32), range(16, 22)


class PacketBytes(Protocol):
    """The bytes of a packet: a `memoryview`, or a part of a file that is read when it is sliced."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes | memoryview: ...


class FrameKind(NamedTuple):
    """Dependencies of a frame according to the bitstream.

    is_key: whether no frame that is both decoded and displayed later depends on an earlier frame.
    is_needed: whether other frames may depend on this one.
    """

    is_key: bool
    is_needed: bool


UNKNOWN = FrameKind(is_key=False, is_needed=True)


def unit_length_size(codec: str, extradata: bytes | None) -> int | None:
    """Return the bytes of the length prefix of NAL units in MP4 and Matroska; None if units are stored differently."""
    offset = {"h264": 4, "hevc": 21}.get(codec)
    if offset is None or not extradata or len(extradata) <= offset or extradata[0] != 1:
        return None
    return (extradata[offset] & 3) + 1


def frame_kind(codec: str, packet: PacketBytes, length_size: int) -> FrameKind:
    """Return the kind of the frame in a packet.

    H.264 declares in each unit of a frame whether other frames reference it (nal_ref_idc). H.265 sublayers are less
    specific, so every H.265 frame counts as needed. A truncated packet also counts as needed.
    """
    units = list(_headers(packet, length_size, HEADER[codec]))
    if not units or None in units:
        return UNKNOWN
    first_bytes = [unit[0] for unit in units if unit]
    if codec == "hevc":
        slices = [kind for byte in first_bytes if (kind := byte >> 1 & 63) in HEVC_SLICES]
        return FrameKind(bool(slices) and all(kind in HEVC_IRAP for kind in slices), is_needed=True)
    kinds = [byte & 31 for byte in first_bytes if byte & 31 not in H264_HARMLESS]
    is_unreferred = all(byte >> 5 & 3 == 0 for byte in first_bytes if byte & 31 == H264_SLICE)
    return FrameKind(
        is_key=H264_IDR in kinds and H264_SLICE not in kinds,
        is_needed=not (kinds and is_unreferred and set(kinds) == {H264_SLICE}),
    )


def _headers(packet: PacketBytes, length_size: int, header: int) -> Iterator[bytes | None]:
    """Yield the header of each unit, then None if the lengths do not add up to the packet."""
    start = 0
    while start < len(packet):
        begin = start + length_size
        start = begin + int.from_bytes(packet[start:begin], "big")
        if start < begin + header or start > len(packet):
            yield None
            return
        yield bytes(packet[begin : begin + header])
