"""File names: Unicode normalization, ignored names and printable text."""

import os
import unicodedata

IGNORED_NAMES = frozenset(
    "thumbs.db ehthumbs.db desktop.ini @eadir #recycle $recycle.bin lost+found __macosx md5sums sha1sums sha256sums "
    "md5sums.txt sha256sums.txt".split()
)
IGNORED_SUFFIXES = (".part", ".partial", ".crdownload", ".download", ".tmp", ".md5", ".sha1", ".sha256", ".sha512")


def composed(name: str) -> str:
    """Normalize a name to NFC, because macOS unpacks archives with equivalent NFD names."""
    return unicodedata.normalize("NFC", name)


def is_ignored(name: str) -> bool:
    """Return whether a name belongs to a file or folder that systems and tools create: never a source.

    These are hidden files, thumbnails, partial downloads and checksums.
    """
    plain = name.lower()
    return name.startswith((".", "~")) or plain in IGNORED_NAMES or os.path.splitext(plain)[1] in IGNORED_SUFFIXES


def printable(text: str) -> str:
    """Return the text, escaped like `repr` if it contains control characters or invalid UTF-8."""
    return text if text.isprintable() else repr(text)[1:-1]
