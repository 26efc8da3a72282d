"""Trimaps against SciPy's morphology and distance transform."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from dvm_hf.clips.trimap import TEST_BAND, EuclideanBand, MorphologicalBand, from_provided, training_band
from dvm_hf.media.pixels import Box

CROSS = ndimage.generate_binary_structure(2, 1)


def blobs(height: int, width: int, *, seed: int = 0, sigma: float = 6.0) -> np.ndarray:
    """Alpha (H, W) with large certain regions, soft borders between them, and regions at the frame's edge."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((height, width)), sigma, mode="wrap")
    return np.clip(noise / noise.std() * 400 + 100, 0, 255).astype(np.uint8)


def specks(value: int, ground: int) -> np.ndarray:
    """Single pixels, also at corners and edges, far apart on an otherwise certain alpha."""
    alpha = np.full((70, 90), ground, np.uint8)
    alpha[[0, 0, 69, 35, 20, 62], [0, 89, 40, 45, 0, 80]] = value
    return alpha


ALPHAS = {
    "blobs": blobs(97, 131),
    "fine": blobs(64, 64, seed=1, sigma=1.5),
    "wide": blobs(210, 190, seed=2, sigma=20),
    "hair": np.where(np.random.default_rng(3).random((80, 60)) < 0.02, 90, blobs(80, 60, seed=4)).astype(np.uint8),
    "specks on background": specks(255, 0),
    "faint specks on background": specks(1, 0),
    "holes in foreground": specks(254, 255),
    "all foreground": np.full((30, 40), 255, np.uint8),
    "all background": np.zeros((30, 40), np.uint8),
    "all unknown": np.full((30, 40), 7, np.uint8),
    "a row": blobs(1, 200, seed=5),
    "a column": blobs(200, 1, seed=6),
    "a pixel": np.full((1, 1), 255, np.uint8),
}


def trimap_of(is_fg: np.ndarray, is_bg: np.ndarray) -> np.ndarray:
    return np.select([is_fg, is_bg], [255, 0], 128)


def distance_to_false(mask: np.ndarray) -> np.ndarray:
    return np.full(mask.shape, np.inf) if mask.all() else ndimage.distance_transform_edt(mask)


@pytest.mark.parametrize("name", ALPHAS)
def test_dvm_test_is_five_dilations_with_a_cross(name):
    alpha = ALPHAS[name]
    is_fg = ndimage.binary_erosion(alpha == 255, CROSS, iterations=5, border_value=1)
    is_bg = ~ndimage.binary_dilation(alpha > 0, CROSS, iterations=5, border_value=0)
    assert np.array_equal(TEST_BAND.trimap(alpha), trimap_of(is_fg, is_bg))


@pytest.mark.parametrize("radius", [0, 1, 2, 2.5, 3, 5, 7.5, 10, 13, 21, 40])
@pytest.mark.parametrize("name", ALPHAS)
def test_radius_is_the_distance_to_the_nearest_uncertain_pixel(name, radius):
    alpha = ALPHAS[name]
    expected = trimap_of(distance_to_false(alpha == 255) > radius, distance_to_false(alpha == 0) > radius)
    assert np.array_equal(EuclideanBand(radius).trimap(alpha), expected)


def test_radius_zero_keeps_every_certain_pixel():
    alpha = np.arange(256, dtype=np.uint8).reshape(16, 16)
    expected = np.full((16, 16), 128)
    expected[0, 0], expected[15, 15] = 0, 255
    assert EuclideanBand(0).trimap(alpha).tolist() == expected.tolist()


def test_dvm_test_worked_by_hand():
    alpha = np.zeros((1, 20), np.uint8)
    alpha[0, 9] = 1
    assert TEST_BAND.trimap(alpha).tolist() == [[0] * 4 + [128] * 11 + [0] * 5]


def test_camera_matte_has_the_trimaps_of_scipy(camera_media):
    with Image.open(camera_media / "lemur_alpha.png") as image:
        alpha = np.asarray(image)
    is_fg = ndimage.binary_erosion(alpha == 255, CROSS, iterations=5, border_value=1)
    is_bg = ~ndimage.binary_dilation(alpha > 0, CROSS, iterations=5)
    assert np.array_equal(TEST_BAND.trimap(alpha), trimap_of(is_fg, is_bg))
    expected = trimap_of(distance_to_false(alpha == 255) > 12, distance_to_false(alpha == 0) > 12)
    assert np.array_equal(EuclideanBand(12).trimap(alpha), expected)


def training_bands() -> list[EuclideanBand]:
    return [training_band(np.random.default_rng(seed)) for seed in range(3000)]


def test_training_bands_are_as_wide_as_the_published_kernels():
    # kernel sizes 2, 3, 4 move a border by 1/2, 1, 3/2 px each time, on average; 5 .. 14 times
    published = {times * half / 2 for half in (1, 2, 3) for times in range(5, 15)}
    assert {band.radius for band in training_bands()} == published


def test_training_bands_are_drawn_uniformly():
    found, counts = np.unique([band.radius for band in training_bands()], return_counts=True)
    weights = {radius: 0 for radius in found}
    for half in (1, 2, 3):
        for times in range(5, 15):
            weights[times * half / 2] += 1
    expected = np.array(list(weights.values())) * 3000 / 30
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected))


def test_a_training_band_depends_on_its_generator_only():
    assert training_band(np.random.default_rng(8)) == training_band(np.random.default_rng(8))


@pytest.mark.parametrize("seed", range(6))
def test_training_trimaps_are_symmetric(seed):
    band, alpha = training_band(np.random.default_rng(seed)), blobs(90, 120, seed=seed)
    result = band.trimap(alpha)
    assert np.array_equal(band.trimap(alpha[::-1])[::-1], result)
    assert np.array_equal(band.trimap(alpha[:, ::-1])[:, ::-1], result)
    assert np.array_equal(band.trimap(alpha.T).T, result)


@pytest.mark.parametrize(
    "band",
    [TEST_BAND, *map(EuclideanBand, (0, 1, 2.5, 4, 7.5, 12, 21)), MorphologicalBand(2, 7), MorphologicalBand(4, 5)],
    ids=str,
)
def test_a_crop_with_a_margin_has_the_trimap_of_the_full_frame(band):
    alpha = blobs(140, 180, seed=9, sigma=9)
    frame, whole = Box(0, 0, *alpha.shape), band.trimap(alpha)
    rng = np.random.default_rng(10)
    for _ in range(60):
        top, left = (int(rng.integers(0, side - 20)) for side in alpha.shape)
        crop = Box(top, left, top + 20, left + 20)
        region = crop.grown(band.margin).intersection(frame)
        cut = band.trimap(np.ascontiguousarray(alpha[region.within(frame)]))[crop.within(region)]
        assert np.array_equal(cut, whole[crop.within(frame)]), crop


@pytest.mark.parametrize("grey", [1, 102, 127, 128, 129, 254])
def test_every_grey_level_of_a_provided_trimap_is_unknown(grey):
    drawn = np.array([[0, grey, 255], [grey, 0, 255]], np.uint8)
    assert from_provided(drawn).tolist() == [[0, 128, 255], [128, 0, 255]]
    assert drawn[0, 1] == grey


def test_camera_provided_trimap_keeps_its_regions(camera_media):
    with Image.open(camera_media / "lemur_trimap.png") as image:
        drawn = np.ascontiguousarray(np.asarray(image)[..., 0])  # its unknown grey is 102
    result = from_provided(drawn)
    assert np.array_equal(np.unique(result), [0, 128, 255])
    assert np.array_equal(result == 128, drawn == 102)
    assert np.array_equal(result == 255, drawn == 255)
