"""Check an image foreground, by the headers of its files or by their pixels."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from dvm_hf.check.findings import Finding, finding, of_error
from dvm_hf.check.source import Source
from dvm_hf.clips.trimap import BACKGROUND, FOREGROUND, UNKNOWN
from dvm_hf.errors import SourceError
from dvm_hf.media.formats.png_colours import declared, declared_profile
from dvm_hf.media.frame_geometry import SIDEWAYS, orientations_conflict
from dvm_hf.media.matte_faults import DARK, MatteFault, is_opaque, level_fault
from dvm_hf.media.pixels import BAND, Pixels, Size
from dvm_hf.media.still.alpha_colours import SplitMatte
from dvm_hf.media.still.still_headers import StillHeader, damaged_chunks, still_header
from dvm_hf.media.still.stills import read_colour, read_grey

COLOURED = 10  # levels between the channels of a pixel that is not grey
CONTRADICTION = 25  # levels of alpha by which a foreground or background pixel of a trimap may differ
COMPARED = (("colour", "size-differs", "turned-apart"), ("trimap", "trimap-size", "trimap-turned"))  # to the alpha
NEARLY_OPAQUE = 250  # alpha from here on looks opaque
NEARLY_OPAQUE_RATIO = 4  # of such pixels to those at 255; valid mattes (the real lemur) have about as many of each
NOISE_SHARE = 0.01  # share of pixels that is more than noise
SPECK = 16  # levels from black or white that are artefacts of compression
KEYED_SHARE = 0.95  # share of one colour outside of the matte
NEARLY_BLACK = 10  # levels
MIN_OUTSIDE_PIXELS = 1000  # of the matte
TRANSPARENT = 2  # alpha up to here counts as 0, because of lossy compression
TOLERATED_SHARE = 1e-4  # share of pixels; hand-drawn trimaps have about as many contradictions

MOSTLY_OPAQUE = 0.95  # share of opaque pixels in an alpha channel


def by_headers(still: Source) -> tuple[list[Finding], Size]:
    """Return the findings without decoding, and the size of the foreground, or 0 x 0 if it is unknown."""
    found: list[Finding] = []
    headers: dict[str, StillHeader] = {}
    for path in filter(None, (still.colour, still.alpha, still.trimap)):
        try:
            headers[path] = still_header(still.root / path)
        except SourceError as error:
            found.append(of_error("still-unreadable", path, error, full_path=still.root / path))
        else:
            found += of_any_still(path, headers[path])
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
            found.append(finding(size_code, path, size=one.size, other=other, other_size=alpha.size))
        elif orientations_conflict(one.orientation, alpha.orientation, sideways=SIDEWAYS, size=one.size):
            turns = {"turn": one.orientation, "other_turn": alpha.orientation}
            found.append(finding(turn_code, path, other=other, **turns))
    return found, headers[still.alpha].size if still.alpha in headers else Size(0, 0)


def by_pixels(still: Source) -> list[Finding]:
    """Return the findings that need decoding, without those of the headers. At most two images are in memory."""
    found: list[Finding] = []
    found += _of_chunks(still)
    alpha, trimap = (_read(still, path, read_grey, found) for path in (still.alpha, still.trimap))
    clear: np.ndarray | None = None
    if alpha is not None:
        clear = np.packbits(cv2.inRange(alpha, 0, TRANSPARENT) > 0, axis=1)
        found += of_levels(still.alpha, histogram(alpha))
        found += _of_alpha_colours(still.root / still.alpha, still.alpha)
        found += _of_alpha_channel(still.root / still.alpha, still.alpha, alpha)
    if alpha is not None and trimap is not None:
        found += of_trimap(still.trimap, trimap, alpha)
    sizes = {"alpha": alpha, "trimap": trimap}
    shapes = {path: pixels.shape[:2] for path, pixels in sizes.items() if pixels is not None}
    del alpha, trimap, sizes
    colour = _read(still, still.colour, read_colour, found)
    if colour is not None:
        shapes["colour"] = colour.shape[:2]
        if clear is not None and shapes["alpha"] == shapes["colour"]:
            found += _of_colours_outside_matte(still.colour, colour, clear)
    for path, code, _ in COMPARED:
        if path in shapes and "alpha" in shapes and shapes[path] != shapes["alpha"]:
            size, other = (Size(*shapes[name]) for name in (path, "alpha"))
            found.append(finding(code, getattr(still, path), size=size, other=still.alpha, other_size=other))
    return found


def _of_chunks(still: Source) -> Iterator[Finding]:
    """Find parts of PNGs, other than pixels, whose checksums do not match."""
    for path in filter(None, (still.colour, still.alpha, still.trimap)):
        try:
            damaged = damaged_chunks(still.root / path)
        except OSError:
            continue  # reported when the file is read
        if damaged:
            yield finding("part-damaged", path, parts=", ".join(dict.fromkeys(damaged)))


def _of_colours_outside_matte(path: str, colour: Pixels, clear: np.ndarray) -> Iterator[Finding]:
    """Find colours that are black or white where alpha is 0.

    clear: one bit per pixel, set where alpha is 0; rows are padded to full bytes.
    """
    ends = {"black": ((0,) * 3, (NEARLY_BLACK,) * 3), "white": ((255 - NEARLY_BLACK,) * 3, (255,) * 3)}
    total, counts = 0, dict.fromkeys(ends, 0)
    for top in range(0, len(colour), BAND):  # bounds memory
        band = colour[top : top + BAND]
        mask = np.unpackbits(clear[top : top + BAND], axis=1, count=band.shape[1])
        total += cv2.countNonZero(mask)
        for name, (low, high) in ends.items():
            counts[name] += cv2.countNonZero(cv2.bitwise_and(cv2.inRange(band, low, high), mask))
    for name, count in counts.items():
        if total >= MIN_OUTSIDE_PIXELS and count > KEYED_SHARE * total:
            yield finding("colour-keyed", path, colour=name, share=count / total)


def _read(still: Source, path: str, read: Callable[[Path], Pixels], found: list[Finding]) -> Pixels | None:
    try:
        return read(still.root / path) if path else None
    except SourceError as error:
        code = "alpha-one-channel" if isinstance(error, SplitMatte) else "still-unreadable"
        found.append(of_error(code, path, error, full_path=still.root / path))
        return None


def histogram(pixels: Pixels) -> np.ndarray:
    """Return the counts of the 256 levels of an image (H, W)."""
    return cv2.calcHist([pixels], [0], None, [256], [0, 256]).ravel()


def of_levels(path: str, counts: np.ndarray, *, slack: int = 0) -> list[Finding]:
    """Return the findings about the levels of an alpha.

    counts: of the 256 levels. slack: tolerance in levels for lossy compression.
    """
    levels = np.flatnonzero(counts)
    lowest, highest = int(levels[0]), int(levels[-1])
    fault = level_fault(lowest, highest, slack=slack)
    if fault is not None:
        return [of_matte(path, fault)]
    if is_opaque(lowest, slack=slack):
        return [finding("alpha-flat", path, value=highest)]
    found = [finding("alpha-no-zero", path, value=lowest)] if lowest > slack else []
    shares = counts / counts.sum()
    nearly, full = float(shares[NEARLY_OPAQUE:255].sum()), float(shares[255])
    if nearly > max(NEARLY_OPAQUE_RATIO * full, NOISE_SHARE):
        return [*found, finding("alpha-nearly-full", path, share=nearly, low=NEARLY_OPAQUE, full=full)]
    return found + ([finding("alpha-no-full", path, value=highest)] if highest < 255 - slack else [])


def of_matte(path: str, fault: MatteFault) -> Finding:
    """Return the finding for an alpha that a build refuses."""
    text, _, hint = fault.text.rpartition("; ")
    return Finding(fault.code, path, text, hint)


def of_trimap(path: str, trimap: Pixels, alpha: Pixels) -> list[Finding]:
    """Return the findings about unusual values of a trimap, and about pixels that contradict the alpha."""
    found = []
    held = np.flatnonzero(histogram(trimap))
    values = [int(value) for value in held if value not in (BACKGROUND, UNKNOWN, FOREGROUND)]
    if values:
        found.append(finding("trimap-values", path, values=", ".join(map(str, values[:3]))))
    specks = _speck_share(trimap) if values else 0.0
    if specks > TOLERATED_SHARE:
        found.append(finding("trimap-specks", path, share=specks, near=SPECK))
    if trimap.shape == alpha.shape:
        low, high = CONTRADICTION, 255 - CONTRADICTION
        clear_foreground = cv2.bitwise_and(cv2.inRange(trimap, FOREGROUND, FOREGROUND), cv2.inRange(alpha, 0, high - 1))
        filled = cv2.bitwise_and(cv2.inRange(trimap, BACKGROUND, BACKGROUND), cv2.inRange(alpha, low + 1, 255))
        share = (cv2.countNonZero(clear_foreground) + cv2.countNonZero(filled)) / alpha.size
        if share > TOLERATED_SHARE:
            found.append(finding("trimap-contradicts", path, share=share, high=high, low=low))
    return found


def _speck_share(trimap: Pixels) -> float:
    """Return the share of pixels near 0 or 255 that are not next to values in between, so not part of a soft edge."""
    nearly = cv2.bitwise_or(cv2.inRange(trimap, 1, SPECK), cv2.inRange(trimap, 255 - SPECK, 254))
    between = cv2.inRange(trimap, SPECK + 1, 254 - SPECK)
    specks = cv2.bitwise_and(nearly, cv2.bitwise_not(cv2.dilate(between, np.ones((5, 5), np.uint8))))
    return cv2.countNonZero(specks) / specks.size


def of_any_still(path: str, header: StillHeader) -> Iterator[Finding]:
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
    yield from of_colours(still.root, still.colour, header)
    if header.mode in ("RGBA", "LA", "PA"):
        yield finding("colour-has-alpha", still.colour, alpha=still.alpha)


def of_colours(root: Path, path: str, header: StillHeader) -> Iterator[Finding]:
    """Describe how unusual colours are read."""
    if header.bits == 16:
        yield finding("colour-16-bit", path)
    if header.profile == "wide":
        yield finding("colour-converted", path)
    elif header.profile == "named":
        yield finding("colour-named", path)
    elif header.profile == "HDR":
        yield from _of_declared(root, path)
    elif header.profile == "impossible":
        yield finding("colour-impossible", path)
    elif header.profile:
        yield finding("profile-damaged", path)
    if header.is_limited_range and header.profile != "HDR":
        yield finding("colour-limited", path)


def _of_declared(root: Path, path: str) -> Iterator[Finding]:
    """Find colours that a build refuses."""
    full = root / path
    try:
        declared_profile(full, declared(full), b"")
    except SourceError as error:
        yield of_error("still-unreadable", path, error, full_path=full)


def _of_alpha_colours(path: Path, relative: str) -> Iterator[Finding]:
    """Find an alpha whose colour channels differ, unless its alpha channel is read."""
    if still_header(path).mode not in ("RGB", "P"):
        return
    colours = read_colour(path)
    coloured = 0
    for top in range(0, len(colours), BAND):
        red, green, blue = cv2.split(colours[top : top + BAND])
        spread = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
        coloured += int((np.asarray(spread) > COLOURED).sum())
    share = coloured / (colours.size // 3)
    if share > TOLERATED_SHARE:
        yield finding("alpha-coloured", relative, share=share)


def _of_alpha_channel(path: Path, relative: str, alpha: Pixels) -> Iterator[Finding]:
    """Find an alpha channel that is mostly opaque if the grey colours range from black to white, like a matte."""
    opaque = cv2.countNonZero(cv2.inRange(alpha, 255, 255)) / alpha.size
    if (
        still_header(path).mode in ("RGBA", "LA", "PA")
        and MOSTLY_OPAQUE < opaque < 1
        and may_be_matte(read_colour(path))
    ):
        yield finding("alpha-channel-opaque", relative, share=opaque)


def may_be_matte(colours: Pixels) -> bool:
    """Whether a picture (H, W, 3) is grey and reaches from black to white."""
    lowest, highest = 255, 0
    for top in range(0, len(colours), BAND):
        red, green, blue = cv2.split(colours[top : top + BAND])
        low, high = cv2.min(cv2.min(red, green), blue), cv2.max(cv2.max(red, green), blue)
        if int(cv2.subtract(high, low).max()) > COLOURED:
            return False
        lowest, highest = min(lowest, int(np.min(low))), max(highest, int(np.max(high)))
    return lowest <= DARK and highest >= 255 - DARK
