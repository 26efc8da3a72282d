"""What is wrong with a still foreground: by the headers of its files, or by their pixels."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from dvm_hf.check.findings import Finding, finding
from dvm_hf.check.source import Source
from dvm_hf.compositing import Pixels
from dvm_hf.errors import SourceError
from dvm_hf.geometry import Size, turned_apart
from dvm_hf.image_io import SIDEWAYS, StillHeader, read_colour, read_grey, still_header
from dvm_hf.trimap import BACKGROUND, FOREGROUND, UNKNOWN

COLOURED = 10  # levels between the channels of a pixel that is not grey
CONTRADICTION = 25  # levels of alpha that a certain pixel of a trimap may be off
COMPARED = (("colour", "size-differs", "turned-apart"), ("trimap", "trimap-size", "trimap-turned"))  # to the alpha
FEW = 1e-4  # of the pixels: so many contradictions are drawn by hand


def by_headers(still: Source) -> tuple[list[Finding], Size]:
    """Findings without decoding, and the foreground's size, 0 x 0 where unknown."""
    found: list[Finding] = []
    headers: dict[str, StillHeader] = {}
    for path in filter(None, (still.colour, still.alpha, still.trimap)):
        try:
            headers[path] = still_header(still.root / path)
        except SourceError as error:
            found.append(finding("still-unreadable", path, fault=without_path(error, still.root / path)))
        else:
            found += _of_any(path, headers[path])
    if still.alpha in headers:
        found += _of_alpha(still.alpha, headers[still.alpha])
    if still.colour in headers:
        found += _of_colour(still, headers[still.colour])
    for path, size_code, turn_code in COMPARED:
        path, other = getattr(still, path), still.alpha
        if path not in headers or other not in headers:
            continue
        one, alpha = headers[path], headers[other]
        if one.size != alpha.size:
            found.append(finding(size_code, path, size=shown(one.size), other=other, other_size=shown(alpha.size)))
        elif turned_apart(one.orientation, alpha.orientation, sideways=SIDEWAYS, size=one.size):
            turns = {"turn": one.orientation, "other_turn": alpha.orientation}
            found.append(finding(turn_code, path, other=other, **turns))
    return found, headers[still.alpha].size if still.alpha in headers else Size(0, 0)


def by_pixels(still: Source) -> list[Finding]:
    """Findings that take decoding; what the headers tell is not repeated."""
    found: list[Finding] = []
    readers = ((still.colour, read_colour), (still.alpha, read_grey), (still.trimap, read_grey))
    pixels: dict[str, Pixels] = {}
    for path, read in readers:
        if not path:
            continue
        try:
            pixels[path] = read(still.root / path)
        except SourceError as error:
            found.append(finding("still-unreadable", path, fault=without_path(error, still.root / path)))
    alpha = pixels.get(still.alpha)
    if alpha is not None:
        found += of_levels(still.alpha, np.bincount(alpha.ravel(), minlength=256))
        found += _of_alpha_colours(still.root / still.alpha, still.alpha)
        if still.trimap in pixels:
            found += of_trimap(still.trimap, pixels[still.trimap], alpha)
    return found


def of_levels(path: str, counts: np.ndarray, *, slack: int = 0) -> list[Finding]:
    """What the levels of an alpha tell; `slack`: levels that compression may have added."""
    levels = np.flatnonzero(counts)
    least, most = int(levels[0]), int(levels[-1])
    if most - least <= slack:
        return [finding("alpha-flat", path, value=least)]
    found = [finding("alpha-no-zero", path, value=least)] if least > slack else []
    return found + ([finding("alpha-no-full", path, value=most)] if most < 255 - slack else [])


def of_trimap(path: str, trimap: Pixels, alpha: Pixels) -> list[Finding]:
    """Values of a trimap that are none of ours, and certain pixels that the alpha contradicts."""
    found = []
    values = [int(value) for value in np.unique(trimap) if value not in (BACKGROUND, UNKNOWN, FOREGROUND)]
    if values:
        found.append(finding("trimap-values", path, values=", ".join(map(str, values[:3]))))
    if trimap.shape == alpha.shape:
        low, high = CONTRADICTION, 255 - CONTRADICTION
        is_wrong = ((trimap == FOREGROUND) & (alpha < high)) | ((trimap == BACKGROUND) & (alpha > low))
        if is_wrong.mean() > FEW:
            found.append(finding("trimap-contradicts", path, share=is_wrong.mean(), high=high, low=low))
    return found


def without_path(error: SourceError, path: Path) -> str:
    """Text of an error that begins with the path, without it and without what to do."""
    return str(error).removeprefix(f"{path}: ").rpartition("; ")[0] or str(error)


def shown(size: Size) -> str:
    return f"{size.height} x {size.width}"


def _of_any(path: str, header: StillHeader) -> Iterator[Finding]:
    if not header.is_complete:
        yield finding("still-truncated", path)
    if header.orientation != 1:
        yield finding("still-rotated", path)
    if header.pictures > 1:
        yield finding("still-animated", path, pictures=header.pictures)
    if header.mode in ("P", "PA"):
        yield finding("still-palette", path)


def _of_alpha(path: str, header: StillHeader) -> Iterator[Finding]:
    if header.bits == 16:
        yield finding("alpha-16-bit", path)
    if header.format == "JPEG":
        yield finding("alpha-jpeg", path)
    if header.mode in ("RGB", "RGBA", "LA"):
        yield finding("alpha-not-grey", path, mode=header.mode)


def _of_colour(still: Source, header: StillHeader) -> Iterator[Finding]:
    if header.bits == 16:
        yield finding("colour-16-bit", still.colour)
    if header.mode in ("RGBA", "LA", "PA"):
        yield finding("colour-has-alpha", still.colour, alpha=still.alpha)


def _of_alpha_colours(path: Path, relative: str) -> Iterator[Finding]:
    """An alpha whose channels differ, unless its own alpha channel is what is read."""
    if still_header(path).mode not in ("RGB", "P"):
        return
    colours = read_colour(path)
    channels = cv2.split(colours)
    spread = cv2.subtract(cv2.max(cv2.max(*channels[:2]), channels[2]), cv2.min(cv2.min(*channels[:2]), channels[2]))
    share = float((np.asarray(spread) > COLOURED).mean())
    if share > FEW:
        yield finding("alpha-coloured", relative, share=share)
