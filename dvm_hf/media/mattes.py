"""Detect alphas that are not mattes. A build rejects them, and `dvm check --deep` reports them, in the same words."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from dvm_hf.errors import SourceError
from dvm_hf.media.alpha_colours import SplitChannels
from dvm_hf.media.pixels import Box
from dvm_hf.media.videos import Video

DARK = 16  # levels; no alpha that has a foreground stays below
SLACK = 3  # levels that compression of a video adds to one level


class MatteFault(NamedTuple):
    """Why an alpha is not a matte. code: of the finding. text: without the path."""

    code: str
    text: str


def level_fault(least: int, most: int, *, slack: int = 0) -> MatteFault | None:
    """Judge an alpha by the lowest and the highest level of all its frames. slack: levels that compression may add.

    An alpha that is opaque everywhere is valid: it hides the background, and `dvm check --deep` warns.
    """
    if most <= DARK:
        return MatteFault(
            "alpha-dark",
            f"is at most {most} of 255: nothing in it is foreground; its values may use fewer bits than its format "
            "has; scale it so that opaque is 255",
        )
    if most - least <= slack and not is_opaque(least, slack=slack):
        text = f"is {least} everywhere: an alpha needs more than one level; replace the file"
        return MatteFault("alpha-one-level", text)
    return None


def is_opaque(least: int, *, slack: int = 0) -> bool:
    """Whether an alpha of this lowest level covers the whole picture."""
    return least >= 255 - slack


def video_fault(path: Path) -> MatteFault | None:
    """Of an alpha video, in as many frames as it takes to find two levels; kept for as long as the file does
    not change.
    """
    found = path.stat()
    return _video_fault(path, (found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=4096)
def _video_fault(path: Path, state: tuple[int, int]) -> MatteFault | None:
    least, most = 255, 0
    with Video(path, role="alpha") as video:
        for alpha, picture in video.mattes():
            least, most = min(least, int(alpha.min())), max(most, int(alpha.max()))
            if most <= DARK or most - least <= SLACK:
                continue
            if video.reads_alpha_channel:
                return None
            channels = SplitChannels()
            channels.take(picture.rgb(Box(0, 0, *picture.size)))
            text = channels.fault
            return MatteFault("alpha-one-channel", text) if text else None
    return level_fault(least, most, slack=SLACK)


def require_matte(path: Path, fault: MatteFault | None) -> None:
    """Raise SourceError if the alpha is not a matte."""
    if fault is not None:
        raise SourceError(f"{path}: {fault.text}")
