"""Content digests: hashes of the pixels of clips, before any encoding.

Equal pixels have equal digests, whatever decoded, encoded and stored them: streamed, cached and prepared clips, all
encodings, any number of shards and processes, and all versions of the libraries that render the same pixels. H is
XXH3-128 in its canonical form of 16 bytes. Numbers are unsigned, 4 bytes, big-endian; names are UTF-8, ended by a zero
byte.

picture  H(height, width, channels, pixels: uint8, rows from the top, RGB or grey)
frame    H(of each image column, in the order of `IMAGE_COLUMNS`: name, picture; then of each of the instances, from
         instances[0] on: name, picture)
clip     H(all different (window, index, frame), sorted). index: of the frame in its clip, start + k * frame_step.
         window: that of the row if `crop_size` is given, because each window has another crop; otherwise 0
split    H(of each clip with a row, sorted by name: clip_id, clip)
dataset  H(of each split, sorted by name: name, split)

A digest of complete frames therefore does not depend on `clip_length` and `clip_step`, except that remainder="drop"
omits frames. The copies that remainder="repeat_last" adds count as frames of their index. The hash finds
differences; it is no protection against forgery.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xxhash

from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.clips.scene import Frame
from dvm_hf.clips.windows import FrameCollector, Window, retried_windows
from dvm_hf.dataset.columns import IMAGE_COLUMNS, INSTANCES
from dvm_hf.dataset.instances import column_of, pictures_of
from dvm_hf.media.pixels import Pixels

EXACT_ENCODINGS = ("lossless", "array")  # whose rows have the rendered pixels in every column


class ClipDigest:
    """The digest of a clip, window by window. rendering: that of the clip."""

    def __init__(self, rendering: Rendering) -> None:
        self._frame_step, self._is_cropped = rendering.frame_step, rendering.crop_size is not None
        self._frames: set[bytes] = set()

    def add(self, window: int, start: int, frames: Iterable[bytes]) -> None:
        """Add a window: its number, the index of its first frame, and the `frame_digest` of each frame."""
        number = window if self._is_cropped else 0
        for position, frame in enumerate(frames):
            self._frames.add(struct.pack(">II", number, start + position * self._frame_step) + frame)

    def hex(self) -> str:
        """Return the digest of the windows so far, 32 hexadecimal digits; empty if there are no frames."""
        return xxhash.xxh3_128_hexdigest(b"".join(sorted(self._frames))) if self._frames else ""


def frame_digest(pictures: Mapping[str, Pixels]) -> bytes:
    """Return the digest of a frame, given its uint8 pictures (H, W, 3) or (H, W) by name, see `pictures_of`."""
    names = [column for column in IMAGE_COLUMNS if column in pictures]
    names += sorted(name for name in pictures if column_of(name) == INSTANCES)  # there are fewer than 10
    return xxhash.xxh3_128_digest(b"".join(_name(column) + _picture_digest(pictures[column]) for column in names))


def rendered_digest(frame: Frame) -> bytes:
    """Return the digest of a rendered frame in the columns that it has."""
    return frame_digest(pictures_of(frame))


def split_digest(clips: Mapping[str, str]) -> str:
    """Return the digest of a split, given the digests of its clips by clip_id; or of a dataset, given its splits."""
    ordered = sorted((_name(name), bytes.fromhex(digest)) for name, digest in clips.items())
    return xxhash.xxh3_128_hexdigest(b"".join(part for pair in ordered for part in pair))


def digested_windows(
    clip: ClipPlan, digest: ClipDigest, *, each: Callable[[Frame], Any], collect: Callable[[], FrameCollector[Any, Any]]
) -> Iterator[Window[Any]]:
    """Yield the windows of `retried_windows`, and add each one to `digest` before it is yielded."""
    windows = retried_windows(
        clip, each=lambda frame: (rendered_digest(frame), each(frame)), collect=lambda: _Digested(collect())
    )
    for window in windows:
        digests, frames = window.frames
        digest.add(window.number, window.start, digests)
        window = replace(window, frames=frames)
        del frames
        yield window
        del window  # otherwise it would stay in memory while the next one is rendered


class _Digested:
    """A collector that also collects the digests of the frames."""

    def __init__(self, collector: FrameCollector[Any, Any]) -> None:
        self._collector = collector
        self._digests: list[bytes] = []

    def append(self, result: tuple[bytes, Any], /) -> None:
        digest, encoded = result
        self._digests.append(digest)
        self._collector.append(encoded)

    def __len__(self) -> int:
        return len(self._digests)

    def frames(self) -> tuple[list[bytes], Any]:
        return self._digests, self._collector.frames()


def _picture_digest(pixels: Pixels) -> bytes:
    height, width, *channels = pixels.shape
    state = xxhash.xxh3_128(struct.pack(">III", height, width, channels[0] if channels else 1))
    state.update(np.ascontiguousarray(pixels).data)
    return state.digest()


def _name(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape") + b"\0"
