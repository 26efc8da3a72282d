"""Content digests: their definition, and what changes them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash
from conftest import TreeWriter
from row_digests import IMAGE_COLUMNS

from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.clips.windows import FrameTuple
from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.config import DVMConfig, plans
from dvm_hf.dataset.content_digest import ClipDigest, digested_windows, frame_digest, split_digest

FULL = Rendering()
RNG = np.random.default_rng(0)
FRAME = {
    "frames": RNG.integers(0, 256, (3, 5, 3), np.uint8),
    "alpha": RNG.integers(0, 256, (3, 5), np.uint8),
    "trimap": RNG.integers(0, 256, (3, 5), np.uint8),
}


def plain_hash(*parts: bytes) -> bytes:
    """XXH3-128 in its canonical form, which is big-endian."""
    return xxhash.xxh3_128_intdigest(b"".join(parts)).to_bytes(16, "big")


def number(value: int) -> bytes:
    return bytes([value >> 24 & 255, value >> 16 & 255, value >> 8 & 255, value & 255])


def test_digests_are_those_of_the_definition() -> None:
    """Written out once more, from the text of docs/reproduce.md."""
    parts = []
    for name, channels in (("frames", 3), ("alpha", 1), ("trimap", 1)):
        values = bytes(int(value) for value in FRAME[name].reshape(-1))
        parts += [name.encode(), b"\0", plain_hash(number(3), number(5), number(channels), values)]
    frame = plain_hash(*parts)
    assert frame_digest(FRAME) == frame
    clip = ClipDigest(replace(FULL, frame_step=3))
    clip.add(2, 258, [frame, frame])
    expected = plain_hash(number(0), number(258), frame, number(0), number(261), frame)
    assert clip.hex() == expected.hex()
    split = split_digest({"b": clip.hex(), "a": "00" * 16})
    assert split == plain_hash(b"a\0", bytes(16), b"b\0", expected).hex()


def test_the_layout_of_an_array_in_memory_does_not_matter() -> None:
    turned = {name: np.asfortranarray(pixels) for name, pixels in FRAME.items()}
    wide = {name: np.repeat(pixels, 2, axis=1)[:, ::2] for name, pixels in FRAME.items()}
    assert frame_digest(turned) == frame_digest(wide) == frame_digest(dict(reversed(FRAME.items())))


@pytest.mark.parametrize("name", FRAME)
def test_any_changed_value_changes_the_digest(name: str) -> None:
    for place in np.ndindex(FRAME[name].shape):
        changed = FRAME[name].copy()
        changed[place] ^= 1
        assert frame_digest({**FRAME, name: changed}) != frame_digest(FRAME)


def test_swapped_columns_missing_columns_and_other_shapes_change_the_digest() -> None:
    swapped = {**FRAME, "alpha": FRAME["trimap"], "trimap": FRAME["alpha"]}
    fewer = {name: FRAME[name] for name in ("frames", "alpha")}
    flat = {name: pixels.reshape(5, 3, *pixels.shape[2:]) for name, pixels in FRAME.items()}
    renamed = {"frames": FRAME["frames"], "alpha": FRAME["alpha"], "foreground": FRAME["trimap"]}
    assert len({frame_digest(one) for one in (FRAME, swapped, fewer, flat, renamed)}) == 5


def test_frames_count_once_and_at_their_index() -> None:
    frames = [bytes([value]) * 16 for value in range(6)]

    def of(*windows: tuple[int, int, list[bytes]], rendering: Rendering = FULL) -> str:
        clip = ClipDigest(rendering)
        for window in windows:
            clip.add(*window)
        return clip.hex()

    whole = of((0, 0, frames))
    assert whole == of((0, 0, frames[:4]), (1, 4, frames[4:]))
    assert whole == of((0, 0, frames[:4]), (1, 2, frames[2:]))  # overlapping windows
    assert whole != of((0, 0, frames[:5]))
    assert whole != of((0, 1, frames))
    assert whole != of((0, 0, frames[::-1]))
    cropped = replace(FULL, crop_size=8)  # each window has another crop of the same frames
    assert of((0, 0, frames), rendering=cropped) != of((1, 0, frames), rendering=cropped)
    assert of((0, 0, frames), rendering=cropped) == whole
    assert of() == ""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = TreeWriter(tmp_path_factory.mktemp("digest") / "DVM")
    tree.still(size=(20, 24))
    tree.background("0000", size=(26, 30), frames=7)
    return tree.root


def planned(tree: Path, **fields: Any) -> ClipPlan:
    config = DVMConfig(name="train", version=DVM.VERSION, data_dir=str(tree), columns=IMAGE_COLUMNS, **fields)
    (clip,) = plans(config).clips
    return clip


def rendered(tree: Path, **fields: Any) -> str:
    clip = planned(tree, **fields)
    digest = ClipDigest(clip.rendering)
    for _ in digested_windows(clip, digest, each=lambda frame: None, collect=FrameTuple):
        pass
    return digest.hex()


def test_windows_of_complete_frames_do_not_matter(tree: Path) -> None:
    whole = rendered(tree, clip_length="all")
    assert len(whole) == 32
    assert whole == rendered(tree, clip_length=3, remainder="keep")
    assert whole == rendered(tree, clip_length=3, clip_step=2, remainder="keep")
    assert whole == rendered(tree, clip_length=7, encoding="lossless")


def test_what_changes_pixels_or_the_choice_of_frames_changes_the_digest(tree: Path) -> None:
    fields: list[dict[str, Any]] = [
        {},
        {"seed": 1},
        {"recipe": "reference"},
        {"trimap": 2},
        {"frame_step": 2},
        {"clip_length": 3, "remainder": "drop"},
        {"clip_length": 5, "remainder": "repeat_last"},
        {"max_image_frames": 5},
        {"background_blur": True},
        {"crop_size": 12},
        {"crop_size": 12, "clip_length": 3, "remainder": "keep"},
    ]
    digests = [rendered(tree, **{"clip_length": "all"} | one) for one in fields]
    assert len(set(digests)) == len(fields)


def test_the_windows_are_those_without_a_digest(tree: Path) -> None:
    clip = planned(tree, clip_length=3, clip_step=2, remainder="repeat_last")
    digest = ClipDigest(clip.rendering)

    class Count:
        """A collector of which `frames` returns no tuple."""

        def __init__(self) -> None:
            self.shapes: list[Any] = []

        def append(self, shape: Any, /) -> None:
            self.shapes.append(shape)

        def __len__(self) -> int:
            return len(self.shapes)

        def frames(self) -> str:
            return f"{len(self.shapes)} of {self.shapes[0]}"

    def windows() -> Iterator[Any]:
        yield from digested_windows(clip, digest, each=lambda frame: frame.composite.shape[:2], collect=Count)

    assert [(one.number, one.start, one.frames) for one in windows()] == [
        (index, 2 * index, "3 of (24, 28)") for index in range(3)
    ]
