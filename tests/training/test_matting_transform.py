"""Augmentation: one choice for all frames and layers of a sample, compared with independent implementations."""

import colorsys
import dataclasses
import importlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import require_torch
from scipy import ndimage

require_torch()

import torch  # noqa: E402  where it is there

from dvm_hf import ConfigError  # noqa: E402
from dvm_hf.torch import ClipStream, ColourJitter, MattingTransform  # noqa: E402
from dvm_hf.training import matting_transform  # noqa: E402
from dvm_hf.training.matting_transform import PRESETS, STREAMS  # noqa: E402

LAYERS = ("frames", "alpha", "trimap", "foreground", "background")


def sample_of(
    *, height: int = 40, width: int = 52, frames: int = 4, seed: int = 1, epoch: int = 0, index: int = 0
) -> dict[str, Any]:
    """A sample of noise; its alpha is a moving soft disc, its composite that of its layers."""
    rng = np.random.default_rng(seed)
    colours = {
        name: rng.integers(0, 256, (frames, 3, height, width), np.uint8) for name in ("foreground", "background")
    }
    rows, columns = np.ogrid[:height, :width]
    discs = [np.hypot(rows - height / 2, columns - width / 2 - 2 * frame) for frame in range(frames)]
    alpha = np.stack([np.clip((10 - disc) * 60 + 128, 0, 255) for disc in discs]).astype(np.uint8)[:, None]
    trimap = np.where(alpha == 255, 255, np.where(alpha == 0, 0, 128)).astype(np.uint8)
    layers = colours | {"alpha": alpha, "trimap": trimap}
    layers["frames"] = composite(layers)
    tensors = {name: torch.from_numpy(layer) for name, layer in layers.items()}
    return tensors | {"seed": seed, "epoch": epoch, "index": index, "height": height, "width": width, "clip_id": "a"}


def composite(layers: dict[str, np.ndarray]) -> np.ndarray:
    weight = layers["alpha"] / 255
    return np.round(weight * layers["foreground"] + (1 - weight) * layers["background"]).astype(np.uint8)


def arrays(sample: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: sample[name].numpy() for name in LAYERS if name in sample}


def test_no_option_changes_nothing() -> None:
    sample = sample_of()
    before = {name: layer.copy() for name, layer in arrays(sample).items()}
    result = MattingTransform()(sample)
    assert result.keys() == sample.keys()
    for name, layer in arrays(result).items():
        assert np.array_equal(layer, before[name])
        assert np.array_equal(arrays(sample)[name], before[name])  # nor is the input changed


def test_augmentation_is_a_function_of_the_sample() -> None:
    transform = MattingTransform.preset("strong", crop_sizes=(12, 16, 20), size=12)
    results = [
        transform(sample_of(seed=seed, epoch=epoch, index=index))["frames"].numpy().tobytes()
        for seed, epoch, index in [(1, 0, 0), (1, 0, 0), (1, 1, 0), (1, 0, 1), (2, 0, 0)]
    ]
    assert results[0] == results[1]
    assert len(set(results)) == 4


def test_a_crop_is_the_same_part_of_all_frames_and_layers() -> None:
    """Around a pixel with 0 < alpha < 255 of the given frame; sizes are drawn uniformly."""
    sizes = []
    for index in range(60):
        sample = sample_of(index=index)
        result = arrays(MattingTransform(crop_sizes=(8, 12, 16), crop_frame=2)(sample))
        side = result["alpha"].shape[-1]
        sizes.append(side)
        (place,) = found_in(arrays(sample)["frames"], result["frames"])
        for name, layer in arrays(sample).items():
            top, left = place
            assert np.array_equal(result[name], layer[..., top : top + side, left : left + side])
        middle = result["alpha"][2, 0, side // 2, side // 2]
        assert 0 < middle < 255  # the disc is far from the frame's edges
    assert {side: sizes.count(side) > 10 for side in (8, 12, 16)} == {8: True, 12: True, 16: True}


def found_in(whole: np.ndarray, part: np.ndarray) -> list[tuple[int, int]]:
    height, width = part.shape[-2:]
    return [
        (top, left)
        for top in range(whole.shape[-2] - height + 1)
        for left in range(whole.shape[-1] - width + 1)
        if np.array_equal(whole[..., top : top + height, left : left + width], part)
    ]


def test_a_crop_falls_back_to_the_trimap_and_then_to_the_centre() -> None:
    sample = sample_of()
    hard = torch.where(sample["alpha"] > 128, 255, 0).to(torch.uint8)
    unknown = torch.zeros_like(hard)
    unknown[:, :, 20, 15] = 128
    by_trimap = MattingTransform(crop_sizes=(9,))(sample | {"alpha": hard, "trimap": unknown})
    assert by_trimap["trimap"][0, 0, 4, 4] == 128
    middle = MattingTransform(crop_sizes=(9,))(sample | {"alpha": hard, "trimap": torch.zeros_like(hard)})
    assert found_in(arrays(sample)["frames"], arrays(middle)["frames"]) == [(16, 22)]


def test_only_fitting_crop_sizes_are_drawn_or_else_the_largest_square() -> None:
    fits = {MattingTransform(crop_sizes=(12, 500))(sample_of(index=i))["alpha"].shape[-1] for i in range(20)}
    assert fits == {12}
    assert MattingTransform(crop_sizes=(500, 600))(sample_of())["alpha"].shape[-2:] == (40, 40)


def test_resizing_is_cubic_and_for_trimaps_nearest() -> None:
    sample = sample_of(height=40, width=40)
    result = arrays(MattingTransform(size=20)(sample))
    for name in ("frames", "alpha"):
        for frame, whole in zip(result[name], arrays(sample)[name], strict=True):
            expected = cv2.resize(whole.transpose(1, 2, 0), (20, 20), interpolation=cv2.INTER_CUBIC).reshape(20, 20, -1)
            assert np.array_equal(frame, expected.transpose(2, 0, 1))
    assert set(np.unique(result["trimap"])) <= {0, 128, 255}
    resized = MattingTransform(size=20)(sample)
    assert (resized["height"], resized["width"]) == (20, 20)


def test_half_of_the_samples_are_flipped() -> None:
    flipped = 0
    for index in range(100):
        sample = sample_of(index=index, height=8, width=8)
        result = arrays(MattingTransform(flip=0.5)(sample))
        is_flipped = not np.array_equal(result["frames"], arrays(sample)["frames"])
        flipped += is_flipped
        for name, layer in arrays(sample).items():
            assert np.array_equal(result[name], layer[..., ::-1] if is_flipped else layer)
    assert 35 <= flipped <= 65


def test_a_training_trimap_has_one_symmetric_band_per_sample() -> None:
    """By SciPy's distance transform: pixels within r of a fractional pixel or of an edge are unknown."""
    radii = set()
    for index in range(30):
        sample = sample_of(index=index, height=64, width=72)
        result = arrays(MattingTransform(trimap="dvm-train")(sample))
        fitting = [
            radius
            for radius in sorted({steps * (size - 1) / 2 for size in (2, 3, 4) for steps in range(5, 15)})
            if all(
                np.array_equal(trimap, banded(alpha, radius))
                for trimap, alpha in zip(result["trimap"], result["alpha"], strict=True)
            )
        ]
        assert fitting
        radii.add(fitting[0])
    assert len(radii) > 5


def banded(alpha: np.ndarray, radius: float) -> np.ndarray:
    """Trimap (1, H, W) with a band of a radius on each side."""
    is_solid, is_empty = (
        ndimage.distance_transform_edt(np.pad(a, 1, constant_values=True))[1:-1, 1:-1] > radius
        if a.all()
        else ndimage.distance_transform_edt(a) > radius
        for a in (alpha[0] == 255, alpha[0] == 0)
    )
    return np.where(is_solid, 255, np.where(is_empty, 0, 128)).astype(np.uint8)[None]


def test_trimaps_of_a_radius_and_of_the_test() -> None:
    sample = sample_of()
    by_radius = arrays(MattingTransform(trimap=3)(sample))
    assert all(np.array_equal(t, banded(a, 3)) for t, a in zip(by_radius["trimap"], by_radius["alpha"], strict=True))
    cross = ndimage.generate_binary_structure(2, 1)
    result = arrays(MattingTransform(trimap="dvm-test")(sample))
    for trimap, alpha in zip(result["trimap"][:, 0], result["alpha"][:, 0], strict=True):
        solid = ndimage.binary_erosion(alpha == 255, cross, iterations=5, border_value=1)
        empty = ndimage.binary_erosion(alpha == 0, cross, iterations=5, border_value=1)
        assert np.array_equal(trimap, np.where(solid, 255, np.where(empty, 0, 128)))


def fixed(**changes: float) -> ColourJitter:
    """A jitter with fixed values."""
    return ColourJitter(**{name: (value, value) for name, value in changes.items()})


def changed(jitter: ColourJitter, rgb: np.ndarray) -> np.ndarray:
    """Pixels (n, 3) after a jitter."""
    return jitter.drawn(np.random.default_rng(0))(rgb[None])[0]


COLOURS = np.random.default_rng(3).integers(0, 256, (500, 3)).astype(np.uint8)
MILD = np.random.default_rng(4).integers(90, 166, (500, 3)).astype(np.uint8)  # where no change leaves the range


def as_tensor(rgb: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rgb.T[:, None] / 255.0)


def from_tensor(values: torch.Tensor) -> np.ndarray:
    return values[:, 0].T.numpy() * 255


@pytest.fixture
def kornia() -> Any:
    require_torch("kornia")
    return importlib.import_module("kornia")


def test_levels_match_kornia(kornia: Any) -> None:
    for gamma in (0.7, 1.4):
        expected = from_tensor(kornia.enhance.adjust_gamma(as_tensor(COLOURS), gamma))
        assert np.abs(changed(fixed(gamma=gamma), COLOURS) - expected).max() <= 0.51
    for factor in (0.6, 1.5):
        darker = from_tensor(kornia.enhance.adjust_contrast(as_tensor(COLOURS), factor))  # its contrast multiplies
        assert np.abs(changed(fixed(brightness=factor), COLOURS) - darker).max() <= 0.51


def test_contrast_is_scaled_around_middle_grey() -> None:
    for factor in (0.5, 1.7):
        expected = np.clip((COLOURS / 255 - 0.5) * factor + 0.5, 0, 1) * 255
        assert np.abs(changed(fixed(contrast=factor), COLOURS) - expected).max() <= 0.51


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.5])
def test_saturation_matches_kornia(factor: float, kornia: Any) -> None:
    expected = from_tensor(kornia.enhance.adjust_saturation_with_gray_subtraction(as_tensor(MILD), factor))
    assert np.abs(changed(fixed(saturation=factor), MILD) - expected).max() <= 0.6  # OpenCV's weights have 10 bits


@pytest.mark.parametrize("degrees", [-30, 15, 120, 180])
def test_hue_keeps_the_luma(degrees: float) -> None:
    """Pure colours rotate by degrees of the colour circle; greys and luma stay; a third of a turn is not a blend."""
    greys = np.repeat(np.arange(0, 256, dtype=np.uint8)[:, None], 3, axis=1)
    assert np.array_equal(changed(fixed(hue=degrees), greys), greys)
    result = changed(fixed(hue=degrees), MILD)
    luma = np.array([0.299, 0.587, 0.114])
    assert np.abs(result @ luma - MILD @ luma).max() < 0.8
    vivid = np.array([[165, 100, 100], [100, 165, 100], [100, 100, 165], [160, 150, 100]], np.uint8)
    for before, after in zip(vivid, changed(fixed(hue=degrees), vivid), strict=True):
        turned = angle_about_grey(after) - angle_about_grey(before)
        assert abs((turned - degrees + 180) % 360 - 180) < 2


def angle_about_grey(rgb: np.ndarray) -> float:
    """Return the angle of a colour about the grey axis in degrees, red at 0, green at 120."""
    red, green, blue = map(float, rgb)
    return float(np.degrees(np.arctan2(np.sqrt(3) / 2 * (green - blue), red - (green + blue) / 2)))


def test_hue_rotates_in_the_direction_of_colorsys() -> None:
    """From red towards yellow and green with rising degrees, as in HSV."""
    result = changed(fixed(hue=40), np.array([[170, 110, 110]], np.uint8))[0] / 255
    assert 20 < colorsys.rgb_to_hsv(*result)[0] * 360 < 60


def test_colours_change_alike_in_all_frames_and_the_composite_matches_its_layers() -> None:
    jitter = PRESETS["strong"].colour
    assert jitter is not None
    sample = sample_of()
    still = {name: layer[:1].expand_as(layer).contiguous() for name, layer in sample.items() if name in LAYERS}
    result = arrays(MattingTransform(colour=jitter, foreground_colour=jitter)(sample | still))
    for name in LAYERS:
        assert (result[name] == result[name][:1]).all(), name
    assert np.abs(np.int16(result["frames"]) - composite(result)).max() <= 1
    assert not np.array_equal(result["background"], still["background"].numpy())


def test_foreground_colours_do_not_change_transparent_pixels() -> None:
    sample = sample_of()
    result = arrays(MattingTransform(foreground_colour=fixed(brightness=0.5))(sample))
    before = arrays(sample)
    is_bg, is_fg = (np.repeat(before["alpha"] == level, 3, axis=1) for level in (0, 255))
    assert np.array_equal(result["frames"][is_bg], before["frames"][is_bg])
    assert np.array_equal(result["background"], before["background"])
    assert np.abs(result["frames"][is_fg] - before["frames"][is_fg] * 0.5).max() <= 0.51


def test_without_layers_the_composite_itself_changes_colour() -> None:
    sample = {name: value for name, value in sample_of().items() if name not in ("foreground", "background")}
    result = arrays(MattingTransform(colour=fixed(brightness=0.5))(sample))
    assert np.abs(result["frames"] - arrays(sample)["frames"] * 0.5).max() <= 0.51
    assert np.array_equal(result["alpha"], arrays(sample)["alpha"])


def test_artefacts_change_the_composite_only() -> None:
    sample = sample_of(height=64, width=64)
    flat = sample | {"frames": torch.full_like(sample["frames"], 128)}
    noisy = arrays(MattingTransform(noise=(5, 5), artefacts=1)(flat))
    assert abs(noisy["frames"].std() - 5) < 0.2
    assert not np.array_equal(noisy["frames"][0], noisy["frames"][1])  # a camera's noise is new in each frame
    blurred = arrays(MattingTransform(blur=(1.5, 1.5), artefacts=1)(sample))
    expected = ndimage.gaussian_filter(arrays(sample)["frames"].astype(float), (0, 0, 1.5, 1.5), mode="mirror")
    assert np.abs(blurred["frames"] - expected).max() < 2
    coded = arrays(MattingTransform(jpeg=(40, 40), artefacts=1)(sample))
    assert 1 < np.abs(np.int16(coded["frames"]) - arrays(sample)["frames"]).mean() < 60
    for result in (noisy, blurred, coded):
        for name in LAYERS[1:]:
            assert np.array_equal(result[name], arrays(sample)[name])
    assert np.array_equal(arrays(MattingTransform(noise=(5, 5), artefacts=0)(flat))["frames"], flat["frames"])


def test_jpeg_keeps_the_order_of_the_channels() -> None:
    sample = sample_of()
    red = torch.zeros_like(sample["frames"])
    red[:, 0] = 200
    coded = MattingTransform(jpeg=(90, 90), artefacts=1)(sample | {"frames": red})
    assert (coded["frames"].float() - red).abs().max() <= 4


def test_options_use_independent_random_numbers() -> None:
    sample = sample_of(height=60, width=70)
    plain = MattingTransform(crop_sizes=(16, 24), flip=0.5, trimap="dvm-train")
    more = dataclasses.replace(plain, noise=(1, 9), jpeg=(30, 90), colour=fixed(brightness=0.7), artefacts=1.0)
    for name in ("alpha", "trimap"):
        assert np.array_equal(arrays(plain(sample))[name], arrays(more(sample))[name])


def test_each_choice_has_its_own_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each purpose draws once, and no two purposes, samples or streams have the same numbers."""
    drawn: list[tuple[str, float]] = []
    stream = matting_transform.number_generator

    def noted(sample: dict[str, Any], purpose: str) -> np.random.Generator:
        drawn.append((purpose, stream(sample, purpose).random()))
        return stream(sample, purpose)

    monkeypatch.setattr(matting_transform, "number_generator", noted)
    transform = MattingTransform.preset("strong", crop_sizes=(8, 12), size=8)
    for sample in (
        sample_of(),
        sample_of(seed=2),
        sample_of(epoch=3),
        sample_of(index=4),
        sample_of() | {"root_seed": 5},
    ):
        transform(sample)
    assert sorted(purpose for purpose, _ in drawn) == sorted(STREAMS * 5)
    assert len({number for _, number in drawn}) == 5 * len(STREAMS)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_make_the_published_sample_of_a_stream(training_sources: Path, name: str) -> None:
    """2 + 2 frames of 320 x 320 for any crop; the sources here are small, so the crop is the largest square."""
    stream = ClipStream(
        "train",
        data_dir=str(training_sources),
        clip_length=2,
        context=2,
        columns=LAYERS,
        backgrounds_per_foreground=1,
        transform=MattingTransform.preset(name),
    )
    for sample in stream:
        shapes = {column: tuple(sample[column].shape) for column in LAYERS}
        assert shapes == {column: (4, 1 if column in ("alpha", "trimap") else 3, 320, 320) for column in LAYERS}
        assert set(np.unique(sample["trimap"])) <= {0, 128, 255}
        assert (sample["height"], sample["width"]) == (320, 320)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        *(("trimap", value, "trimap must be one of 'keep'") for value in ("published", -3, True, 1.5, ["x"], None)),
        *(("flip", value, "flip must be a probability") for value in (2, "a", True, None, float("nan"))),
        ("artefacts", -1, "artefacts must be a probability"),
        *(("crop_sizes", value, "crop_sizes must be ") for value in (8, (0,), (8.5,), ("8",), None)),
        *(("crop_frame", value, "crop_frame must be an integer of at least 0") for value in (-1, 1.5, True)),
        *(("size", value, "size must be an integer of at least 1") for value in (0, (8, 8), 8.0, True)),
        *(("colour", value, "colour must be a ColourJitter") for value in (0.4, (0.8, 1.2))),
        ("foreground_colour", True, "foreground_colour must be a ColourJitter"),
        *(("blur", value, "blur must be a range, two numbers from") for value in (1.5, (0, 0), (-1, 1), "ab")),
        *(("noise", value, "noise must be a range, two numbers from") for value in ((-5, -5), (8, 1), (1, 2, 3))),
        *(("jpeg", value, "jpeg must be a range, two numbers from 0 to 100") for value in ((200, 300), 90, (90, None))),
    ],
)
def test_an_invalid_option_is_named_at_construction(name: str, value: Any, rule: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name}=.*: not allowed; {rule}"):
        MattingTransform(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("brightness", 0.4),
        ("brightness", (-1, 1)),
        ("contrast", (2, 1)),
        ("gamma", (-1, -1)),
        ("gamma", (0, 1)),
        ("saturation", (1, 2, 3)),
        ("saturation", (True, 2)),
        ("hue", (0, float("inf"))),
    ],
)
def test_an_invalid_colour_range_is_named_at_construction(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{name}=.*: not allowed; {name} must be a range, two numbers from"):
        ColourJitter(**{name: value})


def test_a_trimap_is_computed_if_requested() -> None:
    sample = {name: value for name, value in sample_of().items() if name != "trimap"}
    made = arrays(MattingTransform(trimap=3)(sample))
    assert all(np.array_equal(t, banded(a, 3)) for t, a in zip(made["trimap"], made["alpha"], strict=True))
    assert "trimap" not in MattingTransform(flip=1)(sample)


def test_no_composite_is_computed_unless_requested() -> None:
    sample = {name: value for name, value in sample_of().items() if name != "frames"}
    jitter = fixed(brightness=0.5)
    result = MattingTransform(colour=jitter, foreground_colour=jitter)(sample)
    assert result.keys() == sample.keys()
    for name, factor in (("foreground", 0.25), ("background", 0.5)):
        assert np.abs(arrays(result)[name] - arrays(sample)[name] * factor).max() <= 1


@pytest.mark.parametrize("recipe", ["dvm", "reference"])
def test_colours_of_a_premultiplied_foreground_are_not_changed(training_sources: Path, recipe: str) -> None:
    """A jitter that changes nothing keeps the frames; any other raises an error."""

    def samples(columns: tuple[str, ...], transform: MattingTransform | None) -> list[dict[str, Any]]:
        return list(
            ClipStream(
                "train",
                data_dir=str(training_sources),
                recipe=recipe,
                clip_length=1,
                crop_size=32,
                columns=columns,
                backgrounds_per_foreground=1,
                transform=transform,
            )
        )

    for field in ("colour", "foreground_colour"):
        transform = MattingTransform(**{field: ColourJitter()})
        if recipe == "reference":
            with pytest.raises(ConfigError, match=f"^{field}: the foreground of recipe='reference' is premultiplied"):
                samples(LAYERS, transform)
        else:
            for plain, changed in zip(samples(LAYERS, None), samples(LAYERS, transform), strict=True):
                assert np.abs(np.int16(plain["frames"]) - np.int16(changed["frames"])).max() <= 1
    without = ("frames", "alpha", "background")
    for plain, changed in zip(
        samples(without, None), samples(without, MattingTransform(colour=fixed(brightness=0.5))), strict=True
    ):
        assert (plain["frames"].float() * 0.5 - changed["frames"]).abs().max() <= 0.51


def test_missing_columns_of_a_sample_are_named() -> None:
    sample = sample_of()
    without = {name: value for name, value in sample.items() if name not in ("alpha", "foreground")}
    with pytest.raises(ConfigError, match="trimap='dvm-train': needs the columns alpha"):
        MattingTransform(trimap="dvm-train")(without)
    with pytest.raises(ConfigError, match=r"foreground_colour=.*has no alpha"):
        MattingTransform(foreground_colour=fixed(gamma=2))(without)
    with pytest.raises(ConfigError, match="preset 'hard': does not exist; use one of 'dvm'"):
        MattingTransform.preset("hard")
