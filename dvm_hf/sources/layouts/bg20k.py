"""The layout of background stills: BG-20k, or any folder of stills.

BG-20k/{train,testval}/NAME.jpg   or SET/NAME.jpg
"""

import os
import re

from dvm_hf.sources.folder_scan import STILL_SUFFIXES
from dvm_hf.sources.layout import Layout, Match, Place, Published, Terms
from dvm_hf.sources.name_pairing import backgrounds as sorted_backgrounds
from dvm_hf.sources.name_pairing import still_part
from dvm_hf.sources.records import Background
from dvm_hf.sources.splits import (
    content_match,
    fitting_folders,
    has_part_folders,
    published_in,
    split_folder,
    splits_in,
)

NAME = re.compile(r"h_[0-9a-f]{8}\.jpg", re.ASCII)


def _fits(place: Place, inner: str) -> bool:
    suffixes = (os.path.splitext(name)[1].lower() for name in place.files(inner))
    return any(suffix in STILL_SUFFIXES for suffix in suffixes) and not has_part_folders(place, inner)


def match(place: Place) -> Match:
    return content_match(place, _fits, "stills (.png, .jpg, .webp, .tif)")


def backgrounds(place: Place, split: str) -> list[Background]:
    base = split_folder(place, split, _fits)
    return [] if base is None else sorted_backgrounds(place, still_part(place, base).files)


def terms_of(place: Place) -> Terms:
    """Return the terms of BG-20k if the stills are named as its stills are."""
    folders = fitting_folders(place, _fits)
    if not any(NAME.fullmatch(name) for folder in folders for name in place.files(folder)):
        return Terms()
    return Terms(
        "BG-20k: MIT-style release agreement, to be accepted before the download",
        True,
        "Li, Zhang, Maybank, Tao: Bridging Composite and Real: Towards End-to-End Deep Image Matting. IJCV 2022",
    )


def published(place: Place, split: str) -> Published | None:
    """Return the number of stills, as of the paper of BG-20k, if most stills are named as its stills are."""
    names = [name for folder in fitting_folders(place, _fits) for name in place.files(folder)]
    if 2 * sum(NAME.fullmatch(name) is not None for name in names) <= len(names):
        return None
    return published_in(_fits, "BG-20k", {"train": 15_000, "test": 5_000})(place, split)


LAYOUT = Layout(
    name="bg20k",
    description="a folder of background stills, such as BG-20k, flat or with train and testval",
    match=match,
    backgrounds=backgrounds,
    splits=splits_in(_fits),
    terms_of=terms_of,
    published=published,
)
