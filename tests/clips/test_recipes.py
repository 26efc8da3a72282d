"""The random parameters of the corrected recipe: in their limits, and independent of each other."""

from pathlib import Path

import pytest

from dvm_hf.clips.geometry import Geometry
from dvm_hf.clips.motion import Placement
from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.clips.recipes import RECIPES, clip_parameters
from dvm_hf.media.pixels import Size
from dvm_hf.sources.records import Background, Foreground


def plan_of(seed: int, kind: str) -> ClipPlan:
    foreground = Foreground(kind, "cat", Path("fg"), Path("alpha"))
    rendering = Rendering(max_image_frames=7, max_video_frames=9)
    return ClipPlan(f"{kind}_cat_0", foreground, Background("0", Path("bg")), seed, rendering)


def sizes(background: tuple[int, int], frame: tuple[int, int] = (48, 40)) -> Geometry:
    return Geometry(Size(41, 33), Size(*background), Size(*frame))


@pytest.mark.parametrize("kind", ["image", "video"])
def test_every_corner_of_the_background_is_drawn(kind: str) -> None:
    """A background 2 px higher and 3 px wider than the frame has three rows and four columns to start at."""
    corners = {clip_parameters(plan_of(seed, kind), sizes((50, 43))).background_corner for seed in range(120)}
    assert corners == {(row, column) for row in range(3) for column in range(4)}
    assert clip_parameters(plan_of(0, kind), sizes((48, 40))).background_corner == (0, 0)


def test_the_background_does_not_shift_motion_or_trimap() -> None:
    one, other = (clip_parameters(plan_of(3, "image"), sizes(size)) for size in ((48, 40), (500, 900)))
    assert one.background_corner != other.background_corner
    assert (one.placements, one.bands) == (other.placements, other.bands)


def test_there_is_one_placement_and_one_band_per_frame() -> None:
    """A video foreground of 41 x 33 px is centred: (48 // 2 - 41 // 2) + 20.5 and (40 // 2 - 33 // 2) + 16.5."""
    still, moving = (clip_parameters(plan_of(3, kind), sizes((50, 41))) for kind in ("image", "video"))
    assert (len(still.placements), len(still.bands)) == (7, 7)
    assert len(set(still.placements)) == 7
    assert moving.placements == (Placement(24.5, 20.5, 0.0, 1.0),) * 9
    assert len(set(still.bands)) == len(set(moving.bands)) == 1
    assert len(moving.bands) == 9


def test_clips_of_different_seeds_differ_in_each_parameter() -> None:
    made = [clip_parameters(plan_of(seed, "image"), sizes((500, 900))) for seed in range(20)]
    assert len({one.background_corner for one in made}) == len({one.placements for one in made}) == 20
    assert len({one.bands for one in made}) > 5


def test_every_recipe_opens_every_kind() -> None:
    assert {name: set(recipe.opened) for name, recipe in RECIPES.items()} == {
        "dvm": {"image", "video"},
        "reference": {"image", "video"},
    }
