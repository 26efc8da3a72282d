"""The layout of Distinctions-646.

Distinctions-646/{Train,Test}/{FG,GT}/NAME.png   also Train_ori/{Fg_images,Alpha_matte}
Distinctions-646/Test/Trimap/NAME.png            optional
"""

from collections.abc import Iterator

from dvm_hf.sources.layout import Layout, Match, Place
from dvm_hf.sources.name_pairing import pairs, still_part
from dvm_hf.sources.records import Foreground
from dvm_hf.sources.splits import folder_named, has_parts, joined, part_match, published_in, split_folder, splits_in

PARTS = (("fg", "fg_images"), ("gt", "alpha_matte"))


def _fits(place: Place, inner: str) -> bool:
    return has_parts(place, inner, PARTS)


def match(place: Place) -> Match:
    return part_match(place, PARTS, _fits)


def foregrounds(place: Place, split: str) -> Iterator[Foreground]:
    base = split_folder(place, split, _fits)
    if base is None or "image" not in place.kinds:
        return
    colours, alphas = (still_part(place, joined(base, folder_named(place, base, names))) for names in PARTS)
    trimap = folder_named(place, base, ("trimap",)) if place.with_trimaps and split == "test" else ""
    yield from pairs(place, colours, alphas, trimaps=still_part(place, joined(base, trimap)) if trimap else None)


LAYOUT = Layout(
    name="distinctions646",
    description="Distinctions-646: Train and Test with FG and GT",
    match=match,
    foregrounds=foregrounds,
    splits=splits_in(_fits),
    terms="Distinctions-646: non-commercial research by agreement; no redistribution, including composites",
    is_redistributable=False,
    citation="Qiao, Liu, Yang, Zhou, Xu, Zhang, Wei: Attention-Guided Hierarchical Structure Aggregation for Image "
    "Matting. CVPR 2020",
    # of the paper
    published=published_in(_fits, "Distinctions-646", {"train": 596, "test": 50}),
)
