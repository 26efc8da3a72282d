"""The published pipeline, operation by operation, defects included: recipe="reference".

Written from a description of what the authors' generator does, to give its arrays (before their JPEG encoding) in
every pixel. Where a step looks odd, it is theirs: whole-pixel pastes that lose a row of an odd size, two interpolations
one after the other, values cut instead of rounded, colours multiplied with their alpha.

Economies that change no pixel: OpenCV's bilinear warps and resizes treat channels alike, so colour and alpha go
through them as one RGBA where the alpha's channels are equal; a cubic resize does not, so there alpha has three
channels, as the authors' has. Floats are needed only where alpha is fractional.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from random import Random

import cv2
import numpy as np

from dvm_hf.clips.foregrounds import ForegroundTile, PlacedForeground
from dvm_hf.clips.geometry import Geometry
from dvm_hf.clips.motion import Placement, random_walk
from dvm_hf.clips.plan import ClipPlan, number_stream
from dvm_hf.clips.random_parameters import RandomParameters
from dvm_hf.clips.still_foregrounds import DecodedImage, Files, ImageForeground, Versions, latest_still
from dvm_hf.clips.trimap import published_training_band
from dvm_hf.clips.video_foregrounds import PlacedVideo, VideoForeground, resized
from dvm_hf.errors import SourceError
from dvm_hf.media.mattes import level_fault, require_matte
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.stills import read_as_opencv, read_grey
from dvm_hf.media.videos import Video

SMALLEST = 2  # px; side of a still that is still there at the smallest zoom


def clip_draws(plan: ClipPlan, sizes: Geometry) -> RandomParameters:
    """One stream in the authors' order: the crop's column, its row, the walk. Placements are whole pixels."""
    rng = Random(plan.seed)
    column = rng.randint(0, sizes.background.width - sizes.frame.width)
    row = rng.randint(0, sizes.background.height - sizes.frame.height)
    frames = range(plan.max_frames)
    bands = tuple(published_training_band(number_stream(plan.seed, "trimap", index=index)) for index in frames)
    if plan.foreground.kind == "video":
        middle = Placement(sizes.frame.height // 2, sizes.frame.width // 2)
        return RandomParameters((row, column), (middle,) * plan.max_frames, bands)
    walk = islice(random_walk(rng, frame=sizes.frame), plan.max_frames)
    whole = tuple(Placement(int(place.row), int(place.column), place.angle, place.zoom) for place in walk)
    return RandomParameters((row, column), whole, bands)


def lay_over(background: Pixels, foreground: Pixels, alpha: Pixels) -> None:
    """V = B * (1 - A) + F * A in float64, cut to integers, in place; alpha (H, W) or (H, W, 3)."""
    opaque, fractional = _parts(alpha)
    background[opaque] = foreground[opaque]
    a = _weights(alpha, fractional)
    background[fractional] = (background[fractional] * (1 - a) + foreground[fractional] * a).astype(np.uint8)


def premultiplied(foreground: Pixels, alpha: Pixels) -> Pixels:
    """F * A in float64, cut to integers: a new array."""
    opaque, fractional = _parts(alpha)
    result = np.zeros_like(foreground)
    result[opaque] = foreground[opaque]
    result[fractional] = (foreground[fractional] * _weights(alpha, fractional)).astype(np.uint8)
    return result


def one_channel(alpha: Pixels) -> Pixels:
    """The alpha's red channel, which is what the authors' loader reads; an alpha (H, W) as it is."""
    return alpha if alpha.ndim == 2 else np.ascontiguousarray(alpha[..., 0])


class PublishedImageForeground(ImageForeground):
    """A still foreground's files, decoded as the authors' `cv2.imread` does: an alpha has three channels, too."""

    @staticmethod
    def decoded(files: Files, versions: Versions) -> DecodedImage:
        """The still's pixels, alpha (H, W, 3)."""
        return latest_still(files, versions, read=(read_as_opencv, _matte_as_opencv))

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], wanted: Iterable[int]) -> PlacedForeground:
        """The still at the foreground's size, to be turned, zoomed and pasted frame by frame."""
        if min(sizes.foreground) < SMALLEST:
            raise SourceError(
                f"{self.colour_path}: is {sizes.foreground}; the published zoom "
                f"can shrink images below {SMALLEST} px per side to nothing; use recipe='dvm' or a larger image"
            )
        size = (sizes.foreground.width, sizes.foreground.height)
        colour, matte, drawn = self.pixels.colour, self.pixels.matte, self.drawn
        if self.file_size != sizes.foreground:
            colour, matte = (cv2.resize(part, size, interpolation=cv2.INTER_CUBIC) for part in (colour, matte))  # type: ignore[assignment]
            drawn = drawn if drawn is None else cv2.resize(drawn, size, interpolation=cv2.INTER_NEAREST)  # type: ignore[assignment]
        is_grey = (matte == matte[..., :1]).all()
        layers = [np.dstack([colour, matte[..., 0]])] if is_grey else [colour, matte]
        return _PastedStill(layers, drawn, placements)


class PublishedVideoForeground(VideoForeground):
    """A moving foreground's two videos; the alpha keeps its three channels."""

    def __init__(self, plan: ClipPlan, opened: ExitStack) -> None:
        super().__init__(plan, opened)
        for video in (self.colour, self.matte):
            require_read_as_published(video)

    def placed(self, sizes: Geometry, placements: tuple[Placement, ...], wanted: Iterable[int]) -> PlacedForeground:
        """The videos' frames at the foreground's size, pasted in the middle."""
        colours, alphas = self.colour.colours(wanted), self.matte.colours(wanted)
        box = pasted_box(placements[0], sizes.foreground)
        return _PastedVideo(resized(colours, sizes.foreground), resized(alphas, sizes.foreground), box)


def require_read_as_published(video: Video) -> None:
    """Raises SourceError where the authors' reader, OpenCV's, does not give the pixels that a player shows."""
    changes = "its alpha is an alpha channel" if video.reads_alpha_channel else video.display.changes
    if changes:
        raise SourceError(
            f"{video.path}: {changes}, which the published pipeline ignores; use recipe='dvm', or re-encode the "
            "video so that its pixels are stored as they are shown"
        )


def pasted_box(placement: Placement, size: Size) -> Box:
    """Where a foreground of a size goes; of an odd size the last row or column stays out."""
    row, column, half_height, half_width = int(placement.row), int(placement.column), size.height // 2, size.width // 2
    return Box(row - half_height, column - half_width, row + half_height, column + half_width)


def rotated(pixels: Pixels, angle: float, *, linear: bool = True) -> Pixels:
    """Turned clockwise by degrees about the middle, on a canvas that has grown to hold the whole."""
    matrix, canvas = _rotation(Size(*pixels.shape[:2]), angle)
    flags = cv2.INTER_LINEAR if linear else cv2.INTER_NEAREST
    return cv2.warpAffine(pixels, matrix, (canvas.width, canvas.height), flags=flags)  # type: ignore[return-value]


def zoomed(pixels: Pixels, zoom: float, *, linear: bool = True) -> Pixels:
    """Zoomed about the middle; the canvas keeps its size, with 0 around what has shrunk."""
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
    """`layers` is one RGBA or, where the alpha's channels differ, colour and alpha, both (h, w, 3)."""

    def __init__(self, layers: list[Pixels], drawn: Pixels | None, placements: tuple[Placement, ...]) -> None:
        self._layers, self._drawn, self._placements = layers, drawn, placements
        self._moved: tuple[int, list[Pixels]] | None = None  # the frame asked for last

    def covered(self, index: int) -> Box:
        placement = self._placements[index]
        return pasted_box(placement, _rotation(Size(*self._layers[0].shape[:2]), placement.angle)[1])

    def pieces(self, index: int, region: Box) -> list[ForegroundTile]:
        if self._moved is None or self._moved[0] != index:
            placement = self._placements[index]
            self._moved = index, [zoomed(rotated(part, placement.angle), placement.zoom) for part in self._layers]
        cut = region.within(self.covered(index))
        moved = [np.ascontiguousarray(part[cut]) for part in self._moved[1]]
        if len(moved) == 1:
            moved = [np.ascontiguousarray(moved[0][..., :3]), np.ascontiguousarray(moved[0][..., 3])]
        return [ForegroundTile(region, *moved)]

    def alpha(self, index: int, region: Box) -> Pixels | None:
        return one_channel(self.pieces(index, region)[0].alpha)

    def provided_trimap(self, index: int, region: Box) -> Pixels | None:
        if self._drawn is None:
            return None
        placement = self._placements[index]
        moved = zoomed(rotated(self._drawn, placement.angle, linear=False), placement.zoom, linear=False)
        return moved[region.within(self.covered(index))]

    def likely_unknown(self, index: int, margin: int, rng: np.random.Generator) -> Iterable[tuple[int, int]]:
        return ()

    def let_go(self, before: int) -> None:
        """A still holds no frames."""


class _PastedVideo(PlacedVideo):
    def alpha(self, index: int, region: Box) -> Pixels | None:
        alpha = super().alpha(index, region)
        return None if alpha is None else one_channel(alpha)


def _rotation(size: Size, angle: float) -> tuple[np.ndarray, Size]:
    """Matrix (2, 3) of a clockwise turn, and the size of the canvas that holds the whole."""
    matrix = cv2.getRotationMatrix2D((size.width / 2, size.height / 2), -angle, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    width, height = int(size.height * sin + size.width * cos), int(size.height * cos + size.width * sin)
    matrix[0, 2] += width / 2 - size.width / 2
    matrix[1, 2] += height / 2 - size.height / 2
    return matrix, Size(height, width)


def _parts(alpha: Pixels) -> tuple[np.ndarray, np.ndarray]:
    """Where alpha is 255, and where it is fractional."""
    return alpha == 255, (alpha > 0) & (alpha < 255)


def _weights(alpha: Pixels, fractional: np.ndarray) -> np.ndarray:
    """A = alpha / 255 where it is fractional, to be multiplied with the colours there."""
    weights: np.ndarray = alpha[fractional] / 255.0
    return weights[:, None] if alpha.ndim == 2 else weights


def _matte_as_opencv(path: Path) -> Pixels:
    """An alpha (H, W, 3); raises SourceError if it is no matte by what `read_grey` reads, as `dvm check` judges."""
    grey = read_grey(path)
    require_matte(path, level_fault(int(grey.min()), int(grey.max())))
    return read_as_opencv(path)
