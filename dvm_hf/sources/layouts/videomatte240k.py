"""The layout of VideoMatte240K, as JPEG frames or as videos.

VideoMatte240K_JPEG_HD/{train,test}/{fgr,pha}/CLIP/FRAME.jpg   CLIP has four digits, FRAME has five
VideoMatte240K/{train,test}/{fgr,pha}/CLIP.mp4

RobustVideoMatting splits the 484 clips into 475, 4 and 5 for training, validation and test: it moves the clips 0000,
0100, 0200 and 0300 from train/ to valid/. The archive has no valid/, so these clips are in train/, but not in the split
train; a remark names them. valid/ itself is read if its path is given.
"""

import re
from collections.abc import Iterator

from dvm_hf.sources.layout import Layout, Match, Place
from dvm_hf.sources.name_pairing import pairs, part
from dvm_hf.sources.records import Foreground
from dvm_hf.sources.splits import has_parts, joined, part_match, published_in, split_folder, split_named, splits_in

PARTS = (("fgr",), ("pha",))
CLIP = re.compile(r"\d{4}(\.mp4)?", re.ASCII)
FRAME = re.compile(r"\d{5}\.jpe?g", re.ASCII | re.IGNORECASE)
VALIDATION = ("0000", "0100", "0200", "0300")
NAME = "videomatte240k"


def _fits(place: Place, inner: str) -> bool:
    """Four digits name clips of other sets, too: without its name, a set must have its splits and its frames."""
    fgr = joined(inner, "fgr")
    clips = (*place.folders(fgr), *(name for name in place.files(fgr) if name.endswith(".mp4")))
    if not has_parts(place, inner, PARTS) or not clips or not all(CLIP.fullmatch(name) for name in clips):
        return False
    if _is_named(place):
        return True
    frames = next((place.files(joined(fgr, name)) for name in place.folders(fgr)), ("00000.jpg",))
    return _split_of(place, inner) is not None and any(FRAME.fullmatch(name) for name in frames)


def _is_named(place: Place) -> bool:
    return any(NAME in name.lower() for name in place.folder_names)


def _split_of(place: Place, inner: str) -> str | None:
    return split_named(inner or place.folder_names[1])


def match(place: Place) -> Match:
    found = part_match(place, PARTS, _fits, "clips with names of four digits, with JPEG frames or as .mp4")
    return found if found.fits or _is_named(place) else found._replace(found=())  # parts alone are those of fgr-pha


def foregrounds(place: Place, split: str) -> Iterator[Foreground]:
    base = split_folder(place, split, _fits)
    if base is None or "video" not in place.kinds:
        return
    held_out = VALIDATION if _split_of(place, base) == "train" else ()
    colours, alphas = (
        part(place, joined(base, name), selected=lambda clip: clip not in held_out) for name in ("fgr", "pha")
    )
    _remark(place, joined(base, "fgr"), held_out)
    yield from pairs(place, colours, alphas)


def _remark(place: Place, folder: str, held_out: tuple[str, ...]) -> None:
    held = {name.removesuffix(".mp4") for name in (*place.folders(folder), *place.files(folder))}
    found = [name for name in held_out if name in held]
    if found:
        text = f"the clips {', '.join(found)} are not read, because they are the validation split of the published code"
        place.scan.remark(place.path(folder), f"{text}; to use them, move them to another folder", "held-out")


LAYOUT = Layout(
    name=NAME,
    description="VideoMatte240K: train and test with fgr and pha, clips with names of four digits",
    match=match,
    foregrounds=foregrounds,
    splits=splits_in(_fits),
    terms="VideoMatte240K: see the terms of its source, https://grail.cs.washington.edu/projects/background-matting-v2/",
    citation="Lin, Ryabtsev, Sengupta, Curless, Seitz, Kemelmacher-Shlizerman: Real-Time High-Resolution Background "
    "Matting. CVPR 2021",
    # RobustVideoMatting's paper, section 4.1: 475, 4 and 5 of the 484 clips
    published=published_in(_fits, "VideoMatte240K", {"train": 475, "validation": 4, "test": 5}),
)
