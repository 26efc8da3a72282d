"""A folder of numbered pictures as a video. Only the pictures of requested frames are opened.

A frame that cannot be read raises `SourceError`, or is dropped if it is damaged, as in a video.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from dvm_hf.errors import SourceError
from dvm_hf.machine_faults import source_fault
from dvm_hf.media.frame_geometry import Display
from dvm_hf.media.pixels import Layers, Pixels, Size
from dvm_hf.media.still.still_headers import StillHeader, still_header
from dvm_hf.media.still.still_pictures import StillPicture, Version, file_version
from dvm_hf.media.still.stills import NO_ALPHA_CHANNEL, NoAlphaChannel, read_colour, read_grey, read_layers
from dvm_hf.media.video.frame_names import frame_names
from dvm_hf.media.video.presentation import Presentation
from dvm_hf.media.video.video_tags import Role

T = TypeVar("T")
HIDDEN = (".", "~$")  # how names begin that systems and office programs write
WITH_ALPHA = ("LA", "PA", "P", "RGBA")  # Pillow modes whose pictures can have an alpha channel


class FrameFolder:
    """An open folder of numbered pictures, with the interface of `Video`.

    max_frames: not needed, because no frame is read before it is requested.
    role: whether frames are read as colour, as alpha, or as both from pictures with an alpha channel.
    first_path: file of the first frame.
    size: (height, width) of an upright frame; all frames must have it.
    orientation: EXIF orientation, 1 .. 8, of the first frame. All frames are read upright.
    reads_alpha_channel: whether an alpha is read from the alpha channel of the pictures instead of their luma.
    divides_colours: whether the first frame declares its colours as multiplied by alpha, so that reading divides them.
    """

    def __init__(self, path: Path, *, max_frames: int | None = None, role: Role = "colour") -> None:
        self.path, self.role = path, role
        self._names = _names(path)
        self.frame_count = len(self._names)
        self.first_path = path / self._names[0]
        first = still_header(self.first_path)
        self.size, self.orientation, self.divides_colours = first.size, first.orientation, first.is_premultiplied
        self.display = Display(self.size)
        self.reads_alpha_channel = self._reads_channel(first)

    def __enter__(self) -> "FrameFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: no file is kept open."""

    def colours(self, wanted: Iterable[int]) -> Iterator[tuple[int, Pixels]]:
        """Yield (index, RGB (H, W, 3)) for each frame in `wanted`, read as stills are."""
        yield from self._read(wanted, read_colour, lambda pixels: pixels)

    def pictures(self, wanted: Iterable[int]) -> Iterator[tuple[int, StillPicture]]:
        """Yield (index, picture) like `colours`; for the role "alpha", pictures of an alpha only."""
        if self.role == "both":
            for index, layers in self.layers(wanted):
                yield index, StillPicture(*layers)
            return
        for index, pixels in self.alphas(wanted) if self.role == "alpha" else self.colours(wanted):
            yield index, StillPicture(pixels)

    def alphas(self, wanted: Iterable[int]) -> Iterator[tuple[int, Pixels]]:
        """Yield (index, alpha (H, W)) like `colours`: the alpha channel or the luma, the same for all frames."""
        if self.role == "both":
            for index, layers in self.layers(wanted):
                yield index, layers.alpha
            return
        yield from self._read(wanted, self._alpha, lambda pixels: pixels)

    def layers(self, wanted: Iterable[int]) -> Iterator[tuple[int, Layers]]:
        """Yield (index, colour and alpha channel) like `colours`, decoding each picture once."""
        yield from self._read(wanted, read_layers, lambda layers: layers.alpha)

    def mattes(self) -> Iterator[tuple[Pixels, StillPicture]]:
        """Yield (alpha (H, W), the same as a picture) for all frames."""
        for _, alpha in self.alphas(range(self.frame_count)):
            yield alpha, StillPicture(alpha)

    def presentation(self) -> Presentation:
        """Return the number of frames; numbered pictures have no times and are matched by their index."""
        return Presentation(self.frame_count)

    def _alpha(self, path: Path) -> Pixels:
        if self.reads_alpha_channel:
            return read_layers(path).alpha
        return read_grey(path, reads_channel=False)

    def _reads_channel(self, first: StillHeader) -> bool:
        """Whether the alpha is in the alpha channel; decodes frame 0 only if it can have such a channel."""
        path = self.first_path
        if self.role == "both":
            if first.mode not in WITH_ALPHA and first.format != "WEBP":
                raise NoAlphaChannel(f"{path}: {NO_ALPHA_CHANNEL}")
            return True
        if self.role == "colour" or first.mode not in WITH_ALPHA:
            return False
        layers = _layers_or_none(path)
        return layers is not None and bool(layers.alpha.min() < 255)

    def _read(
        self, wanted: Iterable[int], read: Callable[[Path], T], sized: Callable[[T], Pixels]
    ) -> Iterator[tuple[int, T]]:
        """Yield (index, result of `read`) for each frame; `sized` returns an array of the frame's size."""
        for index in wanted:
            if index >= self.frame_count:
                return
            path = self.path / self._names[index]
            found = read(path)
            size = Size(*sized(found).shape[:2])
            if size != self.size:
                raise SourceError(
                    f"{path}: is {size}, but the first frame, {self._names[0]}, is {self.size}; all frames must have "
                    "the same size; export the frames again"
                )
            yield index, found


def folder_version(path: Path) -> tuple[Version, Version]:
    """Return the versions of a folder and of its first frame: an overwritten frame does not change its folder."""
    return file_version(path), file_version(path / _names(path)[0])


def _names(path: Path) -> tuple[str, ...]:
    """Return the names of the frames, in their order. Raises SourceError if they are not those of a video."""
    try:
        listed = os.listdir(path)
    except OSError as error:
        text = f"{path}: cannot be read as a folder of numbered pictures ({error.strerror}); replace the folder"
        raise source_fault(path, error, text) from error
    found = frame_names(name for name in listed if not name.startswith(HIDDEN))
    if found.fault:
        raise SourceError(f"{path}: {found.fault}")
    return found.frames


def _layers_or_none(path: Path) -> Layers | None:
    """Return colour and alpha of a still; None if it has no alpha channel, such as a palette without transparency."""
    try:
        return read_layers(path)
    except NoAlphaChannel:
        return None
