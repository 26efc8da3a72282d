"""Frame counts, keyframes and frames affected by damage, worked by hand."""

import numpy as np
import pytest

from dvm_hf.media.formats.keyframes import KEY, PacketFacts, PacketTable, Timeline, packet_table
from dvm_hf.media.formats.nal_units import FrameKind

pytestmark = pytest.mark.one_lane

# In decoding order, as shown: I0 P4 B2 b1 b3 | I5 P8 b6 b7; small letters: needed by no other frame
ORDER = "I0 P4 B2 b1 b3 I5 P8 b6 b7"


def packets(order: str, *, step: int = 512) -> list[PacketFacts]:
    return [
        PacketFacts(int(word[1:]) * step, (place - 2) * step, 100, word[0] == "I", word[0].isupper())
        for place, word in enumerate(order.split())
    ]


def found(order: str, **options: int) -> Timeline:
    table = packet_table(packets(order))
    assert table is not None
    return Timeline(table, **options)


def test_frames_are_numbered_in_display_order() -> None:
    line = found(ORDER)
    assert [line.number(position) for position in range(9)] == [0, 4, 2, 1, 3, 5, 8, 6, 7]
    assert [line.number(line.position(number)) for number in range(9)] == list(range(9))
    assert [line.number_at(pts) for pts in (4 * 512, 4 * 512 + 1, 9 * 512, -1, None)] == [4, -1, -1, -1, -1]
    assert (line.count, line.packets.reorder_depth) == (9, 2)


def test_the_reorder_depth_is_the_most_frames_decoded_before_a_frame_but_shown_after_it() -> None:
    rng = np.random.default_rng(4)
    for length in (1, 2, 9, 40):
        for _ in range(20):
            numbers = rng.permutation(length).tolist()
            expected = max(sum(before > number for before in numbers[:at]) for at, number in enumerate(numbers))
            made = packet_table([PacketFacts(number, 0, 9, True, True) for number in numbers])
            assert made is not None
            assert made.reorder_depth == expected


def test_unknown_kinds_are_asked_for_once_and_only_where_they_matter() -> None:
    """The container flags I0, I5 and P8 as keyframes; P8 is not one."""
    whole = packet_table(packets(ORDER))
    assert whole is not None
    flags = bytearray(KEY * (word in ("I0", "I5", "P8")) for word in ORDER.split())
    asked: list[int] = []

    def kind_of(position: int) -> FrameKind:
        asked.append(position)
        word = ORDER.split()[position]
        return FrameKind(word[0] == "I", word[0].isupper())

    table = PacketTable(whole.pts, whole.sizes, last_dts=whole.last_dts, kinds=flags)
    line = Timeline(table, kind_of=kind_of)
    assert line.begins_with_key
    assert asked == [0]
    assert [line.key_before(number) for number in (8, 7, 5, 4)] == [5, 5, 5, 0]
    assert asked == [0, 5]  # P8 is decoded before b6
    assert line.affected_by(6) == {6}
    assert line.affected_by(8) == {8, 6, 7}
    assert asked == [0, 5, 7, 6]
    for position, (word, fact) in enumerate(zip(ORDER.split(), packets(ORDER), strict=True)):
        assert line.is_needed(position) == fact.is_needed, word


@pytest.mark.parametrize(("number", "before", "after"), [(0, 0, 5), (4, 0, 5), (5, 5, 9), (8, 5, 9)])
def test_decoding_can_begin_at_the_previous_keyframe(number: int, before: int, after: int) -> None:
    assert (found(ORDER).key_before(number), found(ORDER).key_after(number)) == (before, after)


def test_a_keyframe_decoded_before_earlier_frames_is_not_a_start() -> None:
    assert found("I0 P2 b1 I5 b3 b4 P6").key_before(6) == 0


def test_a_keyframe_displayed_after_a_later_packet_is_not_a_start() -> None:
    """I0 P3 I2 b1 P4: b1 may need P3, and P3, decoded before I2, is shown after it."""
    line = found("I0 P3 I2 b1 P4")
    assert [line.key_before(number) for number in range(5)] == [0] * 5
    assert line.key_after(0) == 5
    assert line.affected_by(3) == {3, 2, 1, 4}


@pytest.mark.parametrize(
    ("number", "affected"), [(1, {1}), (3, {3}), (2, {2, 1, 3}), (4, {4, 2, 1, 3}), (6, {6}), (8, {8, 6, 7})]
)
def test_damage_affects_frames_decoded_after_a_reference_frame(number: int, affected: set[int]) -> None:
    assert found(ORDER).affected_by(number) == affected


# I8 is an open start: B6, b5 and b7 are decoded after it, but shown before it, and may depend on P4
OPEN_ORDER = "I0 P4 B2 b1 b3 I8 B6 b5 b7 P12 b10 b9 b11"


def test_decoding_can_begin_at_a_keyframe_with_leading_frames_if_the_codec_has_open_groups() -> None:
    line = found(OPEN_ORDER, has_open_groups=True)
    assert [line.key_before(number) for number in (4, 5, 7, 8, 9, 12)] == [0, 0, 0, 5, 5, 5]
    assert [line.key_after(number) for number in (0, 4, 7, 8)] == [5, 5, 5, 13]
    assert found(OPEN_ORDER).key_before(12) == 0


@pytest.mark.parametrize(
    ("number", "affected"),
    [(4, {4, 2, 1, 3, 6, 5, 7}), (6, {6, 5, 7}), (5, {5}), (8, {8, 6, 5, 7, 12, 10, 9, 11}), (12, {12, 10, 9, 11})],
)
def test_damage_affects_the_leading_frames_of_the_next_keyframe_but_not_that_keyframe(
    number: int, affected: set[int]
) -> None:
    assert found(OPEN_ORDER, has_open_groups=True).affected_by(number) == affected


def test_a_damaged_leading_frame_affects_those_that_are_decoded_after_it() -> None:
    line = found("I0 P4 B2 b1 b3 I8 B5 B7 b6 P9", has_open_groups=True)
    assert [line.affected_by(number) for number in (5, 7, 6)] == [{5, 7, 6}, {7, 6}, {6}]


@pytest.mark.parametrize(
    "order",
    [
        "I0 P1 I4 P5 b2 b3",  # P5 is shown after I4, but decoded before its leading frames
        "I0 P2 I4 b1 b3",  # P2, decoded before I4, is shown after one of them
        "I0 P2 b1 P4 b3",
    ],
)
def test_other_orders_are_no_open_starts(order: str) -> None:
    assert found(order, has_open_groups=True).key_before(4) == 0


def test_frames_beyond_the_maximum_are_not_counted() -> None:
    assert found(ORDER, max_frames=6).count == 6


def test_a_truncated_timeline_ends_before_the_last_packet() -> None:
    assert found("I0 P4 B2 b1 b3", listed=9).count == 3  # decoded at times -2 .. 2: another packet may be shown at 3
    assert found("I0 P4 B2 b1 b3 P5", listed=9).count == 4  # decoded at times -2 .. 3
    assert found("I0 P4 B2 b1 b3", listed=5).count == 5


BAD = {
    "no packets": [],
    "no times": [PacketFacts(None, 0, 9, True, True)],
    "equal times": packets("I0 P1 P1"),
    "an empty packet": [*packets("I0 P1"), PacketFacts(5000, 0, 0, False, True)],
    "a start that is no key frame": packets("P0 P1 I2"),
    "frames shown before the first key frame": packets("I2 b0 b1 P3"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_video_with_ambiguous_frames_has_no_timeline(case: str) -> None:
    table = packet_table(BAD[case])
    assert table is None or not Timeline(table).begins_with_key
    assert table is None or not Timeline(table, has_open_groups=True).begins_with_key
