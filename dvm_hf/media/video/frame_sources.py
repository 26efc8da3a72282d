"""Open a path as frames, by what it is: a video, a folder of numbered pictures, or a still that is held."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeAlias

from dvm_hf.errors import SourceError
from dvm_hf.media.frame_geometry import Display
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.still.still_files import is_still
from dvm_hf.media.still.still_pictures import Version, file_version
from dvm_hf.media.video.frame_folder import FrameFolder, folder_version
from dvm_hf.media.video.held_still import HeldStill
from dvm_hf.media.video.video_tags import Role
from dvm_hf.media.video.videos import Video

FrameSource: TypeAlias = Video | FrameFolder
Backdrop: TypeAlias = Video | FrameFolder | HeldStill


class FramePicture(Protocol):
    """A decoded frame, which can be kept after its source is closed. size: (height, width) as displayed."""

    size: Size

    @property
    def nbytes(self) -> int:
        """Largest number of bytes that the picture can hold."""

    def rgb(self, box: Box) -> Pixels:
        """Return the RGB pixels (h, w, 3) in a box, as a new array."""

    def alpha(self, box: Box) -> Pixels:
        """Return the alpha (h, w) in a box, as a new array, if the source was opened with a role that has one."""


class OpenBackground(Protocol):
    """What a scene needs of a background, see `Video`: a `Backdrop`, or frames that are already decoded."""

    path: Path
    size: Size
    frame_count: int
    display: Display
    reads_alpha_channel: bool

    def pictures(self, wanted: Iterable[int]) -> Iterator[tuple[int, FramePicture]]:
        """Yield (index, picture) for each frame in `wanted`, in ascending order, up to the end of the background."""


def opened_frames(
    path: Path, *, max_frames: int | None = None, role: Role = "colour", uses_container_tags: bool = True
) -> FrameSource:
    """Open a video or a folder of numbered pictures; see `Video`. Raises SourceError, also for a still."""
    if path.is_dir():
        return FrameFolder(path, max_frames=max_frames, role=role)
    if is_still(path):
        raise SourceError(f"{path}: is a still, but a video or a folder of numbered pictures is needed; replace it")
    return Video(path, max_frames=max_frames, role=role, uses_container_tags=uses_container_tags)


def opened_backdrop(path: Path, *, max_frames: int | None = None, uses_container_tags: bool = True) -> Backdrop:
    """Open a background, which may also be a still; it is held for `max_frames` frames."""
    if is_still(path) and not path.is_dir():
        return HeldStill(path, max_frames=max_frames)
    return opened_frames(path, max_frames=max_frames, uses_container_tags=uses_container_tags)


def source_version(path: Path) -> tuple[Version, ...]:
    """Return what changes if a file, or a folder of numbered pictures, is replaced; see `folder_version`."""
    return folder_version(path) if path.is_dir() else (file_version(path),)
