"""Names of files: Unicode forms, files that systems leave behind, printable text."""

import os
import unicodedata

LITTER = frozenset(
    "thumbs.db ehthumbs.db desktop.ini @eadir #recycle $recycle.bin lost+found __macosx md5sums sha1sums sha256sums "
    "md5sums.txt sha256sums.txt".split()
)


LITTER_SUFFIXES = (".part", ".partial", ".crdownload", ".download", ".tmp", ".md5", ".sha1", ".sha256", ".sha512")


def composed(name: str) -> str:
    """A name in Unicode's form NFC: macOS unpacks archives into names of the form NFD, which mean the same."""
    return unicodedata.normalize("NFC", name)


def is_litter(name: str) -> bool:
    """Whether a file or folder is what systems and tools leave behind, and no source: hidden files, thumbnails, parts
    of downloads, checksums.
    """
    plain = name.lower()
    return name.startswith((".", "~")) or plain in LITTER or os.path.splitext(plain)[1] in LITTER_SUFFIXES


def printable(text: str) -> str:
    """As it is, or as Python writes it where it holds what would reach a terminal: control characters, half a UTF-8."""
    return text if text.isprintable() else repr(text)[1:-1]
