"""Libraries are checked as imported, not as pip reports them."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dvm_hf.environment import OLDEST

ROOT = Path(__file__).parent.parent
NAMES = {"cv2": "opencv-python", "av": "av", "PIL": "Pillow", "numpy": "numpy", "zlib_ng": "zlib-ng"}


def test_the_bounds_are_those_of_the_project() -> None:
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    declared = dict(re.match(r"([\w-]+)[^>]*>=([\d.]+)", line).groups() for line in lines)  # type: ignore[union-attr]
    for module, oldest in OLDEST.items():
        least = tuple(map(int, declared[NAMES[module]].split(".")))
        assert least[: len(oldest)] == oldest[: len(least)], module


def answer(folder: Path, command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run a command with the modules of a folder first on the path."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=60)


FAKES = {
    "an older OpenCV": (
        "cv2/__init__.py",
        "__version__ = '4.12.0'",
        "cv2 4.12.0 is imported from .*, but correct pixels .* 5.0.0",
    ),
    "an older PyAV": (
        "av/__init__.py",
        "__version__ = '17.1.0'",
        "av 17.1.0 is imported from .*, but correct pixels .* 18.1",
    ),
    "an older Pillow": ("PIL/__init__.py", "__version__ = '9.5.0'", "PIL 9.5.0 is imported from"),
    "what an uninstalled OpenCV leaves": ("cv2/data/x.xml", "", "cv2 is incomplete"),
    "no libGL": (
        "cv2/__init__.py",
        "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')",
        "apt-get install libgl1.*opencv-python-headless>=5",
    ),
    "two mixed OpenCVs": (
        "cv2/__init__.py",
        "import types\ntypes.ModuleType('cv2').gapi.wip",
        r"cv2 cannot be imported \(AttributeError: module 'cv2' has no attribute 'gapi'\): it is damaged, mixed with .*"
        r"Run: pip uninstall opencv-python .* pip install --force-reinstall \"opencv-python>=5\"",
    ),
    "a PyAV built for NumPy 1": (
        "av/__init__.py",
        "raise SystemError('initialization failed:\\nbuilt for NumPy 1')",
        r"av cannot be imported \(SystemError: initialization failed: built for NumPy 1\).*-reinstall \"av>=18.1\"",
    ),
    "no zlib-ng": (
        "zlib_ng/__init__.py",
        "raise ModuleNotFoundError('no')",
        r"zlib_ng cannot be imported \(no\). Run: pip install \"zlib-ng>=0.5\"",
    ),
    "no PyAV": ("av/__init__.py", "raise ImportError('no')", r"av cannot be imported \(no\)"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", FAKES)
def test_libraries_with_different_pixels_are_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
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


def with_no_pyav(folder: Path) -> None:
    (folder / "av").mkdir(parents=True)
    (folder / "av/__init__.py").write_text("raise ImportError('no')", encoding="utf-8")


OWN = ("dvm", "dvm.exe", "dvm-script.py")
ENTRY = "from dvm_hf.entry import main\nmain()\n"
FOREIGN = ("other_tool/__main__.py", "other_tool/__init__.py", "dvm.py", "__main__.py", "my_dvm")


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_an_installed_script_ends_with_the_sentence(tmp_path: Path, name: str) -> None:
    with_no_pyav(tmp_path / "fakes")
    (tmp_path / name).write_text(ENTRY, encoding="utf-8")
    ended = answer(tmp_path / "fakes", [str(tmp_path / name)])
    assert ended.returncode == 2
    assert re.fullmatch(r"Error: av cannot be imported .*\n", ended.stderr), ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [["-m", "dvm_hf"], ["-W", "error::UserWarning", "-m", "dvm_hf", "check"], ["-Bmdvm_hf"], [str(ROOT / "dvm.py")]],
)
def test_the_package_as_a_command_ends_with_the_sentence(tmp_path: Path, command: list[str]) -> None:
    with_no_pyav(tmp_path)
    ended = answer(tmp_path, command)
    assert ended.returncode == 2
    assert re.fullmatch(r"Error: av cannot be imported .*\n", ended.stderr), ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", FOREIGN)
def test_a_program_can_catch_the_import_error(tmp_path: Path, name: str) -> None:
    """Regardless of its name, and even if its arguments look like those of dvm."""
    with_no_pyav(tmp_path / "fakes")
    program = tmp_path / "fakes" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text("try:\n    import dvm_hf\nexcept ImportError:\n    print('without')\n", encoding="utf-8")
    if name.startswith("other_tool"):
        (program.parent / "__init__.py").touch()
        (program.parent / "__main__.py").touch()
        command = ["-m", "other_tool", "-m", "dvm_hf"]
    else:
        command = [str(program), "-m", "dvm_hf"]
    ended = answer(tmp_path / "fakes", command)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "without\n", "")


INTERRUPTING = """
import sys

class Interrupting:
    def find_spec(self, name, *others):
        if name == {name!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "commands"),
    [
        ("cv2", ("module", "dvm.py", "dvm")),
        ("dvm_hf.dataset.loading", ("dvm",)),
        ("dvm_hf.cli", ("module",)),
        ("dvm_hf.commands", ("dvm.py",)),
    ],
)
def test_an_interrupted_import_prints_one_word(tmp_path: Path, module: str, commands: tuple[str, ...]) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTING.format(name=module), encoding="utf-8")
    (tmp_path / "dvm").write_text(ENTRY, encoding="utf-8")
    starts = {"module": ["-m", "dvm_hf"], "dvm.py": [str(ROOT / "dvm.py")], "dvm": [str(tmp_path / "dvm")]}
    for command in commands:
        ended = answer(tmp_path, [*starts[command], "--version"])
        assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "Stopped.\n")


@pytest.mark.slow
def test_an_interrupted_worker_prints_nothing(tmp_path: Path, few_sources: Path) -> None:
    """The interrupt reaches only the workers, during their import; the command itself says how it ends."""
    code = INTERRUPTING.format(name="dvm_hf.errors").replace(
        "sys.meta_path", 'if "--multiprocessing-fork" in sys.orig_argv:\n    sys.meta_path'
    )
    (tmp_path / "sitecustomize.py").write_text(code, encoding="utf-8")
    ended = answer(tmp_path, ["-m", "dvm_hf", "check", str(few_sources), "--num-proc", "2"])
    assert ended.returncode == 2
    assert "Stopped." not in ended.stderr
    assert "no worker process can be started" in ended.stderr


def test_a_program_gets_its_interrupt(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTING.format(name="dvm_hf.dataset.loading"), encoding="utf-8")
    program = "try:\n    import dvm_hf\nexcept KeyboardInterrupt:\n    print('interrupted')\n"
    ended = answer(tmp_path, ["-c", program])
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "interrupted\n", "")


def test_the_installed_command_is_the_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"dvm": "dvm_hf.entry:main"}
