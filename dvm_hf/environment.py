"""The libraries that touch pixels, as they are when imported: refused where they would make other pixels.

pip's metadata do not tell which OpenCV is imported: opencv-python and opencv-python-headless install the same folder,
and the last one installed wins.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType

OLDEST = {"cv2": (5, 0, 0), "av": (18, 1), "PIL": (10, 1), "numpy": (2, 0)}  # as pyproject.toml has them
REMEDIES = {
    "cv2": "pip uninstall opencv-python opencv-python-headless opencv-contrib-python, then pip install "
    '"opencv-python>=5" (on a server "opencv-python-headless>=5")',
    "av": 'pip install "av>=18.1"',
    "PIL": 'pip install "Pillow>=10.1"',
    "numpy": 'pip install "numpy>=2"',
}
NO_LIBRARY = ("libGL", "libglib", "libgthread", "libSM", "libXext", "libXrender")  # that OpenCV's windows need


class EnvironmentFault(ImportError):
    """A library that touches pixels is missing, too old, or not whole: the text says which and what to do."""


def require_usable() -> None:
    """Raise EnvironmentFault for the first library that cannot be used."""
    for name, oldest in OLDEST.items():
        module = _imported(name)
        version = getattr(module, "__version__", None)
        if version is None:
            where = getattr(module, "__file__", None) or ", ".join(getattr(module, "__path__", ()))
            raise EnvironmentFault(
                f"{name} is not whole (no version in {where}), as after one of two packages that share it was "
                f"uninstalled. Run: {REMEDIES[name]}"
            )
        if _numbers(version, len(oldest)) < oldest:
            least = ".".join(map(str, oldest))
            raise EnvironmentFault(
                f"{name} {version} is imported from {module.__file__}, but {least} is the oldest that makes the right "
                f"pixels. Run: {REMEDIES[name]}"
            )


def end_command(error: EnvironmentFault) -> None:
    """End the process where it is the command line: with the error's sentence instead of a traceback."""
    is_command = Path(sys.argv[0]).stem in ("dvm", "__main__") if sys.argv else False
    if is_command or sys.orig_argv[1:3] == ["-m", "dvm_hf"]:
        sys.stderr.write(f"Error: {error}\n")
        raise SystemExit(2) from None


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if any(library in str(error) for library in NO_LIBRARY):
            raise EnvironmentFault(
                f"OpenCV cannot be imported ({error}). Install the library (on Debian: apt-get install libgl1 "
                "libglib2.0-0), or use the OpenCV without windows: pip uninstall opencv-python, then pip install "
                '"opencv-python-headless>=5"'
            ) from error
        raise EnvironmentFault(f"{name} cannot be imported ({error}). Run: {REMEDIES[name]}") from error


def _numbers(version: str, count: int) -> tuple[int, ...]:
    """The first numbers of a version: (5, 0) of "5.0.0rc1"."""
    found = []
    for part in version.split(".")[:count]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        found.append(int(digits or 0))
    return tuple(found)
