"""The layout of Adobe's Deep Image Matting data set (Composition-1k), as its archive unpacks.

Combined_Dataset/Training_set/{Adobe-licensed images,Other}/{fg,alpha}/NAME.jpg   names in training_fg_names.txt
Combined_Dataset/Test_set/Adobe-licensed images/{fg,alpha}/NAME.png               names in test_fg_names.txt
Combined_Dataset/Test_set/Adobe-licensed images/trimaps/NAME_K.png                K = 0 to 19; K = 0 is read

The alphas of the training set are JPEG files. Each test foreground is published over 20 backgrounds with a trimap each;
a foreground here has one trimap, so that of the first background is taken.
"""

from dvm_hf.sources.layout import Layout, Match, Place
from dvm_hf.sources.name_lists import ListedName, listed_names
from dvm_hf.sources.name_pairing import Part, distinct, numbered_trimaps, pairs, still_part
from dvm_hf.sources.records import Foreground
from dvm_hf.sources.splits import has_parts, joined, part_match, published_in, split_folder, splits_in

LICENSED, OTHER = "adobe-licensed images", "other"
LISTS = ("training_fg_names.txt", "test_fg_names.txt")
PARTS = ((LICENSED,),)


def _fits(place: Place, inner: str) -> bool:
    return has_parts(place, inner, PARTS)


def match(place: Place) -> Match:
    return part_match(place, PARTS, _fits)


def foregrounds(place: Place, split: str) -> list[Foreground]:
    base = split_folder(place, split, _fits)
    if base is None or "image" not in place.kinds:
        return []
    path = next((joined(base, name) for name in LISTS if name in place.files(base)), "")
    listed = _listed(place, path)
    folders = [joined(base, name) for name in place.folders(base) if name.lower() in (LICENSED, OTHER)]
    suffix = ".jpg" if path.endswith(LISTS[0]) else ".png"
    parts = [[still_part(place, f"{one}/{part}", suffix=suffix) for part in ("fg", "alpha")] for one in folders]
    if listed:
        _note_missing(place, path, listed, {name for both in parts for part in both for name in part.files})
        parts = [[_of_list(place, part, listed) for part in both] for both in parts]
    return distinct(
        place.scan,
        (
            one
            for folder, (colours, alphas) in zip(folders, parts, strict=True)
            for one in pairs(place, colours, alphas, trimaps=_trimaps(place, folder, split))
        ),
    )


def _trimaps(place: Place, folder: str, split: str) -> Part | None:
    is_read = place.with_trimaps and split == "test" and "trimaps" in place.folders(folder)
    return numbered_trimaps(place, f"{folder}/trimaps") if is_read else None


def _listed(place: Place, path: str) -> dict[str, ListedName]:
    """Return the lines of a list by name without extension; empty if there is no list."""
    listed = listed_names(place, path) if path else None
    return {name.rpartition(".")[0]: one for name, one in (listed or {}).items()}


def _note_missing(place: Place, path: str, listed: dict[str, ListedName], held: set[str]) -> None:
    for one in (one for stem, one in listed.items() if stem not in held):
        text = f"line {one.line}: the folders fg and alpha have no file {one.name}; add it, or remove the line"
        place.scan.note(place.path(path), text, "listed-missing")


def _of_list(place: Place, part: Part, listed: dict[str, ListedName]) -> Part:
    """Return the files that a list names; the others are unexpected."""
    for path in (path for name, path in part.files.items() if name not in listed):
        place.scan.note_unexpected(path)
    return part._replace(files={name: path for name, path in part.files.items() if name in listed})


LAYOUT = Layout(
    name="adobe",
    description="Adobe's Combined_Dataset: Training_set and Test_set with Adobe-licensed images",
    match=match,
    foregrounds=foregrounds,
    splits=splits_in(_fits),
    terms="Adobe Deep Image Matting Dataset License Agreement: non-commercial, no redistribution, including "
    "composites; the images in Training_set/Other have Creative Commons licences, see license_info.txt",
    is_redistributable=False,
    citation="Xu, Price, Cohen, Huang: Deep Image Matting. CVPR 2017",
    # lines of training_fg_names.txt and test_fg_names.txt in the archive
    published=published_in(_fits, "Adobe's Combined_Dataset", {"train": 431, "test": 50}),
)
