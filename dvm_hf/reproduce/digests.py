"""The content digests of the clips of some splits, as `dvm digest` prints them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dvm_hf.dataset.content_digest import split_digest


@dataclass(frozen=True)
class Digests:
    """Content digests. clips: by split and clip_id. skipped: (name, reason) of clips and sources without a digest."""

    clips: Mapping[str, Mapping[str, str]]
    skipped: tuple[tuple[str, str], ...] = ()

    @cached_property
    def splits(self) -> dict[str, str]:
        """The digest of each split."""
        return {split: split_digest(clips) for split, clips in self.clips.items()}

    @property
    def dataset(self) -> str:
        """The digest of all splits together."""
        return split_digest(self.splits)

    @cached_property
    def named(self) -> dict[str, str]:
        """The digest of each clip by its clip_id; by SPLIT/CLIP_ID if several splits have a clip of this name."""
        counts = Counter(name for clips in self.clips.values() for name in clips)
        return {
            name if counts[name] == 1 else f"{split}/{name}": digest
            for split, clips in self.clips.items()
            for name, digest in clips.items()
        }

    def as_json(self) -> dict[str, Any]:
        """Return the output of `dvm digest --json`."""
        return {"digest": self.dataset, "splits": self.splits, "clips": self.named}
