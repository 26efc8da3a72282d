"""The text of the fields light and camera."""

import pytest

from dvm_hf.clips.appearance.named_effects import EFFECTS, Effect, canonical, is_valid, named_effects

pytestmark = pytest.mark.one_lane


@pytest.mark.parametrize(
    ("field", "text", "effects"),
    [
        ("light", "none", []),
        ("light", "shadow", [("shadow", 0, 0.6, 1)]),
        ("light", "shadow=0.2:0.5, matched=0-1", [("matched", 0, 1, 1), ("shadow", 0.2, 0.2, 0.5)]),
        ("camera", "jpeg=60:0.3,noise:0.25", [("noise", 0, 7.65, 0.25), ("jpeg", 60, 60, 0.3)]),
    ],
)
def test_effects_are_read_in_a_fixed_order(
    field: str, text: str, effects: list[tuple[str, float, float, float]]
) -> None:
    assert named_effects(field, text) == tuple(Effect(*one) for one in effects)
    assert named_effects(field, canonical(field, text)) == named_effects(field, text)


@pytest.mark.parametrize("text", ["noise=0.00001:0.00001", "noise=1.0000001", "noise=0-0.3333333:0.6666667"])
def test_the_text_of_effects_keeps_their_numbers(text: str) -> None:
    assert named_effects("camera", canonical("camera", text)) == named_effects("camera", text)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("light", ""),
        ("light", "noise"),
        ("light", "shadow,"),
        ("light", "none,shadow"),
        ("light", "shadow,shadow=1"),
        ("light", "shadow=1.1"),
        ("light", "matched=0.5-0.2"),
        ("camera", "jpeg=0"),
        ("camera", "jpeg=60:1.5"),
        ("camera", "jpeg=-5"),
        ("camera", "jpeg:"),
        ("camera", None),
        ("camera", ("jpeg",)),
    ],
)
def test_other_texts_are_not_valid(field: str, text: object) -> None:
    assert not is_valid(field, text)


def test_defaults_are_within_their_limits() -> None:
    for field, rules in EFFECTS.items():
        for name, rule in rules.items():
            assert is_valid(field, f"{name}={rule.default[0]:g}-{rule.default[1]:g}")
