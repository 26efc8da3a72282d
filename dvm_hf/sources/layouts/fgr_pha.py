"""The layout of sets with the folders fgr/ and pha/, such as BackgroundMattingV2's, ImageMatte and PhotoMatte85.

SET/{fgr,pha}/NAME.jpg         stills; any extensions
SET/{fgr,pha}/NAME.mp4         videos
SET/{fgr,pha}/NAME/FRAME.png   folders of numbered pictures
SET/{train,valid,test}/...     the same in splits. fgr_new/ is read if there is no fgr/
"""

from collections.abc import Iterator

from dvm_hf.sources.layout import Layout, Match, Place
from dvm_hf.sources.name_pairing import pairs, part
from dvm_hf.sources.records import Foreground
from dvm_hf.sources.splits import folder_named, has_parts, joined, part_match, split_folder, splits_in

PARTS = (("fgr", "fgr_new"), ("pha",))


def _fits(place: Place, inner: str) -> bool:
    return has_parts(place, inner, PARTS)


def match(place: Place) -> Match:
    return part_match(place, PARTS, _fits)


def foregrounds(place: Place, split: str) -> Iterator[Foreground]:
    base = split_folder(place, split, _fits)
    if base is None:
        return
    colours, alphas = (part(place, joined(base, folder_named(place, base, names))) for names in PARTS)
    yield from pairs(place, colours, alphas)


LAYOUT = Layout(
    name="fgr-pha",
    description="colours in fgr and alphas in pha, with equal names",
    match=match,
    foregrounds=foregrounds,
    splits=splits_in(_fits),
)
