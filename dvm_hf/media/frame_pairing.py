"""Check that the colour and alpha videos of a foreground match frame by frame."""

from typing import NamedTuple

import numpy as np

from dvm_hf.errors import SourceError
from dvm_hf.media.presentation import Mismatch, mismatch
from dvm_hf.media.videos import Video

BLOCK = 4  # px; differences are averaged over blocks to suppress compression noise
SAME = 3  # levels; maximum difference of a block if the same picture is compressed again


class PairFault(NamedTuple):
    """Why two videos do not match.

    code: finding code of `dvm check`.
    text: error text without the path of the folder.
    """

    code: str
    text: str


def require_pair(colour: Video, alpha: Video) -> None:
    """Raise SourceError, naming the folder, unless frame i of the alpha matches frame i of the colour."""
    found = pair_fault(colour, alpha)
    if found is not None:
        raise SourceError(f"{colour.path.parent}: {found.text}")


def pair_fault(colour: Video, alpha: Video) -> PairFault | None:
    """Return why frame i of the alpha does not match frame i of the colour, or None; see `presentation.mismatch`.

    If one container repeats a frame, the other video must show the same picture twice there.
    """
    shown = colour.presentation(), alpha.presentation()
    found = mismatch(*shown)
    if found is not None:
        return _fault(found, colour.path.name, alpha.path.name)
    for index in sorted(shown[0].repeats ^ shown[1].repeats):
        repeating, other = (colour, alpha) if index in shown[0].repeats else (alpha, colour)
        if not _repeats(other, index):
            return PairFault(
                "repeats-differ",
                f"{repeating.path.name} has no picture for frame {index} and shows frame {index - 1} again, but "
                f"{other.path.name} has a different picture there; both must match; re-export one of them",
            )
    return None


def _fault(found: Mismatch, colour: str, alpha: str) -> PairFault:
    first, second = found.counts
    if first != second:
        text = (
            f"{colour} has {first} frames, but {alpha} has {second}; both must match, and frame {found.index} is "
            "the first that only one of them has; re-export one of them"
        )
        return PairFault("counts-differ", text)
    if found.times is None:
        text = (
            f"{colour} and {alpha} have {first} frames each, but one of them lacks frames that it lists, and no "
            "timestamps show which; both must match; re-export it"
        )
        return PairFault("times-differ", text)
    text = (
        f"{colour} and {alpha} have {first} frames each, but frame {found.index} is shown at {found.times[0]:.3f} s in "
        f"one and at {found.times[1]:.3f} s in the other; both must match; re-export one of them"
    )
    return PairFault("times-differ", text)


def _repeats(video: Video, index: int) -> bool:
    """Return whether a frame equals the previous one except for compression noise."""
    with Video(video.path, most=index + 1, role="alpha") as reopened:
        pictures = dict(reopened.alphas([index - 1, index]))
    if len(pictures) < 2:
        return False
    height, width = (side // BLOCK * BLOCK for side in reopened.size)
    cut = (pictures[number][:height, :width].astype(np.float32) for number in (index - 1, index))
    before, after = (one.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).mean((1, 3)) for one in cut)
    return bool(np.abs(after - before).max() <= SAME)
