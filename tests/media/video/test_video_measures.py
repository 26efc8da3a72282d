"""Measurements of a complete video, against the frames that were written."""

from pathlib import Path

import pytest
from numbered_films import edited, film, number_in

from dvm_hf.media.video.video_measures import measured


@pytest.mark.parametrize("edits", [[(0, 10), (24, 10)], [(30, 4), (2, 5), (50, 3)]])
def test_all_parts_that_an_edit_list_joins_are_measured(tmp_path: Path, edits: list[tuple[int, int]]) -> None:
    """The steps are those within the parts, 40 ms each."""
    path = edited(film(tmp_path / "f.mov", range(1, 61), g="12", bf="2"), edits)
    numbers: list[tuple[int, int]] = []
    found = measured(path, visit=lambda index, frame: numbers.append((index, number_in(frame.to_ndarray("gray")))))
    expected = [first + 1 + at for first, count in edits for at in range(count)]
    assert numbers == list(enumerate(expected))
    assert (found.frames, found.fault) == (len(expected), "")
    assert found.steps == pytest.approx([0.04] * sum(count - 1 for _, count in edits))
