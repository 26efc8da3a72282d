"""Which samples of an MP4 are shown, and when, against tables worked by hand."""

import struct
import tracemalloc
from pathlib import Path

import pytest

from dvm_hf.media.formats.mp4_samples import Mp4Samples, has_joins, mp4_samples

# Four frames of 100 ticks, of which the second P-frame (sample 1) is shown after the two B-frames: 0 3 1 2.
STEPS, DELAYS = [(4, 100)], [(1, 100), (1, 300), (2, 0)]
TIMES = (100, 400, 200, 300)  # 0 + 100, 100 + 300, 200 + 0, 300 + 0
ENTRIES = [(40, True), (50, True), (60, True), (70, True)]


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def table(kind: bytes, rows: list[tuple[int, ...]], layout: str, *, claims: int | None = None) -> bytes:
    data = b"".join(struct.pack(f">{layout}", *row) for row in rows)
    return box(kind, struct.pack(">II", 0, len(rows) if claims is None else claims) + data)


def written(
    path: Path,
    edits: list[tuple[int, int]],
    *,
    steps: list[tuple[int, int]] = STEPS,
    delays: list[tuple[int, int]] = DELAYS,
    claims: int | None = None,
) -> Path:
    """An MP4 of tables only; 600 units a second in the movie, 1000 in the track. edits: duration, media time."""
    movie = box(b"mvhd", struct.pack(">4I", 0, 0, 0, 600) + bytes(84))
    track = box(b"tkhd", struct.pack(">4I", 0, 0, 0, 1) + bytes(68))
    listed = table(b"elst", [(duration, start, 1 << 16) for duration, start in edits], "Iii", claims=claims)
    samples = table(b"stts", steps, "II", claims=claims) + (table(b"ctts", delays, "Ii") if delays else b"")
    media = box(b"mdia", box(b"minf", box(b"stbl", samples)))
    track += (box(b"edts", listed) if edits else b"") + media
    path.write_bytes(box(b"ftyp", b"isom") + box(b"moov", movie + box(b"trak", track)))
    return path


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([], [(0, 100, 0), (0, 400, 1), (0, 200, 2), (0, 300, 3)]),
        ([(240, 100)], [(0, 0, 0), (0, 300, 1), (0, 100, 2), (0, 200, 3)]),  # 240 / 600 s are 400 ticks
        ([(120, 100), (120, 300)], [(0, 0, 0), (0, 100, 2), (1, 300, 1), (1, 200, 3)]),
        ([(60, 300), (60, -1), (120, 100)], [(0, 0, 3), (2, 200, 0), (2, 300, 2)]),
        ([(60, 400), (60, 400)], [(0, 0, 1), (1, 100, 1)]),
        ([(61, 150)], [(0, 50, 2)]),  # begins within the first frame and ends at 252 ticks
        ([(0, 100)], []),  # no duration: fragments that follow determine it
    ],
)
def test_samples_of_edits(tmp_path: Path, edits: list[tuple[int, int]], expected: list[tuple[int, int, int]]) -> None:
    path = written(tmp_path / "a.mp4", edits)
    assert [*map(tuple, mp4_samples(path, 1, ENTRIES, 1000).shown)] == expected
    assert has_joins(path, 1) == (sum(start >= 0 for _, start in edits) > 1)


@pytest.mark.parametrize("empty", [0, 2, 3])
def test_empty_samples_are_shown_without_a_picture(tmp_path: Path, empty: int) -> None:
    entries = [(position, number != empty) for number, (position, _) in enumerate(ENTRIES)]
    found = mp4_samples(written(tmp_path / "a.mp4", []), 1, entries, 1000)
    kept = [number for number in range(4) if number != empty]
    assert found.pictures == {ENTRIES[number][0]: rank for rank, number in enumerate(kept)}
    assert [(one.time, one.picture) for one in found.shown] == [
        (TIMES[number], -1 if number == empty else kept.index(number)) for number in range(4)
    ]
    assert not found.is_jump(ENTRIES[kept[0]][0], ENTRIES[kept[1]][0])
    assert found.is_jump(ENTRIES[kept[1]][0], ENTRIES[kept[0]][0])


@pytest.mark.parametrize(
    "tables",
    [
        {"steps": [(5, 100)]},
        {"steps": [(2**31, 1)]},
        {"delays": [(3, 0)]},
        {"delays": [(2**31, 0)]},
        {"steps": [(2, 100)], "claims": 2**32 - 1},
    ],
    ids=str,
)
def test_contradicting_tables_cost_nothing(tmp_path: Path, tables: dict[str, object]) -> None:
    path = written(tmp_path / "a.mp4", [(240, 100)], **tables)  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        assert mp4_samples(path, 1, ENTRIES, 1000).shown == ()
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_hundreds_of_samples_are_shown_in_their_order(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mp4", [], steps=[(300, 10)], delays=[(300, 20)])
    found = mp4_samples(path, 1, [(number, True) for number in range(300)], 1000)
    assert [*map(tuple, found.shown)] == [(0, 10 * number + 20, number) for number in range(300)]


def test_rows_after_the_declared_number_are_not_part_of_a_table(tmp_path: Path) -> None:
    """ISO/IEC 14496-12, 8.6.1.2: entry_count. Both tables have two rows, of which they declare one."""
    path = written(tmp_path / "a.mp4", [(240, 100), (240, 0)], steps=[(4, 100), (4, 100)], delays=[], claims=1)
    assert [*map(tuple, mp4_samples(path, 1, ENTRIES, 1000).shown)] == [(0, 0, 1), (0, 100, 2), (0, 200, 3)]


def test_two_samples_at_one_position_are_not_understood(tmp_path: Path) -> None:
    entries = [*ENTRIES[:3], ENTRIES[0]]
    assert mp4_samples(written(tmp_path / "a.mp4", []), 1, entries, 1000) == Mp4Samples()
