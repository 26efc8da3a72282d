"""A file of JSON lines with an index at its start, from which one line is read without reading the others.

The index has one more entry than the file has lines: entry n is the offset of line n in bytes, padded with spaces to a
fixed width, so that its own place is known. The entries are valid JSON lines, too.
"""

from collections.abc import Callable, Iterable
from typing import BinaryIO

ENTRY = 17  # bytes: 16 digits and a newline


def write_indexed(file: BinaryIO, lines: Iterable[bytes], count: int) -> None:
    """Write `count` lines, each with its newline, and their index."""
    offset = ENTRY * (count + 1)
    offsets = [offset]
    file.seek(offset)
    for line in lines:
        file.write(line)
        offset += len(line)
        offsets.append(offset)
    assert len(offsets) == count + 1
    file.seek(0)
    file.write(b"".join(b"%16d\n" % offset for offset in offsets))


def indexed_line(read: Callable[[int, int], bytes], number: int) -> bytes:
    """Return a line; raises ValueError if the index is damaged or the file is too short, and the errors of `read`.

    read: returns bytes of the file, given their start and number.
    """
    entries = _part(read, ENTRY * number, 2 * ENTRY)
    start, end = int(entries[:ENTRY]), int(entries[ENTRY:])
    return _part(read, start, end - start)


def _part(read: Callable[[int, int], bytes], start: int, size: int) -> bytes:
    if start < 0 or not 0 < size < 2**31:
        raise ValueError(f"its index has a line of {size} bytes")
    data = read(start, size)
    if len(data) < size:
        raise ValueError(f"ends before byte {start + size}")
    return data
