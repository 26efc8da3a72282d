"""The columns `light` and `camera`: the numbers of a clip's effects. A row has them if its config names effects.

`clips.appearance.random_appearance` describes the numbers; docs/recipes.md lists them.
"""

import json
from dataclasses import asdict
from typing import Any

from dvm_hf.clips.appearance.named_effects import NONE
from dvm_hf.clips.appearance.random_appearance import drawn_camera, drawn_light
from dvm_hf.clips.plan import ClipPlan

APPEARANCE = ("light", "camera")  # config fields, and columns of the same names


def appearance_columns(light: str, camera: str) -> tuple[str, ...]:
    """Return the columns that rows have, given the two config fields."""
    return tuple(name for name, text in zip(APPEARANCE, (light, camera), strict=True) if text != NONE)


def appearance_texts(plan: ClipPlan) -> dict[str, str]:
    """Return the numbers of a clip by column, each a JSON object; "null" if the clip has none of the effects."""
    numbers: dict[str, Any] = {"light": drawn_light, "camera": drawn_camera}
    found = {name: numbers[name](plan) for name in appearance_columns(plan.rendering.light, plan.rendering.camera)}
    return {name: json.dumps(_rounded(drawn and asdict(drawn))) for name, drawn in found.items()}


def _rounded(value: Any) -> Any:
    """Return JSON values with floats of 9 digits, because processors may differ in the last one of 17."""
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_rounded(one) for one in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value
