"""The parts in which the recipes differ: "dvm", the corrected pipeline, and "reference", the published one."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice

from dvm_hf.clips import reference
from dvm_hf.clips.compositing import lay_over
from dvm_hf.clips.foregrounds import OpenedForeground
from dvm_hf.clips.geometry import Geometry
from dvm_hf.clips.motion import Placement, random_walk
from dvm_hf.clips.plan import ClipPlan, number_stream
from dvm_hf.clips.random_parameters import RandomParameters
from dvm_hf.clips.still_foregrounds import ImageForeground
from dvm_hf.clips.trimap import training_band
from dvm_hf.clips.video_foregrounds import VideoForeground, centred_in
from dvm_hf.media.pixels import Pixels
from dvm_hf.media.videos import Video


@dataclass(frozen=True)
class Recipe:
    """The parts of a recipe.

    random_parameters: draws the random parameters of a clip. opened: opens a foreground's files, by kind. lay_over:
    composites colour and alpha onto a background (H, W, 3) in place. shown_colour: the column foreground, given colour
    and alpha. resizes_exactly: whether a part of an enlarged background is bit-identical to the same part of the
    complete enlarged background; if not, it may be 1 level off, but costs less. require_readable: raises SourceError
    for a background that the recipe cannot read correctly.
    """

    random_parameters: Callable[[ClipPlan, Geometry], RandomParameters]
    opened: Mapping[str, Callable[[ClipPlan, ExitStack], OpenedForeground]]
    lay_over: Callable[[Pixels, Pixels, Pixels], None]
    shown_colour: Callable[[Pixels, Pixels], Pixels]
    resizes_exactly: bool
    require_readable: Callable[[Video], None]


def clip_parameters(plan: ClipPlan, sizes: Geometry) -> RandomParameters:
    """Draw the parameters of the corrected recipe from independent streams, so that no draw shifts another."""
    crop = number_stream(plan.seed, "background_crop")
    column = int(crop.integers(0, sizes.background.width - sizes.frame.width, endpoint=True))
    row = int(crop.integers(0, sizes.background.height - sizes.frame.height, endpoint=True))
    band = training_band(number_stream(plan.seed, "trimap"))
    if plan.foreground.kind == "video":
        box = centred_in(sizes)
        centre = Placement(box.top + box.height / 2, box.left + box.width / 2)
        return RandomParameters((row, column), (centre,) * plan.max_frames, (band,) * plan.max_frames)
    walk = random_walk(number_stream(plan.seed, "motion"), frame=sizes.frame)
    return RandomParameters((row, column), tuple(islice(walk, plan.max_frames)), (band,) * plan.max_frames)


def unpremultiplied(colour: Pixels, alpha: Pixels) -> Pixels:
    """Return the colour unchanged."""
    return colour


def accept_any(video: Video) -> None:
    """Accept every video that can be opened."""


RECIPES: dict[str, Recipe] = {
    "dvm": Recipe(
        random_parameters=clip_parameters,
        opened={"image": ImageForeground, "video": VideoForeground},
        lay_over=lay_over,
        shown_colour=unpremultiplied,
        resizes_exactly=False,
        require_readable=accept_any,
    ),
    "reference": Recipe(
        random_parameters=reference.clip_parameters,
        opened={"image": reference.PublishedImageForeground, "video": reference.PublishedVideoForeground},
        lay_over=reference.lay_over,
        shown_colour=reference.premultiplied,
        resizes_exactly=True,
        require_readable=reference.require_read_as_published,
    ),
}
