"""Which paths the Hub, Windows and macOS can all hold, so that a repository can be used on every machine."""

from collections.abc import Iterable

from dvm_hf.errors import SourceError

FORBIDDEN_CHARACTERS = frozenset('<>:"|?*\\')  # on Windows; the separator of paths among them
RESERVED_NAMES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))]
)  # with any extension, on Windows
HUB_FOLDERS = frozenset((".git", ".cache"))  # which the Hub's client does not write
MAX_NAME_BYTES = 255


def require_portable(paths: Iterable[str]) -> None:
    """Raise SourceError for the first path that the Hub, Windows or macOS cannot hold.

    paths: in the repository, with / between folders. Two paths that differ only in the case of letters are one file on
    Windows and macOS.
    """
    checked: dict[str, str] = {}  # folders and files: as they are compared without case -> as they are written
    for path in paths:
        parts = path.split("/")
        for count, name in enumerate(parts, start=1):
            whole = "/".join(parts[:count])
            if checked.get(whole.casefold()) == whole:
                continue
            if rule := _fault(name):
                raise SourceError(f"{whole!r:.300}: {rule}, so the name cannot be pushed; rename it")
            other = checked.setdefault(whole.casefold(), whole)
            if other != whole:
                raise SourceError(
                    f"{whole!r:.300}: differs from {other!r:.300} only in upper and lower case, so Windows and macOS "
                    "cannot hold both; rename one of them"
                )


def _fault(name: str) -> str:
    """Return the rule that a name breaks; empty if it breaks none."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return "is not UTF-8"
    wrong = sorted(FORBIDDEN_CHARACTERS.intersection(name)) or [one for one in name if ord(one) < 32 or ord(one) == 127]
    if wrong:
        return f"contains {wrong[0]!r}, which Windows does not allow"
    if name.endswith((".", " ")):
        return "ends with a dot or a space, which Windows removes"
    if name.split(".")[0].rstrip().lower() in RESERVED_NAMES:
        return "is a device on Windows"
    if name in HUB_FOLDERS:
        return "is a folder that the Hub reserves"
    return f"has more than {MAX_NAME_BYTES} bytes" if length > MAX_NAME_BYTES else ""
