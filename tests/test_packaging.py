"""Pythons and lower bounds of pyproject.toml against the CI lanes."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import dvm_hf
from dvm_hf.dataset.builder import CITATION

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

pytestmark = pytest.mark.one_lane


def lower_bounds(folder: Path, *extras: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / ".ci/lower_bounds.py"), *extras]
    return subprocess.run(command, capture_output=True, text=True)


def copied(folder: Path, pyproject: str) -> Path:
    (folder / ".ci").mkdir()
    (folder / ".ci/lower_bounds.py").write_bytes((ROOT / ".ci/lower_bounds.py").read_bytes())
    (folder / "pyproject.toml").write_text(pyproject)
    return folder


def test_each_supported_python_has_a_lane():
    """From the oldest required version to the newest classifier, without gaps."""
    lanes = set(re.findall(r"has_python \w+ (3\.\d+)", (ROOT / ".ci/run").read_text(encoding="utf-8")))
    classified = {found[1] for line in PROJECT["classifiers"] if (found := re.search(r":: (3\.\d+)$", line))}
    assert lanes == classified == {"3.11", "3.12", "3.13"}
    assert PROJECT["requires-python"] == ">=3.11"


def test_the_citation_file_names_this_version_and_the_paper_of_the_card():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()  # those that the format requires
    assert (cited["version"], cited["license"]) == (dvm_hf.__version__, PROJECT["license"])
    (paper,) = cited["references"]
    assert f"title     = {{{paper['title']}}}" in CITATION
    assert [f"{one['family-names']}, {one['given-names']}" for one in paper["authors"]] == re.findall(
        r"[A-Z]\w+, [\w-]+", CITATION.split("author    = ")[1].splitlines()[0]
    )


def test_a_constraint_is_printed_for_each_requirement_of_the_package_and_of_the_extras_asked_for(tmp_path: Path):
    folder = copied(
        tmp_path,
        '[project]\ndependencies = ["datasets[vision]>=3.6.0", "PyYAML>=6.0.1"]\n[project.optional-dependencies]\n'
        'test = ["pytest-xdist>=3.8"]\nlint = ["ruff>=0.15,<1"]\n',
    )
    assert lower_bounds(folder).stdout.split() == ["datasets==3.6.0", "PyYAML==6.0.1"]
    assert lower_bounds(folder, "test", "lint").stdout.split()[2:] == ["pytest-xdist==3.8", "ruff==0.15"]
    assert lower_bounds(folder, "--extras-only", "lint").stdout.split() == ["ruff==0.15"]


@pytest.mark.parametrize(
    "requirement", ["numpy", "numpy<3", "numpy==2.0", "numpy~=2.0", "numpy>=2.0; python_version<'4'"]
)
def test_a_requirement_without_a_plain_lower_bound_is_an_error(requirement: str, tmp_path: Path) -> None:
    ended = lower_bounds(copied(tmp_path, f'[project]\ndependencies = ["{requirement}"]\n'))
    assert ended.returncode == 1
    assert repr(requirement) in ended.stderr


def test_each_requirement_of_this_project_has_a_lower_bound():
    ended = lower_bounds(ROOT, *PROJECT["optional-dependencies"])
    assert ended.returncode == 0, ended.stderr
    count = len(PROJECT["dependencies"]) + sum(map(len, PROJECT["optional-dependencies"].values()))
    assert len(ended.stdout.split()) == count
