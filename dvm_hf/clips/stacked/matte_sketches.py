"""Reduced mattes of foregrounds, from which they are arranged: which part of each is occupied, and what hides what."""

import base64
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from dvm_hf.clips.image_foregrounds import DecodedImage, ImageForeground
from dvm_hf.clips.video_foregrounds import VideoForeground
from dvm_hf.media.kept_facts import FactKind
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.video.frame_sources import source_version

SIDE = 64  # px; longest side of a reduced matte
SAMPLED_FRAMES = 8  # of a video, spread evenly, with the first and the last one
OCCUPIED = 13  # alpha above which a reduced pixel is occupied: 5 %


@dataclass(frozen=True)
class MatteSketch:
    """Reduced mattes of a foreground. size: of the foreground in composites. mattes: uint8 (h, w), by source frame."""

    size: Size
    mattes: dict[int, Pixels]

    def matte(self, frame: int) -> Pixels:
        """Return the reduced matte of the sampled frame that is nearest to a source frame."""
        return self.mattes[min(self.mattes, key=lambda sampled: (abs(sampled - frame), sampled))]

    @cached_property
    def occupied(self) -> Box:
        """The box of the foreground that its mattes occupy in any sampled frame, in px of composites."""
        highest = np.maximum.reduce(list(self.mattes.values()))
        left, top, width, height = cv2.boundingRect((highest >= OCCUPIED).astype(np.uint8))
        if not width:
            return Box(0, 0, *self.size)
        down, across = self.size.height / highest.shape[0], self.size.width / highest.shape[1]
        rows, columns = (top * down, (top + height) * down), (left * across, (left + width) * across)
        return Box(int(rows[0]), int(columns[0]), int(np.ceil(rows[1])), int(np.ceil(columns[1])))


def image_sketch(image: ImageForeground, size: Size) -> MatteSketch:
    """Return the sketch of an opened image."""
    decoded: DecodedImage = image.image
    return MatteSketch(size, {0: _reduced(decoded.still.matte[1:-1, 1:-1])})  # without the border


def video_sketch(video: VideoForeground, size: Size, *, max_frames: int) -> MatteSketch:
    """Return the sketch of an opened video, which is decoded once on a machine.

    max_frames: of the clip; it shows no later frame of the video.
    """
    source = video.source_of_alpha
    last = max(0, min(source.frame_count, max_frames) - 1)
    wanted = sorted({round(place) for place in np.linspace(0, last, SAMPLED_FRAMES)})
    key = SKETCHES.key(source.path, source_version(source.path), source.role, wanted)
    mattes = SKETCHES.get(key)
    if mattes is None:
        whole = Box(0, 0, *source.size)
        mattes = {index: _reduced(picture.alpha(whole)) for index, picture in source.pictures(wanted)}
        SKETCHES.put(key, mattes)
    # a video without a readable frame fails when it is rendered
    return MatteSketch(size, mattes or {0: np.full((1, 1), 255, np.uint8)})


def _reduced(matte: Pixels) -> Pixels:
    height, width = matte.shape
    ratio = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    return cv2.resize(matte, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _as_json(mattes: dict[int, Pixels]) -> list[Any]:
    return [[index, *matte.shape, base64.b64encode(matte.tobytes()).decode("ascii")] for index, matte in mattes.items()]


def _from_json(stored: Any) -> dict[int, Pixels]:
    return {
        int(index): np.frombuffer(base64.b64decode(data), np.uint8).reshape(int(height), int(width))
        for index, height, width, data in stored
    }


SKETCHES: FactKind[dict[int, Pixels]] = FactKind(
    "matte sketch",
    as_json=_as_json,
    from_json=_from_json,
    nbytes=lambda mattes: sum(matte.nbytes for matte in mattes.values()),
)
