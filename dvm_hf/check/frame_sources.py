"""Check folders of numbered pictures, stills as backgrounds, and files with their own alpha.

Decoding uses the readers of a build, so that both accept the same files.
"""

import os
from collections.abc import Iterator

import numpy as np

from dvm_hf.check.findings import Finding, finding, of_error
from dvm_hf.check.source import Facts, Source
from dvm_hf.check.stills import (
    KEYED_SHARE,
    MIN_OUTSIDE_PIXELS,
    NEARLY_BLACK,
    TRANSPARENT,
    histogram,
    of_any_still,
    of_colours,
    of_levels,
    of_matte,
)
from dvm_hf.check.videos import facts, of_pairing, video_by_header
from dvm_hf.errors import SourceError
from dvm_hf.media.matte_faults import SLACK, opaque_fault, video_fault
from dvm_hf.media.pixels import Pixels, Size
from dvm_hf.media.still.still_files import STILL_SUFFIXES, is_still
from dvm_hf.media.still.still_headers import StillHeader, still_header
from dvm_hf.media.still.stills import NoAlphaChannel, read_layers
from dvm_hf.media.video.frame_names import frame_names
from dvm_hf.media.video.frame_sources import FrameSource, opened_backdrop, opened_frames
from dvm_hf.media.video.video_tags import Role

MASKS = 16  # frames whose colours outside of the matte are checked
WITH_ALPHA = ("LA", "PA", "P", "RGBA")  # Pillow modes that can have an alpha channel


def is_other_kind(source: Source) -> bool:
    """Return whether a source is none of: two stills, two videos, a background video."""
    paths = (source.colour, source.alpha) if source.alpha else (source.colour,)
    if source.alpha == source.colour:
        return True
    root = str(source.root)
    if any(os.path.isdir(f"{root}/{path}") for path in paths):
        return True
    return source.kind == "background" and os.path.splitext(source.colour)[1].lower() in STILL_SUFFIXES


def by_headers(source: Source) -> tuple[list[Finding], Facts]:
    """Return the findings without decoding, and the facts."""
    has_own_alpha = source.alpha == source.colour
    found, of_colour = _part(source, source.colour, "both" if has_own_alpha else "colour")
    if has_own_alpha or not source.alpha:
        return found, of_colour
    more, of_alpha = _part(source, source.alpha, "alpha")
    found += more
    if min(*of_colour.size, *of_alpha.size) and of_colour.size != of_alpha.size:
        sizes = {"size": of_colour.size, "other": source.alpha, "other_size": of_alpha.size}
        found.append(finding("size-differs", source.colour, **sizes))
    if of_colour.frames != of_alpha.frames and min(of_colour.frames, of_alpha.frames):
        found += of_pairing(source, source.colour)
    return found, of_colour


def by_decoding(source: Source, quick: Facts) -> tuple[list[Finding], Facts]:
    """Return the findings that need decoding, and the facts. quick: those of the headers."""
    if source.kind == "image":
        return _of_still(source)
    if source.kind == "background":
        with opened_backdrop(source.root / source.colour) as backdrop:
            count = sum(1 for _ in backdrop.pictures(range(backdrop.frame_count)))
            return _of_count(source, count, backdrop.frame_count), _decoded_facts(quick, backdrop.size, count)
    return _of_frames(source, quick)


def _part(source: Source, path: str, role: Role) -> tuple[list[Finding], Facts]:
    """Return the findings about the headers of a file or folder, and its facts."""
    full = source.root / path
    if full.is_dir():
        return _folder_by_headers(source, path, role)
    if not is_still(full):
        found, video = video_by_header(source.root, path, role=role)
        return found, Facts() if video is None else facts(video, full.stat().st_size)
    try:
        header = still_header(full)
    except SourceError as error:
        return [of_error("still-unreadable", path, error, full_path=full)], Facts()
    found = [*of_any_still(path, header), *of_colours(source.root, path, header)]
    if role == "both" and header.mode not in WITH_ALPHA:
        found.append(finding("own-alpha-missing", path))
    return found, Facts(header.size)


def _folder_by_headers(source: Source, path: str, role: Role) -> tuple[list[Finding], Facts]:
    """Read the header of every frame. Of the frames, only the first one with a finding of each kind is reported."""
    root, found = source.root, dict[str, Finding]()
    first: StillHeader | None = None
    names = frame_names(os.listdir(root / path)).frames
    for index, name in enumerate(names):
        try:
            header = still_header(root / path / name)
        except SourceError as error:
            one = of_error("still-unreadable", f"{path}/{name}", error, full_path=root / path / name)
            found.setdefault(one.code, one)
            continue
        first = first or header
        if header.size != first.size:
            sizes = {"size": header.size, "other_size": first.size}
            found.setdefault("frame-size-changes", finding("frame-size-changes", path, index=index, **sizes))
        if role == "both" and header.mode not in WITH_ALPHA:
            found.setdefault("own-alpha-missing", finding("own-alpha-missing", f"{path}/{name}"))
        of_frame = list(of_any_still(f"{path}/{name}", header))
        if role != "alpha":
            of_frame += of_colours(root, f"{path}/{name}", header)
        for one in of_frame:
            found.setdefault(one.code, one)
    size = Size(0, 0) if first is None else first.size
    return list(found.values()), Facts(size, len(names), len(names) / source.frame_rate)


def _of_still(source: Source) -> tuple[list[Finding], Facts]:
    """Check a still with its own alpha."""
    try:
        colour, alpha = read_layers(source.root / source.colour)
    except NoAlphaChannel:
        return [finding("own-alpha-missing", source.colour)], Facts()
    opaque = opaque_fault(int(alpha.min()))
    found = [of_matte(source.colour, opaque)] if opaque else of_levels(source.colour, histogram(alpha))
    outside = OutsideShares()
    outside.add(colour, alpha <= TRANSPARENT)
    return found + list(outside.findings(source.colour)), Facts(Size(*alpha.shape))


def _of_frames(source: Source, quick: Facts) -> tuple[list[Finding], Facts]:
    """Check a video foreground frame by frame: its levels, the colours outside of the matte, and the pairing."""
    has_own_alpha = source.alpha == source.colour
    outside, levels, count = OutsideShares(), np.zeros(256), 0
    with opened_frames(source.root / source.alpha, role="both" if has_own_alpha else "alpha") as matte:
        every, size, listed = max(1, matte.frame_count // MASKS), matte.size, matte.frame_count
        masks: dict[int, np.ndarray] = {}  # packed, one bit per pixel
        for index, colour, alpha in _decoded(matte, has_own_alpha):
            count += 1
            levels += histogram(alpha)
            if index % every == 0 and colour is not None:
                outside.add(colour, alpha <= TRANSPARENT)
            elif index % every == 0:
                masks[index] = np.packbits(alpha <= TRANSPARENT, axis=1)
    found = _of_count(source, count, listed)
    if not has_own_alpha:
        found += _of_colours(source, masks, size, outside)
        found += of_pairing(source, source.colour)
    fault = video_fault(source.root / source.alpha, role="both" if has_own_alpha else "alpha")
    found += [of_matte(source.alpha, fault)] if fault else of_levels(source.alpha, levels, slack=SLACK)
    return found + list(outside.findings(source.colour)), _decoded_facts(quick, size, count)


def _decoded(source: FrameSource, has_own_alpha: bool) -> Iterator[tuple[int, Pixels | None, Pixels]]:
    """Yield (index, colour or None, alpha) of all frames."""
    wanted = range(source.frame_count)
    if has_own_alpha:
        for index, (colour, alpha) in source.layers(wanted):
            yield index, colour, alpha
    else:
        for index, alpha in source.alphas(wanted):
            yield index, None, alpha


def _of_colours(source: Source, masks: dict[int, np.ndarray], size: Size, outside: "OutsideShares") -> list[Finding]:
    """Decode the colours. masks: packed rows where alpha is 0, by the indices of their frames. size: of the alpha."""
    with opened_frames(source.root / source.colour) as colours:
        count = 0
        for index, colour in colours.colours(range(colours.frame_count)):
            count += 1
            if index in masks and colour.shape[:2] == size:
                outside.add(colour, np.unpackbits(masks.pop(index), axis=1, count=size.width).astype(bool))
        return _of_count(source, count, colours.frame_count)


def _of_count(source: Source, decoded: int, listed: int) -> list[Finding]:
    """Report frames that cannot be decoded."""
    if decoded >= listed:
        return []
    return [finding("count-wrong", source.colour, listed=listed, decoded=decoded)]


def _decoded_facts(quick: Facts, size: Size, frames: int) -> Facts:
    """Return the facts after decoding; the duration shrinks with the frames, and a still has neither."""
    return Facts(size, frames, quick.seconds * frames / quick.frames) if quick.frames else Facts(size)


class OutsideShares:
    """Shares of black and white among the colours where alpha is 0."""

    def __init__(self) -> None:
        self._pixels = self._black = self._white = 0

    def add(self, colour: Pixels, is_clear: np.ndarray) -> None:
        """Count the pixels of a colour (H, W, 3) in a mask (H, W)."""
        pixels = colour[is_clear]
        self._pixels += len(pixels)
        self._black += int((pixels.max(1, initial=0) <= NEARLY_BLACK).sum())
        self._white += int((pixels.min(1, initial=255) >= 255 - NEARLY_BLACK).sum())

    def findings(self, path: str) -> Iterator[Finding]:
        for name, count in (("black", self._black), ("white", self._white)):
            if self._pixels >= MIN_OUTSIDE_PIXELS and count > KEYED_SHARE * self._pixels:
                yield finding("colour-keyed", path, colour=name, share=count / self._pixels)
