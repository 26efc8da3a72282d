"""Where in a video decoding may begin, for frames that lie far behind its start. Numbers only."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

LEAST_SAVED = 8  # frames: a seek costs the decoder's restart


class IndexEntry(Protocol):
    """A packet as the container's index lists it, in decoding order."""

    timestamp: int  # of decoding, in the stream's time base
    is_keyframe: bool
    is_discard: bool


class KeyFrame(NamedTuple):
    """Which frame it is (`number`), if no packet before it is shown after it; the step from timestamp to timestamp."""

    number: int
    step: int


def key_frame_before(entries: Sequence[IndexEntry], index: int) -> KeyFrame | None:
    """The last key frame from which frame `index` can be reached; None: begin at the start.

    None, too, where anything is odd up to there: no index, timestamps that are not evenly spaced (so frames cannot be
    counted by them), packets that an edit list hides.
    """
    if index < LEAST_SAVED or len(entries) <= index:
        return None
    before = [entries[number] for number in range(index + 1)]
    steps = {after.timestamp - entry.timestamp for entry, after in pairwise(before)}
    keys = [number for number, entry in enumerate(before) if entry.is_keyframe]
    if len(steps) != 1 or min(steps) <= 0 or any(entry.is_discard for entry in before) or keys[:1] != [0]:
        return None
    if keys[-1] < LEAST_SAVED:
        return None
    return KeyFrame(keys[-1], steps.pop())
