"""Streams over shared segments: which frames are decoded and held, and whether the samples are those of their clips."""

import hashlib
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dvm_hf import render, scan
from dvm_hf.clips.plan import ClipPlan, Rendering, clip_seed
from dvm_hf.dataset.columns import IMAGE_COLUMNS
from dvm_hf.media.video.videos import Video


class CountedVideo(Video):
    """A video that records the frames that are decoded of files in a folder, and which of them are still held."""

    folder: ClassVar[str] = "bg"
    decoded: ClassVar[list[tuple[Path, tuple[int, ...]]]] = []
    held: ClassVar["weakref.WeakSet[Any]"] = weakref.WeakSet()
    most_held: ClassVar[int] = 0

    def pictures(self, wanted: Iterable[int]) -> Iterator[tuple[int, Any]]:
        frames = tuple(wanted)
        is_counted = self.folder in self.path.parts
        if is_counted:
            self.decoded.append((self.path, frames))
        for index, picture in super().pictures(frames):
            if is_counted:
                self.held.add(picture)
            CountedVideo.most_held = max(CountedVideo.most_held, len(self.held))
            yield index, picture

    @classmethod
    def reset(cls, folder: str) -> None:
        """Begin again, with the files of this folder: "bg" or "fg"."""
        CountedVideo.folder, CountedVideo.decoded, CountedVideo.most_held = folder, [], 0
        cls.held.clear()


def require_rendered_alone(
    root: Path, samples: Iterable[dict[str, Any]], *, seed: int = 2019, **rendering: Any
) -> None:
    """Compare each sample with the window of its own plan, rendered without any stream."""
    tree = scan(root, "train")
    foregrounds, backgrounds = {(f.kind, f.name): f for f in tree.foregrounds}, {b.name: b for b in tree.backgrounds}
    for sample in samples:
        epoch = sample["epoch"]
        root_seed = (
            int.from_bytes(hashlib.blake2b(f"epoch/{seed}/{epoch}".encode(), digest_size=8).digest(), "big") // 2
        )
        foreground = foregrounds["image" if sample["foreground_kind"] == 0 else "video", sample["foreground_name"]]
        clip_id = f"{foreground.kind}_{foreground.name}_{sample['background_name']}"
        seed_of_clip = clip_seed(root_seed if epoch else seed, clip_id)
        assert (sample["clip_id"], sample["seed"]) == (clip_id, seed_of_clip)
        form = Rendering(clip_step=1, remainder="drop", **rendering)
        shared = clip_seed(root_seed if epoch else seed, f"background/{sample['background_name']}")
        shared_seed = shared if rendering.get("motion") == "rvm" else None  # of the background's speed and direction
        plan = ClipPlan(clip_id, foreground, backgrounds[sample["background_name"]], seed_of_clip, form, shared_seed)
        number, windows = sample["window"], list(render(plan, each=lambda frame: frame))
        repeated = render(plan, each=lambda frame: frame, numbers=lambda count, number=number: [number])  # type: ignore[misc]
        (window,) = repeated
        assert window.start == windows[number % len(windows)].start == sample["start"]
        layers = {"frames": "composite"} | {name: name for name in IMAGE_COLUMNS if name != "frames"}
        for column in IMAGE_COLUMNS:
            pixels = np.stack([np.atleast_3d(getattr(frame, layers[column])) for frame in window.frames])
            assert np.array_equal(sample[column].permute(0, 2, 3, 1).numpy(), pixels), (clip_id, column)
