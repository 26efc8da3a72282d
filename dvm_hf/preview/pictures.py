"""Pictures of clips: a contact sheet, a video."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from dvm_hf.dataset.columns import IMAGE_COLUMNS
from dvm_hf.media.pixels import Pixels
from dvm_hf.media.video_writing import write_video

THUMBNAIL = (256, 224)  # px, width x height: the most of a picture on the sheet
GAP, CAPTION = 8, 22  # px
PANEL = (480, 480)  # px, width x height: the most of a picture in the video
VIDEO_COLUMNS = ("frames", "alpha", "trimap")
VIDEO_LABELS = ("composite", "alpha", "trimap")
FRAME_RATE = 10  # a second of the video
PAPER, INK = (24, 26, 30), (222, 224, 228)


def contact_sheet(rows: Iterable[Mapping[str, Any]]) -> Image.Image:
    """One line of pictures for each row: its first, middle and last frame, and the middle one's other images.

    Rows are a dataset's, with decoded images in at least one of the image columns, and their names and numbers.
    """
    lines = [_line(row) for row in rows]
    if not lines:
        raise ValueError("contact_sheet: there is no row to show; give at least one")
    sheet = Image.new("RGB", (max(line.width for line in lines) + GAP, sum(line.height for line in lines) + GAP), PAPER)
    top = GAP
    for line in lines:
        sheet.paste(line, (GAP, top))
        top += line.height
    return sheet


def write_contact_sheet(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write the sheet as a PNG."""
    contact_sheet(rows).save(path, optimize=True)


def write_preview_video(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write an H.264 video, ten frames a second: clip after clip, its composite, alpha and trimap side by side."""
    write_video(path, side_by_side(list(rows)), frame_rate=FRAME_RATE, crf=18, preset="medium")


def side_by_side(rows: Sequence[Mapping[str, Any]]) -> Iterator[Pixels]:
    """Frames (H, W, 3) RGB of that video, all of one even size: a panel for the largest of the rows, the clip's name
    above, the layers' below.

    Rows as `contact_sheet` takes them.
    """
    if not rows:
        raise ValueError("side_by_side: there is no row to show; give at least one")
    sizes = [ImageOps.contain(row["frames"][0], PANEL).size for row in rows]
    width, height = (max(side) + max(side) % 2 for side in zip(*sizes, strict=True))
    for row in rows:
        for index in range(len(row["frames"])):
            frame = Image.new("RGB", (3 * width + 4 * GAP, height + 2 * CAPTION + 2 * GAP), PAPER)
            _write(frame, f"{row['clip_id']}   frame {row['start'] + index}", at=(GAP, 4), size=14)
            for place, column in enumerate(VIDEO_COLUMNS):
                panel = ImageOps.contain(row[column][index].convert("RGB"), PANEL)
                left = GAP + place * (width + GAP) + (width - panel.width) // 2
                frame.paste(panel, (left, CAPTION + GAP + (height - panel.height) // 2))
                _write(
                    frame, VIDEO_LABELS[place], at=(GAP + place * (width + GAP), CAPTION + height + GAP + 4), size=13
                )
            yield np.asarray(frame)


def _line(row: Mapping[str, Any]) -> Image.Image:
    shown, *others = [column for column in IMAGE_COLUMNS if column in row]
    last, middle = len(row[shown]) - 1, len(row[shown]) // 2
    pictures = [row[shown][index] for index in (0, middle, last)] + [row[column][middle] for column in others]
    numbers = [row["start"] + index for index in (0, middle, last)]
    labels = [f"{shown.removesuffix('s')} {number}" for number in numbers]
    labels[2] += f", the last of {last + 1}"
    labels += [f"{column} of frame {numbers[1]}" for column in others]
    thumbnails = [ImageOps.contain(picture.convert("RGB"), THUMBNAIL) for picture in pictures]
    height = max(thumbnail.height for thumbnail in thumbnails)
    line = Image.new("RGB", (len(thumbnails) * (THUMBNAIL[0] + GAP), height + 2 * CAPTION + GAP), PAPER)
    title = f"{row['clip_id']}   window {row['window']}   {row['width']} x {row['height']} px"
    _write(line, title, at=(0, 2), size=14)
    for place, (thumbnail, label) in enumerate(zip(thumbnails, labels, strict=True)):
        left = place * (THUMBNAIL[0] + GAP)
        line.paste(thumbnail, (left, CAPTION))
        _write(line, label, at=(left, CAPTION + height + 2), size=12)
    return line


def _write(picture: Image.Image, text: str, *, at: Sequence[int], size: int) -> None:
    ImageDraw.Draw(picture).text((at[0], at[1]), text, fill=INK, font=ImageFont.load_default(size))
