"""Determine whether a packet of H.264 or H.265 is a keyframe or is referenced, without decoding it."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

HEADER = {"h264": 1, "hevc": 2}  # bytes of a NAL unit's header
H264_SLICE, H264_IDR = 1, 5
H264_HARMLESS = (6, 9, 12)  # SEI messages, access unit delimiters and filler data, which affect this frame only
HEVC_SLICES, HEVC_IRAP = range(32), range(16, 22)
HEVC_UNREFERRED = range(0, 16, 2)  # slices that no picture of the same temporal sublayer references
HEVC_HARMLESS = (35, 38, 39, 40)  # delimiters, filler data and SEI messages
LAYERS_AT = 21  # offset of the number of temporal layers in an hvcC


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


def has_one_sublayer(codec: str, extradata: bytes | None) -> bool:
    """Return whether the header of H.265 declares that it has no temporal sublayers (ISO/IEC 14496-15, 8.3.3.1)."""
    data = extradata or b""
    return codec == "hevc" and data[:1] == b"\1" and len(data) > LAYERS_AT and data[LAYERS_AT] >> 3 & 7 == 1


def frame_kind(codec: str, packet: PacketBytes, length_size: int, *, has_one_sublayer: bool = False) -> FrameKind:
    """Return the kind of the frame in a packet.

    H.264 declares in each unit of a frame whether other frames reference it (nal_ref_idc). H.265 declares whether
    frames of the same temporal sublayer reference it, so it shows unneeded frames only if there is one sublayer. A
    truncated packet counts as needed.

    has_one_sublayer: whether the header of the video declares that.
    """
    units = list(_headers(packet, length_size, HEADER[codec]))
    if not units or None in units:
        return UNKNOWN
    first_bytes = [unit[0] for unit in units if unit]
    if codec == "hevc":
        return _hevc_kind([unit for unit in units if unit], has_one_sublayer=has_one_sublayer)
    kinds = [byte & 31 for byte in first_bytes if byte & 31 not in H264_HARMLESS]
    is_unreferred = all(byte >> 5 & 3 == 0 for byte in first_bytes if byte & 31 == H264_SLICE)
    return FrameKind(
        is_key=H264_IDR in kinds and H264_SLICE not in kinds,
        is_needed=not (kinds and is_unreferred and set(kinds) == {H264_SLICE}),
    )


def _hevc_kind(headers: list[bytes], *, has_one_sublayer: bool) -> FrameKind:
    """Return the kind of a frame by the headers of its units (Rec. ITU-T H.265, 7.3.1.2)."""
    kinds = [header[0] >> 1 & 63 for header in headers]
    slices = [(kind, header) for kind, header in zip(kinds, headers, strict=True) if kind in HEVC_SLICES]
    is_unneeded = has_one_sublayer and all(
        kind in HEVC_UNREFERRED and not header[0] & 1 and header[1] == 1  # layer 0, sublayer 0
        for kind, header in slices
    )
    is_unneeded &= all(kind in HEVC_SLICES or kind in HEVC_HARMLESS for kind in kinds)
    return FrameKind(
        is_key=bool(slices) and all(kind in HEVC_IRAP for kind, _ in slices),
        is_needed=not (slices and is_unneeded),
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
