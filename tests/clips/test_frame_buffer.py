"""Frames are read forwards, once, and held until they are released."""

from collections.abc import Iterable, Iterator

import numpy as np

from dvm_hf.clips.frame_buffer import FrameBuffer


def numbered(indices: Iterable[int], read: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    for index in indices:
        read.append(index)
        yield index, np.full((1, 1), index, np.uint8)


def test_frame_buffer_reads_forward_once_and_only_as_far_as_requested():
    read: list[int] = []
    buffer = FrameBuffer(numbered(range(6), read))
    assert not read
    assert buffer.get(2).item() == 2
    assert read == [0, 1, 2]
    assert [buffer.get(index).item() for index in (0, 1, 2, 1)] == [0, 1, 2, 1]
    assert read == [0, 1, 2]


def test_frame_buffer_is_empty_beyond_the_end():
    buffer = FrameBuffer(numbered(range(3), []))
    assert buffer.get(3) is None
    assert buffer.get(2).item() == 2
    assert buffer.get(7) is None


def test_frame_buffer_holds_frames_until_they_are_released():
    buffer = FrameBuffer(numbered(range(9), []))
    buffer.get(5)
    buffer.release(4)
    assert [buffer.get(index) for index in (0, 3)] == [None, None]
    assert [buffer.get(index).item() for index in (4, 5, 6)] == [4, 5, 6]


def test_frame_buffer_uses_indices_if_frames_are_missing():
    buffer = FrameBuffer(numbered([0, 3, 7], []))
    assert buffer.get(3).item() == 3
    assert buffer.get(2) is None
    assert buffer.get(7).item() == 7
