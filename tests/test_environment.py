"""Libraries are judged by what is imported, not by what pip says is installed."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dvm_hf.environment import OLDEST

ROOT = Path(__file__).parent.parent
NAMES = {"cv2": "opencv-python", "av": "av", "PIL": "Pillow", "numpy": "numpy"}


def test_the_bounds_are_those_of_the_project() -> None:
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    declared = dict(re.match(r"([\w-]+)[^>]*>=([\d.]+)", line).groups() for line in lines)  # type: ignore[union-attr]
    for module, oldest in OLDEST.items():
        least = tuple(map(int, declared[NAMES[module]].split(".")))
        assert least[: len(oldest)] == oldest[: len(least)], module


def answer(folder: Path, command: list[str]) -> "subprocess.CompletedProcess[str]":
    """A command with modules in a folder put before all others."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=60)


FAKES = {
    "an older OpenCV": ("cv2/__init__.py", "__version__ = '4.12.0'", "cv2 4.12.0 is imported from .*, but 5.0.0 is"),
    "an older PyAV": ("av/__init__.py", "__version__ = '17.1.0'", "av 17.1.0 is imported from .*, but 18.1 is"),
    "an older Pillow": ("PIL/__init__.py", "__version__ = '9.5.0'", "PIL 9.5.0 is imported from"),
    "what an uninstalled OpenCV leaves": ("cv2/data/x.xml", "", "cv2 is not whole"),
    "no libGL": (
        "cv2/__init__.py",
        "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')",
        "apt-get install libgl1.*opencv-python-headless>=5",
    ),
    "no PyAV": ("av/__init__.py", "raise ImportError('no')", r"av cannot be imported \(no\)"),
}


@pytest.mark.parametrize("case", FAKES)
def test_what_would_make_other_pixels_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    name, text, words = FAKES[case]
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(text)
    if not name.endswith(".py"):  # a namespace package comes after all others on the path: put it in their place
        (tmp_path / "sitecustomize.py").write_text(
            "import sys, types\nsys.modules['cv2'] = types.ModuleType('cv2')\nsys.modules['cv2'].__path__ = ['left']\n"
        )
    command = answer(tmp_path, ["-m", "dvm_hf", "--version"])
    assert command.returncode == 2
    assert re.fullmatch(rf"Error: .*{words}.*\n", command.stderr), command.stderr
    program = answer(tmp_path, ["-c", "import dvm_hf"])
    assert program.returncode == 1
    assert re.search(rf"EnvironmentFault: .*{words}", program.stderr)
