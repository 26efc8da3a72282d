"""The numbers of frames, by their names."""

import pytest

from dvm_hf.media.video.frame_names import frame_names, frame_numbers


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


@pytest.mark.parametrize("names", [("a_1.png", "a_2.png", "b_3.png", "b_4.png"), ("1.png", "2.png", "poster_3.jpg")])
def test_two_sequences_in_a_folder_are_a_fault(names):
    assert "has frames of two sequences" in frame_names(names).fault


def test_the_case_and_what_follows_the_number_may_differ():
    assert not frame_names(("Shot2_8.png", "shot2_9_v.png", "shot2_010.JPG")).fault


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("1.png", "2.png", "4.png"), True),
        (("1.png", "01.png"), True),
        (("IMG_2034.jpg", "IMG_2050.jpg", "IMG_2051.jpg"), False),
        (("7.png",), False),
        (("a.png", "b.png"), False),
        ((), False),
    ],
)
def test_folders_of_frames_are_told_from_photographs_by_their_numbers(names, expected):
    assert frame_names(names).is_probably_video is expected
