"""Visibility of VP8 and VP9 packets: first bytes worked by hand from the bitstream specifications."""

import pytest

from dvm_hf.media.formats.vp_frames import is_shown

pytestmark = pytest.mark.one_lane

# RFC 6386, 9.1, from the lowest bit: interframe 1, version 3, show_frame 1, the first bits of a size 3
VP8 = {0b000_1_000_0: True, 0b000_0_000_0: False, 0b111_1_011_1: True, 0b111_0_111_1: False, 0b101_1_000_1: True}
# VP9 specification, 6.2, from the highest bit: marker 2, profile_low 1, profile_high 1, in profile 3 reserved 1,
# show_existing_frame 1; without it frame_type 1, show_frame 1
VP9 = {
    0b10_00_0_0_1_0: True,
    0b10_00_0_0_0_1: False,
    0b10_00_0_1_1_0: True,
    0b10_00_0_1_0_1: False,
    0b10_00_1_000: True,
    0b10_10_0_0_1_1: True,
    0b10_10_0_1_0_1: False,
    0b10_01_0_0_1_0: True,
    0b10_01_0_1_0_0: False,
    0b10_11_0_0_0_1: True,
    0b10_11_0_0_1_0: False,
    0b10_11_0_0_1_1: True,
    0b10_11_0_1_0_0: True,
    0b10_11_0_0_0_0: False,
}


@pytest.mark.parametrize(("first", "expected"), VP8.items())
def test_vp8_visibility_is_in_the_first_byte(first: int, expected: bool) -> None:
    for codec in ("vp8", "libvpx"):
        assert is_shown(codec, bytes([first, 0xFF, 0xFF])) is expected


@pytest.mark.parametrize(("first", "expected"), VP9.items())
def test_vp9_visibility_follows_the_profile(first: int, expected: bool) -> None:
    for codec in ("vp9", "libvpx-vp9"):
        assert is_shown(codec, bytes([first, 0xFF, 0])) is expected


@pytest.mark.parametrize(("last", "expected"), [(0b110_00_000, True), (0b110_11_111, True), (0b111_00_000, False)])
def test_a_superframe_is_shown(last: int, expected: bool) -> None:
    """Annex B: its last byte begins with 110; the first frame in it may be hidden."""
    assert is_shown("vp9", bytes([0b10_00_0_0_0_0, 0, last])) is expected


def test_empty_packets_are_invisible_and_packets_of_other_codecs_visible() -> None:
    assert not any(is_shown(codec, b"") for codec in ("vp8", "vp9", "h264"))
    assert is_shown("h264", b"\0")
