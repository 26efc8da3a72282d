"""docs/notebook.ipynb runs from its first cell to its last, on the sources that it draws."""

import importlib.util
import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import require_torch
from PIL import Image

require_torch("nbclient", "ipykernel", "nbformat")

import nbformat  # noqa: E402  where it is there
from nbclient import NotebookClient  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CLIPS, FRAMES = 8, 8  # of the test pairs, after the notebook has shortened them
METHODS = ("network", "baseline")

# the references as the notebook loaded them, and what it measured: printed by a cell that the test appends
FINDINGS = """
print(json.dumps({"losses": losses, "methods": methods, "clips": test["clip_id"][:]}))
for row in test:
    for number, (alpha, trimap) in enumerate(zip(row["alpha"], row["trimap"])):
        for name, picture in (("alpha", alpha), ("trimap", trimap)):
            path = Path("reference", name, row["clip_id"], f"{number:05d}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
"""


def notebook() -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "docs/notebook.ipynb", as_version=4)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nbformat.NotebookNode]:
    """The folder in which the notebook ran, and its cells with their outputs."""
    folder, cells = tmp_path_factory.mktemp("notebook"), notebook()
    cells.cells.append(nbformat.v4.new_code_cell(FINDINGS))
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": paths, "HF_HOME": str(folder / "home"), "DVM_EVALUATION_CACHE": ""}
    client = NotebookClient(cells, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute(env=environment)
    return folder, cells


def findings(cells: nbformat.NotebookNode) -> dict[str, Any]:
    return dict(json.loads(cells.cells[-1].outputs[0].text))


def levels(*parts: str | Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path), float) for path in sorted(Path(*parts).glob("*.png"))])


def test_the_notebook_writes_a_matte_for_each_frame(executed: tuple[Path, nbformat.NotebookNode]) -> None:
    folder, cells = executed
    names = findings(cells)["clips"]
    assert len(names) == CLIPS
    for method in METHODS:
        mattes = {path.parent.name: 0 for path in (folder / method).glob("*/*.png")}
        assert mattes.keys() == set(names)
        assert all(levels(folder, method, name).shape[0] == FRAMES for name in names)


def test_the_loss_falls_and_the_table_has_the_errors_of_the_written_mattes(
    executed: tuple[Path, nbformat.NotebookNode],
) -> None:
    folder, cells = executed
    found = findings(cells)
    assert all(map(math.isfinite, found["losses"]))
    assert np.mean(found["losses"][-20:]) < 0.8 * np.mean(found["losses"][:20])
    for method in METHODS:
        errors = []  # of each clip: the mean over frames of the mean over unknown pixels
        for name in found["clips"]:
            alpha, trimap = (levels(folder, "reference", layer, name) for layer in ("alpha", "trimap"))
            differences = np.abs(levels(folder, method, name) - alpha)
            frames = zip(differences, trimap == 128, strict=True)
            errors.append(np.mean([difference[unknown].mean() for difference, unknown in frames]))
        assert found["methods"][method]["unknown"]["mad"] == pytest.approx(1000 / 255 * np.mean(errors))
    numbers = [value for mean in found["methods"].values() for region in mean.values() for value in region.values()]
    assert len(numbers) == 2 * 4 * 7
    assert all(isinstance(value, float) and math.isfinite(value) for value in numbers)
    network, baseline = (found["methods"][method]["unknown"]["mad"] for method in METHODS)
    assert network < 0.8 * baseline


def test_the_notebook_shows_pictures_and_tables_and_installs_nothing(
    executed: tuple[Path, nbformat.NotebookNode],
) -> None:
    folder, cells = executed
    shown = {
        cell.id: {kind for one in cell.outputs for kind in one.get("data", {})}
        for cell in cells.cells[:-1]
        if cell.cell_type == "code"
    }
    assert [name for name, kinds in shown.items() if "image/png" in kinds] == ["look", "stream", "predict"]
    assert [name for name, kinds in shown.items() if "text/html" in kinds] == ["losses", "evaluate"]
    assert cells.cells[1].outputs == []
    assert "worst" in (folder / "results.html").read_text(encoding="utf-8").lower()


@pytest.mark.parametrize("source", ["clone", "git+https://example.org/dvm_hf", "nowhere"])
def test_the_first_cell_installs_a_clone_or_an_address(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone/pyproject.toml").touch()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    code = notebook().cells[1].source.replace('SOURCE = ".."', f'SOURCE = "{source}"')
    if source == "nowhere":
        with pytest.raises(FileNotFoundError, match=r"SOURCE='nowhere': is not a clone of this repository"):
            exec(code, {})
        assert commands == []
        return
    exec(code, {})
    expected = {"clone": "clone[torch]"}.get(source, f"dvm_hf[torch] @ {source}")
    assert [command[1:] for command in commands] == [["-m", "pip", "install", "-q", expected]]
