"""The parts in which the recipes differ: "dvm", the corrected pipeline, and "reference", the published one."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice

from dvm_hf.clips import reference
from dvm_hf.clips.appearance.random_appearance import drawn_camera, drawn_light
from dvm_hf.clips.compositing import composite_over
from dvm_hf.clips.foreground_protocols import OpenedForeground
from dvm_hf.clips.geometry import Geometry
from dvm_hf.clips.image_foregrounds import ImageForeground
from dvm_hf.clips.motion import Placement, random_walk
from dvm_hf.clips.moving.eased_motion import eased_parameters
from dvm_hf.clips.moving.exposure import exposed_path
from dvm_hf.clips.moving.warped_foregrounds import WarpedImageForeground, WarpedVideoForeground
from dvm_hf.clips.plan import ClipPlan, number_stream
from dvm_hf.clips.random_parameters import RandomParameters
from dvm_hf.clips.trimap import training_band
from dvm_hf.clips.video_foregrounds import VideoForeground, centred_in
from dvm_hf.media.pixels import Pixels
from dvm_hf.media.video.frame_sources import OpenBackground


@dataclass(frozen=True)
class Recipe:
    """The parts of a recipe.

    random_parameters: draws the random parameters of a clip. opened: opens a foreground's files, by kind.
    composite_over: composites colour and alpha onto a background (H, W, 3) in place. shown_colour: returns the column
    foreground, given colour and alpha. resizes_exactly: whether a part of an enlarged background is bit-identical to
    the same part of the complete enlarged background; if not, it may be 1 level off, but costs less. require_kinds:
    raises SourceError for kinds of sources that the recipe does not read. require_readable: raises SourceError for a
    background that the recipe cannot read correctly. uses_container_tags: how a background is opened, see `Video`.
    """

    random_parameters: Callable[[ClipPlan, Geometry], RandomParameters]
    opened: Mapping[str, Callable[[ClipPlan, ExitStack], OpenedForeground]]
    composite_over: Callable[[Pixels, Pixels, Pixels], None]
    shown_colour: Callable[[Pixels, Pixels], Pixels]
    resizes_exactly: bool
    require_kinds: Callable[[ClipPlan], None]
    require_readable: Callable[[OpenBackground], None]
    uses_container_tags: bool


def clip_parameters(plan: ClipPlan, sizes: Geometry) -> RandomParameters:
    """Draw the parameters of the corrected recipe from independent streams, so that no draw shifts another."""
    crop = number_stream(plan.seed, "background_crop")
    column = int(crop.integers(0, sizes.background.width - sizes.frame.width, endpoint=True))
    row = int(crop.integers(0, sizes.background.height - sizes.frame.height, endpoint=True))
    band = training_band(number_stream(plan.seed, "trimap"))
    bands = (band,) * plan.max_frames
    drawn = RandomParameters((row, column), (), bands, light=drawn_light(plan), lens=drawn_camera(plan))
    return MOTIONS[plan.rendering.motion](plan, sizes, drawn)


def walking(plan: ClipPlan, sizes: Geometry, drawn: RandomParameters) -> RandomParameters:
    """Add the published motion: image foregrounds walk, everything else stays in its place."""
    if plan.foreground.kind == "video":
        return at_rest(plan, sizes, drawn)
    walk = random_walk(number_stream(plan.seed, "motion"), frame=sizes.frame)
    path, shutter = tuple(islice(walk, plan.max_frames)), plan.rendering.shutter
    return replace(drawn, placements=exposed_path(path, shutter=shutter, layer=sizes.foreground, frame=sizes.frame))


def at_rest(plan: ClipPlan, sizes: Geometry, drawn: RandomParameters) -> RandomParameters:
    """Add no motion: each foreground is in the centre."""
    box = centred_in(sizes)
    centre = Placement(box.top + box.height / 2, box.left + box.width / 2)
    return replace(drawn, placements=(centre,) * plan.max_frames)


MOTIONS: dict[str, Callable[[ClipPlan, Geometry, RandomParameters], RandomParameters]] = {
    "dvm": walking,
    "rvm": eased_parameters,
    "none": at_rest,
}


def opened_image(plan: ClipPlan, opened: ExitStack) -> OpenedForeground:
    is_blurred = plan.rendering.shutter > 0 and plan.rendering.motion != "none"
    return (WarpedImageForeground if plan.rendering.motion == "rvm" or is_blurred else ImageForeground)(plan, opened)


def opened_video(plan: ClipPlan, opened: ExitStack) -> OpenedForeground:
    return (WarpedVideoForeground if plan.rendering.motion == "rvm" else VideoForeground)(plan, opened)


def unchanged(colour: Pixels, alpha: Pixels) -> Pixels:
    """Return the colour unchanged."""
    return colour


def accept_any(source: object) -> None:
    """Accept every source that can be opened."""


RECIPES: dict[str, Recipe] = {
    "dvm": Recipe(
        random_parameters=clip_parameters,
        opened={"image": opened_image, "video": opened_video},
        composite_over=composite_over,
        shown_colour=unchanged,
        resizes_exactly=False,
        require_kinds=accept_any,
        require_readable=accept_any,
        uses_container_tags=True,
    ),
    "reference": Recipe(
        random_parameters=reference.clip_parameters,
        opened={"image": reference.PublishedImageForeground, "video": reference.PublishedVideoForeground},
        composite_over=reference.composite_over,
        shown_colour=reference.premultiplied,
        resizes_exactly=True,
        require_kinds=reference.require_published_kinds,
        require_readable=reference.require_read_as_published,
        uses_container_tags=False,
    ),
}
