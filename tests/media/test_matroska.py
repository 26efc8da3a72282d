"""Elements of Matroska written by hand: RFC 8794 (EBML), section 4, and RFC 9559."""

from pathlib import Path

import pytest

from dvm_hf.media.formats.matroska import default_duration, pixel_crop
from dvm_hf.media.pixels import Box

pytestmark = pytest.mark.one_lane

SEGMENT, TRACKS, CLUSTER = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75"


def size_of(value: int, length: int) -> bytes:
    """A size in this many bytes: one fewer leading zeros, a one, the value."""
    return (1 << (7 * length) | value).to_bytes(length, "big")


def element(kind: bytes, content: bytes, length: int = 2) -> bytes:
    return kind + size_of(len(content), length) + content


def track(*, width: int = 80, length: int = 2) -> bytes:
    """A video track of 48 rows, the lowest 8 hidden, at 24 frames per second."""
    sides = element(b"\xb0", bytes([width]), 1) + element(b"\xba", bytes([48]), 1) + element(b"\x54\xaa", b"\x08", 1)
    duration = element(b"\x23\xe3\x83", (41_666_667).to_bytes(4, "big"), length)
    return element(b"\xae", element(b"\x83", b"\1", 1) + duration + element(b"\xe0", sides, length), length)


@pytest.mark.parametrize("length", range(1, 9))
def test_sizes_of_any_length_are_read(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.mkv"
    path.write_bytes(element(SEGMENT, element(TRACKS, track(length=length), max(2, length)), max(2, length)))
    assert pixel_crop(path, 0) == Box(0, 0, 40, 80)
    assert default_duration(path, 0) == 41_666_667


@pytest.mark.parametrize("length", range(1, 9))
def test_a_segment_may_have_an_unknown_size(tmp_path: Path, length: int) -> None:
    """All bits of the value are ones, as in a live recording; other elements can come before the tracks."""
    unknown = size_of((1 << (7 * length)) - 1, length)
    void = element(b"\xec", bytes(300))
    (tmp_path / "a.mkv").write_bytes(SEGMENT + unknown + void + element(TRACKS, track()))
    assert pixel_crop(tmp_path / "a.mkv", 0) == Box(0, 0, 40, 80)


def test_nothing_is_read_after_the_first_cluster(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(element(SEGMENT, element(CLUSTER, bytes(9)) + element(TRACKS, track())))
    assert pixel_crop(tmp_path / "a.mkv", 0) is None
    assert default_duration(tmp_path / "a.mkv", 0) == 0


@pytest.mark.parametrize("left", [0, 3, 4, 5, 8, 20, 40, 52])
def test_a_truncated_file_declares_less_or_nothing(tmp_path: Path, left: int) -> None:
    data = element(SEGMENT, element(TRACKS, track()))
    (tmp_path / "a.mkv").write_bytes(data[: min(left, len(data) - 1)])
    assert pixel_crop(tmp_path / "a.mkv", 0) in (None, Box(0, 0, 48, 80))


def test_elements_beyond_the_end_of_the_file_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(element(b"\xec", b"", 1) * 2000 + element(SEGMENT, element(TRACKS, track())))
    assert pixel_crop(tmp_path / "a.mkv", 0) is None
