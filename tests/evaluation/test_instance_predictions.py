"""Predictions of single foregrounds: numbers against plain NumPy, assignments against SciPy, and what is refused."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from command_runs import run
from PIL import Image
from scipy.optimize import linear_sum_assignment

from dvm_hf.clips.trimap import TEST_BAND
from dvm_hf.errors import PredictionError
from dvm_hf.evaluation.instance_matching import best_assignment
from dvm_hf.evaluation.predictions import predictions

Instances = dict[str, dict[int, list[np.ndarray]]]  # by clip and frame, from back to front
FIELDS = ("--foregrounds-per-clip", "2", "--difficulty", "medium", "--max-video-frames", "2", "--max-image-frames", "2")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVM_EVALUATION_CACHE", str(tmp_path / "evaluated"))


@pytest.fixture(scope="module")
def reference(few_sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "out"
    columns = ("--columns", "alpha,trimap,foreground,instances", "--encoding", "lossless")
    result = run("prepare", str(few_sources), str(out), "--config", "test", *FIELDS, *columns)
    assert result.exit_code == 0, result.stderr
    return out


@pytest.fixture(scope="module")
def truth(reference: Path) -> Instances:
    """The column instances, decoded by Pillow."""
    found: Instances = {}
    for path in sorted((reference / "data").glob("*.parquet")):
        for row in pq.read_table(path, columns=["clip_id", "start", "instances"]).to_pylist():
            of_clip = found.setdefault(row["clip_id"], {})
            for number in range(len(row["instances"][0])):
                pictures = (one[number]["bytes"] for one in row["instances"])
                of_clip[row["start"] + number] = [np.asarray(Image.open(io.BytesIO(data))) for data in pictures]
    return found


def written(folder: Path, mattes: Instances, *, order: tuple[int, ...] = (0, 1)) -> Path:
    """Write CLIP_ID/INSTANCE/NNNNN.png, of which INSTANCE 0 is the foreground order[0]."""
    for clip, frames in mattes.items():
        for number, chosen in enumerate(order):
            (folder / clip / str(number)).mkdir(parents=True)
            for index, instances in frames.items():
                Image.fromarray(instances[chosen]).save(folder / clip / str(number) / f"{index:05d}.png")
    return folder


def shifted(mattes: Instances) -> Instances:
    return {
        clip: {index: [np.roll(one, 2, axis=1) for one in instances] for index, instances in frames.items()}
        for clip, frames in mattes.items()
    }


def evaluated(*arguments: str | Path) -> dict[str, Any]:
    result = run("evaluate", *map(str, arguments), "--json")
    assert result.exit_code == 0, result.output + result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def mad(predicted: np.ndarray, true: np.ndarray, region: np.ndarray) -> float:
    return float(1e3 * np.abs(predicted / 255.0 - true / 255.0)[region].mean())


@pytest.mark.parametrize("stored", [True, False], ids=["prepared", "sources"])
def test_each_foreground_is_measured_by_itself(
    tmp_path: Path, reference: Path, few_sources: Path, truth: Instances, *, stored: bool
) -> None:
    folder = written(tmp_path / "p", shifted(truth), order=(1, 0))
    found = evaluated(folder, *([reference] if stored else [few_sources, *FIELDS]))
    assert found["instances"]["match"] == "best"
    for clip, frames in truth.items():
        assert found["instances"]["predicted"][clip] == [1, 0]
        for number, metrics in enumerate(found["instances"]["clips"][clip]):
            pairs = [(np.roll(one[number], 2, axis=1), one[number]) for one in frames.values()]
            whole = [mad(p, g, np.ones(g.shape, bool)) for p, g in pairs]
            soft = [mad(p, g, TEST_BAND.trimap(g) == 128) for p, g in pairs if (TEST_BAND.trimap(g) == 128).any()]
            assert metrics["whole"]["mad"] == pytest.approx(np.mean(whole))
            assert metrics["unknown"]["mad"] == pytest.approx(np.mean(soft))
        unions = [(sum(one.astype(int) for one in instances)) for instances in frames.values()]
        whole = [mad(np.roll(one, 2, axis=1), one, np.ones(one.shape, bool)) for one in unions]
        assert found["clips"][clip]["whole"]["mad"] == pytest.approx(np.mean(whole))
    values = [one["whole"]["mad"] for clip in found["instances"]["clips"].values() for one in clip]
    assert len(values) == 2 * len(truth)
    assert found["instances"]["mean"]["whole"]["mad"] == pytest.approx(np.mean(values))


def test_predictions_in_order_are_not_exchanged(tmp_path: Path, reference: Path, truth: Instances) -> None:
    folder = written(tmp_path / "p", truth, order=(1, 0))
    best, order = evaluated(folder, reference), evaluated(folder, reference, "--match", "order")
    assert best["instances"]["mean"]["whole"]["mad"] == 0
    assert order["instances"]["mean"]["whole"]["mad"] > 10
    assert set(map(tuple, order["instances"]["predicted"].values())) == {(0, 1)}
    assert best["mean"] == order["mean"]  # of the union


def test_rows_with_instances_and_worker_processes_give_the_same_numbers(reference: Path) -> None:
    found = evaluated(reference, reference)
    assert found == evaluated(reference, reference, "--num-proc", "2")
    means = found["instances"]["mean"]
    assert {name: value for region in means.values() for name, value in region.items() if value} == {}


def test_a_second_run_and_the_page_show_the_instances(tmp_path: Path, reference: Path, truth: Instances) -> None:
    folder, page = written(tmp_path / "p", shifted(truth)), tmp_path / "page.html"
    first = run("evaluate", str(folder), str(reference), "--per-clip", "-o", str(page))
    again = run("evaluate", str(folder), str(reference), "--per-clip", "-o", str(tmp_path / "again.html"))
    assert first.exit_code == 0, first.stderr
    assert first.stdout == again.stdout
    assert "Mean over the instances" in first.stdout
    assert f"{2 * len(truth)} instances (match: best)" in first.stdout
    text = page.read_text()
    assert text == (tmp_path / "again.html").read_text()
    assert all(f"{clip}, instance 1" in first.stdout for clip in truth)
    assert text.count(", instance 1</b> <span>") == len(truth)  # in the list of clips
    assert "least sum of absolute errors" in text


def clips_of(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_all_instances_that_do_not_fit_are_listed(tmp_path: Path, reference: Path, truth: Instances) -> None:
    folder = written(tmp_path / "p", truth)
    one_less, one_more, without_frame, union_only = clips_of(folder)
    shutil.rmtree(one_less / "1")
    shutil.copytree(one_more / "1", one_more / "2")
    (without_frame / "1/00001.png").unlink()
    for path in (union_only / "0").iterdir():
        path.rename(union_only / path.name)
    for name in ("0", "1"):
        shutil.rmtree(union_only / name)
    result = run("evaluate", str(folder), str(reference))
    assert result.exit_code == 1
    for text in (
        f"{one_less}: has 1 instance, but {one_less.name} has 2 foregrounds; predict one matte for each",
        f"{one_more}: has 3 instances, but {one_more.name} has 2 foregrounds; predict one matte for each",
        "missing: 00001; add it, or pass --allow-missing to skip it",
        f"{union_only}: has no instances, but predictions of other clips have; add it, or pass --allow-missing",
    ):
        assert text in result.stderr
    shutil.rmtree(one_less)
    shutil.rmtree(one_more)
    found = evaluated(folder, reference, "--allow-missing")
    assert list(found["instances"]["clips"]) == [without_frame.name]
    assert found["instances"]["mean"]["whole"]["mad"] == 0
    assert sorted(found["clips"]) == [without_frame.name, union_only.name]


def test_a_clip_is_stored_in_one_way(tmp_path: Path, truth: Instances) -> None:
    folder = written(tmp_path / "p", truth)
    both, repeated, from_one, *_ = clips_of(folder)
    shutil.copy(both / "0/00001.png", both / "00001.png")
    shutil.copytree(repeated / "1", repeated / "01")
    (from_one / "0").rename(from_one / "2")
    with pytest.raises(
        PredictionError, match=r"has 00001.png beside 0, which is a single foreground; keep either"
    ) as error:
        predictions(str(folder))
    assert f"{repeated / '1'}: 01 has the same number; remove one of them" in str(error.value)
    assert f"{from_one}: has the foregrounds 1, 2, but they must be numbered from 0; rename them" in str(error.value)
    assert str(error.value).startswith("3 problems")


def test_a_reference_without_instances_measures_the_union(tmp_path: Path, few_sources: Path, truth: Instances) -> None:
    out, folder = tmp_path / "out", written(tmp_path / "p", truth)
    assert run("prepare", str(few_sources), str(out), "--config", "test", *FIELDS).exit_code == 0
    result = run("evaluate", str(folder), str(out))
    assert result.exit_code == 1
    assert "the reference has no column instances, so only the union is measured" in result.stderr
    found = evaluated(folder, out, "--allow-extra")
    assert found["mean"]["whole"]["mad"] == 0
    assert "instances" not in found


def test_rows_of_another_program_are_a_reference(tmp_path: Path, reference: Path, truth: Instances) -> None:
    table = pq.read_table(reference / "data").select(["clip_id", "start", "alpha", "instances"])
    pq.write_table(table.replace_schema_metadata(None), tmp_path / "rows.parquet")
    folder, rows = written(tmp_path / "p", truth), tmp_path / "rows"
    rows.mkdir()
    (tmp_path / "rows.parquet").rename(rows / "test.parquet")
    assert evaluated(folder, rows)["instances"]["mean"]["whole"]["mad"] == 0
    pq.write_table(table.drop_columns("instances"), rows / "test.parquet")
    assert evaluated(folder, rows, "--allow-extra")["mean"]["whole"]["mad"] == 0


@pytest.mark.one_lane
@pytest.mark.parametrize("seed", range(20))
def test_the_best_assignment_is_that_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs = rng.integers(0, 50, (1 + seed % 4 if seed else 12,) * 2).astype(float)  # 12: all permutations take minutes
    chosen = best_assignment(costs.tolist())
    rows, columns = linear_sum_assignment(costs)
    assert sorted(chosen) == list(range(len(costs)))
    assert costs[range(len(costs)), chosen].sum() == costs[rows, columns].sum()
