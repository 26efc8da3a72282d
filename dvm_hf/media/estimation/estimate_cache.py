"""Cache estimated colours in the user's cache folder, by content."""

from pathlib import Path

import cv2
import numpy as np

from dvm_hf.media.cache_folder import CacheFolder, CacheKind
from dvm_hf.media.pixels import Pixels
from dvm_hf.media.still.image_encoding import encoded_image

ESTIMATES = CacheKind(
    name="estimates",
    variable="DVM_ESTIMATE_CACHE",
    suffix=".png",
    max_bytes=10 * 10**9,
    plural="estimated colours",
    redone="the foreground colour is estimated again",
)


class EstimateCache:
    """A `CacheFolder` with one PNG for each estimate, named for its key.

    max_bytes: another limit than that of `ESTIMATES`.
    """

    def __init__(self, folder: Path, *, max_bytes: int | None = None) -> None:
        self._files = CacheFolder(ESTIMATES, folder, max_bytes=max_bytes)

    def get(self, key: str) -> Pixels | None:
        """Return the colours (H, W, 3) of a key; None if they are missing or damaged."""
        data = self._files.get(key)
        if data is None:
            return None
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)  # type: ignore[return-value]

    def put(self, key: str, colours: Pixels) -> None:
        """Store the colours (H, W, 3) of a key."""
        if self._files.is_writable:
            self._files.put(key, encoded_image(colours, "colour_png"))
