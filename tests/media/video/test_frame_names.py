"""The numbers of frames, by their names."""

import pytest

from dvm_hf.media.video.frame_names import frame_numbers


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("00001.png", "00002.png"), range(1, 3)),
        (("clip2_9.png", "clip2_10.png", "clip2_11.png"), range(9, 12)),
        (("00017_rgb.png",), range(17, 18)),
        ((), range(0)),
    ],
)
def test_the_numbers_of_frames_are_those_of_their_names(names, expected):
    assert frame_numbers(names) == expected
