"""Numbers of frames, key frames and what damage spoils, worked by hand."""

import pytest

from dvm_hf.media.formats.keyframes import PacketFacts, Timeline, timeline

pytestmark = pytest.mark.one_lane

# In decoding order, as shown: I0 P4 B2 b1 b3 | I5 P8 b6 b7; small letters: needed by no other frame
ORDER = "I0 P4 B2 b1 b3 I5 P8 b6 b7"


def packets(order: str, *, step: int = 512) -> list[PacketFacts]:
    return [
        PacketFacts(int(word[1:]) * step, (place - 2) * step, 100, word[0] == "I", word[0].isupper())
        for place, word in enumerate(order.split())
    ]


def found(order: str, **options: int) -> Timeline:
    made = timeline(packets(order), **options)
    assert made is not None
    return made


def test_frames_are_numbered_as_they_are_shown() -> None:
    line = found(ORDER)
    assert line.numbers == [0, 4, 2, 1, 3, 5, 8, 6, 7]
    assert [line.numbers[position] for position in line.positions] == list(range(9))
    assert line.number_at[4 * 512] == 4
    assert (line.count, line.reorder_depth) == (9, 2)


@pytest.mark.parametrize(("number", "before", "after"), [(0, 0, 5), (4, 0, 5), (5, 5, 9), (8, 5, 9)])
def test_decoding_may_begin_at_the_key_frame_before(number: int, before: int, after: int) -> None:
    assert (found(ORDER).key_before(number), found(ORDER).key_after(number)) == (before, after)


def test_a_key_frame_that_is_decoded_before_frames_shown_earlier_is_none() -> None:
    assert found("I0 P2 b1 I5 b3 b4 P6").key_before(6) == 0


def test_a_key_frame_before_which_a_later_packet_is_shown_is_no_start() -> None:
    """I0 P3 I2 b1 P4: b1 may need P3, and P3, decoded before I2, is shown after it."""
    line = found("I0 P3 I2 b1 P4")
    assert [line.key_before(number) for number in range(5)] == [0] * 5
    assert line.key_after(0) == 5
    assert line.affected_by(3) == {3, 2, 1, 4}


@pytest.mark.parametrize(
    ("number", "spoilt"), [(1, {1}), (3, {3}), (2, {2, 1, 3}), (4, {4, 2, 1, 3}), (6, {6}), (8, {8, 6, 7})]
)
def test_damage_spoils_what_is_decoded_after_a_needed_frame(number: int, spoilt: set[int]) -> None:
    assert found(ORDER).affected_by(number) == spoilt


def test_frames_behind_the_most_are_not_counted() -> None:
    assert found(ORDER, most=6).count == 6


def test_where_packets_are_missing_at_the_end_only_frames_before_the_last_packets_time_are_certain() -> None:
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
def test_a_video_whose_frames_cannot_be_told_has_no_timeline(case: str) -> None:
    assert timeline(BAD[case]) is None
