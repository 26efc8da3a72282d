"""Named sets of config fields: what the package has of the training data of published methods.

docs/recipes.md lists the papers' values, and which of their operations a preset does not cover.
"""

from collections.abc import Mapping
from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "dvm": {"motion": "dvm", "trimap": "dvm-train", "clip_length": 4, "crop_size": 320},
    "rvm": {"motion": "rvm", "clip_length": 15, "crop_size": 512},
    "matanyone": {"motion": "rvm", "clip_length": 8, "crop_size": 480},
    "otvm": {
        "motion": "dvm",
        "trimap": "dvm-train",
        "clip_length": 3,
        "crop_size": 320,
        "light": "matched=0-0.5:0.3",
        "camera": "noise=0-7.65:0.3,jpeg=22-80:0.3",
    },
}


def preset_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given config fields, and those of their preset that are not given; an unknown preset adds none."""
    name = given.get("preset")
    return (PRESETS.get(name, {}) if isinstance(name, str) else {}) | dict(given)


def fields_text(name: str) -> str:
    """Return the fields of a preset as keyword arguments."""
    return ", ".join(f"{field}={value!r}" for field, value in PRESETS[name].items())
