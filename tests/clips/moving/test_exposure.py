"""Motion blur: the samples of an exposure, a moving edge in closed form, and averages of 64 plain warps."""

import dataclasses
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from layer_maps import to_frame, warped_by_map
from moving_clips import decoded, draw_layers, placement, plan_of, windows

from dvm_hf.clips.geometry import geometry
from dvm_hf.clips.image_foregrounds import Bordered
from dvm_hf.clips.motion import LAYER_COLUMNS, Placement
from dvm_hf.clips.moving import eased_motion
from dvm_hf.clips.moving.eased_motion import eased_parameters, pauses
from dvm_hf.clips.moving.easing import EASINGS
from dvm_hf.clips.moving.exposure import Exposed, exposed_path, jumps, sampled_maps
from dvm_hf.clips.moving.layer_warp import mean_tiles, premultiplied, weighted
from dvm_hf.clips.moving.warped_foregrounds import WarpedImage, WarpedImageFiles
from dvm_hf.clips.plan import ClipPlan, Rendering, number_stream
from dvm_hf.clips.random_parameters import RandomParameters
from dvm_hf.clips.recipes import clip_parameters
from dvm_hf.clips.trimap import TEST_BAND
from dvm_hf.media.pixels import Box, Size
from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.media.still.stills import read_colour, read_grey
from dvm_hf.sources.records import Background, Foreground

FRAME, LAYER = Size(120, 160), Size(40, 60)
COLUMN = 98.25  # so that the right edge of a layer moves over the border of two tiles


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_layers(tmp_path_factory.mktemp("layers"))


def exposure(*path: Placement, shutter: float, layer: Size = LAYER, frame: Size = FRAME) -> Placement:
    """The placement in the middle of a path."""
    return exposed_path(path, shutter=shutter, layer=layer, frame=frame)[len(path) // 2]


def across(speed: float, *, shutter: float, layer: Size = LAYER) -> Placement:
    """A layer that moves to the right by `speed` px per frame, and is at `COLUMN` now."""
    return exposure(*(Placement(60, COLUMN + speed * t, 0) for t in (-1, 0, 1)), shutter=shutter, layer=layer)


def count(placement: Placement) -> int:
    return len(sampled_maps(placement, layer=LAYER))


@pytest.mark.parametrize(
    ("speed", "shutter", "expected"),
    [
        (0, 1, 1),
        (0.25, 0.5, 1),
        (0.3, 0.5, 2),
        (1, 1, 2),
        (1.01, 1, 3),
        (8, 0.5, 5),
        (14, 1, 15),
        (15, 1, 16),
        (99, 1, 16),
    ],
)
def test_the_number_of_samples_follows_the_distance(speed: float, shutter: float, expected: int) -> None:
    assert count(across(speed, shutter=shutter)) == expected


def test_samples_are_at_most_one_pixel_apart_and_centred_on_the_frame() -> None:
    rng, counts = np.random.default_rng(0), set()
    corners = np.array([[x, y, 1] for x in (0, LAYER.width) for y in (0, LAYER.height)], float).T
    for _ in range(100):
        steps = rng.normal(size=(2, 6)) * [3, 3, 4, 0.02, 0.02, 0.02] * rng.uniform(0, 2)
        at = np.array([60, 80, 10, 1, 1, 0])
        path = [Placement(*numbers) for numbers in (at - steps[0], at, at + steps[1])]
        maps = sampled_maps(exposure(*path, shutter=float(rng.uniform(0.1, 1))), layer=LAYER)
        shown = [np.linalg.inv(np.vstack([one, [0, 0, 1]])) @ (corners - [[0.5], [0.5], [0]]) for one in maps]
        apart = [np.hypot(*(b - a)[:2]).max() for a, b in pairwise(shown)]
        if len(maps) < 16:
            assert max(apart, default=0) <= 1
        counts.add(len(maps))
    assert len(counts) > 10


def test_a_corner_beyond_the_frame_does_not_add_samples() -> None:
    """A background of 4000 x 3000 px that turns by 1 degree: the corners of the frame move by 1.7 px per frame."""
    path = [Placement(60, 80, angle) for angle in (-1.0, 0.0, 1.0)]
    assert len(sampled_maps(exposure(*path, shutter=1, layer=Size(3000, 4000)), layer=Size(3000, 4000))) == 3


@pytest.mark.parametrize(("speed", "shutter"), [(0.6, 1), (2.0, 0.5), (3, 1), (7.5, 1), (20, 0.7)])
def test_a_moving_edge_becomes_a_linear_ramp(speed: float, shutter: float) -> None:
    """A step, bilinear: 1 to 0 over 1 px. Its mean over the path of `speed` x `shutter` px is a ramp of this length."""
    layer = np.full(LAYER, 255, np.uint8)
    maps, found = sampled_maps(across(speed, shutter=shutter), layer=LAYER), np.zeros(FRAME, np.uint16)
    part, view = Box(0, 0, *LAYER), Box(0, 0, *FRAME)
    for box, pixels in mean_tiles(lambda box: weighted(layer)[box.within(part)], maps, region=view, part=part):
        found[box.within(view)] = pixels
    length = speed * shutter
    from_edge = np.arange(FRAME.width) + 0.5 - (COLUMN + LAYER.width / 2)
    expected = (integral(from_edge + length / 2) - integral(from_edge - length / 2)) / length
    right = slice(100, None)
    # a bend of the ramp within an interval between samples: 1/8 of the interval, in one of N samples; two bends
    tolerance = 255 * 2 * length / len(maps) / 8 / len(maps)
    error = np.abs(found[60, right] / 255 - 255 * expected[right])
    assert error.max() <= tolerance + 4.1  # OpenCV interpolates at 1/32 px
    assert error.mean() < 1
    assert (found[60] > 0).sum() >= LAYER.width + length - 2


def test_an_edge_that_stops_is_blurred_on_the_side_that_it_comes_from() -> None:
    """It moves by 8 px in the first half of the exposure, and rests in the second half."""
    path = [Placement(60, COLUMN + moved) for moved in (-16, 0, 0)]
    maps, part = sampled_maps(exposure(*path, shutter=1), layer=LAYER), Box(0, 0, *LAYER)
    values, found = weighted(np.full(LAYER, 255, np.uint8)), np.zeros(FRAME.width)
    for box, pixels in mean_tiles(lambda box: values[box.within(part)], maps, region=Box(60, 0, 61, 160), part=part):
        found[box.left : box.right] = pixels[0] / 255
    from_edge = np.arange(FRAME.width) + 0.5 - (COLUMN + LAYER.width / 2)
    moving = (integral(from_edge + 8) - integral(from_edge)) / 8
    assert np.abs(found - 127.5 * (moving + np.clip(0.5 - from_edge, 0, 1)))[100:].max() < 8


def integral(x: np.ndarray) -> np.ndarray:
    """Of the bilinear step: 1 up to -0.5, 0 from 0.5."""
    inner = np.clip(x, -0.5, 0.5)
    return np.minimum(x, -0.5) + (inner + 0.5) / 2 - (inner**2 - 0.25) / 2


def inverse(place: Placement, layer: Size) -> np.ndarray:
    return np.linalg.inv(to_frame(place, layer))


def averaged(pixels: np.ndarray, path: list[Placement], frame: Size, shutter: float) -> np.ndarray:
    """The mean of 64 plain warps of float pixels over the exposure of the middle one of three placements."""
    layer = Size(*pixels.shape[:2])
    before, at, after = (inverse(place, layer) for place in path)
    total = np.zeros((*frame, pixels.shape[2]))
    for time in shutter * ((np.arange(64) + 0.5) / 64 - 0.5):
        to_layer = at + abs(time) * ((before if time < 0 else after) - at)
        total += warped_by_map(pixels, np.linalg.inv(to_layer), frame)
    return total / 64


def with_edges(plan: ClipPlan, folder: Path) -> ClipPlan:
    """A clip of an image with a hard matte over a still with much detail."""
    alpha, behind = folder / "hard.png", folder / "noise.png"
    write_image(alpha, np.where(read_grey(plan.foreground.alpha) > 127, np.uint8(255), np.uint8(0)))
    noise = np.random.default_rng(0).integers(0, 256, (140, 170, 3)).astype(np.uint8)
    write_image(behind, cv2.GaussianBlur(noise, (0, 0), 1))
    foreground = dataclasses.replace(plan.foreground, alpha=alpha)
    return dataclasses.replace(plan, foreground=foreground, background=Background("noise", behind))


@pytest.mark.parametrize(("motion", "kind", "seed"), [("dvm", "image", 5), ("rvm", "image", 25), ("rvm", "video", 25)])
def test_a_frame_is_the_mean_of_64_plain_renderings(
    sources: Path, tmp_path: Path, motion: str, kind: str, seed: int
) -> None:
    """By the numbers of the column `motion` alone, which are those without a shutter. Differences in levels."""
    plan = plan_of(sources, kind, seed=seed, motion=motion, shutter=1, max_image_frames=20, max_video_frames=20)
    plan = with_edges(plan, tmp_path) if kind == "image" else plan
    (window,) = windows(plan)
    (sharp,) = windows(dataclasses.replace(plan, rendering=dataclasses.replace(plan.rendering, shutter=0)))
    assert window.motion == sharp.motion
    size, blurred = Size(window.view.height, window.view.width), {"alpha": 0.0, "background": 0.0}
    for index in (4, 11, 17):
        frame, rows = window.frames[index], [named(row) for row in window.motion[index - 1 : index + 2]]
        colour, matte, behind = layers_of(plan, kind, rows[1])
        alpha = matte.astype(np.float64)[..., None] / 255
        path = [placement(row, "foreground") for row in rows]
        exact = averaged(np.dstack([alpha * colour, alpha]), path, size, shutter=1)
        # 2 samples of a hard edge differ by 8 levels from its mean; the video's edges are soft
        assert np.abs(frame.alpha - 255 * exact[..., 3]).max() < (9.5 if kind == "image" else 2)
        soft = frame.alpha > 60
        assert np.abs(frame.foreground[soft] - exact[soft, :3] / exact[soft, 3:]).max() < 3
        change = {"alpha": np.abs(sharp.frames[index].alpha - 255 * exact[..., 3]).max()}
        if motion == "rvm":
            inner = np.s_[4:-4, 4:-4]  # OpenCV's border is constant there
            mean = averaged(behind, [placement(row, "background") for row in rows], size, shutter=1)[inner]
            assert np.abs(frame.background[inner] - mean).max() < 6
            change["background"] = np.abs(sharp.frames[index].background[inner] - mean).max()
        blurred |= {name: max(blurred[name], value) for name, value in change.items()}
    assert blurred["alpha"] > (30 if kind == "image" else 7)
    assert blurred["background"] > 12 or motion == "dvm" or kind == "video"


def named(row: tuple[float, ...]) -> dict[str, float]:
    """The numbers of a row by name; those that motion="dvm" lacks are at rest."""
    rest = {f"{layer} {name}": 1.0 for layer in ("foreground", "background") for name in ("zoom", "stretch")}
    return rest | dict(zip(LAYER_COLUMNS, row, strict=False))


def layers_of(plan: ClipPlan, kind: str, row: dict[str, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour, matte and background of the source frames that a row names."""
    if kind == "image":
        return read_colour(plan.foreground.colour), read_grey(plan.foreground.alpha), read_colour(plan.background.path)
    behind = decoded(plan.background.path)[int(row["background source frame"])]
    number = int(row["foreground source frame"])
    return decoded(plan.foreground.colour)[number], decoded(plan.foreground.alpha)[number][..., 0], behind


def test_frames_are_composited_from_the_blurred_layers(sources: Path) -> None:
    for motion in ("dvm", "rvm"):
        for frame in windows(plan_of(sources, "image", seed=3, motion=motion, shutter=1))[0].frames[::8]:
            alpha, colour, behind = (np.float64(getattr(frame, name)) for name in ("alpha", "foreground", "background"))
            a = alpha[..., None] / 255
            assert np.abs(frame.composite - (a * colour + (1 - a) * behind)).max() <= 0.5 + 1e-9
            assert np.array_equal(frame.trimap, TEST_BAND.trimap(frame.alpha))


@pytest.mark.parametrize("motion", ["dvm", "rvm"])
def test_a_provided_trimap_is_unknown_where_the_blurred_alpha_is(sources: Path, motion: str) -> None:
    sharp, blurred = (
        windows(plan_of(sources, "image", split="test", seed=3, motion=motion, trimap="provided", shutter=shutter))[0]
        for shutter in (0, 1)
    )
    changed = 0
    for one, other in list(zip(sharp.frames, blurred.frames, strict=True))[4::3]:
        assert (other.alpha[other.trimap == 0] < 100).all()
        assert (other.alpha[other.trimap == 255] > 155).all()
        was_known, is_known = (frame.trimap != 128 for frame in (one, other))
        assert (is_known <= was_known).mean() > 0.998  # the sample in the middle can be half of an interval away
        changed += was_known.sum() - is_known.sum()
    assert changed > 100


def test_likely_unknown_pixels_include_all_unknown_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[np.ndarray] = []
    mixed_cells = Bordered.mixed_cells
    monkeypatch.setattr(
        Bordered, "mixed_cells", lambda self, reach: found.append(mixed_cells(self, reach)) or found[-1]
    )
    rng = np.random.default_rng(0)
    matte = np.zeros((150, 170), np.uint8)
    cv2.ellipse(matte, (85, 75), (60, 45), 20, 0, 360, 255, -1)
    still = Bordered(np.zeros((150, 170, 3), np.uint8), matte)
    size, frame = Size(152, 172), Size(200, 240)
    image = WarpedImageFiles(Size(150, 170), 1, still, premultiplied(still.rgba[..., :3].copy(), still.matte))
    for _ in range(8):
        at = np.array([100, 120, 10, 0.9, 1, 0])
        path = [Placement(*(at + rng.normal(size=6) * [9, 9, 5, 0.03, 0.02, 0.02])) for _ in range(3)]
        place = exposure(*path, shutter=1, layer=Size(150, 170), frame=frame)
        shown = WarpedImage(image, None, (place,), shows_all_pixels=False)
        next(iter(shown.likely_unknown(0, TEST_BAND.margin, rng)))
        alpha, box = shown.alpha(0, Box(0, 0, *frame)), shown.covered(0).intersection(Box(0, 0, *frame))
        assert np.count_nonzero(alpha) == np.count_nonzero(alpha[box.top : box.bottom, box.left : box.right])
        rows, columns = np.nonzero(TEST_BAND.trimap(alpha) == 128)
        edge_to_index = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
        in_still = edge_to_index @ inverse(place, size) @ [columns + 0.5, rows + 0.5, np.ones(len(rows))]
        tops_lefts = np.floor((in_still[1::-1] + 0.5) / 8).astype(int).T * 8
        assert {tuple(one) for one in tops_lefts.tolist()} <= {tuple(one) for one in found[-1].tolist()}


# The path


@pytest.mark.parametrize("motion", ["dvm", "rvm"])
def test_a_layer_rests_before_the_first_frame_and_after_the_last(motion: str) -> None:
    drawn = drawn_for(3, motion=motion)
    first, last = drawn.placements[0], drawn.placements[-1]
    assert isinstance(first, Exposed)
    assert isinstance(last, Exposed)
    assert first.before.pose == pytest.approx(first.pose)
    assert last.after.pose == pytest.approx(last.pose)
    for one, other in pairwise(drawn.placements):
        assert one.after.pose == pytest.approx(other.pose)
        assert other.before.pose == pytest.approx(one.pose)


def drawn_for(seed: int, *, motion: str, kind: str = "image", shutter: float = 0.5) -> RandomParameters:
    foreground = Foreground(kind, "cat", Path("fg"), Path("alpha"))
    rendering = Rendering(motion=motion, shutter=shutter)
    plan = ClipPlan(f"{kind}_cat_0", foreground, Background("0", Path("bg")), seed, rendering)
    return clip_parameters(plan, geometry(Size(720, 1280), Size(1080, 1920), max_size=1920))


def test_a_still_layer_is_not_exposed() -> None:
    for motion, kind in (("none", "image"), ("dvm", "video")):
        assert {type(one) for one in drawn_for(0, motion=motion, kind=kind).placements} == {Placement}


def test_the_shutter_changes_no_placement() -> None:
    for seed in range(20):
        for motion in ("dvm", "rvm"):
            sharp, blurred = (drawn_for(seed, motion=motion, shutter=shutter) for shutter in (0, 1))
            for one, other in ((sharp.placements, blurred.placements), (sharp.background, blurred.background)):
                assert [p and (p.pose, p.shape) for p in one or ()] == [p and (p.pose, p.shape) for p in other or ()]


def test_a_pause_repeats_the_blurred_frame() -> None:
    paused = (seed for seed in range(1000) if pauses(number_stream(seed, "pauses"), 60) != tuple(range(60)))
    for seed in islice(paused, 4):
        drawn = drawn_for(seed, motion="rvm")
        for index, shown in enumerate(drawn.timing.shown):
            assert drawn.placements[index] == drawn.placements[shown]
            assert drawn.background[index] == drawn.background[shown]


def test_a_step_is_not_blurred(monkeypatch: pytest.MonkeyPatch) -> None:
    """With steps alone, layers jump and rest."""
    monkeypatch.setattr(eased_motion, "drawn_easing", lambda rng: EASINGS["Step"])
    for seed in range(12):
        drawn = drawn_for(seed, motion="rvm")
        assert len(set(drawn.placements)) > 1 or seed
        assert {type(one) for one in (*drawn.placements, *drawn.background)} == {Placement}


def test_jumps_are_changes_between_rests() -> None:
    def maps(*columns: float) -> np.ndarray:
        result = np.eye(3)[None].repeat(len(columns), axis=0)
        result[:, 0, 2] = columns
        return result

    assert np.flatnonzero(jumps(maps(0, 0, 5, 5, 5, 6, 7, 7))).tolist() == [0, 2]
    assert np.flatnonzero(jumps(maps(0, 1, 2, 3, 3), maps(0, 0, 0, 4, 4))).tolist() == [0, 3]


@pytest.mark.slow
def test_the_background_covers_the_frame_in_each_of_10000_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of clips of any aspect, in which it always moves."""
    monkeypatch.setattr(eased_motion, "BACKGROUND_SHARE", 1)
    monkeypatch.setattr(eased_motion, "CAMERA_SHARE", 0.5)
    rng, samples = np.random.default_rng(1), 0
    foreground, rendering = Foreground("image", "cat", Path("fg"), Path("alpha")), Rendering(motion="rvm", shutter=1)
    for seed in range(50):
        (fh, fw), (bh, bw) = np.exp(rng.uniform(np.log(16), np.log(2000), (2, 2))).astype(int).tolist()
        sizes = geometry(Size(fh, fw), Size(bh, bw), max_size=1920)
        plan = ClipPlan("clip", foreground, Background("0", Path("bg")), seed, rendering)
        drawn = eased_parameters(plan, sizes, RandomParameters((0, 0), (), ()))
        corners = np.array([[x, y, 1] for x in (0, sizes.frame.width) for y in (0, sizes.frame.height)], float).T
        for place in drawn.background or ():
            maps = np.stack(sampled_maps(place, layer=sizes.background))
            shown = maps @ (corners - [[0.5], [0.5], [0]]) + 0.5  # from pixel edges to indices, and back
            assert shown.min() >= 0, seed
            assert (shown.max((0, 2)) <= [sizes.background.width, sizes.background.height]).all(), seed
            samples += len(maps)
    assert samples > 10_000
