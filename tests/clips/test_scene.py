"""Position of a foreground in its frame, sizes, and the trimap of an alpha."""

import math
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import TreeWriter
from media_arrays import weighted_means
from PIL import Image
from scipy import ndimage

from dvm_hf.clips.motion import Placement
from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.clips.scene import Frame, Scene
from dvm_hf.clips.trimap import UNKNOWN
from dvm_hf.clips.windows import Window, render
from dvm_hf.media.pixels import Box
from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.media.video.video_writing import write_video
from dvm_hf.sources.tree import scan

COLUMNS = ("frames", "alpha", "trimap", "foreground", "background")


def plan_of(root: Path, kind: str, *, split: str = "train", seed: int = 5, **rendering: Any) -> ClipPlan:
    """The clip of the first foreground of a kind over the first background, in all columns."""
    tree = scan(root, split)
    foreground = next(found for found in tree.foregrounds if found.kind == kind)
    name = f"{kind}_{foreground.name}_{tree.backgrounds[0].name}"
    fields = {"columns": COLUMNS, "clip_length": "all"} | rendering
    return ClipPlan(name, foreground, tree.backgrounds[0], seed, Rendering(**fields))


def whole_clip(plan: ClipPlan) -> Window[tuple[Frame, ...]]:
    (window,) = render(plan, each=lambda frame: frame)
    return window


def pixels(frame: Frame, layer: str) -> np.ndarray:
    found = getattr(frame, layer)
    assert found is not None
    return found.astype(int)


def decoded(path: Path) -> list[np.ndarray]:
    """The frames of a video, RGB, read by OpenCV."""
    video, frames = cv2.VideoCapture(str(path)), []
    while (answer := video.read())[0]:
        frames.append(cv2.cvtColor(answer[1], cv2.COLOR_BGR2RGB))
    return frames


def source_indices(place: Placement, *, frame: tuple[int, int], foreground: tuple[int, int]) -> np.ndarray:
    """For each pixel of the frame, the (row, column) of the foreground there, in pixel indices.

    A foreground point at (u, v) right of and below its centre, zoomed by z and rotated clockwise by t, is
    z * (u cos t - v sin t) right of and z * (u sin t + v cos t) below (row, column). Solved here for u and v.
    """
    rows, columns = np.mgrid[: frame[0], : frame[1]] + 0.5
    down, right = (rows - place.row) / place.zoom, (columns - place.column) / place.zoom
    t = math.radians(place.angle)
    u, v = right * math.cos(t) + down * math.sin(t), down * math.cos(t) - right * math.sin(t)
    return np.stack([v + foreground[0] / 2 - 0.5, u + foreground[1] / 2 - 0.5])


@pytest.mark.parametrize("is_opaque", [False, True])
def test_a_still_is_placed_by_its_motion(drawn_sources: Path, tree: TreeWriter, is_opaque: bool) -> None:
    """Soft hair, or a rectangle of noise that is opaque up to its border; the alpha outside is 0."""
    plan = plan_of(drawn_sources, "image")
    if is_opaque:
        tree.still()
        tree.background(frames=48)
        noise = np.random.default_rng(0).integers(0, 256, (48, 40, 3)).astype(np.uint8)
        write_image(tree.root / "fg/image/train/fg/disc.png", noise)
        write_image(tree.root / "fg/image/train/alpha/disc.png", np.full((48, 40), 255, np.uint8))
        plan = plan_of(tree.root, "image")
    matte = np.asarray(Image.open(plan.foreground.alpha).convert("L"), float)
    stored = np.asarray(Image.open(plan.foreground.colour).convert("RGB"))
    colour = weighted_means(stored, matte.astype(np.uint8), reach=3).astype(float)
    window = whole_clip(plan)
    assert len(window.frames) == 48
    for frame, place in list(zip(window.frames, window.placements, strict=True))[::6]:
        background = pixels(frame, "background")
        at = source_indices(place, frame=background.shape[:2], foreground=matte.shape)
        alpha = ndimage.map_coordinates(matte, at, order=1, mode="grid-constant")
        moved = [ndimage.map_coordinates(colour[..., i], at, order=1, mode="nearest") for i in range(3)]
        a = alpha[..., None] / 255
        expected = a * np.stack(moved, axis=-1) + (1 - a) * background
        assert np.abs(pixels(frame, "alpha") - alpha).max() <= 1
        assert np.abs(pixels(frame, "composite") - expected).max() <= 2


def test_a_still_moves_rotates_and_zooms(drawn_sources: Path) -> None:
    places = whole_clip(plan_of(drawn_sources, "image")).placements
    values = np.array([(place.row, place.column, place.angle, place.zoom) for place in places])
    assert (np.ptp(values, axis=0) > (3, 3, 1, 0.01)).all()
    steps = np.hypot(*np.diff(values[:, :2], axis=0).T)
    assert steps.max() <= 2.0 + 1e-9  # px a frame: the published speeds are 0.5 to 2


@pytest.mark.parametrize("size", [(48, 64), (50, 36)])
def test_a_video_foreground_is_centred(tree: TreeWriter, size: tuple[int, int]) -> None:
    folder = tree.moving(size=size)
    tree.background()
    window = whole_clip(plan_of(tree.root, "video"))
    height, width = min(int(size[0] * 1.2), 72), min(int(size[1] * 1.2), 96)
    top, left = height // 2 - size[0] // 2, width // 2 - size[1] // 2
    assert set(window.placements) == {Placement(top + size[0] / 2, left + size[1] / 2, 0.0, 1.0)}
    for frame, colour, matte in zip(window.frames, decoded(folder / "f.mp4"), decoded(folder / "a.mp4"), strict=True):
        expected = np.zeros((height, width), int)
        expected[top : top + size[0], left : left + size[1]] = matte[..., 1]
        assert np.abs(pixels(frame, "alpha") - expected).max() <= 2  # OpenCV converts luma by way of colours
        inside = pixels(frame, "foreground")[top : top + size[0], left : left + size[1]]
        assert np.abs(inside - colour).max() <= 2


@pytest.mark.parametrize("is_opaque", [False, True])
def test_the_foreground_is_unpremultiplied(tree: TreeWriter, is_opaque: bool) -> None:
    """The colour does not darken where alpha decreases, along a soft edge or across the border of the still."""
    tree.still(value=200)
    tree.background()
    if is_opaque:
        write_image(tree.root / "fg/image/train/alpha/disc.png", np.full((48, 40), 255, np.uint8))
    for frame in whole_clip(plan_of(tree.root, "image")).frames:
        alpha, colour = pixels(frame, "alpha"), pixels(frame, "foreground")
        assert ((alpha > 0) & (alpha < 255)).any()
        assert (colour[alpha > 0] == (200, 90, 30)).all()


@pytest.mark.parametrize(
    ("foreground", "background", "max_size", "frame"),
    [
        ((48, 40), (72, 96), 1920, (57, 48)),  # 1.2 times the foreground, truncated to pixels: 57.6, 48
        ((48, 40), (50, 96), 1920, (50, 48)),  # no more than the background
        ((48, 40), (72, 96), 40, (40, 39)),  # fr = 40 / 48: the foreground is 40 x 33, the frame 48 x 39, at most 40
        ((48, 40), (24, 32), 1920, (48, 48)),  # br = max(40 / 32, 48 / 24) = 2: the background is 48 x 64
        ((64, 48), (32, 48), 48, (48, 43)),  # fr = 0.75: 48 x 36; br = 1.5: 48 x 72; the frame 57 -> 48 x 43
    ],
)
@pytest.mark.parametrize("kind", ["image", "video"])
def test_sizes_worked_by_hand(
    tree: TreeWriter,
    kind: str,
    foreground: tuple[int, int],
    background: tuple[int, int],
    max_size: int,
    frame: tuple[int, int],
) -> None:
    tree.still(size=foreground)
    tree.moving(size=foreground)
    tree.background(size=background)
    window = whole_clip(plan_of(tree.root, kind, max_size=max_size))
    assert (window.view.height, window.view.width) == frame
    for made in window.frames:
        assert pixels(made, "alpha").shape == pixels(made, "trimap").shape == frame
        for layer in ("composite", "foreground", "background"):
            assert pixels(made, layer).shape == (*frame, 3)


def test_a_background_that_is_too_small_is_enlarged_bilinearly(tree: TreeWriter) -> None:
    tree.still(size=(48, 40))
    path = tree.background(size=(24, 20))  # twice its size is the full frame, so its crop is known
    noise = np.random.default_rng(0).integers(0, 256, (4, 24, 20, 3)).astype(np.uint8)
    write_video(path, noise)
    window = whole_clip(plan_of(tree.root, "image"))
    for frame, source in zip(window.frames, decoded(path), strict=True):
        enlarged = Image.fromarray(source).resize((40, 48), Image.Resampling.BILINEAR)
        assert np.abs(pixels(frame, "background") - np.asarray(enlarged, int)).max() <= 2


def test_a_large_background_is_cropped_unchanged(tree: TreeWriter) -> None:
    tree.still(size=(48, 40))
    path = tree.background(size=(72, 96))
    noise = np.random.default_rng(0).integers(0, 256, (3, 72, 96, 3)).astype(np.uint8)
    write_video(path, noise)
    corners = set()
    for seed in range(6):
        made = [pixels(frame, "background") for frame in whole_clip(plan_of(tree.root, "image", seed=seed)).frames]
        sources = [source.astype(int) for source in decoded(path)]
        found = [
            (row, column)
            for row in range(72 - 57 + 1)
            for column in range(96 - 48 + 1)
            if np.abs(sources[0][row : row + 57, column : column + 48] - made[0]).max() <= 2
        ]
        assert len(found) == 1
        ((row, column),) = found
        for source, cut in zip(sources, made, strict=True):
            assert np.abs(source[row : row + 57, column : column + 48] - cut).max() <= 2
        corners.add(found[0])
    assert len(corners) >= 4  # drawn for each clip


@pytest.mark.parametrize("max_size", [1920, 60])
def test_a_video_foreground_is_resized_as_one_frame(tree: TreeWriter, max_size: int) -> None:
    """The mass and the centre of its alpha scale with the picture."""
    tree.moving(size=(96, 120))
    tree.background(size=(100, 130))
    alpha = pixels(whole_clip(plan_of(tree.root, "video", max_size=max_size)).frames[0], "alpha") / 255
    ratio = min(1.0, max_size / 120)
    assert alpha.sum() == pytest.approx(math.pi * (0.4 * 96 * ratio) ** 2, rel=0.02)
    assert ndimage.center_of_mass(alpha) == pytest.approx(((alpha.shape[0] - 1) / 2, (alpha.shape[1] - 1) / 2), abs=0.6)


def cubic_weights(size: int, new_size: int) -> np.ndarray:
    """(new_size, size): how each new pixel mixes the old ones, by Keys' cubic convolution with a = -0.75, as OpenCV
    documents INTER_CUBIC; pixels beyond the border repeat the last one.
    """
    weights = np.zeros((new_size, size))
    for new in range(new_size):
        at = (new + 0.5) * size / new_size - 0.5
        for tap in range(math.floor(at) - 1, math.floor(at) + 3):
            x = abs(at - tap)
            near = 1.25 * x**3 - 2.25 * x**2 + 1
            far = -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
            weights[new, min(max(tap, 0), size - 1)] += near if x <= 1 else far
    return weights


@pytest.mark.slow
def test_a_video_foreground_is_resized_with_cubic_interpolation(tree: TreeWriter) -> None:
    folder = tree.moving(size=(60, 96))
    noise = np.random.default_rng(0).integers(0, 256, (12, 60, 96, 3)).astype(np.uint8)
    write_video(folder / "f.mp4", noise)
    tree.background(size=(100, 130))
    window = whole_clip(plan_of(tree.root, "video", max_size=64))  # 60 x 96 becomes 40 x 64, the frame 48 x 64
    rows, columns = cubic_weights(60, 40), cubic_weights(96, 64)
    for frame, source, matte in zip(window.frames, decoded(folder / "f.mp4"), decoded(folder / "a.mp4"), strict=True):
        expected = np.clip(np.einsum("yi,xj,ijc->yxc", rows, columns, source.astype(float)), 0, 255)
        is_clear = (matte.reshape(60, 96, -1).min(2) <= 8).astype(float)  # these colours are replaced at the edge
        is_exact = np.einsum("yi,xj,ij->yx", rows != 0, columns != 0, is_clear) == 0
        assert is_exact.sum() > 100
        assert np.abs(pixels(frame, "foreground")[4:44] - expected)[is_exact].max() <= 2


def test_background_blur_is_a_gaussian_of_nine_by_nine(tree: TreeWriter) -> None:
    tree.still()
    noise = np.random.default_rng(0).integers(0, 256, (3, 72, 96, 3)).astype(np.uint8)
    write_video(tree.background(), noise)
    sharp, blurred = (whole_clip(plan_of(tree.root, "image", background_blur=blur)).frames for blur in (False, True))
    sigma = 0.3 * ((9 - 1) * 0.5 - 1) + 0.8  # documented by OpenCV for a kernel of 9 and sigma 0
    kernel = np.exp(-((np.arange(9) - 4) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    for one, other in zip(sharp, blurred, strict=True):
        expected = pixels(one, "background").astype(float)
        for axis in (0, 1):
            expected = ndimage.correlate1d(expected, kernel, axis=axis, mode="mirror")
        assert np.abs(pixels(other, "background") - expected).max() <= 1


def trimap_by_distance(alpha: np.ndarray, radius: float) -> np.ndarray:
    """Certain where every pixel within the radius is certain; pixels outside the frame do not count."""

    def distance(is_certain: np.ndarray) -> np.ndarray:
        return ndimage.distance_transform_edt(is_certain) if not is_certain.all() else np.full(alpha.shape, np.inf)

    return np.where(distance(alpha == 255) > radius, 255, np.where(distance(alpha == 0) > radius, 0, 128))


@pytest.mark.parametrize("kind", ["image", "video"])
def test_the_test_trimap_is_computed_from_the_alpha(drawn_sources: Path, kind: str) -> None:
    for frame in whole_clip(plan_of(drawn_sources, kind, split="test", trimap="dvm-test")).frames[::10]:
        alpha = pixels(frame, "alpha")
        foreground = ndimage.binary_erosion(alpha == 255, iterations=5, border_value=1)  # SciPy's element is the cross
        background = ndimage.binary_erosion(alpha == 0, iterations=5, border_value=1)
        assert np.array_equal(pixels(frame, "trimap"), np.where(foreground, 255, np.where(background, 0, 128)))


@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize("radius", [0, 1, 7])
def test_a_number_is_the_radius_of_the_unknown_band(drawn_sources: Path, kind: str, radius: int) -> None:
    for frame in whole_clip(plan_of(drawn_sources, kind, split="test", trimap=radius)).frames[::10]:
        assert np.array_equal(pixels(frame, "trimap"), trimap_by_distance(pixels(frame, "alpha"), radius))


@pytest.mark.parametrize("kind", ["image", "video"])
def test_the_training_trimap_has_one_published_width_per_clip(tree: TreeWriter, kind: str) -> None:
    """n erosions with k x k move a border by n * (k - 1) / 2 px on average: k of 2, 3, 4 and n of 5 .. 14."""
    tree.still(size=(96, 96))
    tree.moving(size=(96, 96))
    tree.background()
    published = {n * (k - 1) / 2 for k in (2, 3, 4) for n in range(5, 15)}
    widths = set()
    for seed in range(6):
        frames = whole_clip(plan_of(tree.root, kind, seed=seed, trimap="dvm-train")).frames[:6]
        fitting = [
            width
            for width in published
            if all(
                np.array_equal(pixels(frame, "trimap"), trimap_by_distance(pixels(frame, "alpha"), width))
                for frame in frames
            )
        ]
        assert fitting
        widths.add(fitting[0])
    assert len(widths) > 2  # another clip, another width


@pytest.mark.slow
def test_a_provided_trimap_moves_with_its_alpha(drawn_sources: Path) -> None:
    plan = plan_of(drawn_sources, "image", split="test", trimap="provided")
    assert plan.foreground.trimap is not None
    drawn = np.asarray(Image.open(plan.foreground.trimap).convert("L"), int)
    window = whole_clip(plan)
    for frame, place in list(zip(window.frames, window.placements, strict=True))[::10]:
        made = pixels(frame, "trimap")
        at = source_indices(place, frame=made.shape, foreground=drawn.shape)
        expected = ndimage.map_coordinates(drawn, at, order=0, mode="grid-constant")
        assert set(np.unique(made)) == {0, 128, 255}
        assert (made == expected).mean() > 0.998  # nearest: a point between two pixels may go to either
        own = pixels(whole_clip(plan_of(drawn_sources, "image", split="test")).frames[0], "trimap")
        assert not np.array_equal(made, own)


@pytest.mark.parametrize(("kind", "split"), [("image", "train"), ("video", "test")])
def test_a_missing_provided_trimap_is_computed_from_the_alpha(tree: TreeWriter, kind: str, split: str) -> None:
    tree.still(split=split)
    tree.moving(split=split)
    tree.background(split=split)
    provided, own = (
        whole_clip(plan_of(tree.root, kind, split=split, trimap=trimap)).frames for trimap in ("provided", "dvm-test")
    )
    for one, other in zip(provided, own, strict=True):
        assert np.array_equal(pixels(one, "trimap"), pixels(other, "trimap"))


def test_intermediate_levels_of_a_provided_trimap_are_unknown(camera_media: Path, tree: TreeWriter) -> None:
    """The lemur's provided trimap marks unknown pixels with 102."""
    for part, name in {"fg": "foreground", "alpha": "alpha", "trimap": "trimap"}.items():
        folder = tree.root / "fg/image/test" / part
        folder.mkdir(parents=True)
        shutil.copy(camera_media / f"lemur_{name}.png", folder / "lemur.png")
    (tree.root / "bg/test").mkdir(parents=True)
    shutil.copy(camera_media / "nasa_13013.mp4", tree.root / "bg/test/nasa.mp4")
    plan = plan_of(tree.root, "image", split="test", trimap="provided", max_image_frames=3)
    drawn = np.asarray(Image.open(camera_media / "lemur_trimap.png").convert("RGB"))[..., 0].astype(int)
    assert set(np.unique(drawn)) == {0, 102, 255}
    window = whole_clip(plan)
    for frame, place in zip(window.frames, window.placements, strict=True):
        made = pixels(frame, "trimap")
        at = source_indices(place, frame=made.shape, foreground=drawn.shape)
        expected = ndimage.map_coordinates(drawn, at, order=0, mode="grid-constant")
        assert (made == np.where(expected == 102, 128, expected)).mean() > 0.998


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "trimap", "index"),
    [
        ("soft disc", "dvm-test", 23),
        ("soft disc", 0, 0),
        ("opaque border", "dvm-train", 23),
        ("opaque border", 0, 0),
        ("hair", "dvm-test", 0),
        ("hair", 9, 23),
    ],
)
def test_the_centre_is_a_uniformly_chosen_unknown_pixel(
    tree: TreeWriter, shape: str, trimap: str | int, index: int
) -> None:
    """Against the trimap of the full frame: only its unknown pixels are chosen, uniformly."""
    tree.still(size=(90, 70))
    tree.background(size=(140, 160), frames=24)
    matte = np.asarray(Image.open(tree.root / "fg/image/train/alpha/disc.png")).copy()
    if shape == "opaque border":
        matte[:] = 255
        matte[30:50, 20:50] = 0
    elif shape == "hair":
        matte[:] = 0
        for end in range(0, 70, 9):
            cv2.line(matte, (35, 85), (end, 5), 200, 1, cv2.LINE_AA)
    write_image(tree.root / "fg/image/train/alpha/disc.png", matte)
    plan = plan_of(tree.root, "image", trimap=trimap)
    frames = whole_clip(plan).frames
    draws = 160
    with ExitStack() as opened:
        scene = Scene(plan, opened)
        scene.start(range(24))
        is_unknown = pixels(frames[index], "trimap") == UNKNOWN
        found = np.zeros(is_unknown.shape, int)
        for seed in range(draws):
            rng = np.random.default_rng(seed)
            pixel = scene.unknown_pixel(index, rng.random(), rng)
            assert pixel is not None
            found[pixel] += 1
    assert not found[~is_unknown].any()
    for part in (np.s_[:60], np.s_[60:], np.s_[:, :40], np.s_[:, 40:], np.s_[::2, ::2]):
        share = is_unknown[part].sum() / is_unknown.sum()
        deviation = math.sqrt(draws * share * (1 - share)) + 1e-9
        assert abs(found[part].sum() - draws * share) < 5 * deviation + 1, part


def test_an_unknown_pixel_is_found_without_a_full_trimap(drawn_sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    made = Scene._trimap_in

    def measured(scene: Scene, index: int, alpha: np.ndarray, region: Box, view: Box) -> np.ndarray:
        nonlocal largest
        largest = max(largest, view.height * view.width)
        return made(scene, index, alpha, region, view)

    monkeypatch.setattr(Scene, "_trimap_in", measured)
    plan = plan_of(drawn_sources, "image", clip_length=4, crop_size=16)
    assert len(list(render(plan, each=lambda frame: frame))) == 12
    assert largest == 16 * 16


@pytest.mark.parametrize("trimap", [0, 7, "dvm-test", "dvm-train"])
def test_the_centre_over_a_video_foreground_is_an_unknown_pixel_of_its_frame(
    tree: TreeWriter, trimap: str | int
) -> None:
    """The chance selects one of them, in the order of rows. The disc leaves a border of 10 px and more at alpha 0."""
    tree.moving(size=(100, 120), frames=1)
    tree.background(size=(130, 160), frames=1)
    plan = plan_of(tree.root, "video", trimap=trimap)
    rows, columns = np.nonzero(pixels(whole_clip(plan).frames[0], "trimap") == UNKNOWN)
    chances = [*np.linspace(0, 1, 30, False), 1 - 2**-53]
    with ExitStack() as opened:
        scene = Scene(plan, opened)
        scene.start(range(1))
        found = [scene.unknown_pixel(0, chance, np.random.default_rng(0)) for chance in chances]
    chosen = [int(chance * len(rows)) for chance in chances]
    assert found == [(rows[number], columns[number]) for number in chosen]


@pytest.mark.parametrize("level", [0, 255])
def test_the_centre_of_a_frame_without_unknown_pixels_is_its_middle(tree: TreeWriter, level: int) -> None:
    """The alpha has another level in its first frame, so that it is a matte."""
    tree.moving(size=(64, 96), frames=2)
    tree.background(size=(64, 96), frames=2)
    grey = [np.tile(np.repeat(np.uint8([0, 255]), 48), (64, 1)), np.full((64, 96), level, np.uint8)]
    write_video(tree.root / "fg/video/train/0000/a.mp4", grey)
    with ExitStack() as opened:
        scene = Scene(plan_of(tree.root, "video"), opened)
        scene.start(range(2))
        assert scene.unknown_pixel(1, 0.5, np.random.default_rng(0)) == (32, 48)
