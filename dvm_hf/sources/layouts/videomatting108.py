"""The layout of VideoMatting108.

VideoMatting108/FG_done/CATEGORY/CLIP/NNNNN.png       RGBA
VideoMatting108/{BG_done,BG_done2}/CATEGORY/CLIP/...   also one folder level; BG_done is preferred
VideoMatting108/frame_corr.json                       {"CATEGORY/CLIP/NNNNN.png": "BACKGROUND/FRAME.jpg", ...}
VideoMatting108/{train,val}_videos.txt                one CATEGORY/CLIP a line

The backgrounds of a split are those that frame_corr.json pairs with its clips. It may list FRAME.jpg for a file
FRAME.png, so backgrounds are compared without extensions. The name of a source is CATEGORY_CLIP.
"""

import os
from collections.abc import Callable, Iterator

from dvm_hf.sources.layout import Layout, Match, Place, Published
from dvm_hf.sources.name_lists import listed_names, name_map
from dvm_hf.sources.name_pairing import backgrounds as sorted_backgrounds
from dvm_hf.sources.name_pairing import own_alphas
from dvm_hf.sources.names import composed
from dvm_hf.sources.records import Background, Foreground
from dvm_hf.sources.splits import folder_named

LISTS = {"train": "train_videos.txt", "test": "val_videos.txt"}
MAP = "frame_corr.json"
FOREGROUNDS, BACKGROUNDS = ("fg_done",), ("bg_done", "bg_done2")
Frames = dict[str, list[tuple[str, str]]]  # foreground and background frames of each clip


def match(place: Place) -> Match:
    files = place.files()
    there = {
        "FG_done/": bool(folder_named(place, "", FOREGROUNDS)),
        "BG_done/": bool(folder_named(place, "", BACKGROUNDS)),
        MAP: MAP in files,
        " or ".join(LISTS.values()): any(name in files for name in LISTS.values()),
    }
    return Match(tuple(name for name in there if there[name]), tuple(name for name in there if not there[name]))


def foregrounds(place: Place, split: str) -> Iterator[Foreground]:
    if "video" not in place.kinds:
        return
    folder, clips = folder_named(place, "", FOREGROUNDS), _clips(place, split)
    listed = {f"{folder}/{clip}": {composed(frame) for frame, _ in frames} for clip, frames in clips.items()}
    yield from own_alphas(place, _frame_folders(place, folder, listed, name_of=lambda frame: frame))


def backgrounds(place: Place, split: str) -> list[Background]:
    folder, listed = folder_named(place, "", BACKGROUNDS), dict[str, set[str]]()
    for frames in _clips(place, split).values():
        for _, path in frames:
            clip, _, frame = path.rpartition("/")
            listed.setdefault(f"{folder}/{clip}", set()).add(os.path.splitext(frame)[0])
    return sorted_backgrounds(
        place, _frame_folders(place, folder, listed, name_of=lambda frame: os.path.splitext(frame)[0])
    )


def published(place: Place, split: str) -> Published:
    """Return the number of clips as of the paper. That of the backgrounds is not published."""
    return Published("VideoMatting108", *{"train": ("train", 80), "test": ("val", 28)}[split])


def _clips(place: Place, split: str) -> Frames:
    """Return the frames of each clip of a split; what the lists lack is a problem."""
    names, pairs = listed_names(place, LISTS[split]), name_map(place, MAP)
    if names is None and LISTS[split] not in place.files():
        place.scan.note(place.path(LISTS[split]), f"is missing; add this list of the split {split!r}", "listed-missing")
    if names is None or pairs is None:
        return {}
    frames: Frames = {name: [] for name in names}
    for path, background in sorted(pairs.items()):
        clip, _, frame = path.rpartition("/")
        if clip in frames:
            frames[clip].append((frame, background))
    for name in (name for name in names if not frames[name]):
        text = f"line {names[name].line}: {name} has no frames in {MAP}; add them, or remove the line"
        place.scan.note(place.path(LISTS[split]), text, "listed-missing")
    return {name: listed for name, listed in frames.items() if listed}


def _frame_folders(
    place: Place, folder: str, listed: dict[str, set[str]], *, name_of: Callable[[str], str]
) -> dict[str, str]:
    """Return the folders whose frames include all that are listed, by the name of the source."""
    scan, found = place.scan, dict[str, str]()
    for inner, wanted in sorted(listed.items()):
        path, name = place.path(inner), inner.removeprefix(f"{folder}/").replace("/", "_")
        frames = scan.frame_folder(path)
        missing = sorted(wanted - {name_of(composed(frame)) for frame in frames})
        if frames and missing:
            text = f"lacks {len(missing):,} frames that {MAP} lists, such as {missing[0]}; copy the folder again"
            scan.note(path, text, "listed-missing")
        elif frames and name in found:
            scan.note(path, f"has the same name as {found[name]}; rename one of them", "same-name")
        elif frames:
            found[name] = path
    return found


LAYOUT = Layout(
    name="videomatting108",
    description="VideoMatting108: FG_done, BG_done, frame_corr.json, train_videos.txt and val_videos.txt",
    match=match,
    foregrounds=foregrounds,
    backgrounds=backgrounds,
    splits=lambda place: tuple(split for split, name in LISTS.items() if name in place.files()),
    terms="VideoMatting108: academic use, non-commercial",
    citation="Zhang et al.: Attention-guided Temporally Coherent Video Object Matting. ACM Multimedia 2021",
    published=published,
)
