"""Detect alphas that are not mattes. A build rejects them and `dvm check --deep` reports them with the same text."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from dvm_hf.errors import SourceError
from dvm_hf.media.alpha_colours import SplitChannels
from dvm_hf.media.pixels import Box
from dvm_hf.media.videos import Video

DARK = 16  # level; an alpha that contains a foreground exceeds it
SLACK = 3  # levels by which video compression spreads a constant level


class MatteFault(NamedTuple):
    """Why an alpha is not a matte.

    code: finding code of `dvm check`.
    text: error text without the path.
    """

    code: str
    text: str


def level_fault(least: int, most: int, *, slack: int = 0) -> MatteFault | None:
    """Validate an alpha by the lowest and highest level in all its frames; return None if it is a matte.

    An alpha that is opaque everywhere is valid: it hides the background, and `dvm check --deep` warns.

    slack: levels by which compression may spread a constant level.
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
    """Return whether an alpha with this lowest level is opaque everywhere."""
    return least >= 255 - slack


def video_fault(path: Path) -> MatteFault | None:
    """Return why an alpha video is not a matte, or None. Cached until the file changes.

    Reads frames only until two levels are found.
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
            channels.add(picture.rgb(Box(0, 0, *picture.size)))
            text = channels.fault
            return MatteFault("alpha-one-channel", text) if text else None
    return level_fault(least, most, slack=SLACK)


def require_matte(path: Path, fault: MatteFault | None) -> None:
    """Raise SourceError if the alpha is not a matte."""
    if fault is not None:
        raise SourceError(f"{path}: {fault.text}")
