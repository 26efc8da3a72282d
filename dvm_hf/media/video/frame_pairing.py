"""Check that the colour and the alpha of a video foreground match frame by frame."""

from typing import NamedTuple

import numpy as np

from dvm_hf.errors import SourceError
from dvm_hf.media.video.frame_folder import FrameFolder
from dvm_hf.media.video.frame_sources import FrameSource
from dvm_hf.media.video.presentation import Mismatch, mismatch
from dvm_hf.media.video.videos import Video

BLOCK = 4  # px; differences are averaged over blocks to suppress compression noise
SAME = 3  # levels; maximum difference of a block in luma or alpha if the same picture is compressed again
SAME_CHANNEL = 24  # levels; the same for red, green and blue, because encoders compress chroma more
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601


class PairFault(NamedTuple):
    """Why two videos do not match.

    code: finding code of `dvm check`.
    text: error text without the path of the folder.
    """

    code: str
    text: str


def require_pair(colour: FrameSource, alpha: FrameSource) -> None:
    """Raise SourceError, naming the folder, unless frame i of the alpha matches frame i of the colour."""
    found = pair_fault(colour, alpha)
    if found is not None:
        is_folder = isinstance(colour, FrameFolder) or isinstance(alpha, FrameFolder)
        raise SourceError(f"{colour.path if is_folder else colour.path.parent}: {found.text}")


def pair_fault(colour: FrameSource, alpha: FrameSource) -> PairFault | None:
    """Return why frame i of the alpha does not match frame i of the colour, or None.

    A folder of numbered pictures has no times of its own, so its frames match those of another folder or of a video by
    their index.
    """
    if isinstance(colour, Video) and isinstance(alpha, Video):
        return _video_pair_fault(colour, alpha)
    first, second = colour.presentation(), alpha.presentation()
    if first.count != second.count:
        return PairFault(
            "counts-differ",
            f"has {first.count} frames, but its alpha {alpha.path} has {second.count}; both must have the same number "
            "of frames, because numbered pictures are matched by their index; add the missing frames, or remove the "
            "others",
        )
    if not (first.is_complete and second.is_complete):
        return PairFault(
            "times-differ",
            f"cannot be matched with its alpha {alpha.path}: the video of the two lacks frames that it lists; "
            "re-export it",
        )
    return None


def _video_pair_fault(colour: Video, alpha: Video) -> PairFault | None:
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
        where = f"frame {found.index} is the first that only one of them has"
        if found.index is None:
            where = "their timestamps do not show which frame is the first that only one of them has"
        counted = f"{colour} has {first} frames, but {alpha} has {second}"
        return PairFault("counts-differ", f"{counted}; both must match, and {where}; re-export one of them")
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
    with Video(video.path, max_frames=index + 1, role=video.role) as reopened:
        frames = reopened.alphas if video.role == "alpha" else reopened.colours
        pictures = dict(frames([index - 1, index]))
    if len(pictures) < 2:
        return False
    height, width = (side // BLOCK * BLOCK for side in reopened.size)
    cut = (pictures[number][:height, :width].astype(np.float32) for number in (index - 1, index))
    before, after = (one.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, -1).mean((1, 3)) for one in cut)
    change = after - before
    if video.role == "alpha":
        return bool(np.abs(change).max() <= SAME)
    return bool(np.abs(change @ LUMA).max() <= SAME and np.abs(change).max() <= SAME_CHANNEL)
