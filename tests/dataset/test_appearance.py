"""The columns light and camera: the drawn numbers, in all ways to get rows, and absent without effects."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from command_runs import run

from dvm_hf.clips.appearance.random_appearance import drawn_camera, drawn_light
from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.config import DVMConfig, plans
from dvm_hf.dataset.features import features_of
from dvm_hf.preview.samples import samples

LIGHT, CAMERA = "matched:0.5,exposure:0.5,shadow=0.2-0.4:0.5", "noise=2:0.5,jpeg=40-80:0.5"
FIELDS: dict[str, Any] = {"clip_length": 2, "light": LIGHT, "camera": CAMERA}


def config_of(root: Path, **fields: Any) -> DVMConfig:
    return DVMConfig(name="train", version=DVM.VERSION, data_dir=str(root), **fields)


@pytest.fixture(scope="module")
def expected(few_sources: Path) -> dict[str, tuple[Any, Any]]:
    clips = plans(config_of(few_sources, **FIELDS)).clips
    return {plan.clip_id: (drawn_light(plan), drawn_camera(plan)) for plan in clips}


def assert_numbers(row: dict[str, Any], expected: dict[str, tuple[Any, Any]]) -> None:
    light, camera = expected[row["clip_id"]]
    numbers = json.loads(row["light"])
    assert (numbers is None) == (light is None)
    if light is not None:
        assert numbers["mix"] == pytest.approx(light.mix)
        assert (numbers["exposure"] or {"first": None})["first"] == (
            light.exposure and pytest.approx(light.exposure.first)
        )
        assert (numbers["shadow"] is None) == (light.shadow is None)
    numbers = json.loads(row["camera"])
    assert (numbers is None) == (camera is None)
    if camera is not None:
        assert (numbers["noise"], numbers["noise_key"], numbers["jpeg"]) == (
            pytest.approx(camera.noise),
            camera.noise_key,
            camera.jpeg,
        )


def test_rows_have_the_drawn_numbers(
    few_sources: Path, load: Callable[..., Any], expected: dict[str, tuple[Any, Any]]
) -> None:
    streamed = list(load("train", data_dir=str(few_sources), split="train", streaming=True, **FIELDS))
    assert {light is None for light, _ in expected.values()} | {camera is None for _, camera in expected.values()} == {
        True,
        False,
    }
    for row in streamed:
        assert_numbers(row, expected)
    assert {row["clip_id"] for row in streamed} == expected.keys()


def test_prepared_rows_have_them_and_are_verified(
    few_sources: Path, tmp_path: Path, expected: dict[str, tuple[Any, Any]]
) -> None:
    out = tmp_path / "out"
    options = ("--config", "train", "--clip-length", "2", "--light", LIGHT, "--camera", CAMERA)
    assert run("prepare", str(few_sources), str(out), *options).exit_code == 0
    for path in (out / "data").glob("*.parquet"):
        for row in pq.read_table(path, columns=["clip_id", "light", "camera"]).to_pylist():
            assert_numbers(row, expected)
    result = run("verify", str(out), "--read-data")
    assert result.exit_code == 0, result.stderr
    assert "numbers of the clip's camera" in (out / "README.md").read_text()


def test_rows_without_effects_have_no_such_column(few_sources: Path) -> None:
    names = [set(features_of(config_of(few_sources, **fields))) for fields in ({}, {"light": LIGHT}, FIELDS)]
    assert names[1] - names[0] == {"light"}
    assert names[2] - names[0] == {"light", "camera"}
    assert not names[0] & {"light", "camera"}


def test_a_preview_shows_the_effects_that_a_clip_has(few_sources: Path) -> None:
    for light, shown in (("shadow=0.25", '{"shadow": {"darkness": 0.25, "pose": ['), ("shadow:0", "no effects")):
        fields = {"light": light}
        (sample, *_) = samples(str(few_sources), config="train", split=None, clips=1, frames=1, fields=fields)
        assert sample.facts["light"].startswith(shown)
        assert "camera" not in sample.facts
    fields = {"light": "greenscreen"}
    (sample, *_) = samples(str(few_sources), config="train", split=None, clips=1, frames=1, fields=fields)
    assert re.search(r'"folds": \d+', sample.facts["light"])  # not the shape of each
