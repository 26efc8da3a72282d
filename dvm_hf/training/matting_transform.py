"""Augmentation of training samples: that of the published loader, and other common image degradations.

Each random choice applies to all frames and layers of a sample. It depends on the sample's seed, epoch, index and
root_seed only, so a resumed stream augments like an uninterrupted one.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import torch

from dvm_hf.clips.compositing import composite_over
from dvm_hf.clips.geometry import centred_box
from dvm_hf.clips.opencv_threads import one_opencv_thread
from dvm_hf.clips.trimap import TEST_BAND, UNKNOWN, Band, EuclideanBand, training_band
from dvm_hf.dataset.columns import COLUMNS
from dvm_hf.dataset.field_rules import LARGEST_SIZE, require_integers, require_range
from dvm_hf.errors import ConfigError
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.still.image_encoding import as_jpeg
from dvm_hf.training.colour_jitter import ColourJitter, Range

Layers: TypeAlias = dict[str, list[Pixels]]  # by column: frames (H, W, 3) or (H, W)

STREAMS = ("crop", "flip", "trimap", "colour", "foreground_colour", "blur", "noise", "jpeg")  # append new ones
TRIMAPS: dict[str, Callable[[np.random.Generator], Band]] = {
    "dvm-test": lambda rng: TEST_BAND,
    "dvm-train": training_band,
}


@dataclass(frozen=True)
class MattingTransform:
    """Transform for the samples of a `ClipStream`: crop, resize, flip, colours, artefacts, trimap, in this order.

    crop_sizes: sides in px of a square crop. One of those that fit into the frame is chosen at random; if none fits,
        the largest square. The crop is centred on a random pixel with 0 < alpha < 255 of frame `crop_frame` (None: the
        middle frame; at most the last frame). Without such a pixel, it is centred on a random unknown pixel of the
        trimap, or otherwise on the frame. (): no crop.
    size: side in px to resize a sample to, by cubic interpolation; trimaps by nearest neighbour. A sample that is not
        square is squeezed. None: not resized.
    flip: probability of a horizontal flip of the image columns. `motion` does not change.
    trimap: "dvm-train" (one symmetric band per sample, with a random width as published), "dvm-test", or the radius in
        px. The trimap is computed from the alpha after cropping and resizing, even if the sample has none. "keep":
        transform the sample's trimap.
    colour: applies to frames, foreground and background. If the sample has these three columns and alpha, frames are
        composited again from the changed layers.
    foreground_colour: applies to the foreground only; needs the columns foreground, background and alpha.
        Neither of the two works with a foreground of recipe="reference", which is premultiplied.
    blur, noise: ranges of the sigma of a Gaussian blur, in px, and of the standard deviation of added noise, in levels.
        Both apply to `frames` only, and so does jpeg.
    jpeg: range of the JPEG quality. artefacts: probability of each of the three.

    Raises ConfigError for a value that is not allowed, and, when called, for a sample that lacks a column.
    """

    crop_sizes: tuple[int, ...] = ()
    crop_frame: int | None = None
    size: int | None = None
    flip: float = 0.0
    trimap: str | int = "keep"
    colour: ColourJitter | None = None
    foreground_colour: ColourJitter | None = None
    blur: Range | None = None
    noise: Range | None = None
    jpeg: Range | None = None
    artefacts: float = 0.5

    def __post_init__(self) -> None:
        is_integer = isinstance(self.trimap, int) and not isinstance(self.trimap, bool)
        if self.trimap not in (("keep", *TRIMAPS) if not is_integer else range(LARGEST_SIZE + 1)):
            allowed = ", ".join(map(repr, ("keep", *TRIMAPS)))
            raise ConfigError(
                f"trimap={self.trimap!r}: not allowed; trimap must be one of {allowed}, or a radius in px"
            )
        if not isinstance(self.crop_sizes, tuple | list):
            raise ConfigError(f"crop_sizes={self.crop_sizes!r}: not allowed; crop_sizes must be a tuple of sides in px")
        for side in self.crop_sizes:
            require_integers(crop_sizes=(side, 1))
        for name, least in {"crop_frame": 0, "size": 1}.items():
            if getattr(self, name) is not None:
                require_integers(**{name: (getattr(self, name), least)})
        for name in ("flip", "artefacts"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ConfigError(f"{name}={value!r}: not allowed; {name} must be a probability from 0 to 1")
        for name in ("colour", "foreground_colour"):
            if not isinstance(getattr(self, name), ColourJitter | None):
                raise ConfigError(f"{name}={getattr(self, name)!r}: not allowed; {name} must be a ColourJitter or None")
        for name, limits in {"blur": (0.01, 1000), "noise": (0, 255), "jpeg": (0, 100)}.items():
            if getattr(self, name) is not None:
                require_range(name, getattr(self, name), limits)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "MattingTransform":
        """Return a transform of `PRESETS`, with some fields changed. Raises ConfigError for an unknown name."""
        if name not in PRESETS:
            raise ConfigError(f"preset {name!r}: does not exist; use one of {', '.join(map(repr, PRESETS))}")
        return dataclasses.replace(PRESETS[name], **changes)

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Return the sample with transformed image columns: uint8 tensors (T, C, H, W)."""
        layers = {column: _frames(sample[column]) for column in COLUMNS if column in sample}
        self._require_layers(layers, str(sample.get("recipe")))
        with one_opencv_thread():
            layers = self._cropped(layers, sample)
            layers = self._coloured(layers, sample)
            if "frames" in layers:
                layers["frames"] = self._degraded(layers["frames"], sample)
            if self.trimap != "keep":
                band = self._band(number_generator(sample, "trimap"))
                layers["trimap"] = [band.trimap(alpha) for alpha in layers["alpha"]]
        height, width = next(iter(layers.values()))[0].shape[:2]
        return sample | {"height": height, "width": width} | {name: _tensor(layer) for name, layer in layers.items()}

    def _cropped(self, layers: Layers, sample: dict[str, Any]) -> Layers:
        """Crop, resize and flip the layers."""
        size = Size(*next(iter(layers.values()))[0].shape[:2])
        view = self._view(layers, size, number_generator(sample, "crop")).within(Box(0, 0, *size))
        flips = number_generator(sample, "flip").random() < self.flip
        return {
            column: [
                _resized(frame[view], self.size, column=column)[:, :: -1 if flips else 1].copy() for frame in frames
            ]
            for column, frames in layers.items()
        }

    def _view(self, layers: Layers, size: Size, rng: np.random.Generator) -> Box:
        if not self.crop_sizes:
            return Box(0, 0, *size)
        side = int(rng.choice([side for side in self.crop_sizes if side <= min(size)] or [min(size)]))
        length = len(next(iter(layers.values())))
        at = length // 2 if self.crop_frame is None else min(self.crop_frame, length - 1)
        candidates = [(layers["alpha"][at] > 0) & (layers["alpha"][at] < 255)] if "alpha" in layers else []
        candidates += [layers["trimap"][at] == UNKNOWN] if "trimap" in layers else []
        pixels = next((found for mask in candidates if (found := np.flatnonzero(mask)).size), None)
        if pixels is None:
            return centred_box(size.height // 2, size.width // 2, side=side, frame=size)
        row, column = divmod(int(rng.choice(pixels)), size.width)
        return centred_box(row, column, side=side, frame=size)

    def _coloured(self, layers: Layers, sample: dict[str, Any]) -> Layers:
        layers = dict(layers)
        if self.foreground_colour is not None:
            change = self.foreground_colour.drawn(number_generator(sample, "foreground_colour"))
            layers["foreground"] = [change(frame) for frame in layers["foreground"]]
        if self.colour is not None:
            change = self.colour.drawn(number_generator(sample, "colour"))
            for column in layers.keys() & {"frames", "foreground", "background"}:
                layers[column] = [change(frame) for frame in layers[column]]
        is_changed = self.colour is not None or self.foreground_colour is not None
        if is_changed and {"frames", "foreground", "background", "alpha"} <= layers.keys():
            parts = zip(layers["foreground"], layers["background"], layers["alpha"], strict=True)
            layers["frames"] = [_composite(*frame) for frame in parts]
        return layers

    def _degraded(self, frames: list[Pixels], sample: dict[str, Any]) -> list[Pixels]:
        for purpose, limits, degraded in (
            ("blur", self.blur, _blurred),
            ("noise", self.noise, _noisy),
            ("jpeg", self.jpeg, _as_jpeg),
        ):
            rng = number_generator(sample, purpose)
            if limits is not None and rng.random() < self.artefacts:
                strength = rng.uniform(*limits)
                frames = [degraded(frame, strength, rng) for frame in frames]
        return frames

    def _band(self, rng: np.random.Generator) -> Band:
        return EuclideanBand(self.trimap) if isinstance(self.trimap, int) else TRIMAPS[self.trimap](rng)

    def _require_layers(self, layers: Layers, recipe: str) -> None:
        for field in ("colour", "foreground_colour"):
            if recipe == "reference" and "foreground" in layers and getattr(self, field) is not None:
                raise ConfigError(
                    f"{field}: the foreground of recipe='reference' is premultiplied, so its colours cannot be changed "
                    "consistently with the composite; use recipe='dvm', or, for colour, omit the column foreground"
                )
        needs: dict[str, tuple[str, ...]] = {"trimap": ("alpha",) if self.trimap != "keep" else ()}
        needs["foreground_colour"] = ("alpha", "foreground", "background") if self.foreground_colour else ()
        for field, columns in needs.items():
            missing = [column for column in columns if column not in layers]
            if missing:
                raise ConfigError(
                    f"{field}={getattr(self, field)!r}: needs the columns {', '.join(columns)}, but the sample has no "
                    f"{missing[0]}; add it to the stream's columns"
                )


_PUBLISHED = MattingTransform(crop_sizes=(320, 480, 640), crop_frame=2, size=320, flip=0.5, trimap="dvm-train")
_JITTER = ColourJitter(
    brightness=(0.8, 1.2), contrast=(0.8, 1.2), gamma=(0.8, 1.25), saturation=(0.7, 1.3), hue=(-18, 18)
)
PRESETS: dict[str, MattingTransform] = {
    "dvm": _PUBLISHED,
    "dvm-colour": dataclasses.replace(_PUBLISHED, colour=_JITTER),
    "strong": dataclasses.replace(
        _PUBLISHED,
        colour=_JITTER,
        foreground_colour=_JITTER,
        blur=(0.3, 1.5),
        noise=(1, 8),
        jpeg=(40, 95),
        artefacts=0.3,
    ),
}


def number_generator(sample: dict[str, Any], purpose: str) -> np.random.Generator:
    """Return the generator for one purpose of `STREAMS`; the purposes are independent of each other."""
    own = [int(sample[name]) for name in ("seed", "epoch", "index")] + [int(sample.get("root_seed", 0))]
    return np.random.default_rng(np.random.SeedSequence(own, spawn_key=(STREAMS.index(purpose),)))


def _frames(layer: torch.Tensor) -> list[Pixels]:
    """Convert a tensor (T, C, H, W) to frames (H, W, 3) or (H, W)."""
    return [frame[0] if len(frame) == 1 else cv2.merge(list(frame)) for frame in layer.numpy()]


def _tensor(frames: list[Pixels]) -> torch.Tensor:
    """Convert frames (H, W, 3) or (H, W) to a tensor (T, C, H, W)."""
    return torch.from_numpy(np.stack([np.stack(cv2.split(frame)) for frame in frames]))


def _resized(frame: Pixels, size: int | None, *, column: str) -> Pixels:
    if size is None or frame.shape[:2] == (size, size):
        return frame
    method = cv2.INTER_NEAREST if column == "trimap" else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(frame), (size, size), interpolation=method)  # type: ignore[return-value]


def _composite(foreground: Pixels, background: Pixels, alpha: Pixels) -> Pixels:
    result = background.copy()
    composite_over(result, foreground, alpha)
    return result


def _blurred(frame: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    return cv2.GaussianBlur(frame, (0, 0), sigma)  # type: ignore[return-value]


def _noisy(frame: Pixels, deviation: float, rng: np.random.Generator) -> Pixels:
    noise = rng.standard_normal(frame.shape, np.float32) * np.float32(deviation)
    return np.clip(np.round(frame + noise), 0, 255).astype(np.uint8)


def _as_jpeg(frame: Pixels, quality: float, rng: np.random.Generator) -> Pixels:
    return as_jpeg(frame, round(quality))
