"""The layout of the DVM data set.

DVM/fg/image/{train,test}/fg/NAME.png      colour of an image foreground
DVM/fg/image/{train,test}/alpha/NAME.png   its alpha, same name
DVM/fg/image/test/trimap/NAME.png          its trimap, test only
DVM/fg/video/{train,test}/NNNN/{f,a}.mp4   colour and alpha of a video foreground
DVM/bg/{train,test}/NNNN.mp4               background videos
"""

from collections.abc import Callable, Iterable, Iterator

from dvm_hf.sources.folder_scan import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_folder
from dvm_hf.sources.layout import Layout, Match, Place
from dvm_hf.sources.name_pairing import pairs, still_part
from dvm_hf.sources.names import composed
from dvm_hf.sources.records import KINDS, SPLITS, Background, Foreground
from dvm_hf.sources.splits import PART_FOLDERS


def match(place: Place) -> Match:
    """Return which of the folders fg/ and bg/ there are.

    They are parts of another layout if they have no folders, but other parts of sources are beside them: AM-2k has fg/
    and bg/ beside original/.
    """
    found = Match.of_folders(place, "fg", "bg")
    others = PART_FOLDERS.intersection(name.lower() for name in place.folders()) - {"fg", "bg"}
    if others and not any(place.folders(name) for name in ("fg", "bg")):
        return Match((), ("fg/", "bg/"))
    return found


def only_part(place: Place) -> str:
    """Return the role of a folder that has only fg/ or only bg/; "" for any other folder.

    A folder that also contains files or other parts of sources has another layout.
    """
    held = PART_FOLDERS.intersection(name.lower() for name in place.folders())
    part = next(iter(held)) if len(held) == 1 and not place.files() else ""
    return {"fg": "foregrounds", "bg": "backgrounds"}.get(part, "") if part in place.folders() else ""


def foregrounds(place: Place, split: str) -> Iterator[Foreground]:
    for kind in KINDS:
        if kind in place.kinds:
            yield from FINDERS[kind](place, split)


def backgrounds(place: Place, split: str) -> list[Background]:
    """Return the background videos of a split, without those that the other split contains, too."""
    found = place.scan.media(place.path(f"bg/{split}"), VIDEO_SUFFIXES)
    return _without_shared(
        place, split, [Background(name, place.scan.root / path, place.entry) for name, path in found.items()]
    )


def _image_foregrounds(place: Place, split: str) -> Iterable[Foreground]:
    names = ("fg", "alpha", *(("trimap",) if place.with_trimaps and split == "test" else ()))
    parts = [still_part(place, f"fg/image/{split}/{name}", suffixes=IMAGE_SUFFIXES) for name in names]
    return pairs(place, *parts[:2], trimaps=parts[2] if len(parts) > 2 else None)


def _video_foregrounds(place: Place, split: str) -> Iterable[Foreground]:
    scan, base, seen = place.scan, place.path(f"fg/video/{split}"), dict[str, str]()
    for entry in scan.entries(base):
        path, name = f"{base}/{entry.name}", composed(entry.name)
        if not is_folder(entry):
            scan.note_non_folder(entry, path)
            continue
        if not scan.has_readable_name(entry, path):
            continue
        parts = scan.media(path, VIDEO_SUFFIXES)
        for other in (other for part, other in parts.items() if part not in ("f", "a")):
            scan.note_unexpected(other)
        missing = [part for part in ("f", "a") if part not in parts]
        if missing:
            lacking = " and no ".join(f"{part}.mp4" for part in missing)
            scan.note(
                path,
                f"has no usable {lacking}, expected f.mp4 and a.mp4; add what is missing, or remove the folder",
                "no-alpha" if missing == ["a"] else "no-colour",
            )
        elif name in seen:
            scan.note(path, f"has the same name as {seen[name]}; rename one of them", "same-name")
        else:
            seen[name] = path
            yield Foreground("video", name, scan.root / parts["f"], scan.root / parts["a"], entry=place.entry)


FINDERS: dict[str, Callable[[Place, str], Iterable[Foreground]]] = {
    "image": _image_foregrounds,
    "video": _video_foregrounds,
}


def _without_shared(place: Place, split: str, backgrounds: list[Background]) -> list[Background]:
    """Return the backgrounds that are not the same file (a link) in train and test; the others become problems."""
    scan, kept = place.scan, []
    other = next(name for name in SPLITS if name != split)
    elsewhere = {}
    for entry in scan.listing(place.path(f"bg/{other}")):
        try:
            stat = entry.stat()
        except OSError:
            continue  # a problem of the other split
        if stat.st_ino:  # 0 on Windows
            elsewhere[stat.st_dev, stat.st_ino] = place.path(f"bg/{other}/{entry.name}")
    for background in backgrounds:
        path = place.path(f"bg/{split}/{background.path.name}")
        shared = elsewhere.get(scan.inodes[path])
        if shared:
            text = f"is the same file as {shared}, but train and test must not share backgrounds; remove one of them"
            scan.note(path, text, "shared-background")
            del scan.signatures[path]  # so that the fingerprint changes if the other file is removed
        else:
            kept.append(background)
    return kept


LAYOUT = Layout(
    name="dvm",
    description="the DVM data set: fg/image, fg/video and bg, each with train and test",
    match=match,
    foregrounds=foregrounds,
    backgrounds=backgrounds,
    splits=lambda place: SPLITS,
    citation="Sun, Wang, Gu, Tang, Tai: Deep Video Matting via Spatio-Temporal Alignment and Aggregation. CVPR 2021",
    terms="the backgrounds have their own licences; Adobe's images: no redistribution, including composites",
)
