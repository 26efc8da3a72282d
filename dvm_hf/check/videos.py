"""Check a background or a video foreground, by the headers of its files or by decoding every frame."""

import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from dvm_hf.check.findings import Finding, finding, of_error
from dvm_hf.check.source import Facts, Source
from dvm_hf.check.stills import KEYED_SHARE, MOSTLY_OPAQUE, NOISE_SHARE, may_be_matte, of_levels, of_matte
from dvm_hf.errors import MachineError, SourceError
from dvm_hf.media.frame_geometry import ORIENTATION_NAMES, SIDEWAYS, orientations_conflict
from dvm_hf.media.matte_faults import SLACK, video_fault
from dvm_hf.media.pixels import Box, Size
from dvm_hf.media.video.containers import VideoHeader, video_header
from dvm_hf.media.video.frame_pairing import pair_fault
from dvm_hf.media.video.frame_sources import opened_frames
from dvm_hf.media.video.video_measures import Measures, OutsideColours, measured
from dvm_hf.media.video.video_tags import WIDE, Role, require_readable
from dvm_hf.media.video.videos import Video

# Decoders whose frames never have an alpha, except for one that the header declares; others can find it in a frame
WITHOUT_ALPHA = ("av1", "libdav1d", "h264", "hevc", "mjpeg", "mpeg1video", "mpeg2video", "mpeg4", "vp8", "vp9")
SLOWEST = Fraction(1, 60)  # frames/s; time lapses are stored at ordinary rates
LIMITED = (16, 235)  # luma's black and white
HALF_FRAME = 0.5  # of the shorter frame; containers round times by less
UNEVEN = 0.1  # of the usual step, in a file that declares a rate
JITTER = 0.5  # of the usual step, in a file without a declared rate, such as browsers record
MASKS = 16  # frames of a video foreground whose colours outside of the matte are checked


def video_by_header(root: Path, path: str, *, role: Role = "colour") -> tuple[list[Finding], VideoHeader | None]:
    """Return the findings about one video without decoding, and its header, or None if it cannot be read."""
    try:
        header = video_header(root / path)
        require_readable(root / path, header.tags, role)
    except SourceError as error:
        return [of_error("video-unreadable", path, error, full_path=root / path)], None
    found = list(_of_declared(path, header, role))
    missing = missing_bytes(root / path)
    if missing:
        found.append(finding("video-truncated", path, missing=missing))
    if not header.frame_count:
        found.append(finding("no-frame-count", path))
    if 0 < header.rate < SLOWEST:
        found.append(finding("rate-unlikely", path, rate=f"{float(header.rate):.2g}"))
    lacking = [("matrix", "BT.601")] * (not header.has_matrix) + [("range", "limited (16..235)")] * (
        not header.has_range
    )
    if lacking:
        what, read_as = (" and ".join(words) for words in zip(*lacking, strict=True))
        found.append(finding("untagged", path, what=what, read_as=read_as))
    return found, header


def _of_declared(path: str, header: VideoHeader, role: Role) -> Iterator[Finding]:
    """Describe how a video with unusual declarations is read."""
    tags = header.tags
    if header.streams > 1:
        yield finding("other-streams", path, streams=header.streams, index=header.index, size=header.display.stored)
    if header.display.changes:
        yield finding("reshaped", path, changes=header.display.changes, size=header.upright_size)
    if header.invalid_aspect:
        yield finding(
            "odd-aspect", path, across=header.invalid_aspect.numerator, down=header.invalid_aspect.denominator
        )
    if header.is_interlaced:
        yield finding("interlaced", path)
    if role == "colour" and tags.primaries in WIDE:
        yield finding("wide-gamut", path, primaries=WIDE[tags.primaries])
    if role == "colour" and (tags.has_alpha or tags.has_hidden_alpha):
        yield finding("video-has-alpha", path)
    if role == "both" and tags.codec in WITHOUT_ALPHA and not tags.has_hidden_alpha:
        yield finding("own-alpha-missing", path)
    if role == "alpha" and tags.has_alpha:
        yield finding("alpha-in-channel", path, layout=tags.layout)


def foreground_by_headers(foreground: Source) -> tuple[list[Finding], Facts]:
    """Return the findings about the two videos of a video foreground, each alone and compared."""
    found, colour = video_by_header(foreground.root, foreground.colour)
    more, alpha = video_by_header(foreground.root, foreground.alpha, role="alpha")
    found += more
    if colour is None or alpha is None:
        return found, Facts()
    names = {"colour": Path(foreground.colour).name, "alpha": Path(foreground.alpha).name}
    folder = str(Path(foreground.colour).parent)
    sizes = colour.upright_size, alpha.upright_size
    if colour.orientation is not None and alpha.orientation is not None:
        found += _of_both(foreground, (sizes[0], colour.orientation), (sizes[1], alpha.orientation))
    elif sorted(sizes[0]) != sorted(sizes[1]):  # only decoding shows whether one of them is rotated
        found += _of_both(foreground, (sizes[0], 1), (sizes[1], 1))
    is_doubtful = bool(colour.frame_count and alpha.frame_count and colour.frame_count != alpha.frame_count)
    if is_doubtful or any(one.code == "video-truncated" for one in found):
        found += of_pairing(foreground, folder)
    found += _of_starts(folder, names, colour, alpha)
    is_declared = colour.declares_rate and alpha.declares_rate
    if is_declared and abs(colour.rate - alpha.rate) > Fraction(1, 1000) * max(colour.rate, alpha.rate):
        rates = {"colour_rate": f"{float(colour.rate):.6g}", "alpha_rate": f"{float(alpha.rate):.6g}"}
        found.append(finding("rates-differ", folder, **names, **rates))
    return found, facts(colour, (foreground.root / foreground.colour).stat().st_size)


def _of_starts(folder: str, names: dict[str, str], colour: VideoHeader, alpha: VideoHeader) -> Iterator[Finding]:
    """Note that the first frames are displayed at different times, from half a frame on."""
    rate = max(colour.rate, alpha.rate)
    if colour.start is None or alpha.start is None or abs(colour.start - alpha.start) * rate < HALF_FRAME:
        return
    yield finding("starts-differ", folder, **names, colour_start=colour.start, alpha_start=alpha.start)


def facts(header: VideoHeader, size_in_bytes: int) -> Facts:
    """Return the facts in a header. Without a frame count, frames are computed from the duration.

    The number of frames is unknown if it is larger than the number of bytes.
    """
    frames = header.frame_count or round(header.seconds * float(header.rate))
    if not 0 <= frames <= size_in_bytes:
        return Facts(header.upright_size)
    return Facts(header.upright_size, frames, header.seconds)


def video_by_frames(root: Path, path: str, header: VideoHeader, **options: Any) -> tuple[list[Finding], Measures]:
    """Return the findings that need decoding one video, and its measures.

    Raises SourceError if no frame can be decoded.
    """
    measures = measured(root / path, **options)
    found = []
    if measures.fault:
        found.append(finding("undecodable", path, index=measures.frames, fault=measures.fault))
    elif header.frame_count and header.frame_count != measures.frames:
        shown = _shown_count(root / path)
        if header.frame_count != shown:
            found.append(finding("count-wrong", path, listed=header.frame_count, decoded=shown))
    if measures.new_size is not None:
        index, size = measures.new_size
        sizes = {"size": size, "other_size": measures.size}
        found.append(finding("frame-size-changes", path, index=index, **sizes))
    if measures.interlaced and not header.is_interlaced:
        found.append(finding("interlaced", path))
    if measures.display.changes and not header.display.changes:
        found.append(finding("reshaped", path, changes=measures.display.changes, size=measures.upright_size))
    return found + list(_of_steps(path, measures, UNEVEN if header.declares_rate else JITTER)), measures


def foreground_by_frames(foreground: Source, colour: VideoHeader, alpha: VideoHeader) -> tuple[list[Finding], Facts]:
    """Return the findings that need decoding both videos of a video foreground, and its facts."""
    outside = OutsideColours(every=max(1, (alpha.frame_count or 1) // MASKS), limit=MASKS)
    found, of_alpha = video_by_frames(foreground.root, foreground.alpha, alpha, visit=outside.take_alpha, role="alpha")
    more, of_colour = video_by_frames(foreground.root, foreground.colour, colour, visit=outside.take_colour)
    no_matte = video_fault(foreground.root / foreground.alpha)
    found += more
    found += [of_matte(foreground.alpha, no_matte)] if no_matte else _of_alpha(foreground.alpha, of_alpha)
    found += _of_opaque_channel(foreground, of_alpha)
    found += of_pairing(foreground, str(Path(foreground.colour).parent))
    for name, share in outside.shares().items():
        if share > KEYED_SHARE:
            found.append(finding("colour-keyed", foreground.colour, colour=name, share=share))
    frames = min(of_colour.frames, of_alpha.frames)
    sides = (
        (of_colour.upright_size, of_colour.display.orientation),
        (of_alpha.upright_size, of_alpha.display.orientation),
    )
    found += _of_both(foreground, *sides)
    return found, Facts(of_colour.upright_size, frames, frames / float(colour.rate) if colour.rate else 0.0)


def of_pairing(foreground: Source, where: str) -> Iterator[Finding]:
    """Match the frames of colour and alpha with the rules of a build. where: path of the finding."""
    try:
        with (
            opened_frames(foreground.root / foreground.colour) as colour,
            opened_frames(foreground.root / foreground.alpha, role="alpha") as alpha,
        ):
            fault = pair_fault(colour, alpha)
    except MachineError:
        raise
    except SourceError:
        return  # already reported for one of the two
    if fault is not None:
        text, _, hint = fault.text.replace(f"{foreground.root}/", "").rpartition("; ")
        yield Finding(fault.code, where, text, hint)


def _shown_count(path: Path) -> int:
    """Return the number of frames shown, including those that the container repeats."""
    try:
        with Video(path, role="alpha") as video:  # this role accepts any colours
            return video.presentation().count
    except SourceError:  # a colour video with an alpha that is not decoded
        with Video(path) as video:
            return video.presentation().count


def _of_both(foreground: Source, colour: tuple[Size, int], alpha: tuple[Size, int]) -> Iterator[Finding]:
    """Compare the upright sizes and the orientations of the two videos of a video foreground."""
    (size, turn), (other_size, other_turn) = colour, alpha
    if size != other_size:
        sizes = {"size": size, "other": foreground.alpha, "other_size": other_size}
        yield finding("size-differs", foreground.colour, **sizes)
    elif orientations_conflict(turn, other_turn, sideways=SIDEWAYS, size=size):
        turns = {"turn": ORIENTATION_NAMES[turn], "other_turn": ORIENTATION_NAMES[other_turn]}
        yield finding("turned-apart", foreground.colour, other=foreground.alpha, **turns)


def missing_bytes(path: Path) -> int:
    """Return how many bytes an MP4 or MOV lacks according to the lengths of its boxes; 0 for other containers."""
    size, position = path.stat().st_size, 0
    with path.open("rb") as file:
        while position + 8 <= size:
            file.seek(position)
            length, kind = struct.unpack(">I4s", file.read(8))
            if position == 0 and kind != b"ftyp":
                return 0
            if length == 1 and position + 16 <= size:
                (length,) = struct.unpack(">Q", file.read(8))
            if length < 8:  # 0: up to the end of the file
                return 0
            position += length
    return max(0, position - size) if os.path.splitext(path)[1].lower() in (".mp4", ".m4v", ".mov") else 0


def _of_steps(path: str, measures: Measures, uneven: float) -> Iterator[Finding]:
    """Find steps between timestamps that differ by more than a fraction `uneven` of the usual step.

    Rounding to ticks does not count as a difference, such as 8 and 9 ms at 120 frames/s in Matroska.
    """
    steps = measures.steps
    if len(steps) < 2:
        return
    usual = float(np.median(steps))
    if min(steps) < 0:
        yield finding("time-goes-back", path, maximum=-min(steps))
    elif max(steps) - min(steps) > max(uneven * usual, 1.01 * measures.tick):
        yield finding("variable-rate", path, shortest=min(steps), longest=max(steps))


def _of_opaque_channel(foreground: Source, measures: Measures) -> Iterator[Finding]:
    """Warn of an alpha channel that is nearly opaque if the colours of the first frame may be the matte."""
    share = float(measures.luma[255] / measures.luma.sum())
    if not (measures.uses_alpha_channel and MOSTLY_OPAQUE < share < 1):
        return
    with Video(foreground.root / foreground.alpha, role="alpha") as video:
        _, picture = next(video.mattes())
        if may_be_matte(picture.rgb(Box(0, 0, *picture.size))):
            yield finding("alpha-channel-opaque", foreground.alpha, share=share)


def _of_alpha(path: str, measures: Measures) -> Iterator[Finding]:
    """Check the range, the colours and the levels of an alpha video."""
    if measures.coloured > NOISE_SHARE:
        yield finding("alpha-coloured", path, share=measures.coloured)
    shares = measures.luma / measures.luma.sum()
    if measures.uses_alpha_channel:
        yield from of_levels(path, measures.luma, slack=SLACK)
        return
    low, high = LIMITED
    levels = np.flatnonzero(shares)
    is_within = levels[0] >= low - SLACK and levels[-1] <= high + SLACK
    ends = shares[low - SLACK : low + SLACK].sum(), shares[high - SLACK : high + SLACK].sum()
    outside = float(shares[: low // 2].sum() + shares[high + low // 2 :].sum())
    if measures.is_full_range and is_within and min(ends) > NOISE_SHARE:
        yield finding("alpha-limited", path, low=int(levels[0]), high=int(levels[-1]))
        return
    if not measures.is_full_range and outside > NOISE_SHARE:
        yield finding("alpha-clipped", path, share=outside)
        return
    grey = np.arange(256.0) if measures.is_full_range else np.clip((np.arange(256) - low) * 255 / (high - low), 0, 255)
    counts = np.bincount(np.round(grey).astype(int), weights=measures.luma, minlength=256)
    yield from of_levels(path, counts, slack=SLACK)
