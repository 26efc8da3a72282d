"""Place a foreground that a clip shows at half its size or less: it is reduced first, so that no pixel is skipped.

Bilinear interpolation reads four pixels. At a zoom below 0.5, it would skip others, and hair would flicker.
"""

from dataclasses import replace

import cv2
import numpy as np

from dvm_hf.clips.foreground_protocols import PlacedForeground
from dvm_hf.clips.geometry import Geometry
from dvm_hf.clips.image_foregrounds import Bordered, DecodedImage
from dvm_hf.clips.motion import Placement, frame_to_foreground
from dvm_hf.clips.moving.eased_motion import placements as placements_of
from dvm_hf.clips.moving.exposure import Exposed, exposed
from dvm_hf.clips.moving.layer_warp import premultiplied, straight
from dvm_hf.clips.moving.playback import ShownFrames
from dvm_hf.clips.moving.warped_foregrounds import (
    WarpedImage,
    WarpedImageFiles,
    WarpedImageForeground,
    WarpedVideo,
    WarpedVideoForeground,
)
from dvm_hf.media.pixels import Box, Layers, Size


def placed_layer(
    source: WarpedImageForeground | WarpedVideoForeground,
    sizes: Geometry,
    placements: tuple[Placement, ...],
    shown: ShownFrames,
) -> PlacedForeground:
    """Return a foreground in the composite's frame; its pixels are averaged first if the clip shows it that small."""
    factor = reduction(placements)
    if factor == 1:
        return source.placed(sizes, placements, shown)
    size = _divided(sizes.foreground, factor)
    rescaled = _rescaled(placements, sizes.foreground, size, frame=sizes.frame)
    if isinstance(source, WarpedVideoForeground):
        return WarpedVideo(source.placed_in(Box(0, 0, *size), size, shown), size, rescaled)
    return WarpedImage(_averaged(source.image, size), None, rescaled, shows_all_pixels=False)


def reduction(placements: tuple[Placement, ...]) -> int:
    """Return by how much a foreground is reduced: a power of 2, after which no frame of the clip enlarges it."""
    largest = max(one.zoom for one in placements)
    return int(2 ** max(0, np.floor(np.log2(1 / largest))))


def _divided(size: Size, factor: int) -> Size:
    return Size(max(1, round(size.height / factor)), max(1, round(size.width / factor)))


def _rescaled(placements: tuple[Placement, ...], size: Size, reduced: Size, *, frame: Size) -> tuple[Placement, ...]:
    """Return the placements of a reduced layer that show it as those of the layer do, exposed as they are."""
    at = _rescaled_poses(placements, size, reduced)
    shutter = max(one.shutter if isinstance(one, Exposed) else 0.0 for one in placements)
    if not shutter:
        return at
    around = zip(
        *((one.before, one.after) if isinstance(one, Exposed) else (one, one) for one in placements), strict=True
    )
    before, after = (_rescaled_poses(poses, size, reduced) for poses in around)
    return exposed(at, before, after, shutter=shutter, layer=reduced, frame=frame)


def _rescaled_poses(placements: tuple[Placement, ...], size: Size, reduced: Size) -> tuple[Placement, ...]:
    maps = np.tile(np.eye(3), (len(placements), 1, 1))
    for one, to_frame in zip(placements, maps, strict=True):
        inverse = np.eye(3)
        inverse[:2] = frame_to_foreground(one, foreground=size)
        to_frame[:] = np.linalg.inv(inverse)
    edges, back = np.eye(3), np.eye(3)
    edges[:2, 2], back[:2, 2] = -0.5, 0.5  # from points at pixel edges to pixel indices, and back
    scale = np.diag([size.width / reduced.width, size.height / reduced.height, 1.0])
    return placements_of(back @ maps @ edges @ scale, reduced)


def _averaged(image: DecodedImage, size: Size) -> WarpedImageFiles:
    """Return an image at a smaller size, with the same border."""
    assert isinstance(image, WarpedImageFiles)
    layers = straight(
        cv2.resize(image.values[1:-1, 1:-1], (size.width, size.height), interpolation=cv2.INTER_AREA)  # type: ignore[arg-type]
    )
    if layers is None:
        layers = Layers(np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8))
    still = Bordered(*layers)
    values = premultiplied(np.ascontiguousarray(still.rgba[..., :3]), still.matte)
    return replace(image, still=still, values=values)
