"""Draw a contact sheet or a video of clips."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from dvm_hf.dataset.columns import COLUMNS
from dvm_hf.media.pixels import Pixels
from dvm_hf.media.still.image_encoding import write_picture
from dvm_hf.media.video.video_writing import write_video

THUMBNAIL = (256, 224)  # px, width x height: maximum size of an image on the sheet
GAP, CAPTION = 8, 22  # px
PANEL = (480, 480)  # px, width x height: maximum size of an image in the video
VIDEO_COLUMNS = ("frames", "alpha", "trimap")
VIDEO_LABELS = ("composite", "alpha", "trimap")
FRAME_RATE = 10  # frames/s of the video
PAPER, INK = (24, 26, 30), (222, 224, 228)


def contact_sheet(rows: Iterable[Mapping[str, Any]]) -> Image.Image:
    """Return a sheet with one line per row: its first, middle and last frame, and the other layers of the middle frame.

    rows: rows of a dataset, with names, numbers, and decoded images in at least one image column. Raises ValueError if
    there are none.
    """
    lines = [_line(row) for row in rows]
    if not lines:
        raise ValueError("contact_sheet: rows is empty; pass at least one row")
    sheet = Image.new("RGB", (max(line.width for line in lines) + GAP, sum(line.height for line in lines) + GAP), PAPER)
    top = GAP
    for line in lines:
        sheet.paste(line, (GAP, top))
        top += line.height
    return sheet


def write_contact_sheet(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write the contact sheet as PNG."""
    write_picture(path, contact_sheet(rows))


def write_preview_video(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write an H.264 video of the clips, with composite, alpha and trimap side by side, at 10 frames/s."""
    write_video(path, side_by_side(list(rows)), frame_rate=FRAME_RATE, crf=18, preset="medium")


def side_by_side(rows: Sequence[Mapping[str, Any]]) -> Iterator[Pixels]:
    """Yield the frames of that video, (H, W, 3) RGB, with the name of the clip above and those of the layers below.

    All frames have the same, even size, which fits the largest row. rows: as for `contact_sheet`.
    """
    if not rows:
        raise ValueError("side_by_side: rows is empty; pass at least one row")
    sizes = [ImageOps.contain(row["frames"][0], PANEL).size for row in rows]
    width, height = (max(side) + max(side) % 2 for side in zip(*sizes, strict=True))
    for row in rows:
        for index in range(len(row["frames"])):
            frame = Image.new("RGB", (3 * width + 4 * GAP, height + 2 * CAPTION + 2 * GAP), PAPER)
            _write(frame, f"{row['clip_id']}   frame {row['start'] + index}", at=(GAP, 4), size=14)
            for panel_index, column in enumerate(VIDEO_COLUMNS):
                panel = ImageOps.contain(row[column][index].convert("RGB"), PANEL)
                left = GAP + panel_index * (width + GAP)
                top = CAPTION + GAP
                frame.paste(panel, (left + (width - panel.width) // 2, top + (height - panel.height) // 2))
                _write(frame, VIDEO_LABELS[panel_index], at=(left, top + height + 4), size=13)
            yield np.asarray(frame)


def _line(row: Mapping[str, Any]) -> Image.Image:
    shown, *others = [column for column in COLUMNS if column in row]
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
    for index, (thumbnail, label) in enumerate(zip(thumbnails, labels, strict=True)):
        left = index * (THUMBNAIL[0] + GAP)
        line.paste(thumbnail, (left, CAPTION))
        _write(line, label, at=(left, CAPTION + height + 2), size=12)
    return line


def _write(picture: Image.Image, text: str, *, at: Sequence[int], size: int) -> None:
    ImageDraw.Draw(picture).text((at[0], at[1]), text, fill=INK, font=ImageFont.load_default(size))
