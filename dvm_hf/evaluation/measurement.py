"""Measure clips, several at a time. Results are cached by content, so that an interrupted run resumes."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import xxhash

from dvm_hf.errors import ConfigError, MetricsError, PredictionError
from dvm_hf.evaluation.clip_flows import FlowChoice
from dvm_hf.evaluation.pairing import ClipPair
from dvm_hf.evaluation.predicted_clips import PredictedClip, require_matte
from dvm_hf.evaluation.references import Layers
from dvm_hf.media.cache_folder import CacheFolder, CacheKind
from dvm_hf.media.pixels import Pixels
from dvm_hf.metrics.clip_processes import Clip, Progress, evaluate_clips
from dvm_hf.metrics.clip_sums import ClipSums
from dvm_hf.metrics.conventions import CONVENTIONS

RESULTS = CacheKind(
    name="evaluated",
    variable="DVM_EVALUATION_CACHE",
    suffix=".json",
    max_bytes=10**9,
    plural="results of dvm evaluate",
    redone="clips are measured again",
)
FORMAT = 1  # raise it when a metric or the content of a key changes


class ResultCache:
    """The sums of clips that were measured before. It does nothing if the environment selects no folder."""

    def __init__(self) -> None:
        folder = RESULTS.folder
        self._files = None if folder is None else CacheFolder(RESULTS, folder)

    def get(self, key: str) -> ClipSums | None:
        try:
            return ClipSums.from_json(self.stored(key))
        except (MetricsError, KeyError, TypeError, AttributeError):
            return None

    def put(self, key: str, sums: ClipSums) -> None:
        self.store(key, sums.to_json())

    def stored(self, key: str) -> Any:
        """Return what was stored by `store`; None if there is nothing."""
        data = None if self._files is None else self._files.get(key)
        try:
            return None if data is None else json.loads(data)
        except ValueError:
            return None

    def store(self, key: str, content: Any) -> None:
        if self._files is not None:
            self._files.put(key, json.dumps(content).encode())


def measured(
    pairs: Sequence[ClipPair],
    *,
    convention: str,
    flow: FlowChoice,
    processes: int = 1,
    on_progress: Callable[[int], None],
    cache: ResultCache | None = None,
) -> dict[str, ClipSums]:
    """Return the sums of each clip, in the order of the pairs.

    on_progress: called with the number of frames that are done, those of cached results included. Raises SourceError or
    PredictionError if a frame cannot be read; the results of clips that are finished are cached.
    """
    cache = cache or ResultCache()
    require_columns(pairs, convention)
    done: dict[str, ClipSums] = {}  # by clip: cached, or complete
    keys: dict[str, str] = {}
    parts: dict[str, list[ClipSums | None]] = {}
    owners: dict[str, tuple[str, int]] = {}
    cached_frames = 0

    def runs() -> Iterator[Clip]:
        nonlocal cached_frames
        for pair in pairs:
            keys[pair.name] = _key(pair, convention, flow)
            known = cache.get(keys[pair.name])
            if known is not None:
                done[pair.name] = known
                cached_frames += known.frames
                on_progress(cached_frames)
                continue
            parts[pair.name] = [None] * len(pair.runs)
            for number, run in enumerate(pair.runs):
                name = pair.name if len(pair.runs) == 1 else f"{pair.name}, frames {run[0]} to {run[-1]}"
                owners[name] = pair.name, number
                columns = _columns(pair, convention, flow)
                frames = partial(_frames, pair, run, columns)
                yield Clip(name, frames, flow=flow.flow(pair, run) if _uses(convention) else None)

    def store(name: str, sums: ClipSums) -> None:
        owner, number = owners[name]
        parts[owner][number] = sums
        found = [part for part in parts[owner] if part is not None]
        if len(found) == len(parts[owner]):
            total = found[0]
            for part in found[1:]:
                total = total + part
            done[owner] = total
            cache.put(keys[owner], total)

    def report(progress: Progress) -> None:
        on_progress(cached_frames + progress.frames)

    evaluate_clips(runs(), convention=convention, processes=processes, on_progress=report, on_clip=store)
    return {pair.name: done[pair.name] for pair in pairs}


def require_columns(pairs: Sequence[ClipPair], convention: str) -> None:
    """Raise ConfigError if the convention needs a trimap that a reference lacks."""
    for pair in pairs:
        if CONVENTIONS[convention].needs_trimap and "trimap" not in pair.reference.columns:
            raise ConfigError(
                f"convention={convention!r}: measures the unknown region, but {pair.name} has no column trimap; build "
                "the reference with it, or use another convention"
            )


def _uses(convention: str) -> bool:
    return CONVENTIONS[convention].uses_flow and CONVENTIONS[convention].own_flow is None


def _columns(pair: ClipPair, convention: str, flow: FlowChoice) -> list[str]:
    """Return the layers of the reference that the numbers depend on."""
    columns = ["alpha"] + ["trimap"] * ("trimap" in pair.reference.columns)
    return columns + ["foreground"] * (_uses(convention) and flow.of(pair) == "dis")


def _key(pair: ClipPair, convention: str, flow: FlowChoice) -> str:
    """Return the name of a clip's result: a hash of all that changes it."""
    name = flow.of(pair) if _uses(convention) else None
    stored = [xxhash.xxh3_128_hexdigest(path.read_bytes()) for path in flow.files(pair)] if name == "stored" else []
    content: dict[str, Any] = {
        "format": FORMAT,
        "libraries": [cv2.__version__, np.__version__],
        "convention": convention,
        "flow": [name, *stored],
        "predicted": pair.predicted.digest(),
        "reference": pair.reference.digest(_columns(pair, convention, flow)),
        "runs": pair.runs,
        "tolerance": vars(pair.tolerance),
    }
    return xxhash.xxh3_128_hexdigest(json.dumps(content, sort_keys=True).encode())


def _frames(pair: ClipPair, run: Sequence[int], columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Yield what `ClipEvaluator.update` takes for the frames of a run."""
    for layers, (matte,) in true_and_predicted(pair, [pair.predicted], run, columns):
        frame = {"predicted": matte, "reference": layers["alpha"]}
        frame |= {"trimap": layers["trimap"]} if "trimap" in layers else {}
        yield frame | ({"reference_foreground": layers["foreground"]} if "foreground" in layers else {})


def true_and_predicted(
    pair: ClipPair, predicted: Sequence[PredictedClip], run: Sequence[int], columns: Sequence[str]
) -> Iterator[tuple[Layers, tuple[Pixels, ...]]]:
    """Yield the layers of the frames of a run, and a matte of each prediction in their size.

    Raises SourceError or PredictionError if a frame cannot be read or has another size.
    """
    reference = pair.reference
    positions = {index: position for position, index in enumerate(reference.indices)}
    shown = [positions[index] for index in run]
    mattes = zip(*(one.mattes(run, shown, pair.tolerance) for one in predicted), strict=True)
    for index, layers, found in zip(run, reference.frames(run, columns), mattes, strict=True):
        names = [f"{one.place}: {pair.name}, frame {index}" for one in predicted]
        if any(pixels.shape[:2] != reference.size for pixels in layers.values()):
            raise PredictionError(f"{names[0]}: the reference has frames of different sizes; rebuild it")
        yield (
            layers,
            tuple(
                require_matte(matte, reference.size, name, pair.tolerance)
                for matte, name in zip(found, names, strict=True)
            ),
        )
