"""The frames of one image column of a row, decoded on access."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from PIL import Image

from dvm_hf.dataset.columns import INSTANCES
from dvm_hf.dataset.instances import instance_name, is_grey
from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Size
from dvm_hf.media.row_videos.decoding import RowVideo

MATTE_COLOURS = ((230, 80, 60), (70, 150, 240), (240, 200, 60), (90, 200, 110))  # RGB, from back to front
IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")


class Frames(Protocol):
    """The frames of one layer: RGB, or grey for alpha and trimap.

    Decoding raises SourceError with the name of the clip and column.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Image.Image: ...


def row_frames(row: Mapping[str, Any], column: str) -> Frames:
    """Return the frames of an image column that is not decoded: a list of images, an array, or a video."""
    value, name, grey = row[column], f"{row['clip_id']}: {column}", is_grey(column)
    if not isinstance(value, Mapping):
        return ImageFrames(list(value), mode="L" if grey else "RGB", name=name)
    size = Size(row.get("height") or 0, row.get("width") or 0)
    return VideoFrames(RowVideo(value["bytes"], size=size, is_grey=grey, name=name))


def instance_frames(row: Mapping[str, Any]) -> Frames:
    """Return the frames of the column instances that is not decoded, as pictures with a colour for each instance."""
    named = {instance_name(number): value for number, value in enumerate(row[INSTANCES])}
    return ColouredMattes([row_frames({**row, **named}, name) for name in named])


class ColouredMattes:
    """Mattes, each in a colour, added to one RGB picture."""

    def __init__(self, mattes: Sequence[Frames]) -> None:
        self._mattes = mattes

    def __len__(self) -> int:
        return min(map(len, self._mattes))

    def __getitem__(self, index: int, /) -> Image.Image:
        mattes = [np.asarray(matte[index], np.float32)[..., None] / 255 for matte in self._mattes]
        total = sum(
            matte * np.asarray(colour, np.float32) for matte, colour in zip(mattes, MATTE_COLOURS, strict=False)
        )
        return Image.fromarray(np.rint(np.clip(total, 0, 255)).astype(np.uint8))


class ImageFrames:
    """Encoded images, or arrays."""

    def __init__(self, encoded: list[Any], *, mode: str, name: str) -> None:
        self._encoded, self._mode, self._name = encoded, mode, name

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, index: int, /) -> Image.Image:
        frame = self._encoded[index]
        try:
            if not isinstance(frame, Mapping):
                return Image.fromarray(np.asarray(frame, np.uint8)).convert(self._mode)
            with Image.open(io.BytesIO(frame["bytes"]), formats=IMAGE_FORMATS) as image:
                return image.convert(self._mode)
        except (OSError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError) as error:
            raise SourceError(
                f"{self._name}, frame {index}: cannot be decoded ({error}); rebuild the dataset"
            ) from error


class VideoFrames:
    """The frames of a video."""

    def __init__(self, video: RowVideo) -> None:
        self._video, self._count = video, len(video)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> Image.Image:
        return Image.fromarray(self._video.frame(index).pixels())


class FirstFrames:
    """The first frames of a layer."""

    def __init__(self, frames: Frames, count: int) -> None:
        self._frames, self._count = frames, min(count, len(frames))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> Image.Image:
        return self._frames[range(self._count)[index]]
