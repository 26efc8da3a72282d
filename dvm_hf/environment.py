"""Check the imported versions of the libraries that affect pixels; older versions would produce different pixels.

pip's metadata do not show which OpenCV is imported: opencv-python and opencv-python-headless install into the same
folder, and the last one installed wins.
"""

import importlib
import importlib.util
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from dvm_hf.errors import DVMError

OLDEST = {
    "cv2": (5, 0, 0),
    "av": (18, 1),
    "PIL": (10, 3),
    "numpy": (2, 0),
    "zlib_ng": (0, 5),
}  # the lower bounds in pyproject.toml
INSTALL_COMMANDS = {
    "cv2": "pip uninstall opencv-python opencv-python-headless opencv-contrib-python, then pip install "
    '"opencv-python>=5" (on a server "opencv-python-headless>=5")',
    "av": 'pip install "av>=18.1"',
    "PIL": 'pip install "Pillow>=10.3"',
    "numpy": 'pip install "numpy>=2"',
    "zlib_ng": 'pip install "zlib-ng>=0.5"',
}
REINSTALL_COMMANDS = {
    name: text.replace("pip install ", "pip install --force-reinstall ") for name, text in INSTALL_COMMANDS.items()
}
WINDOW_LIBRARIES = ("libGL", "libglib", "libgthread", "libSM", "libXext", "libXrender")  # needed by OpenCV's windows
PACKAGE = Path(__file__).resolve().parent
INSTALLED_SCRIPTS = ("dvm", "dvm.exe", "dvm-script.py")  # the last two on Windows
INTERRUPTED = 130  # exit code with which a shell reports SIGINT
WORKER = "--multiprocessing-fork"  # argument with which multiprocessing spawns a process
VERSION_FILES = ("version.py", "about.py", "_version.py")
VERSION = re.compile(
    r"""^(?:opencv_version|__version__|version)\s*=\s*(?:version\s*=\s*)?["'](\d[^"']*)["']""", re.MULTILINE
)


class EnvironmentFault(DVMError, ImportError):
    """A library that affects pixels is missing, too old or incomplete. The message gives the library and the fix."""


def require_versions() -> None:
    """Raise EnvironmentFault for the first library that is too old or incomplete, without importing valid ones.

    The version is read from the files that an import would use. A library is imported only if its files do not
    contain a version.
    """
    for name, oldest in OLDEST.items():
        version = None if name in sys.modules else _version_in_files(name)
        if version is None or _numbers(version, len(oldest)) < oldest:
            _require(name, oldest)


def require_usable() -> None:
    """Import the libraries; raise EnvironmentFault for the first one that cannot be used."""
    for name, oldest in OLDEST.items():
        _require(name, oldest)


def _version_in_files(name: str) -> str | None:
    spec = importlib.util.find_spec(name)
    for folder in spec.submodule_search_locations or () if spec is not None and spec.origin is not None else ():
        for file in VERSION_FILES:
            with suppress(OSError):
                found = VERSION.search(Path(folder, file).read_text(encoding="utf-8", errors="replace"))
                if found is not None:
                    return found[1]
    return None


def _require(name: str, oldest: tuple[int, ...]) -> None:
    module = _imported(name)
    version = getattr(module, "__version__", None)
    if version is None:
        location = getattr(module, "__file__", None) or ", ".join(getattr(module, "__path__", ()))
        raise EnvironmentFault(
            f"{name} is incomplete (no version in {location}): a package that shares its files may have been "
            f"uninstalled. Run: {INSTALL_COMMANDS[name]}"
        )
    if _numbers(version, len(oldest)) < oldest:
        least = ".".join(map(str, oldest))
        raise EnvironmentFault(
            f"{name} {version} is imported from {module.__file__}, but correct pixels require {least} or later. "
            f"Run: {INSTALL_COMMANDS[name]}"
        )


def is_command_line() -> bool:
    """Return whether this process runs the command line, as opposed to a program that imports the package."""
    script = sys.argv[0] if sys.argv else ""
    if script == "-m":  # `python -m PACKAGE` is still importing the package; only orig_argv has its name
        named = "".join(sys.orig_argv[-len(sys.argv) :][:1])
        return re.fullmatch(r"(-\w*m)?dvm_hf(\.__main__)?", named) is not None
    if Path(script).name.lower() in INSTALLED_SCRIPTS:
        return True
    return os.path.realpath(script) in (str(PACKAGE / "__main__.py"), str(PACKAGE.parent / "dvm.py"))


def is_array_task() -> bool:
    """Return whether this process runs `dvm prepare --shard-index`, which need not import `datasets`."""
    return is_command_line() and sys.argv[1:2] == ["prepare"] and any(a.startswith("--shard-index") for a in sys.argv)


def end_command(error: EnvironmentFault) -> None:
    """If this process is the command line, exit with the error message instead of a traceback."""
    if is_command_line():
        sys.stderr.write(f"Error: {error}\n")
        raise SystemExit(2) from None


def stop_command() -> None:
    """If this process is the command line or a worker of it, exit after Ctrl-C without a traceback."""
    if is_command_line():
        if WORKER not in sys.orig_argv:  # a worker has the command line's sys.argv
            sys.stderr.write("Stopped.\n")
        raise SystemExit(INTERRUPTED) from None


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if any(library in str(error) for library in WINDOW_LIBRARIES):
            raise EnvironmentFault(
                f"OpenCV cannot be imported ({_line(error)}). Install the library (on Debian: apt-get install libgl1 "
                "libglib2.0-0), or use the headless OpenCV: pip uninstall opencv-python, then pip install "
                '"opencv-python-headless>=5"'
            ) from error
        raise EnvironmentFault(f"{name} cannot be imported ({_line(error)}). Run: {INSTALL_COMMANDS[name]}") from error
    except (MemoryError, Warning):  # not caused by the library
        raise
    except Exception as error:  # AttributeError, SystemError, ...: anything the library's own code raises
        raise EnvironmentFault(
            f"{name} cannot be imported ({type(error).__name__}: {_line(error)}): it is damaged, mixed with another "
            f"release, or built for another NumPy version. Run: {REINSTALL_COMMANDS[name]}"
        ) from error


def _line(error: Exception) -> str:
    """Return the message of an error on one line."""
    return " ".join(str(error).split())


def _numbers(version: str, count: int) -> tuple[int, ...]:
    """Return the first `count` numbers of a version: (5, 0) for "5.0.0rc1"."""
    found = []
    for part in version.split(".")[:count]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        found.append(int(digits or 0))
    return tuple(found)
