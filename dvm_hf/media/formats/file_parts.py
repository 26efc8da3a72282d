"""A part of a file as bytes that are read when they are sliced."""

from io import RawIOBase


class FilePart:
    """`size` bytes of an open file from `start` on."""

    def __init__(self, file: RawIOBase, start: int, size: int) -> None:
        self._file, self._start, self._size = file, start, size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        begin, end, _ = part.indices(self._size)
        self._file.seek(self._start + begin)
        return self._file.read(max(0, end - begin)) or b""
