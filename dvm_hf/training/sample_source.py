"""Where a training stream's samples come from."""

from collections.abc import Iterator
from typing import Any, Protocol


class SampleSource(Protocol):
    """clips: how many give samples in an epoch. identity: what makes the data what they are. recipe: of the config."""

    clips: int
    identity: dict[str, Any]
    recipe: str

    def samples(self, epoch: int, clip: int, chosen: range) -> Iterator[dict[str, Any] | None]:
        """Rows of the chosen samples, in order, image columns (T, C, H, W); None, or fewer, where the clip has not so
        many.

        Raises SourceError where a source cannot be used.
        """

    def name(self, epoch: int, clip: int) -> str:
        """Of a clip, for messages."""
