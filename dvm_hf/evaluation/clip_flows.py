"""Which motion MESSDdt follows in each clip."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.evaluation.pairing import ClipPair
from dvm_hf.media.still.flow_images import read_flow
from dvm_hf.metrics.flow import FLOWS, AffineFlow, Flow, StoredFlow
from dvm_hf.wording import counted

AUTO, AFFINE, STORED = "auto", "affine", "stored"
NAMES = (AUTO, AFFINE, *FLOWS, STORED)


@dataclass(frozen=True)
class FlowChoice:
    """A name of `NAMES`. folder: of stored flow fields."""

    name: str = AUTO
    folder: Path | None = None

    def of(self, pair: ClipPair) -> str:
        """Return the flow of a clip: with `AUTO`, the exact motion of an image, else DIS, on alpha without colours.

        Raises ConfigError if the clip has no such motion.
        """
        clip = pair.reference
        has_motion = clip.is_image and all(index in clip.motion for run in pair.runs for index in run)
        if self.name == AFFINE and not has_motion:
            raise ConfigError(
                f"flow='affine': {clip.name} has no exact motion, because its foreground is a video, its rows are "
                "crops, or they have no column motion; use auto, dis or dis-alpha"
            )
        if self.name == "dis" and "foreground" not in clip.columns:
            raise ConfigError(
                f"flow='dis': {clip.name} has no column foreground; build the reference with it, or use dis-alpha"
            )
        if self.name != AUTO:
            return self.name
        return AFFINE if has_motion else "dis" if "foreground" in clip.columns else "dis-alpha"

    def flow(self, pair: ClipPair, run: tuple[int, ...]) -> Flow | str:
        """Return the motion between the frames of a run."""
        name = self.of(pair)
        if name == AFFINE:
            return AffineFlow([pair.reference.motion[index] for index in run])
        if name == STORED:
            files = self.files(pair)
            positions = {index: number for number, index in enumerate(pair.reference.indices)}
            return StoredFlow(_reader([files[positions[index]] for index in run[:-1]]))
        return name

    def files(self, pair: ClipPair) -> list[Path]:
        """Return the stored fields of a clip, in the order of their names. Raises SourceError if one is missing."""
        assert self.folder is not None
        folder, needed = self.folder / pair.reference.clip_id, len(pair.reference.indices) - 1
        found = sorted(folder.glob("*.png")) if folder.is_dir() else []
        if len(found) != needed:
            raise SourceError(
                f"{folder}: has {counted(len(found), 'flow field')}, but {pair.name} needs {needed}, one .png for each "
                "pair of frames; add them, or use another --flow"
            )
        return found


def _reader(paths: list[Path]) -> Callable[[int], npt.NDArray[np.float32]]:
    return partial(_read, paths)


def _read(paths: list[Path], index: int) -> npt.NDArray[np.float32]:
    return read_flow(paths[index])
