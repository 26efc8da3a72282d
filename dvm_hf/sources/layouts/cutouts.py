"""The layout of cut-outs: a folder of stills, each with an alpha channel.

SET/NAME.png   RGBA or grey with alpha; also SET/{train,test}/NAME.png. JPEG has no alpha channel
"""

from collections.abc import Iterator

from dvm_hf.sources.layout import Layout, Match, Place
from dvm_hf.sources.name_pairing import own_alphas
from dvm_hf.sources.records import Foreground
from dvm_hf.sources.splits import content_match, has_part_folders, split_folder, splits_in

SUFFIXES = (".png", ".webp", ".tif", ".tiff")


def _fits(place: Place, inner: str) -> bool:
    return any(name.lower().endswith(SUFFIXES) for name in place.files(inner)) and not has_part_folders(place, inner)


def match(place: Place) -> Match:
    return content_match(place, _fits, "stills that can have alpha (.png, .webp, .tif)")


def foregrounds(place: Place, split: str) -> Iterator[Foreground]:
    base = split_folder(place, split, _fits)
    if base is not None and "image" in place.kinds:
        yield from own_alphas(place, place.scan.media(place.path(base), SUFFIXES))


LAYOUT = Layout(
    name="cutouts",
    description="a folder of stills with an alpha channel (.png, .webp, .tif)",
    match=match,
    foregrounds=foregrounds,
    splits=splits_in(_fits),
)
