"""Parts of a PNG and their checksums, which Pillow does not compare. PNG (third edition), 5.3, 7.2, 8.1 and 10.1."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # for the pixels
DISPENSABLE = frozenset(  # other registered types, and a few that programs write; 11.3 and the register of extensions
    b"cHRM cICP gAMA iCCP mDCV cLLI sBIT sRGB bKGD hIST pHYs sPLT eXIf tIME iTXt tEXt zTXt acTL fcTL fdAT caBX iDOT "
    b"vpAg oFFs pCAL sCAL gIFg gIFx sTER dSIG orNT caNv prVW".split()
)
LEAST_LENGTHS = {  # bytes, of parts at which Pillow gives up if they are shorter; 11.3 and 11.3.5
    b"acTL": 8,
    b"cHRM": 32,
    b"fcTL": 26,
    b"fdAT": 4,
    b"gAMA": 4,
    b"iCCP": 3,
    b"pHYs": 9,
    b"sRGB": 1,
}
PALETTE_COLOURS = b"\x03"  # IHDR's colour type
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
ADAM7 = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)  # top, left, steps
CHUNK = 1 << 20  # bytes at a time


@dataclass(frozen=True)
class PngCheck:
    """Result of checking a PNG.

    fault: what is wrong with the parts that hold the pixels; empty if they are valid. damaged: types of other parts
    whose checksum does not match or that are too short.
    """

    fault: str = ""
    damaged: tuple[str, ...] = ()


def checked_png(path: Path) -> PngCheck:
    """Compare the checksums of a PNG with its content, once per process for as long as the file does not change.

    Every part's CRC-32, the Adler-32 of the pixels' stream, whether it holds all rows and not more, and whether the
    file has its last part, IEND. A file that is not a PNG has no fault here.
    """
    found = path.stat()
    return _checked(path, (found.st_size, found.st_mtime_ns))


def without_parts(data: bytes, damaged: tuple[str, ...]) -> bytes:
    """Return a PNG's bytes without the damaged parts of these types."""
    kept, position = [data[:8]], 8
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        has_fault = length < LEAST_LENGTHS.get(kind, 0) or data[end - 4 : end] != _crc(data[position + 4 : end - 4])
        if not (has_fault and kind.decode("latin-1") in damaged):
            kept.append(data[position:end])
        position = end
    return b"".join(kept)


@lru_cache(maxsize=4096)
def _checked(path: Path, state: tuple[int, int]) -> PngCheck:
    with path.open("rb") as file:
        if file.read(8) != SIGNATURE:
            return PngCheck()
        pixels: _Pixels | None = None
        has_end = has_palette = False
        header = b""
        damaged: list[str] = []
        for kind, length in _parts(file):
            if not kind.isalpha():
                break
            content = _Content(file, kind, length)
            if kind == b"IDAT" and not has_palette and header[9:10] == PALETTE_COLOURS:
                return PngCheck("it has no palette", tuple(damaged))
            has_palette |= kind == b"PLTE"
            if kind == b"IHDR":
                header = b"".join(content)
                pixels = _Pixels(header) if len(header) == 13 else None
            elif kind == b"IDAT" and pixels is not None:
                fault = pixels.take(content)
                if fault:
                    return PngCheck(fault, tuple(damaged))
            else:
                for _ in content:
                    pass
            if kind == b"IEND":
                has_end = True
            if content.is_cut:
                break
            if content.crc != content.stored_crc:
                if kind not in DISPENSABLE:  # or its type is what is damaged
                    return PngCheck(f"the checksum of its part {kind.decode('latin-1')} does not match", tuple(damaged))
                damaged.append(kind.decode("latin-1"))
            elif length < LEAST_LENGTHS.get(kind, 0):
                damaged.append(kind.decode("latin-1"))
            if has_end:
                break
        fault = "it has no header" if pixels is None else pixels.fault_at_end()
        return PngCheck(fault or ("" if has_end else "the file ends before its part IEND"), tuple(damaged))


class _Content:
    """The content of a part, in pieces; then its checksums."""

    def __init__(self, file: BinaryIO, kind: bytes, length: int) -> None:
        self._file, self._left, self.crc = file, length, zlib.crc32(kind)
        self.is_cut, self.stored_crc = False, -1

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            piece = self._file.read(min(self._left, CHUNK))
            if not piece:
                self.is_cut = True
                return
            self._left -= len(piece)
            self.crc = zlib.crc32(piece, self.crc)
            yield piece
        stored = self._file.read(4)
        self.is_cut, self.stored_crc = len(stored) < 4, int.from_bytes(stored, "big")


class _Pixels:
    """The stream of a PNG's pixels: inflated to be counted, and for its Adler-32."""

    def __init__(self, header: bytes) -> None:
        width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
        bits = depth * CHANNELS.get(colour, 1)
        steps = ADAM7 if interlace else ((0, 0, 1, 1),)
        sizes = ((-(-(height - top) // down), -(-(width - left) // across)) for top, left, down, across in steps)
        self._left = sum(rows * (1 + -(-columns * bits // 8)) for rows, columns in sizes if rows > 0 and columns > 0)
        self._stream = zlib.decompressobj()

    def take(self, content: "_Content") -> str:
        """What is wrong with the stream so far."""
        for piece in content:
            while piece:
                try:
                    found = self._stream.decompress(piece, CHUNK)
                except zlib.error as error:
                    return f"the stream of its pixels is damaged ({error})"
                self._left -= len(found)
                if self._left < 0:
                    return "the stream of its pixels holds more than its header says"
                piece = self._stream.unconsumed_tail
        return ""

    def fault_at_end(self) -> str:
        return "the stream of its pixels ends before its last row" if self._left else ""


def _parts(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Type and length of each part; its content must be read before the next one."""
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        yield kind, length


def _crc(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "big")
