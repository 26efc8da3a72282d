"""The training code of docs/training.md and the README runs unchanged."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TreeWriter, require_torch

require_torch("torchdata")

import torch  # noqa: E402  where it is there

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),  # fork, Python 3.12
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # torchdata 0.11 on torch 2.13
]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sources_for_crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two image foregrounds over four backgrounds of 16 frames, large enough for crops of 320 px."""
    tree = TreeWriter(tmp_path_factory.mktemp("docs") / "DVM")
    for number in range(2):
        tree.still(f"still_{number}", size=(360, 400), value=90 + 80 * number)
    for number in range(4):
        tree.background(f"{number:04d}", size=(440, 500), frames=16)
    return tree.root


def code_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def of_training(readme: Path) -> list[str]:
    section = readme.read_text(encoding="utf-8").split("## Train\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)


@pytest.fixture
def in_a_folder_with_sources(sources_for_crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "DVM").symlink_to(sources_for_crops)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("in_a_folder_with_sources")
def test_the_readmes_training_code_runs() -> None:
    (code,) = of_training(ROOT / "README.md")
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(code, "README.md", "exec"), names)
    frames = names["frames"]
    assert isinstance(frames, torch.Tensor)
    assert frames.shape == (4, 4, 3, 320, 320)
    assert 0 <= float(frames.min()) < float(frames.max()) <= 1


@pytest.mark.usefixtures("in_a_folder_with_sources")
def test_the_first_batch_of_the_guide_has_the_documented_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = [code for code in code_blocks(ROOT / "docs" / "guide.md") if "dvm_hf.torch" in code]
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(code, "docs/guide.md", "exec"), names)
    assert "'frames': (4, 4, 3, 320, 320)" in capsys.readouterr().out
    assert isinstance(names["frames"], torch.Tensor)
    assert names["frames"].shape == (4, 4, 3, 320, 320)


@pytest.mark.usefixtures("in_a_folder_with_sources")
def test_the_code_of_the_training_page_runs() -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    blocks = code_blocks(ROOT / "docs" / "training.md")[:-3]  # the last three are those of test_torch_trainers.py
    assert len(blocks) == 8
    for number, code in enumerate(blocks):
        code = code.replace("640", "320") if number == 3 else code  # these composites are smaller
        exec(compile(code, f"docs/training.md, block {number}", "exec"), names)
        check = CHECKS.get(number)
        if check:
            check(names)


def after_resume(names: dict) -> None:
    whole = [batch["index"].tolist() for batch in names["batches"]]
    assert [batch["index"].tolist() for batch in names["loader"]] == whole
    assert whole


def after_prepared(names: dict) -> None:
    sample = next(iter(names["stream"]))
    assert sample["frames"].shape == (4, 3, 320, 320)


def after_load_dataset(names: dict) -> None:
    batch = next(iter(names["loader"]))
    assert batch["frames"].shape == (4, 4, 320, 320, 3)
    assert {value.dtype for value in batch.values()} == {torch.uint8}


def after_two_ranks(names: dict) -> None:
    split = names["split_dataset_by_node"]
    clips = [{row["clip_id"] for row in split(names["stream"], rank=rank, world_size=2)} for rank in range(2)]
    assert clips[0]
    assert not clips[0] & clips[1]


def after_their_resume(names: dict) -> None:
    following, resumed = next(names["rows"]), next(iter(names["part"]))
    assert (following["clip_id"], following["window"]) == (resumed["clip_id"], resumed["window"])


def after_shared_backgrounds(names: dict) -> None:
    batches = [batch["background_name"] for batch in torch.utils.data.DataLoader(names["shared"], batch_size=4)]
    assert [len(set(batch)) for batch in batches] == [4, 4]  # two foregrounds over each of four backgrounds


CHECKS = {
    1: after_shared_backgrounds,
    2: after_resume,
    4: after_prepared,
    5: after_load_dataset,
    6: after_two_ranks,
    7: after_their_resume,
}


@pytest.fixture(scope="module")
def sources_to_learn_from(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three image foregrounds over four backgrounds of six frames; a crop of 64 px is mostly edges."""
    tree = TreeWriter(tmp_path_factory.mktemp("example") / "DVM")
    for number in range(3):
        tree.still(f"still_{number}", size=(100, 110), value=90 + 60 * number)
    for number in range(4):
        tree.background(f"{number:04d}", size=(140, 160), frames=6)
    tree.still("test", split="test", size=(100, 110), value=120)
    tree.background("0004", split="test", size=(140, 160), frames=5)
    return tree.root


def test_the_example_learns_resumes_with_the_next_sample_and_is_evaluated(sources_to_learn_from: Path) -> None:
    """An epoch has 12 clips of 4 samples; training stops after 80 batches of 4: in epoch 7, after 32 samples."""
    command = [sys.executable, "-W", "ignore", "train.py", "--data-dir", str(sources_to_learn_from), "--steps", "160"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVM_EVALUATION_CACHE": ""}
    result = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT / "examples", env=environment, timeout=300
    )
    begun = re.findall(r"begins with epoch (\d+), sample (\d+)", result.stdout)
    assert begun == [("0", "0"), ("6", "32")]
    assert len(re.findall(r"samples/s, \d+% of the time waiting for data", result.stdout)) == 2
    first, last = map(float, re.findall(r"loss (.*) in the first 10 steps, (.*) in the last 50", result.stdout)[0])
    assert 0 < last < first / 2
    table = result.stdout[result.stdout.index("Mean over the clips") :].splitlines()
    numbers = {name: float(value) for name, value in zip(table[1].split(), table[3].split()[1:], strict=True)}
    assert table[3].split()[0] == "unknown"
    assert 0 < numbers["MAD"] < 1000 * last * 3  # x 10^3, on a clip that it was not trained on
    assert "predictions: 1 clip, 5 frames" in result.stdout
