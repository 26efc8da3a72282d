"""Speeds, directions and pauses: which frames of a source a clip shows, and how they are read."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dvm_hf.clips.moving import playback
from dvm_hf.clips.moving.playback import SPEEDS, Playback, ShownFrames, drawn_playback
from dvm_hf.media.pixels import Box, Size
from dvm_hf.media.video.video_writing import write_video
from dvm_hf.media.video.videos import Video


class Numbers:
    """A source whose pictures are the numbers of its frames; records what is read. missing: damaged frames."""

    size = Size(10, 10)

    def __init__(self, count: int, missing: Iterable[int] = ()) -> None:
        self.count, self.missing, self.reads = count, set(missing), []

    def pictures(self, wanted: Iterable[int]) -> Iterator[tuple[int, str]]:
        wanted = list(wanted)
        assert wanted == sorted(set(wanted))
        self.reads.append(wanted)
        yield from ((index, f"frame {index}") for index in wanted if index < self.count and index not in self.missing)


@pytest.mark.parametrize(
    ("shown", "frames"),
    [
        (Playback(), [0, 1, 2, 3, 2, 1, 0, 1, 2]),
        (Playback(is_reversed=True), [3, 2, 1, 0, 1, 2, 3, 2, 1]),
        (Playback(0.5), [0, 0, 1, 1, 2, 2, 3, 3, 2]),
        (Playback(2), [0, 2, 2, 0, 2, 2, 0, 2, 2]),  # 0 2 4 6 8: 3 is followed by 2, so 4 is 2, and 6 is 0
        (Playback(1, start=0.5), [2, 3, 2, 1, 0, 1, 2, 3, 2]),
    ],
)
def test_a_source_is_shown_back_and_forth(shown: Playback, frames: list[int]) -> None:
    assert list(shown.frames(range(9), available=4)) == frames


@pytest.mark.parametrize("available", [1, 2, 3, 40])
@pytest.mark.parametrize("speed", SPEEDS)
def test_no_frame_is_further_from_the_one_before_than_the_speed(available: int, speed: float) -> None:
    for is_reversed in (False, True):
        frames = Playback(speed, is_reversed, 0.7).frames(range(150), available=available)
        assert 0 <= min(frames) <= max(frames) < available
        assert max(abs(after - before) for before, after in pairwise(frames)) <= max(1, speed)


def test_speeds_and_directions_have_the_published_shares() -> None:
    rng = np.random.default_rng(1)
    drawn = [drawn_playback(rng, starts_anywhere=True) for _ in range(10_000)]
    for speed in (0.5, 1, 2, 3, 4, 5):
        assert sum(one.speed == speed for one in drawn) / 10_000 == pytest.approx(1 / 6, abs=0.015)
    assert sum(one.is_reversed for one in drawn) / 10_000 == pytest.approx(0.5, abs=0.02)
    starts = np.histogram([one.start for one in drawn], 10, (0, 1))[0]
    assert abs(starts - 1000).max() < 150
    assert drawn_playback(rng, starts_anywhere=False).start == 0


@pytest.mark.parametrize("seed", range(20))
def test_pictures_follow_the_frames_in_the_order_of_the_clip(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(playback, "BACKWARD_BYTES", 100 * 1.5 * 4)  # of four frames
    shown = drawn_playback(rng, starts_anywhere=True)
    frames = shown.frames(range(60), available=int(rng.integers(1, 40)))
    indices = tuple(sorted(rng.choice(60, int(rng.integers(1, 60)), replace=False).tolist()))
    missing = set(rng.integers(0, 40, 2).tolist())
    found = list(ShownFrames(indices, frames).pictures(Numbers(100, missing)))
    assert found == [(index, f"frame {frames[index]}") for index in indices if frames[index] not in missing]


def test_backwards_few_pictures_are_held_and_forwards_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playback, "BACKWARD_BYTES", 100 * 1.5 * 4)
    source = Numbers(20)
    backwards = ShownFrames(tuple(range(10)), tuple(range(9, -1, -1)))
    assert [picture for _, picture in backwards.pictures(source)] == [f"frame {index}" for index in range(9, -1, -1)]
    assert source.reads == [[6, 7, 8, 9], [2, 3, 4, 5], [0, 1]]
    source.reads.clear()
    list(ShownFrames(tuple(range(10)), tuple(range(0, 20, 2))).pictures(source))
    assert source.reads == [list(range(0, 20, 2))]


def test_without_other_frames_the_source_is_read_as_it_is() -> None:
    source = Numbers(5)
    assert [index for index, _ in ShownFrames((1, 3, 8)).pictures(source)] == [1, 3]
    assert source.reads == [[1, 3, 8]]


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_video_can_be_read_backwards(tmp_path: Path, suffix: str) -> None:
    """An MP4 is read by its timestamps, an AVI from its start, each time again."""
    path = tmp_path / f"ramp{suffix}"
    write_video(path, (np.full((32, 48, 3), 12 * index, np.uint8) for index in range(20)))
    frames = tuple(range(19, -1, -1))
    with Video(path, max_frames=20) as video:
        straight = {index: picture.rgb(Box(0, 0, *video.size)) for index, picture in video.pictures(range(20))}
        for indices in (tuple(range(20)), (0, 1, 5, 6, 19)):
            found = list(ShownFrames(indices, frames).pictures(video))
            assert [index for index, _ in found] == list(indices)
            for index, picture in found:
                assert np.array_equal(picture.rgb(Box(0, 0, *video.size)), straight[19 - index])
