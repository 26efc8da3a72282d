"""The frames of one image column of a row, decoded on access."""

import io
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from PIL import Image

from dvm_hf.dataset.columns import GREY_COLUMNS
from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Size
from dvm_hf.media.row_videos.decoding import RowVideo

IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")


class Frames(Protocol):
    """The frames of one layer: RGB, or grey for alpha and trimap.

    Decoding raises SourceError with the name of the clip and column.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Image.Image: ...


def row_frames(row: Mapping[str, Any], column: str) -> Frames:
    """Return the frames of an image column that is not decoded: a list of images, an array, or a video."""
    value, name, is_grey = row[column], f"{row['clip_id']}: {column}", column in GREY_COLUMNS
    if not isinstance(value, Mapping):
        return ImageFrames(list(value), mode="L" if is_grey else "RGB", name=name)
    size = Size(row.get("height") or 0, row.get("width") or 0)
    return VideoFrames(RowVideo(value["bytes"], size=size, is_grey=is_grey, name=name))


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
