"""File names: Unicode normalization, ignored names and printable text."""

import os
import unicodedata

SOURCES_FILE_SUFFIXES = (".yaml", ".yml")
# Files and folders that systems and tools create next to data; docs/guide.md lists them. Names that begin with a dot
# need no entry. All are lower case.
SYSTEM_NAMES = frozenset(
    (
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin", "recycler"),  # Windows
        "system volume information",
        *("icon\r", "__macosx", "network trash folder", "temporary items"),  # macOS
        "lost+found",
        *("@eadir", "#recycle", "#snapshot", "@recycle"),  # network storage
    )
)
CHECKSUM_NAMES = frozenset("md5sums sha1sums sha256sums sha512sums md5sums.txt sha256sums.txt sha512sums.txt".split())
IGNORED_SUFFIXES = frozenset(
    (
        *(".part", ".partial", ".crdownload", ".opdownload", ".download", ".filepart", ".aria2", ".!ut", ".!qb"),
        *(".tmp", ".temp", ".swp", ".swo", ".bak"),  # editors
        *(".md5", ".sha1", ".sha256", ".sha512"),
    )
)


def composed(name: str) -> str:
    """Normalize a name to NFC, because macOS unpacks archives with equivalent NFD names."""
    return unicodedata.normalize("NFC", name)


def is_ignored(name: str) -> bool:
    """Return whether a name belongs to a file or folder that systems and tools create: never a source.

    These are hidden files, files of the operating system, partial downloads, backups of editors and checksums.
    """
    plain = name.lower()
    return (
        plain.startswith((".", "~$"))  # "~$": an office program has the file open
        or plain.endswith("~")
        or plain in SYSTEM_NAMES
        or plain in CHECKSUM_NAMES
        or os.path.splitext(plain)[1] in IGNORED_SUFFIXES
    )


def printable(text: str) -> str:
    """Return the text, escaped like `repr` if it contains control characters or invalid UTF-8."""
    return text if text.isprintable() else repr(text)[1:-1]
