"""The interface between a training stream and the source of its samples."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol


class SampleSource(Protocol):
    """A source of samples.

    clips: number of clips in an epoch. identity: values that determine the samples; a saved state must match them.
    recipe: of the config.
    """

    clips: int
    identity: dict[str, Any]
    recipe: str

    def samples(self, epoch: int, clip: int, chosen: Sequence[int]) -> Iterator[dict[str, Any] | None]:
        """Yield the rows of the chosen samples, in order, with image columns (T, C, H, W).

        If the clip lacks a sample, yield None for it, or end early. Raises SourceError if a source cannot be used.
        """

    def announce(self, epoch: int, clip: int) -> None:
        """Begin to fetch the files of a clip whose samples are needed next."""

    def name(self, epoch: int, clip: int) -> str:
        """Return the name of a clip for messages."""

    def release(self) -> None:
        """Release what is kept for the samples of later clips, such as decoded frames."""
