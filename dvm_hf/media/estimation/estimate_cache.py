"""Cache estimated colours in the user's cache folder, by content."""

import logging
import os
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import xxhash

from dvm_hf.media.pixels import Pixels
from dvm_hf.media.still.image_encoding import encoded_image

logger = logging.getLogger(__name__)
CACHE_VARIABLE = "DVM_ESTIMATE_CACHE"
MAX_BYTES = 10 * 10**9
DISK_SHARE = 0.1  # of the free space, with that of the cache
KEPT_SHARE = 0.9  # of the limit, after the oldest files are removed
REVIEW_SHARE = 0.02  # of the limit; the sizes of all files are added again after a process has written so much
DIGEST_BYTES = 16
ABANDONED = 3600  # seconds; age of a temporary file whose writer has ended


class EstimateCache:
    """A folder with one PNG for each estimate, named for its key, with the XXH3 of the PNG as its last 16 bytes.

    Any number of processes can use the folder. If its files exceed the limit, those that were read or written longest
    ago are removed. A damaged file counts as missing. If the folder cannot be written to, a warning is logged once.

    max_bytes: the limit; None: 10 GB, or a tenth of the free space if that is less.
    """

    def __init__(self, folder: Path, *, max_bytes: int | None = None) -> None:
        self.folder, self._max_bytes = folder, max_bytes
        self._is_writable, self._written, self._review_after, self._limit = True, 0, 0, 0

    def get(self, key: str) -> Pixels | None:
        """Return the colours (H, W, 3) of a key, and mark the file as used; None if they are missing or damaged."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        body, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        if xxhash.xxh3_128_digest(body) != digest:
            logger.warning("%s: is damaged; the foreground colour is estimated again", path)
            return None
        with suppress(OSError):  # of another user, or removed since
            os.utime(path)
        return cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR_RGB)  # type: ignore[return-value]

    def put(self, key: str, colours: Pixels) -> None:
        """Store the colours (H, W, 3) of a key."""
        if not self._is_writable:
            return
        body = encoded_image(colours, "colour_png")
        try:
            self._write(self._path(key), body + xxhash.xxh3_128_digest(body))
        except OSError as error:
            self._is_writable = False
            logger.warning(
                "%s: estimated colours cannot be cached (%s); each process estimates them again. Free space, or set "
                "the environment variable %s to another folder",
                self.folder,
                error.strerror or error,
                CACHE_VARIABLE,
            )

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.png"

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file under a temporary name and rename it. Power failures are detected by the digest."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._written >= self._review_after:
            self._review(len(data))
        if len(data) > self._limit:
            return
        temporary = self.folder / f".{path.stem}.{secrets.token_hex(8)}.tmp"
        try:
            temporary.write_bytes(data)
            os.replace(temporary, path)
        finally:
            with suppress(OSError):  # renamed
                temporary.unlink()
        self._written += len(data)

    def _review(self, coming: int) -> None:
        """Remove the files that were used longest ago if `coming` bytes more would exceed the limit."""
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        self._limit = self._allowed_bytes(total)
        self._review_after = self._written + int(REVIEW_SHARE * self._limit)
        if total + coming <= self._limit:
            return
        for _, size, path in files:
            if total + coming <= KEPT_SHARE * self._limit:
                return
            with suppress(OSError):  # another process removed it
                path.unlink()
            total -= size

    def _allowed_bytes(self, total: int) -> int:
        if self._max_bytes is not None:
            return self._max_bytes
        return min(MAX_BYTES, int(DISK_SHARE * (shutil.disk_usage(self.folder).free + total)))

    def _files(self) -> list[tuple[float, int, Path]]:
        """Return time of last use, size and path of each file; abandoned temporary files count as oldest."""
        found, now = [], time.time()
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(OSError):  # removed since
                    stat, is_temporary = entry.stat(follow_symlinks=False), entry.name.endswith(".tmp")
                    if entry.name.endswith(".png"):
                        found.append((stat.st_mtime, stat.st_size, Path(entry.path)))
                    elif is_temporary and now - stat.st_mtime > ABANDONED:
                        found.append((0.0, stat.st_size, Path(entry.path)))
        return found


def cache_folder() -> Path | None:
    """Return the folder of estimates: the environment variable, or a folder in `HF_HOME`; None if it is set to ""."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen is not None:
        return Path(os.path.expanduser(chosen)) if chosen else None
    return Path(os.path.expanduser(_hf_home()), "dvm_hf", "estimates")


def _hf_home() -> str:
    """Return the folder that `datasets` uses, without importing it."""
    return os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
