"""Config fields as options: every field has one, and texts are parsed by the field's rule."""

from typing import Any

import pytest
from click.testing import CliRunner

from dvm_hf import ConfigError
from dvm_hf.commands.config_options import FIELD_HELP, config, field_value
from dvm_hf.commands.prepare import prepare_command
from dvm_hf.dataset.config import own_fields

pytestmark = pytest.mark.one_lane


def test_the_help_page_describes_every_field_in_a_section_with_its_default() -> None:
    page = CliRunner().invoke(prepare_command, ["--help"], terminal_width=200).output
    headings = [line for line in page.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Options:", "Sources:", "Clips:", "Output:"]
    assert FIELD_HELP.keys() == set(own_fields())
    words = " ".join(page.split())
    for name, field in FIELD_HELP.items():
        assert f"--{name.replace('_', '-')} " in words
        assert f" {field.meaning} [default: " in words
    assert "Root random seed. Same seed and sources, same clips. [default: 2019]" in words
    assert "[default: drop for train, keep for test]" in words
    assert "DATA_DIR " not in page.partition("\nOptions:")[2].partition("Sources:")[0]


def test_every_config_field_is_an_option() -> None:
    options = {name for parameter in prepare_command.params for name in parameter.opts}
    assert {"--" + name.replace("_", "-") for name in own_fields()} <= options


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("clip_length", "8", 8),
        ("clip_length", "all", "all"),
        ("clip_step", "none", None),
        ("trimap", "dvm-train", "dvm-train"),
        ("trimap", "5", 5),
        ("columns", "frames, alpha", ("frames", "alpha")),
        ("kinds", "video", ("video",)),
        ("pairs", "12", "12"),  # a file may be called so
        ("background_blur", True, True),
        ("shutter", "0.5", 0.5),
        ("shutter", "1", 1),
    ],
)
def test_a_text_is_parsed_by_the_rule_of_its_field(name: str, text: Any, value: Any) -> None:
    assert field_value(name, text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [("seed", "-1"), ("columns", "frames,depth"), ("clip_length", "none"), ("shutter", "1.5"), ("shutter", "nan")],
)
def test_invalid_values_are_refused_by_field_name(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}={text!r}: not allowed; --{name.replace('_', '-')} must be"):
        field_value(name, text)


def test_omitted_fields_keep_the_defaults_of_the_split() -> None:
    given = dict.fromkeys(own_fields()) | {"clip_length": "8"}
    made = {split: config(split, "DVM", given) for split in ("train", "test")}
    assert {split: c.remainder for split, c in made.items()} == {"train": "drop", "test": "keep"}
    assert all(c.clip_length == 8 and c.data_dir == "DVM" for c in made.values())
