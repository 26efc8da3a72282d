"""A background that moves: each frame is warped from its file into the composite's frame, once for each sample."""

import cv2
import numpy as np

from dvm_hf.clips.motion import Placement
from dvm_hf.clips.moving.exposure import sampled_maps
from dvm_hf.clips.moving.layer_warp import mean_tiles
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.video.frame_sources import FramePicture


def warped_background(picture: FramePicture, placement: Placement, *, size: Size, view: Box) -> Pixels:
    """Return the RGB pixels of a view of the frame, as a new array.

    size: of the background in composites, to which the placement refers. The file can be smaller; one warp does both.
    """
    scale_y, scale_x = picture.size.height / size.height, picture.size.width / size.width
    half = np.array([[0, 0, 0.5]])  # from indices to pixel edges, and back
    maps = [(one + half) * [[scale_x], [scale_y]] - half for one in sampled_maps(placement, layer=size)]
    result = np.empty((view.height, view.width, 3), np.uint8)

    def read(box: Box) -> Pixels:
        """Return RGBA, which OpenCV warps in less than half the time of RGB."""
        return cv2.cvtColor(picture.rgb(box), cv2.COLOR_RGB2RGBA)  # type: ignore[return-value]

    whole = Box(0, 0, *picture.size)
    for box, rgba in mean_tiles(read, maps, region=view, part=whole, outside="continued"):
        result[box.within(view)] = cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB)
    return result
