"""What a camera does: defocus of the background, noise and compression of the composite. Alpha stays as it is."""

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.clips.appearance.random_appearance import CameraParameters
from dvm_hf.clips.appearance.sensor_noise import sensor_noise
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.row_videos.keyframe_coding import KeyframeCoder
from dvm_hf.media.still.image_encoding import as_jpeg

JPEG_UNIT = 16  # px; JPEG codes squares of this side apart from each other, with 4:2:0
JPEG_REACH = 16  # px; their chroma is interpolated from the neighbours


class Camera:
    """The camera of one clip. frame: size of the composite.

    compresses: whether a difference of one level before it can become a larger one. blur_margin: see `defocused`.
    """

    def __init__(self, drawn: CameraParameters, *, frame: Size) -> None:
        self._drawn, self._frame = drawn, frame
        self._disc = _disc(drawn.defocus * min(frame)) if drawn.defocus else None
        self._h264 = None if drawn.h264 is None else KeyframeCoder(drawn.h264)
        self.compresses = drawn.jpeg is not None or drawn.h264 is not None
        self.blur_margin = 0 if self._disc is None else len(self._disc) // 2

    def coded(self, view: Box) -> Box:
        """Return the box that must be composited so that `filmed` gives the pixels of `view`.

        The blocks of H.264 depend on those before them, so that it needs the complete frame.
        """
        if self._h264 is not None:
            return Box(0, 0, *self._frame)
        if self._drawn.jpeg is None:
            return view
        unit = JPEG_UNIT
        top, left = view.top // unit * unit, view.left // unit * unit
        aligned = Box(top, left, -(-view.bottom // unit) * unit, -(-view.right // unit) * unit)
        return aligned.grown(JPEG_REACH).intersection(Box(0, 0, *self._frame))

    def defocused(self, background: Pixels) -> Pixels:
        """Return a background (h, w, 3) out of focus. A border of `blur_margin` px has an influence on the rest."""
        if self._disc is None:
            return background
        return cv2.filter2D(background, -1, self._disc)  # type: ignore[return-value]

    def filmed(self, composite: Pixels, index: int, coded: Box) -> Pixels:
        """Return a composite (h, w, 3) that was rendered in the box `coded`, with noise and compression."""
        if self._drawn.noise:
            noise = sensor_noise(self._drawn.noise, key=self._drawn.noise_key, frame=index, view=coded)
            composite = cv2.add(composite, noise, dtype=cv2.CV_8U)  # type: ignore[assignment]
        if self._drawn.jpeg is not None:
            composite = as_jpeg(composite, self._drawn.jpeg)
        return composite if self._h264 is None else self._h264.coded(composite)


def _disc(radius: float) -> npt.NDArray[np.float32]:
    """Return the kernel of a disc of a radius in px, whose edge fades over one pixel."""
    reach = max(1, int(np.ceil(radius)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)
