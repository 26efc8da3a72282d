"""Verify checksums in video packets whose mismatches FFmpeg's decoders do not report.

FFV1: the decoder replaces a damaged slice with the previous frame's pixels. RFC 9043, section 4.9: a slice ends with
its size (24 bits) and, if the stream has checksums, 8 bits of status and a CRC-32 that makes the remainder of the
complete slice 0. Version 4 has a different initial remainder. PNG: the CRC-32 of each chunk.
"""

import struct
import zlib

from dvm_hf.media.formats.png_checksums import NEEDED, SIGNATURE

SIZED, CHECKED = 3, 8  # bytes of a slice footer: with the size only; with size, status and checksum
REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
# FFV1's CRC starts at the highest bit. zlib's CRC starts at the lowest bit, and inverts the register before and after.
REGISTERS = tuple(int(f"{remainder:032b}"[::-1], 2) ^ 0xFFFFFFFF for remainder in (0, 0x79408C7A))


def is_damaged(codec: str, packet: bytes | memoryview, *, has_header: bool) -> bool:
    """Return whether a checksum in a packet does not match or its slice sizes do not add up; False without checksums.

    codec: name of FFmpeg's decoder.
    has_header: whether the stream has extradata, as FFV1 has from version 3; its packets then consist of slices.
    """
    if codec == "ffv1":
        return has_header and _has_damaged_slice(packet)
    return codec == "png" and _has_damaged_chunk(packet)


def _has_damaged_slice(packet: bytes | memoryview) -> bool:
    slices = _slices(packet, CHECKED)
    return any(_has_remainder(packet[start:end]) for start, end in slices) if slices else not _slices(packet, SIZED)


def _has_damaged_chunk(packet: bytes | memoryview) -> bool:
    """Check the chunks that determine the pixels."""
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
    """Return (start, end) of each slice, from last to first; empty if the sizes do not add up to the packet."""
    found, end = [], len(packet)
    while end > 0:
        start = end - footer - int.from_bytes(packet[max(0, end - footer) : end][:3], "big")
        if start < 0:
            return []
        found.append((start, end))
        end = start
    return found


def _has_remainder(slice_bytes: bytes | memoryview) -> bool:
    """Return whether the CRC of a slice is wrong: its remainder differs from the initial one."""
    mirrored = bytes(slice_bytes).translate(REVERSED)
    return all(zlib.crc32(mirrored, register) != register for register in REGISTERS)
