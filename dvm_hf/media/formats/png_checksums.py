"""Verify the checksums of PNG chunks, which Pillow does not. PNG (third edition), 5.3, 7.2, 8.1 and 10.1."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # for the pixels
DISPENSABLE = frozenset(  # other registered types, and a few that programs write; 11.3 and the PNG extensions
    b"cHRM cICP gAMA iCCP mDCV cLLI sBIT sRGB bKGD hIST pHYs sPLT eXIf tIME iTXt tEXt zTXt acTL fcTL fdAT caBX iDOT "
    b"vpAg oFFs pCAL sCAL gIFg gIFx sTER dSIG orNT caNv prVW".split()
)
MIN_LENGTHS = {  # bytes; Pillow gives up if one of these chunks is shorter; 11.3 and 11.3.5
    b"acTL": 8,
    b"cHRM": 32,
    b"fcTL": 26,
    b"fdAT": 4,
    b"gAMA": 4,
    b"iCCP": 3,
    b"pHYs": 9,
    b"sRGB": 1,
}
PALETTE_COLOURS = b"\x03"  # colour type in IHDR
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
ADAM7 = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)  # top, left, row step, column step
READ_SIZE = 1 << 20  # bytes per read


@dataclass(frozen=True)
class PngCheck:
    """Result of checking a PNG.

    fault: what is wrong with the chunks that determine the pixels; empty if they are valid.
    damaged: types of other chunks whose checksums do not match or that are too short.
    """

    fault: str = ""
    damaged: tuple[str, ...] = ()


def checked_png(path: Path) -> PngCheck:
    """Check a PNG's integrity. Cached per process until the file changes.

    Checks the CRC-32 of every chunk, the Adler-32 and length of the pixel data, and whether the file ends with IEND. A
    file that is not a PNG has no fault.
    """
    found = path.stat()
    return _checked(path, (found.st_size, found.st_mtime_ns))


def without_chunks(data: bytes, damaged: tuple[str, ...]) -> bytes:
    """Return a PNG's bytes without the damaged chunks of these types."""
    kept, position = [data[:8]], 8
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        has_fault = length < MIN_LENGTHS.get(kind, 0) or data[end - 4 : end] != _crc(data[position + 4 : end - 4])
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
        for kind, length in _chunks(file):
            if not kind.isalpha():
                break
            content = _Content(file, kind, length)
            if kind == b"IDAT" and not has_palette and header[9:10] == PALETTE_COLOURS:
                return PngCheck("it has no palette", tuple(damaged))
            has_palette |= kind == b"PLTE"
            if kind == b"IDAT" and pixels is not None and pixels.interrupted_by:
                between = pixels.interrupted_by.decode("latin-1")
                return PngCheck(f"its IDAT chunks are not consecutive: {between} is between them", tuple(damaged))
            if kind != b"IDAT" and pixels is not None:
                pixels.interrupt(kind)
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
                if kind not in DISPENSABLE:  # a damaged type counts as unknown
                    return PngCheck(
                        f"the checksum of its chunk {kind.decode('latin-1')} does not match", tuple(damaged)
                    )
                damaged.append(kind.decode("latin-1"))
            elif length < MIN_LENGTHS.get(kind, 0):
                damaged.append(kind.decode("latin-1"))
            if has_end:
                break
        fault = "it has no header" if pixels is None else pixels.fault_at_end()
        return PngCheck(fault or ("" if has_end else "the file ends before its chunk IEND"), tuple(damaged))


class _Content:
    """Content of a chunk, read in pieces. `crc` and `stored_crc` are set after the last piece."""

    def __init__(self, file: BinaryIO, kind: bytes, length: int) -> None:
        self._file, self._left, self.crc = file, length, zlib.crc32(kind)
        self.is_cut, self.stored_crc = False, -1

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            piece = self._file.read(min(self._left, READ_SIZE))
            if not piece:
                self.is_cut = True
                return
            self._left -= len(piece)
            self.crc = zlib.crc32(piece, self.crc)
            yield piece
        stored = self._file.read(4)
        self.is_cut, self.stored_crc = len(stored) < 4, int.from_bytes(stored, "big")


class _Pixels:
    """Pixel data of a PNG, inflated to check its length and Adler-32.

    interrupted_by: type of the chunk that follows incomplete pixel data; readers stop there (5.6). Empty if none does.
    """

    def __init__(self, header: bytes) -> None:
        width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
        bits = depth * CHANNELS.get(colour, 1)
        steps = ADAM7 if interlace else ((0, 0, 1, 1),)
        sizes = ((-(-(height - top) // down), -(-(width - left) // across)) for top, left, down, across in steps)
        self._left = sum(rows * (1 + -(-columns * bits // 8)) for rows, columns in sizes if rows > 0 and columns > 0)
        self._stream = zlib.decompressobj()
        self._has_begun, self.interrupted_by = False, b""

    def interrupt(self, kind: bytes) -> None:
        if self._has_begun and not self._stream.eof:
            self.interrupted_by = self.interrupted_by or kind

    def take(self, content: "_Content") -> str:
        """Inflate the content of an IDAT chunk and return what is wrong with the data so far; empty if nothing is."""
        self._has_begun = True
        for piece in content:
            while piece:
                try:
                    found = self._stream.decompress(piece, READ_SIZE)
                except zlib.error as error:
                    return f"its pixel data are damaged ({error})"
                self._left -= len(found)
                if self._left < 0:
                    return "its pixel data are longer than its header declares"
                piece = self._stream.unconsumed_tail
        return ""

    def fault_at_end(self) -> str:
        return "its pixel data end before the last row" if self._left else ""


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield (type, length) of each chunk. Read its content before advancing."""
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        yield kind, length


def _crc(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "big")
