"""A still as a video of one picture that is shown in every frame."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from dvm_hf.media.frame_geometry import Display
from dvm_hf.media.pixels import Box, Pixels
from dvm_hf.media.still.still_pictures import HeldPicture, held_picture


class HeldStill:
    """A still with the interface of `Video` for a background. It is decoded once per process.

    frame_count: `max_frames`, or 1 without it.
    """

    reads_alpha_channel = False
    orientation = 1  # pixels are upright
    role = "colour"

    def __init__(self, path: Path, *, max_frames: int | None = None) -> None:
        self.path = path
        self._picture = held_picture(path)
        self.size = self._picture.size
        self.display = Display(self.size)
        self.frame_count = 1 if max_frames is None else max_frames

    def __enter__(self) -> "HeldStill":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: the file is not kept open."""

    def pictures(self, wanted: Iterable[int]) -> Iterator[tuple[int, HeldPicture]]:
        """Yield (index, the picture) for each frame in `wanted`."""
        for index in wanted:
            yield index, self._picture

    def colours(self, wanted: Iterable[int]) -> Iterator[tuple[int, Pixels]]:
        """Yield (index, RGB (H, W, 3)) for each frame in `wanted`."""
        for index, picture in self.pictures(wanted):
            yield index, picture.rgb(Box(0, 0, *self.size))
