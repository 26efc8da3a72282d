"""Checksums within the packets of a video that FFmpeg's decoders do not report.

FFV1: the decoder shows the last frame's pixels instead of a damaged slice. RFC 9043, section 4.9: a slice ends with its
size (24 bits) and, where the stream has checksums, 8 bits of status and a CRC-32 that makes the remainder of the whole
slice 0. Version 4 begins with another remainder. PNG: the CRC-32 of each part.
"""

import struct
import zlib

from dvm_hf.media.formats.png import NEEDED, SIGNATURE

SIZED, CHECKED = 3, 8  # bytes of a slice's footer: its size; its size, status and checksum
REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
# The CRC runs from the highest bit on; zlib's runs from the lowest on and inverts its register at both ends.
REGISTERS = tuple(int(f"{remainder:032b}"[::-1], 2) ^ 0xFFFFFFFF for remainder in (0, 0x79408C7A))


def is_damaged(codec: str, packet: bytes | memoryview, *, has_header: bool) -> bool:
    """Whether a checksum in a packet does not match, or the sizes of its parts do not add up; False if it has none.

    codec: FFmpeg's name of a decoder. has_header: whether the stream has a header of its own, as FFV1 has from version
    3 on, whose packets consist of slices.
    """
    if codec == "ffv1":
        return has_header and _has_damaged_slice(packet)
    return codec == "png" and _has_damaged_part(packet)


def _has_damaged_slice(packet: bytes | memoryview) -> bool:
    slices = _slices(packet, CHECKED)
    return any(_has_remainder(packet[start:end]) for start, end in slices) if slices else not _slices(packet, SIZED)


def _has_damaged_part(packet: bytes | memoryview) -> bool:
    """Of the parts that the pixels need."""
    position = len(SIGNATURE)
    while position + 12 <= len(packet):
        length, kind = struct.unpack_from(">I4s", packet, position)
        end = position + 12 + length
        crc = zlib.crc32(packet[position + 4 : end - 4]).to_bytes(4, "big")
        if kind in NEEDED and packet[end - 4 : end] != crc:
            return True
        position = end
    return False


def _slices(packet: bytes | memoryview, footer: int) -> list[tuple[int, int]]:
    """First byte and end of each slice, from the last to the first; empty if their sizes do not reach the start."""
    found, end = [], len(packet)
    while end > 0:
        start = end - footer - int.from_bytes(packet[max(0, end - footer) : end][:3], "big")
        if start < 0:
            return []
        found.append((start, end))
        end = start
    return found


def _has_remainder(slice_bytes: bytes | memoryview) -> bool:
    """Whether the checksum leaves another remainder than it begins with."""
    mirrored = bytes(slice_bytes).translate(REVERSED)
    return all(zlib.crc32(mirrored, register) != register for register in REGISTERS)
