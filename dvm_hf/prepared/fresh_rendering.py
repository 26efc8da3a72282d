"""Compare the images of rows with a fresh rendering of their clips: exact columns by pixel, the others by PSNR."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.scene import Frame
from dvm_hf.clips.windows import FrameTuple, Window, retried_windows
from dvm_hf.dataset.columns import FILE_ENCODINGS
from dvm_hf.dataset.content_digest import ClipDigest, rendered_digest
from dvm_hf.dataset.instances import column_of, pictures_of
from dvm_hf.media.pixels import Pixels
from dvm_hf.media.row_videos.decoding import RowFrame
from dvm_hf.media.still.image_encoding import encoded_image
from dvm_hf.prepared.source_paths import located

# dB. x264's quantizer is fixed, so luma and chroma of any frame have much the same error: 47 to 53 dB, also of noise. A
# JPEG is compared with the rendering as JPEG, from which it differs only if another version encoded it.
MIN_PSNR = 44.0
StoredPicture: TypeAlias = Pixels | RowFrame


class FreshRendering:
    """Renders the clips of a shard again, in the order of its rows. data_dir: the root of the sources."""

    def __init__(self, data_dir: Path, *, encoding: str) -> None:
        self._data_dir, self._files = data_dir, FILE_ENCODINGS.get(encoding, {})
        self._clip_id = ""
        self._digests: dict[str, ClipDigest] = {}
        self._windows: Iterator[Window[tuple[Frame, ...]]] = iter(())

    def frames(self, clip: ClipPlan, number: int) -> tuple[Frame, ...]:
        """Return the frames of a window; empty if it is not a window of the clip, or comes before the previous one.

        Raises SourceError if a source cannot be used.
        """
        if clip.clip_id != self._clip_id:
            self._clip_id = clip.clip_id
            plan = located(clip, self._data_dir)
            self._windows = retried_windows(plan, each=lambda frame: frame, collect=FrameTuple)
        window = next((window for window in self._windows if window.number == number), None)
        if window is None:
            return ()
        digest = self._digests.setdefault(clip.clip_id, ClipDigest(clip.rendering))
        digest.add(number, window.start, map(rendered_digest, window.frames))
        return window.frames

    def digests(self) -> dict[str, str]:
        """Return the content digests of the windows that were rendered, by clip_id."""
        return {name: digest.hex() for name, digest in self._digests.items()}

    def difference(self, column: str, stored: StoredPicture, frame: Frame) -> str | None:
        """Return how a picture of a row differs from its fresh rendering; None if it does not. column: or its name."""
        rendered, file = pictures_of(frame)[column], self._files.get(column_of(column), "")
        if isinstance(stored, RowFrame) and file == "colour_h264":
            return _by_psnr(stored.psnr(rendered, file))
        pixels = stored.pixels() if isinstance(stored, RowFrame) else stored
        if pixels.shape != rendered.shape:
            return f"is {pixels.shape}, but a fresh rendering is {rendered.shape}"
        if file == "jpeg":
            with Image.open(io.BytesIO(encoded_image(rendered, file))) as image:
                return _by_psnr(_psnr(pixels, np.asarray(image)))
        count = np.count_nonzero(pixels != rendered)
        return f"differs from a fresh rendering in {count:,} values, but must be equal" if count else None


def _psnr(one: Pixels, other: Pixels) -> float:
    error = float(np.square(one.astype(np.int16) - other, dtype=np.int32).mean())
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def _by_psnr(found: float) -> str | None:
    if found >= MIN_PSNR:
        return None
    return f"has a PSNR of {found:.1f} dB against a fresh rendering, but must have at least {MIN_PSNR:.0f} dB"
