"""The contact sheet and the video: positions of the pictures."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dvm_hf.media.video.videos import Video
from dvm_hf.preview.pictures import contact_sheet, side_by_side, write_contact_sheet, write_preview_video

RED, GREEN, BLUE, YELLOW, CYAN = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)
MATTES = (201, 77)  # grey levels of the middle frame's alpha and trimap


def a_row(colours: list[tuple[int, int, int]], *, size: tuple[int, int] = (120, 80)) -> dict[str, Any]:
    """A row of frames of one colour each; alpha and trimap are MATTES in the middle frame and black elsewhere."""
    middle = len(colours) // 2
    alpha, trimap = (
        [Image.new("L", size, level if i == middle else 0) for i in range(len(colours))] for level in MATTES
    )
    return {
        "clip_id": "image_disc_0000",
        "window": 3,
        "start": 48,
        "width": size[0],
        "height": size[1],
        "frames": [Image.new("RGB", size, colour) for colour in colours],
        "alpha": alpha,
        "trimap": trimap,
    }


def pictures_in(sheet: Image.Image) -> list[list[tuple[int, int, int]]]:
    """Return the colours of the pictures of each line of the sheet, from the left: runs of at least 30 equal pixels."""
    pixels = np.asarray(sheet).astype(int)
    paper = tuple(pixels[0, 0])
    lines: list[list[tuple[int, int, int]]] = []
    for row in pixels:
        starts = [0, *(np.flatnonzero((np.diff(row, axis=0) != 0).any(axis=1)) + 1), len(row)]
        runs = [(end - start, tuple(int(v) for v in row[start])) for start, end in pairwise(starts)]
        found = [colour for length, colour in runs if length >= 30 and colour != paper]
        if len(found) == 5 and (not lines or lines[-1] != found):
            lines.append(found)
    return lines


def grey(level: int) -> tuple[int, int, int]:
    return level, level, level


def test_a_line_shows_first_middle_and_last_frame_and_the_middle_mattes() -> None:
    sheet = contact_sheet([a_row([RED, YELLOW, GREEN, CYAN, BLUE])])
    assert sheet.mode == "RGB"
    assert pictures_in(sheet) == [[RED, GREEN, BLUE, grey(201), grey(77)]]


def test_each_row_has_a_line_in_order() -> None:
    rows = [a_row([RED, GREEN, BLUE]), a_row([BLUE, RED, YELLOW], size=(60, 110)), a_row([CYAN])]
    mattes = [grey(201), grey(77)]
    assert pictures_in(contact_sheet(rows)) == [
        [RED, GREEN, BLUE, *mattes],
        [BLUE, RED, YELLOW, *mattes],
        [CYAN] * 3 + mattes,
    ]


def test_every_picture_has_a_caption() -> None:
    pixels = np.asarray(contact_sheet([a_row([RED, GREEN, BLUE])])).astype(int)
    in_picture = (pixels == RED).all(axis=2)
    rows = np.flatnonzero(in_picture.any(axis=1))
    assert (pixels[: rows[0]] != pixels[0, 0]).any()  # the clip's name above
    below = (pixels[rows[-1] + 1 :] != pixels[0, 0]).any(axis=(0, 2))
    columns = np.array_split(below, 5)
    assert all(part.any() for part in columns)  # a label under each


@pytest.fixture
def drawn_texts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, float]]:
    """The texts that Pillow draws, with their left and top ends."""
    found: list[tuple[str, float, float]] = []
    text = ImageDraw.ImageDraw.text

    def noted(drawing: ImageDraw.ImageDraw, xy: tuple[float, float], words: str, *options: Any, **others: Any) -> None:
        found.append((words, *xy))
        text(drawing, xy, words, *options, **others)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", noted)
    return found


def test_captions_contain_frame_numbers(drawn_texts: list[tuple[str, float, float]]) -> None:
    contact_sheet([a_row([RED, YELLOW, GREEN, CYAN, BLUE])])
    written = [text for text, *_ in drawn_texts]
    assert written[0] == "image_disc_0000   window 3   120 x 80 px"
    assert written[1:] == ["frame 48", "frame 50", "frame 52, the last of 5", "alpha of frame 50", "trimap of frame 50"]


def test_the_panels_of_the_video_are_labelled(drawn_texts: list[tuple[str, float, float]]) -> None:
    (frame,) = side_by_side([a_row([RED])])
    (_, *labels) = drawn_texts
    assert [text for text, *_ in labels] == ["composite", "alpha", "trimap"]
    lefts = [left for _, left, _ in labels]
    assert lefts == sorted(set(lefts))
    last_row = np.flatnonzero((frame == RED).all(axis=2).any(axis=1))[-1]
    assert all(last_row < top < frame.shape[0] - 10 for *_, top in labels)


def test_pictures_keep_their_aspect_ratio() -> None:
    for size in ((120, 80), (50, 200), (700, 300)):
        pixels = np.asarray(contact_sheet([a_row([RED, GREEN, BLUE], size=size)])).astype(int)
        area = np.argwhere((pixels == GREEN).all(axis=2))
        height, width = np.ptp(area, axis=0) + 1
        assert width / height == pytest.approx(size[0] / size[1], rel=0.05)


def test_an_empty_sheet_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])


def test_the_sheet_is_written_as_a_png(tmp_path: Path) -> None:
    rows = [a_row([RED, GREEN, BLUE])]
    write_contact_sheet(rows, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), np.asarray(contact_sheet(rows)))


def test_the_video_shows_every_frame_of_every_row_with_its_mattes() -> None:
    rows = [a_row([RED, YELLOW, GREEN]), a_row([CYAN], size=(60, 100))]
    frames = list(side_by_side(rows))
    assert [panels(frame)[0] for frame in frames] == [RED, YELLOW, GREEN, CYAN]
    assert panels(frames[1]) == [YELLOW, grey(201), grey(77)]
    assert {frame.shape for frame in frames} == {frames[0].shape}
    assert all(side % 2 == 0 for side in frames[0].shape[:2])


def panels(frame: np.ndarray) -> list[tuple[int, ...]]:
    """Return the colours in the middle of each third of a frame's pictures."""
    middle = frame[frame.shape[0] // 2 + 11]  # the caption is above
    return [tuple(int(v) for v in middle[frame.shape[1] * part // 6]) for part in (1, 3, 5)]


@pytest.mark.parametrize("size", [(120, 80), (121, 81), (900, 601), (33, 300)])
def test_the_video_plays_the_frames_in_their_colours(tmp_path: Path, size: tuple[int, int]) -> None:
    write_preview_video([a_row([RED, GREEN, BLUE], size=size)], tmp_path / "clips.mp4")
    with Video(tmp_path / "clips.mp4") as video:
        played = [pixels for _, pixels in video.colours(range(10))]
    assert len(played) == 3
    for pixels, colour in zip(played, (RED, GREEN, BLUE), strict=True):
        assert np.abs(np.subtract(panels(pixels)[0], colour)).max() < 12  # limited range, 4:2:0


def test_an_empty_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        write_preview_video([], tmp_path / "clips.mp4")
