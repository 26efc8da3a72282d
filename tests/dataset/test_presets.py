"""Presets: their fields everywhere that config fields are given, and given fields over them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_runs import assert_plain_refusal, run
from textured_clips import drawn_plan

from dvm_hf import ConfigError
from dvm_hf.clips.appearance.random_appearance import drawn_camera, drawn_light
from dvm_hf.commands.config_options import config
from dvm_hf.dataset.config import DVMConfig, require_valid
from dvm_hf.dataset.presets import PRESETS

pytestmark = pytest.mark.one_lane


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_valid_and_its_fields_can_be_overridden(name: str) -> None:
    given = config("train", "DVM", {"preset": name})
    require_valid(given)
    assert given.preset == name
    assert {field: getattr(given, field) for field in PRESETS[name]} == PRESETS[name]
    changed = config("test", "DVM", {"preset": name, "crop_size": "none", "clip_length": "all", "motion": "none"})
    require_valid(changed)
    assert (changed.crop_size, changed.clip_length, changed.motion) == (None, "all", "none")


def test_load_dataset_applies_a_preset_below_the_given_fields(load: Callable[..., Any], few_sources: Path) -> None:
    fields: dict[str, Any] = {"data_dir": str(few_sources), "split": "train", "streaming": True, "crop_size": 24}
    preset = list(load("train", preset="otvm", encoding="lossless", **fields))
    explicit = list(load("train", encoding="lossless", **{**PRESETS["otvm"], **fields}))
    assert [row["clip_id"] for row in preset] == [row["clip_id"] for row in explicit]
    assert (len(preset[0]["frames"]), preset[0]["height"]) == (3, 24)
    for one, other in zip(preset, explicit, strict=True):
        assert [frame.tobytes() for frame in one["frames"]] == [frame.tobytes() for frame in other["frames"]]
    with pytest.raises(ConfigError, match="preset='bgm': not allowed; preset must be one of 'dvm', 'rvm', 'matanyone'"):
        load("train", preset="bgm", **fields)


def test_prepared_shards_record_the_preset_and_its_fields(few_sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("prepare", str(few_sources), str(out), "--preset", "otvm", "--config", "train", "--crop-size", "16")
    assert run(*arguments).exit_code == 0
    card = (out / "README.md").read_text()
    fields = {"preset": "otvm", **PRESETS["otvm"], "crop_size": 16}
    fields["light"], fields["camera"] = "matched=0-0.5:0.3", "noise=0-7.65:0.3,jpeg=22-80:0.3"
    for name, value in fields.items():
        assert f"| `{name}` | `{value!r}` |" in card
    again = run(*arguments, "--json")
    assert (again.exit_code, json.loads(again.stdout)["built"]) == (0, [])
    assert_plain_refusal(
        [*arguments[:3], "--preset", "bgm"], "preset='bgm': not allowed; --preset must be one of 'dvm'"
    )


@pytest.mark.parametrize(
    ("name", "fields", "text"),
    [
        ("rvm", {}, "preset='rvm' has motion='rvm': recipe='reference' allows motion='dvm' only"),
        ("rvm", {}, "or pass motion='dvm'"),
        ("otvm", {}, "preset='otvm' has light='matched=0-0.5:0.3': recipe='reference' allows light='none' only"),
        ("otvm", {"light": "shadow"}, "light='shadow': recipe='reference' allows light='none' only"),
        ("otvm", {"light": "shadow"}, "or omit light"),
    ],
)
def test_an_error_about_a_field_of_a_preset_names_the_preset(name: str, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(text)):
        require_valid(config("train", "DVM", {"preset": name, "recipe": "reference", **fields}))


def test_the_help_page_names_the_fields_of_each_preset() -> None:
    page = " ".join(run("prepare", "--help").output.split())
    for name in PRESETS:
        assert f"{name}: " in page
    assert "trimap='dvm-train'" in page


def test_a_direct_config_only_records_the_preset() -> None:
    assert DVMConfig(name="train", preset="rvm").motion == "dvm"


@pytest.mark.slow
def test_shares_of_presets_over_10000_seeds() -> None:
    """Those of OTVM: each operation in 0.3 of the clips."""
    fields = {name: PRESETS["otvm"][name] for name in ("light", "camera")}
    matched = noisy = compressed = 0
    for seed in range(10_000):
        plan = drawn_plan(seed, **fields)
        matched += drawn_light(plan) is not None
        camera = drawn_camera(plan)
        noisy += camera is not None and camera.noise > 0
        compressed += camera is not None and camera.jpeg is not None
    for found in (matched, noisy, compressed):
        assert found / 10_000 == pytest.approx(0.3, abs=0.023)  # five standard deviations
