"""The layout of background videos: a folder of videos, or of folders of numbered pictures.

SET/NAME.mp4   SET/NAME/FRAME.jpg   also SET/{train,test}/...
"""

from dvm_hf.media.video.frame_names import frame_names
from dvm_hf.sources.folder_scan import VIDEO_SUFFIXES
from dvm_hf.sources.layout import Layout, Match, Place
from dvm_hf.sources.name_pairing import backgrounds as sorted_backgrounds
from dvm_hf.sources.records import Background
from dvm_hf.sources.splits import content_match, has_part_folders, joined, split_folder, split_named, splits_in

MAX_LOOKED = 4  # folders; listing all of them would list the set twice


def has_videos(place: Place, inner: str, suffixes: tuple[str, ...], frame_suffixes: tuple[str, ...] = ()) -> bool:
    """Return whether a folder has videos with these extensions, or one of its first folders has numbered pictures.

    A folder whose frames have a gap counts, too, so that a scan reports the gap.

    frame_suffixes: extensions of the pictures; empty if any will do.
    """
    if has_part_folders(place, inner):
        return False
    if any(name.lower().endswith(suffixes) for name in place.files(inner)):
        return True
    for folder in place.folders(inner)[:MAX_LOOKED]:
        if split_named(folder):  # numbered stills in train/ are not the frames of a video
            continue
        found = frame_names(place.files(joined(inner, folder)))
        if found.is_probably_video and (not frame_suffixes or found.frames[0].lower().endswith(frame_suffixes)):
            return True
    return False


def _fits(place: Place, inner: str) -> bool:
    return has_videos(place, inner, VIDEO_SUFFIXES)


def match(place: Place) -> Match:
    return content_match(place, _fits, "videos or folders of numbered pictures")


def backgrounds(place: Place, split: str) -> list[Background]:
    base = split_folder(place, split, _fits)
    if base is None:
        return []
    return sorted_backgrounds(place, place.scan.media(place.path(base), VIDEO_SUFFIXES, folders="frames"))


LAYOUT = Layout(
    name="videos",
    description="a folder of background videos, each a file or a folder of numbered pictures",
    match=match,
    backgrounds=backgrounds,
    splits=splits_in(_fits),
)
