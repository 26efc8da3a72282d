"""The published pipeline, operation by operation, defects included: recipe="reference".

Written from a description of the authors' generator, and reproduces every pixel of its arrays (before JPEG encoding).
The unusual steps are theirs: integer pastes that drop a row of an odd size, two consecutive interpolations, values
truncated instead of rounded, colours multiplied by alpha.

Optimizations that change no pixel: OpenCV's bilinear warps and resizes treat all channels alike, so colour and alpha
are processed as one RGBA image if the alpha's channels are equal. A cubic resize does not treat them alike, so there
the alpha has three channels, as in the authors' code. Floats are computed only where alpha is fractional.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import cv2
import numpy as np

from dvm_hf.clips.foreground_protocols import ForegroundTile, PlacedForeground
from dvm_hf.clips.frame_buffer import FrameBuffer
from dvm_hf.clips.geometry import Geometry
from dvm_hf.clips.image_foregrounds import ImageFiles, require_pair
from dvm_hf.clips.motion import Placement, random_walk
from dvm_hf.clips.moving.playback import ShownFrames
from dvm_hf.clips.plan import ClipPlan, number_stream
from dvm_hf.clips.random_parameters import RandomParameters
from dvm_hf.clips.trimap import published_training_band
from dvm_hf.clips.video_foregrounds import PlacedVideo, VideoForeground, fitted
from dvm_hf.errors import SourceError
from dvm_hf.media.matte_faults import level_fault, require_matte
from dvm_hf.media.pixels import Box, Layers, Pixels, Size
from dvm_hf.media.still.still_files import is_still
from dvm_hf.media.still.still_pictures import StillPicture
from dvm_hf.media.still.stills import read_as_opencv, read_grey
from dvm_hf.media.video.frame_sources import FramePicture, OpenBackground
from dvm_hf.sources.records import Foreground

SMALLEST = 2  # px; smallest side of an image that does not vanish at the smallest zoom


def clip_parameters(plan: ClipPlan, sizes: Geometry) -> RandomParameters:
    """Draw from one stream in the authors' order: the crop's column, its row, the walk. Positions are integers."""
    rng = Random(plan.seed)
    column = rng.randint(0, sizes.background.width - sizes.frame.width)
    row = rng.randint(0, sizes.background.height - sizes.frame.height)
    frames = range(plan.max_frames)
    bands = tuple(published_training_band(number_stream(plan.seed, "trimap", index=index)) for index in frames)
    if plan.foreground.kind == "video":
        centre = Placement(sizes.frame.height // 2, sizes.frame.width // 2)
        return RandomParameters((row, column), (centre,) * plan.max_frames, bands)
    walk = islice(random_walk(rng, frame=sizes.frame), plan.max_frames)
    placements = tuple(Placement(int(step.row), int(step.column), step.angle, step.zoom) for step in walk)
    return RandomParameters((row, column), placements, bands)


def composite_over(background: Pixels, foreground: Pixels, alpha: Pixels) -> None:
    """Composite in place: V = B * (1 - A) + F * A in float64, truncated to integers; alpha (H, W) or (H, W, 3)."""
    opaque, fractional = _parts(alpha)
    background[opaque] = foreground[opaque]
    a = _weights(alpha, fractional)
    background[fractional] = (background[fractional] * (1 - a) + foreground[fractional] * a).astype(np.uint8)


def premultiplied(foreground: Pixels, alpha: Pixels) -> Pixels:
    """Return F * A in float64, truncated to integers, as a new array."""
    opaque, fractional = _parts(alpha)
    result = np.zeros_like(foreground)
    result[opaque] = foreground[opaque]
    result[fractional] = (foreground[fractional] * _weights(alpha, fractional)).astype(np.uint8)
    return result


def one_channel(alpha: Pixels) -> Pixels:
    """Return the red channel, which the authors' loader reads, of an alpha (H, W, 3), or an alpha (H, W) unchanged."""
    return alpha if alpha.ndim == 2 else np.ascontiguousarray(alpha[..., 0])


@dataclass(frozen=True)
class PublishedImage:
    """Colour and alpha (H, W, 3) of an image at the size of its files; see `KeptImage`."""

    file_size: Size
    turn: int
    colour: Pixels
    matte: Pixels

    @property
    def nbytes(self) -> int:
        return self.colour.nbytes + self.matte.nbytes


class PublishedImageForeground(ImageFiles[PublishedImage]):
    """The files of an image foreground, decoded like the authors' `cv2.imread`: the alpha also has three channels."""

    def decoded(self, plan: ClipPlan) -> PublishedImage:
        """Return the checked image at the size of its files, with an alpha (H, W, 3)."""
        layers = _layers_as_opencv(plan.foreground)
        return PublishedImage(*require_pair(plan, layers), *layers)

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], shown: ShownFrames) -> PlacedForeground:
        """Return the image at the foreground's size; each frame rotates, zooms and pastes it."""
        if min(sizes.foreground) < SMALLEST:
            raise SourceError(
                f"{self.colour_path}: is {sizes.foreground}; the published zoom "
                f"can shrink images below {SMALLEST} px per side to nothing; use recipe='dvm' or a larger image"
            )
        size = (sizes.foreground.width, sizes.foreground.height)
        colour, matte, trimap = self.image.colour, self.image.matte, self.trimap
        if self.file_size != sizes.foreground:
            colour, matte = (cv2.resize(part, size, interpolation=cv2.INTER_CUBIC) for part in (colour, matte))  # type: ignore[assignment]
            trimap = trimap if trimap is None else cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST)  # type: ignore[assignment]
        is_grey = (matte == matte[..., :1]).all()
        layers = [np.dstack([colour, matte[..., 0]])] if is_grey else [colour, matte]
        return _PastedStill(layers, trimap, placements)


class PublishedVideoForeground(VideoForeground):
    """The two videos of a video foreground; the alpha keeps its three channels."""

    uses_container_tags = False

    def __init__(self, plan: ClipPlan, opened: ExitStack) -> None:
        super().__init__(plan, opened)
        for video in (self.colour, self.source_of_alpha):
            require_read_as_published(video)

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], shown: ShownFrames) -> PlacedForeground:
        """Return the frames at the foreground's size, pasted at the centre of the frame."""
        videos, size = (self.colour_frames, self.alpha_frames), sizes.foreground
        colours, alphas = (FrameBuffer(_resized_pictures(shown.pictures(video), size)) for video in videos)
        return _PastedVideo(colours, alphas, pasted_box(placements[0], size))


def require_published_kinds(plan: ClipPlan) -> None:
    """Raise SourceError if a source is of a kind that the authors' generator cannot read.

    It reads image foregrounds from one still for the colour and one for the alpha, video foregrounds from two videos,
    and backgrounds from videos.
    """
    foreground, background = plan.foreground, plan.background.path
    fault = ""
    if foreground.has_own_alpha:
        fault = f"{foreground.colour}: its alpha is in its alpha channel"
    elif foreground.colours != "straight":
        fault = f"{foreground.colour}: its colours are declared as {foreground.colours}"
    elif foreground.kind == "video" and (foreground.colour.is_dir() or foreground.alpha.is_dir()):
        fault = f"{foreground.colour}: is a foreground of numbered pictures"
    elif is_still(background) or background.is_dir():
        fault = f"{background}: is a background that is not a video"
    if fault:
        raise SourceError(f"{fault}, which the published pipeline cannot read; use recipe='dvm', or convert the file")


def require_read_as_published(video: OpenBackground) -> None:
    """Raise SourceError if OpenCV, the authors' reader, does not decode the pixels that a player shows."""
    changes = "its alpha is an alpha channel" if video.reads_alpha_channel else video.display.changes
    if changes:
        raise SourceError(
            f"{video.path}: {changes}, which the published pipeline ignores; use recipe='dvm', or re-encode the "
            "video so that its pixels are stored as they are shown"
        )


def pasted_box(placement: Placement, size: Size) -> Box:
    """Return the box that a foreground of a size is pasted into; it drops the last row or column of an odd size."""
    row, column, half_height, half_width = int(placement.row), int(placement.column), size.height // 2, size.width // 2
    return Box(row - half_height, column - half_width, row + half_height, column + half_width)


def rotated(pixels: Pixels, angle: float, *, linear: bool = True) -> Pixels:
    """Rotate clockwise by degrees about the centre, on a canvas that is enlarged to contain the result."""
    matrix, canvas = _rotation(Size(*pixels.shape[:2]), angle)
    flags = cv2.INTER_LINEAR if linear else cv2.INTER_NEAREST
    return cv2.warpAffine(pixels, matrix, (canvas.width, canvas.height), flags=flags)  # type: ignore[return-value]


def zoomed(pixels: Pixels, zoom: float, *, linear: bool = True) -> Pixels:
    """Zoom about the centre; the canvas keeps its size, and a shrunken image is surrounded by zeros."""
    height, width = pixels.shape[:2]
    new_height, new_width = int(height * zoom), int(width * zoom)
    top, left = max(0, new_height - height) // 2, max(0, new_width - width) // 2
    rows = slice(int(top / zoom), int((top + height) / zoom))
    columns = slice(int(left / zoom), int((left + width) / zoom))
    size = (min(new_width, width), min(new_height, height))
    flags = cv2.INTER_LINEAR if linear else cv2.INTER_NEAREST
    part = cv2.resize(pixels[rows, columns], size, interpolation=flags)
    above, before = (height - size[1]) // 2, (width - size[0]) // 2
    result = np.zeros_like(pixels)
    result[above : above + size[1], before : before + size[0]] = part
    return result


class _PastedStill:
    """`layers` is one RGBA image or, if the alpha's channels differ, colour and alpha, both (h, w, 3)."""

    def __init__(self, layers: list[Pixels], trimap: Pixels | None, placements: tuple[Placement, ...]) -> None:
        self._layers, self._trimap, self._placements = layers, trimap, placements
        self._moved: tuple[int, list[Pixels]] | None = None  # of the most recent frame

    def covered(self, index: int) -> Box:
        placement = self._placements[index]
        return pasted_box(placement, _rotation(Size(*self._layers[0].shape[:2]), placement.angle)[1])

    def tiles(self, index: int, region: Box) -> list[ForegroundTile]:
        if self._moved is None or self._moved[0] != index:
            placement = self._placements[index]
            self._moved = index, [zoomed(rotated(part, placement.angle), placement.zoom) for part in self._layers]
        cut = region.within(self.covered(index))
        moved = [np.ascontiguousarray(part[cut]) for part in self._moved[1]]
        if len(moved) == 1:
            moved = [np.ascontiguousarray(moved[0][..., :3]), np.ascontiguousarray(moved[0][..., 3])]
        return [ForegroundTile(region, *moved)]

    def alpha(self, index: int, region: Box) -> Pixels | None:
        return one_channel(self.tiles(index, region)[0].alpha)

    def provided_trimap(self, index: int, region: Box) -> Pixels | None:
        if self._trimap is None:
            return None
        placement = self._placements[index]
        moved = zoomed(rotated(self._trimap, placement.angle, linear=False), placement.zoom, linear=False)
        return moved[region.within(self.covered(index))]

    def likely_unknown(self, index: int, margin: int, rng: np.random.Generator) -> Iterable[tuple[int, int]]:
        return ()

    def release(self, before: int) -> None:
        """Do nothing: an image keeps no frames."""


class _PastedVideo(PlacedVideo):
    """The alpha of a tile has the three channels of the decoded alpha video."""

    def tiles(self, index: int, region: Box) -> Iterable[ForegroundTile] | None:
        colour, alpha = (pictures.get(index) for pictures in (self.colours, self.alphas))
        if colour is None or alpha is None:
            return None
        stored = self.stored(region)
        return [ForegroundTile(region, colour.rgb(stored), alpha.rgb(stored))]

    def alpha(self, index: int, region: Box) -> Pixels | None:
        picture = self.alphas.get(index)
        return None if picture is None else one_channel(picture.rgb(self.stored(region)))


def _resized_pictures(pictures: Iterable[tuple[int, FramePicture]], size: Size) -> Iterator[tuple[int, FramePicture]]:
    """Yield (index, picture at a size)."""
    for index, picture in pictures:
        is_resized = picture.size != size
        yield index, StillPicture(fitted(picture.rgb(Box(0, 0, *picture.size)), size)) if is_resized else picture


def _rotation(size: Size, angle: float) -> tuple[np.ndarray, Size]:
    """Return the matrix (2, 3) of a clockwise rotation, and the size of the canvas that contains the result."""
    matrix = cv2.getRotationMatrix2D((size.width / 2, size.height / 2), -angle, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    width, height = int(size.height * sin + size.width * cos), int(size.height * cos + size.width * sin)
    matrix[0, 2] += width / 2 - size.width / 2
    matrix[1, 2] += height / 2 - size.height / 2
    return matrix, Size(height, width)


def _parts(alpha: Pixels) -> tuple[np.ndarray, np.ndarray]:
    """Return two masks: where alpha is 255, and where it is fractional."""
    return alpha == 255, (alpha > 0) & (alpha < 255)


def _weights(alpha: Pixels, fractional: np.ndarray) -> np.ndarray:
    """Return A = alpha / 255 where it is fractional, shaped to multiply the colours."""
    weights: np.ndarray = alpha[fractional] / 255.0
    return weights[:, None] if alpha.ndim == 2 else weights


def _layers_as_opencv(foreground: Foreground) -> Layers:
    """Read colour and alpha, both (H, W, 3)."""
    return Layers(read_as_opencv(foreground.colour), _matte_as_opencv(foreground.alpha))


def _matte_as_opencv(path: Path) -> Pixels:
    """Read an alpha (H, W, 3); raise SourceError if the values of `read_grey` are not a matte, as in `dvm check`."""
    grey = read_grey(path)
    require_matte(path, level_fault(int(grey.min()), int(grey.max())))
    return read_as_opencv(path)
