"""The folders of the splits of a set, by name: train, Training_set, testval, valid and others."""

from collections.abc import Callable, Mapping, Sequence

from dvm_hf.sources.layout import Match, Place, Published

SPLIT_FOLDERS = {  # in lower case; of several folders of a split, the first is read
    "train": ("train", "training", "training_set", "train_ori"),
    "test": ("test", "testing", "test_set", "test_ori", "testval", "validation", "valid", "val"),
}
PUBLISHED_SPLITS = {
    "train": SPLIT_FOLDERS["train"],
    "validation": ("validation", "valid", "val"),
    "test": ("test", "testing", "test_set", "test_ori", "testval"),
}
# Folders with parts of sources. A folder that contains one of them is no plain folder of files.
PART_FOLDERS = frozenset(
    (
        *("fg", "fgr", "fgr_new", "fg_images", "foreground", "foregrounds", "fg_done"),
        *("bg", "bgr", "background", "backgrounds", "bg_done", "bg_done2", "com"),
        *("alpha", "alphas", "alpha_matte", "pha", "gt", "mask", "masks", "matte", "mattes", "trimap", "trimaps"),
        *("image", "images", "img", "original", "original_image", "blurred_image"),
    )
)

Parts = Sequence[Sequence[str]]  # the folders of each part, in lower case; the first that exists is read
Fits = Callable[[Place, str], bool]  # takes a place and a folder in it, "" for the place itself


def split_folders(place: Place, fits: Fits) -> dict[str, tuple[str, ...]]:
    """Return the folders of each split that fit, in order of preference; {} if the set has no splits."""
    held = {name.lower(): name for name in place.folders()}
    found = {
        split: tuple(held[name] for name in names if name in held and fits(place, held[name]))
        for split, names in SPLIT_FOLDERS.items()
    }
    return found if any(found.values()) else {}


def splits_in(fits: Fits) -> Callable[[Place], tuple[str, ...]]:
    """Return the function `Layout.splits` of a set whose splits are folders that fit."""
    return lambda place: tuple(split for split, folders in split_folders(place, fits).items() if folders)


def split_named(folder: str) -> str | None:
    """Return the split that the name of a folder means; None if it means none."""
    return next((split for split, names in SPLIT_FOLDERS.items() if folder.lower() in names), None)


def split_folder(place: Place, split: str, fits: Fits) -> str | None:
    """Return the folder of a split, "" if the set has no splits, None if it lacks this one.

    A folder that is a split of a set has no splits. Its sources are those of whichever split is requested.
    A second folder of a split, such as valid/ beside test/, is not read and remarked on.
    """
    found = split_folders(place, fits)
    if not found:
        return "" if fits(place, "") else None
    folders = found[split]
    for other in folders[1:]:
        text = f"is not read, because the split {split!r} is {folders[0]}/; to use it, pass this folder itself"
        place.scan.remark(place.path(other), text, "held-out")
    return folders[0] if folders else None


def published_in(fits: Fits, set_name: str, counts: Mapping[str, int]) -> Callable[[Place, str], Published | None]:
    """Return the function `Layout.published` of a set whose splits are folders that fit.

    counts: number of sources by the published split, one of `PUBLISHED_SPLITS`; "" if the set has no splits.
    """

    def published(place: Place, split: str) -> Published | None:
        found = split_folders(place, fits)
        folder = next(iter(found[split]), None) if found else place.folder_names[1]
        if folder is None:
            return None
        name = next((name for name, folders in PUBLISHED_SPLITS.items() if folder.lower() in folders), "")
        return Published(set_name, name, counts[name]) if name in counts else None

    return published


def fitting_folders(place: Place, fits: Fits) -> tuple[str, ...]:
    """Return the split folders that fit, else ("",) if the folder itself fits, else ()."""
    folders = tuple(folder for names in split_folders(place, fits).values() for folder in names)
    return folders or (("",) if fits(place, "") else ())


def content_match(place: Place, fits: Fits, content: str) -> Match:
    """Return the match of a set of plain files, described by `content`, in its split folders or the folder itself."""
    folders = fitting_folders(place, fits)
    if not folders:
        return Match((), (content,))
    return Match(tuple(f"{content} in {folder}/" if folder else content for folder in folders), ())


def part_match(place: Place, parts: Parts, fits: Fits, content: str = "") -> Match:
    """Return the match of a set of folders with parts of sources, in its split folders or the folder itself.

    content: what is missing if the folder has all parts, but does not fit.
    """
    folders = fitting_folders(place, fits)
    if folders:
        return Match(tuple(name for folder in folders for name in _parts(place, folder, parts)[0]), ())
    named = {name.lower(): name for name in place.folders()}
    candidates = ("", *(named[name] for names in SPLIT_FOLDERS.values() for name in names if name in named))
    found, missing = max((_parts(place, folder, parts) for folder in candidates), key=lambda both: len(both[0]))
    return Match(found, missing or (content,))


def _parts(place: Place, inner: str, parts: Parts) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the paths of the parts that a folder has, and of those that it lacks."""
    found, missing = list[str](), list[str]()
    for names in parts:
        name = folder_named(place, inner, names)
        (found if name else missing).append(joined(inner, name or names[0]) + "/")
    return tuple(found), tuple(missing)


def has_parts(place: Place, inner: str, parts: Parts) -> bool:
    return not _parts(place, inner, parts)[1]


def folder_named(place: Place, inner: str, names: Sequence[str]) -> str:
    """Return the first of some folders, with names in lower case, that a folder contains; "" if there is none."""
    held = {name.lower(): name for name in place.folders(inner)}
    return next((held[name] for name in names if name in held), "")


def has_part_folders(place: Place, inner: str) -> bool:
    return any(name.lower() in PART_FOLDERS for name in place.folders(inner))


def joined(*parts: str) -> str:
    """Return a path of the parts that are not empty."""
    return "/".join(part for part in parts if part)
