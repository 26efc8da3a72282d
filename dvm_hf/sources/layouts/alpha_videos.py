"""The layout of videos with alpha: a folder of videos, or of folders of numbered pictures, with an alpha channel.

SET/NAME.mov   SET/NAME.webm   SET/NAME/FRAME.png   also SET/{train,test}/...
"""

from collections.abc import Iterator

from dvm_hf.sources.folder_scan import VIDEO_SUFFIXES
from dvm_hf.sources.layout import Layout, Match, Place
from dvm_hf.sources.layouts.videos import has_videos
from dvm_hf.sources.name_pairing import own_alphas
from dvm_hf.sources.records import Foreground
from dvm_hf.sources.splits import content_match, split_folder, splits_in

SUFFIXES = (".mov", ".webm", ".mkv", ".avi")  # containers whose codecs can have alpha; MP4 is read if it is among them
FRAME_SUFFIXES = (".png", ".tif", ".tiff", ".webp")


def _fits(place: Place, inner: str) -> bool:
    return has_videos(place, inner, SUFFIXES, FRAME_SUFFIXES)


def match(place: Place) -> Match:
    return content_match(
        place, _fits, "videos or folders of pictures that can have alpha (.mov, .webm, .mkv, .avi, .png)"
    )


def foregrounds(place: Place, split: str) -> Iterator[Foreground]:
    base = split_folder(place, split, _fits)
    if base is not None and "video" in place.kinds:
        yield from own_alphas(place, place.scan.media(place.path(base), VIDEO_SUFFIXES, folders="frames"))


LAYOUT = Layout(
    name="alpha-videos",
    description="a folder of videos with an alpha channel, each a file or a folder of numbered pictures",
    match=match,
    foregrounds=foregrounds,
    splits=splits_in(_fits),
)
