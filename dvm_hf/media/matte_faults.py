"""Detect alphas that are not mattes. A build rejects them and `dvm check --deep` reports them with the same text."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from dvm_hf.errors import SourceError
from dvm_hf.media.kept_facts import FactKind
from dvm_hf.media.pixels import Box
from dvm_hf.media.still.alpha_colours import SplitChannels
from dvm_hf.media.still.still_pictures import Version
from dvm_hf.media.video.frame_sources import opened_frames, source_version
from dvm_hf.media.video.video_tags import Role

OPAQUE_CHANNEL = "own-alpha-opaque"  # finding code
OPAQUE_TEXT = (
    "its alpha channel is opaque everywhere, and the foreground has no other file for its alpha; add that file, or "
    "save it with its alpha"
)
DARK = 16  # level; an alpha that contains a foreground exceeds it
SLACK = 3  # levels by which video compression spreads a constant level


MATTES = FactKind("matte", as_json=bool, from_json=bool)  # videos whose alpha is a matte. Parameters: role, limits


class MatteFault(NamedTuple):
    """Why an alpha is not a matte.

    code: finding code of `dvm check`.
    text: error text without the path.
    """

    code: str
    text: str


def level_fault(lowest: int, highest: int, *, slack: int = 0) -> MatteFault | None:
    """Validate an alpha by the lowest and highest level in all its frames; return None if it is a matte.

    An alpha that is opaque everywhere is valid: it hides the background, and `dvm check --deep` warns.

    slack: levels by which compression may spread a constant level.
    """
    if highest <= DARK:
        return MatteFault(
            "alpha-dark",
            f"has no value above {highest} of 255, so nothing in it is foreground. Its values may use fewer bits than "
            "its format; scale it so that opaque is 255",
        )
    if highest - lowest <= slack and not is_opaque(lowest, slack=slack):
        text = f"is {lowest} everywhere: an alpha needs more than one level; replace the file"
        return MatteFault("alpha-one-level", text)
    return None


def is_opaque(lowest: int, *, slack: int = 0) -> bool:
    """Return whether an alpha with this lowest level is opaque everywhere."""
    return lowest >= 255 - slack


def opaque_fault(lowest: int) -> MatteFault | None:
    """Return the fault of an alpha channel that is opaque everywhere, in a file that has both colour and alpha.

    Such a channel is usually left over from another program, and not a matte.
    """
    return MatteFault(OPAQUE_CHANNEL, OPAQUE_TEXT) if is_opaque(lowest) else None


def video_fault(path: Path, *, role: Role = "alpha") -> MatteFault | None:
    """Return why the alpha of a video or of a folder of numbered pictures is not a matte, or None.

    Cached until the file changes; that a video is a matte is also kept for other processes. Reads frames only until two
    levels are found.
    """
    return _video_fault(path, role, source_version(path))


@lru_cache(maxsize=4096)
def _video_fault(path: Path, role: Role, state: tuple[Version, ...]) -> MatteFault | None:
    if path.is_dir():  # its first frame may change without the folder
        return _found_fault(path, role)
    key = MATTES.key(path, role, DARK, SLACK)
    if MATTES.get(key):
        return None
    fault = _found_fault(path, role)
    if fault is None:
        MATTES.put(key, True)
    return fault


def _found_fault(path: Path, role: Role) -> MatteFault | None:
    lowest, highest = 255, 0
    with opened_frames(path, role=role) as video:
        for alpha, picture in video.mattes():
            lowest, highest = min(lowest, int(alpha.min())), max(highest, int(alpha.max()))
            if highest <= DARK or highest - lowest <= SLACK:
                continue
            if video.reads_alpha_channel:
                return None
            channels = SplitChannels()
            channels.add(picture.rgb(Box(0, 0, *picture.size)))
            text = channels.fault
            return MatteFault("alpha-one-channel", text) if text else None
    if lowest > highest:
        raise SourceError(f"{path}: none of its frames can be read; replace them")
    if role == "both" and is_opaque(lowest, slack=SLACK):
        return opaque_fault(255)
    return level_fault(lowest, highest, slack=SLACK)


def require_matte(path: Path, fault: MatteFault | None) -> None:
    """Raise SourceError if the alpha is not a matte."""
    if fault is not None:
        raise SourceError(f"{path}: {fault.text}")
