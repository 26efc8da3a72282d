"""The layout of pictures beside masks: AM-2k, P3M-10k, AIM-500, PPM-100, HHM50K, Transparent-460 and others.

SET/{train,validation}/{original,mask}/NAME.jpg             any extensions; also without splits
SET/validation/{P3M-500-P,P3M-500-NP}/{blurred_image,mask}   several folders in a split are one
SET/{train,test}/trimap/NAME.png                            optional; read in the split test

The pictures contain their backgrounds, so the colours of the foregrounds have to be estimated. The exceptions are the
folders with fg/ and alpha/ of two other sets, if one of them is given instead of the set: DVM/fg/image/SPLIT and
Combined_Dataset/Training_set/Adobe-licensed images. Other folders, such as usr/ or foregrounds/, are not read.
"""

from collections.abc import Iterator

from dvm_hf.sources.layout import Layout, Match, Place, Published, Terms
from dvm_hf.sources.layouts import adobe, dvm
from dvm_hf.sources.name_pairing import distinct, pairs, still_part
from dvm_hf.sources.records import SPLITS, Foreground
from dvm_hf.sources.splits import (
    fitting_folders,
    folder_named,
    has_parts,
    joined,
    part_match,
    published_in,
    split_folder,
    splits_in,
)

PICTURES = ("original", "blurred_image", "original_image", "image", "images", "img", "fg")
MASKS = ("mask", "masks", "matte", "mattes", "alpha", "alphas")
PARTS = (PICTURES, MASKS)
MAX_FOLDERS = 8  # folders of a split that are looked at to recognize the layout
AGREEMENT = "MIT-style release agreement, to be accepted before the download"
TERMS = {  # by parts of folder names, without signs
    "am2k": Terms(f"AM-2k: {AGREEMENT}", True, "Li, Zhang, Maybank, Tao: Bridging Composite and Real. IJCV 2022"),
    "p3m": Terms(f"P3M-10k: {AGREEMENT}", True, "Li, Ma, Zhang, Tao: Privacy-Preserving Portrait Matting. MM 2021"),
    "aim500": Terms(f"AIM-500: {AGREEMENT}", True, "Li, Zhang, Tao: Deep Automatic Natural Image Matting. IJCAI 2021"),
    "ppm100": Terms(
        "PPM-100: images under their Creative Commons licences, mattes CC BY-NC-SA 4.0",
        True,
        "Ke, Sun, Li, Yan, Lau: MODNet: Real-Time Trimap-Free Portrait Matting via Objective Decomposition. AAAI 2022",
    ),
    "hhm": Terms(
        "HHM50K: no licence stated", True, "Sun, Tang, Tai: Ultrahigh Resolution Image/Video Matting. CVPR 2023"
    ),
}
# Names of sets, and numbers of foregrounds by split, by names of folders without signs; from the papers of the sets
COUNTS: dict[str, tuple[str, dict[str, int]]] = {
    "am2k": ("AM-2k", {"train": 1800, "validation": 200}),
    "p3m10k": ("P3M-10k", {"train": 9421, "validation": 1000}),  # P3M-500-P and P3M-500-NP
    "p3m500p": ("P3M-500-P", {"": 500}),
    "p3m500np": ("P3M-500-NP", {"": 500}),
    "aim500": ("AIM-500", {"": 500}),
    "ppm100": ("PPM-100", {"": 100}),
    "hhm50k": ("HHM50K", {"": 50_000}),
    "hhm2k": ("HHM2K", {"": 2000}),
    "transparent460": ("Transparent-460", {"train": 410, "test": 50}),
}
TRANSPARENT = Terms(
    "folders fg and alpha as in Transparent-460: non-commercial; no redistribution, including composites",
    False,
    "Cai, Xue, Xu, Guo: TransMatting: Enhancing Transparent Objects Matting with Transformers. ECCV 2022",
)


def _folders(place: Place, inner: str) -> list[str]:
    """Return the folders with pictures and masks: the folder itself, or several in it."""
    if has_parts(place, inner, PARTS):
        return [inner]
    return [joined(inner, name) for name in place.folders(inner) if has_parts(place, joined(inner, name), PARTS)]


def _fits(place: Place, inner: str) -> bool:
    folders = ("", *place.folders(inner)[:MAX_FOLDERS])
    return any(has_parts(place, joined(inner, name), PARTS) for name in folders)


def match(place: Place) -> Match:
    bases = fitting_folders(place, _fits)
    folders = [folder for base in bases for folder in _folders(place, base)]
    names = (joined(folder, folder_named(place, folder, part)) for folder in folders for part in PARTS)
    return Match(tuple(f"{name}/" for name in names), ()) if folders else part_match(place, PARTS, _fits)


def foregrounds(place: Place, split: str) -> list[Foreground]:
    base = split_folder(place, split, _fits)
    folders = _folders(place, base) if base is not None and "image" in place.kinds else []
    return distinct(place.scan, (one for folder in folders for one in _of_folder(place, folder, split)))


def _of_folder(place: Place, folder: str, split: str) -> Iterator[Foreground]:
    colours, alphas = (still_part(place, joined(folder, folder_named(place, folder, names))) for names in PARTS)
    trimap = folder_named(place, folder, ("trimap",)) if place.with_trimaps and split == "test" else ""
    trimaps = still_part(place, joined(folder, trimap)) if trimap else None
    yield from pairs(place, colours, alphas, trimaps=trimaps, stored=_set_of(place).colours)


def _set_of(place: Place) -> Layout:
    """Return the layout of the set that the folder is a part of, by its name and that of the one that contains it."""
    parent, own = (name.lower() for name in place.folder_names)
    if own == adobe.LICENSED:
        return adobe.LAYOUT
    return dvm.LAYOUT if parent == "image" and own in SPLITS else LAYOUT


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def published(place: Place, split: str) -> Published | None:
    """Return the number of foregrounds of the set that the folder, or the one that contains it, is named after."""
    known = next((COUNTS[name] for name in map(_plain, reversed(place.folder_names)) if name in COUNTS), None)
    return known and published_in(_fits, *known)(place, split)


def terms_of(place: Place) -> Terms:
    """Return the terms by the name of the folder or of the one that contains it, or by its folders fg and alpha."""
    if (other := _set_of(place)) is not LAYOUT:
        return other.terms_at(place)
    for name in reversed(place.folder_names):
        for known, terms in TERMS.items():
            if known in _plain(name):
                return terms
    inner = match(place).found
    return TRANSPARENT if any(name.lower().endswith("fg/") for name in inner) else Terms()


LAYOUT = Layout(
    name="image-mask",
    description="pictures in original, image or fg beside masks in mask, matte or alpha, with equal names",
    match=match,
    foregrounds=foregrounds,
    splits=splits_in(_fits),
    colours="estimate",
    terms_of=terms_of,
    published=published,
)
