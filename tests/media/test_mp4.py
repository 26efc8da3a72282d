"""Values of MP4 boxes, against FFmpeg's decoder."""

import struct
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import TreeWriter

from dvm_hf.media.formats.mp4 import boxes, declared_track

ORIENTATIONS = {0: 1, 90: 8, 180: 3, 270: 6}  # EXIF's, by degrees anticlockwise


def film(path: Path, degrees: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.set_display_rotation(degrees)
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270, -90])
def test_the_rotation_matches_a_decoded_frame(tmp_path: Path, degrees: int, suffix: str) -> None:
    path = film(tmp_path / f"a{suffix}", degrees)
    with av.open(str(path)) as container:
        decoded = next(container.decode(video=0)).rotation
    assert decoded % 360 == degrees % 360
    assert declared_track(path, 1).orientation == ORIENTATIONS[degrees % 360]
    assert declared_track(path, 2).orientation is None


def test_other_containers_and_damaged_files_have_no_rotation(tmp_path: Path, tree: TreeWriter) -> None:
    assert declared_track(film(tmp_path / "a.mkv", 90), 1).orientation is None
    data = tree.background().read_bytes()
    for changed in (b"", b"ftyp", data[:60], data.replace(b"tkhd", b"free"), data.replace(b"moov", b"free")):
        (tmp_path / "b.mp4").write_bytes(changed)
        assert declared_track(tmp_path / "b.mp4", 1).orientation is None


ONE = 1 << 16
UPRIGHT, TO_THE_RIGHT, UPSIDE_DOWN = (ONE, 0, 0, ONE), (0, ONE, -ONE, 0), (-ONE, 0, 0, -ONE)


def box(kind: bytes, content: bytes, *, is_large: bool = False) -> bytes:
    """ISO/IEC 14496-12, 4.2."""
    head = struct.pack(">I4sQ", 1, kind, 16 + len(content)) if is_large else struct.pack(">I4s", 8 + len(content), kind)
    return head + content


def header(kind: bytes, matrix: Sequence[int], *, version: int, track: int = 0) -> bytes:
    """mvhd and tkhd, 8.2.2 and 8.3.2: times have 4 bytes in version 0, and 8 in version 1."""
    time = "QQ" if version else "II"
    a, b, c, d = matrix
    shape = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    if kind == b"mvhd":
        content = struct.pack(f">{time}I{time[0]}", 1, 2, 600, 9) + struct.pack(">IH10x", ONE, 256) + shape + bytes(28)
    else:
        content = struct.pack(f">{time}II{time[0]}", 1, 2, track, 0, 9) + bytes(16) + shape + bytes(8)
    return box(kind, bytes([version, 0, 0, 0]) + content)


@pytest.mark.parametrize("versions", [(0, 0), (0, 1), (1, 0), (1, 1)], ids=str)
@pytest.mark.parametrize(
    ("movie", "track", "expected"),
    [(UPRIGHT, UPRIGHT, 1), (UPRIGHT, TO_THE_RIGHT, 6), (TO_THE_RIGHT, UPRIGHT, 6), (TO_THE_RIGHT, TO_THE_RIGHT, 3)],
)
@pytest.mark.parametrize("is_large", [False, True])
def test_both_headers_are_read_in_both_versions(
    tmp_path: Path,
    versions: tuple[int, int],
    movie: Sequence[int],
    track: Sequence[int],
    expected: int,
    is_large: bool,
) -> None:
    tracks = [
        box(b"trak", header(b"tkhd", matrix, version=versions[1], track=number), is_large=is_large)
        for number, matrix in ((1, UPSIDE_DOWN), (7, track))
    ]
    moov = box(b"moov", header(b"mvhd", movie, version=versions[0]) + b"".join(tracks), is_large=is_large)
    for data in (
        box(b"ftyp", b"isom") + box(b"mdat", bytes(50), is_large=is_large) + moov,
        box(b"ftyp", b"isom") + struct.pack(">I", 0) + box(b"moov", moov[16 if is_large else 8 :])[4:],
    ):
        (tmp_path / "a.mp4").write_bytes(data)
        assert declared_track(tmp_path / "a.mp4", 7).orientation == expected
        assert declared_track(tmp_path / "a.mp4", 2).orientation is None
        (tmp_path / "a.mp4").unlink()


def test_an_empty_movie_header_has_no_rotation(tmp_path: Path) -> None:
    track = box(b"trak", header(b"tkhd", TO_THE_RIGHT, version=0, track=1))
    for movie, expected in ((header(b"mvhd", UPRIGHT, version=0), 6), (box(b"mvhd", b""), None)):
        (tmp_path / "a.mp4").write_bytes(box(b"ftyp", b"isom") + box(b"moov", track + movie))
        assert declared_track(tmp_path / "a.mp4", 1).orientation == expected


def test_boxes_end_at_an_invalid_one() -> None:
    data = box(b"free", b"ab") + struct.pack(">I4s", 7, b"bad ") + box(b"skip", b"")
    assert [*boxes(data, 0, len(data))] == [("free", (8, 10))]
    assert [*boxes(box(b"free", b"abcdef")[:-3], 0, 11)] == [("free", (8, 11))]
    assert [*boxes(box(b"skip", b"") + bytes(7), 0, 15)] == [("skip", (8, 8))]
