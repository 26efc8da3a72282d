"""Whether a file has an alpha channel, by its header."""

from pathlib import Path

from dvm_hf.errors import SourceError
from dvm_hf.media.still.still_headers import still_header
from dvm_hf.media.video.containers import video_header
from dvm_hf.media.video.frame_names import FRAME_SUFFIXES

ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")  # of Pillow


def has_alpha_channel(path: Path) -> bool:
    """Return whether a still or a video declares an alpha channel; False if its header cannot be read."""
    try:
        if path.suffix.lower() in FRAME_SUFFIXES:
            return still_header(path).mode in ALPHA_MODES
        tags = video_header(path).tags
    except SourceError:
        return False
    return tags.has_alpha or tags.has_hidden_alpha
