"""The layout of RobustVideoMatting's background videos: frames of clips of the DVM data set.

BackgroundVideos/{train,test}/NNNN/FFFF.jpg   four digits both; the first 100 frames of each clip, 768 x 432 px

133 numbers occur in both splits, but name different videos. The clips that a user moves to valid/ are not read.
"""

import re

from dvm_hf.sources.layout import Layout, Match, Place
from dvm_hf.sources.name_pairing import backgrounds as sorted_backgrounds
from dvm_hf.sources.name_pairing import part
from dvm_hf.sources.records import Background
from dvm_hf.sources.splits import content_match, joined, published_in, split_folder, splits_in

CLIP = re.compile(r"\d{4}", re.ASCII)
FRAME = re.compile(r"\d{4}\.jpe?g", re.ASCII | re.IGNORECASE)


def _fits(place: Place, inner: str) -> bool:
    clips = place.folders(inner)
    if not clips or not all(CLIP.fullmatch(name) for name in clips):
        return False
    return any(FRAME.fullmatch(name) for name in place.files(joined(inner, clips[0])))


def match(place: Place) -> Match:
    return content_match(place, _fits, "clips NNNN/ with frames FFFF.jpg")


def backgrounds(place: Place, split: str) -> list[Background]:
    base = split_folder(place, split, _fits)
    return [] if base is None else sorted_backgrounds(place, part(place, base).files)


LAYOUT = Layout(
    name="rvm-backgrounds",
    description="RobustVideoMatting's BackgroundVideos: train and test with folders NNNN of frames FFFF.jpg",
    match=match,
    backgrounds=backgrounds,
    splits=splits_in(_fits),
    terms="clips of the DVM data set, selected by RobustVideoMatting: see the terms of their source",
    citation="Lin, Yang, Saleemi, Sengupta: Robust High-Resolution Video Matting with Temporal Guidance. WACV 2022; "
    "Sun et al.: Deep Video Matting via Spatio-Temporal Alignment and Aggregation. CVPR 2021",
    # lines of RobustVideoMatting's lists documentation/misc/dvm_background_{train,test}_clips.txt
    published=published_in(_fits, "BackgroundVideos", {"train": 3117, "test": 162}),
)
