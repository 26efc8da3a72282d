"""Pair predictions with their reference, and list everything that does not fit, before the long work."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dvm_hf.errors import MachineError, PredictionError, SourceError
from dvm_hf.evaluation.predicted_clips import STRICT, PredictedClip, Tolerance
from dvm_hf.evaluation.predictions import listed
from dvm_hf.evaluation.references import ReferenceClip
from dvm_hf.wording import counted


@dataclass(frozen=True)
class Allowances:
    """What may differ between predictions and reference.

    missing, extra: whether clips and frames of one that the other lacks are left out.
    """

    missing: bool = False
    extra: bool = False
    tolerance: Tolerance = STRICT


@dataclass(frozen=True)
class ClipPair:
    """A clip with its prediction. runs: indices of the frames to measure, in parts of consecutive frames."""

    reference: ReferenceClip
    predicted: PredictedClip
    runs: tuple[tuple[int, ...], ...]
    tolerance: Tolerance

    @property
    def name(self) -> str:
        return self.reference.name


class Pairs(NamedTuple):
    """Clips to measure, by name, and what was left out, as allowed."""

    clips: tuple[ClipPair, ...]
    left_out: tuple[str, ...]


def paired(
    predicted: Mapping[str, PredictedClip],
    references: Mapping[str, ReferenceClip],
    allowances: Allowances,
    *,
    progress: Iterable[str],
) -> Pairs:
    """Return each clip with its prediction. progress: the names of the clips, for example in a progress bar.

    Reads names and headers, no pixels. Raises PredictionError, which lists all problems.
    """
    left_out: list[str] = []
    faults: list[str] = []
    pairs = []
    for name in sorted(predicted.keys() - references.keys()):
        text = f"{predicted[name].place}: the reference has no clip {name}"
        (left_out if allowances.extra else faults).append(text + ("" if allowances.extra else EXTRA))
    for name in progress:
        reference, prediction = references[name], predicted.get(name)
        if prediction is None:
            text = f"{name}: has no prediction"
            (left_out if allowances.missing else faults).append(text + ("" if allowances.missing else MISSING))
            continue
        size = reference.size
        try:
            faults += prediction.faults(size, allowances.tolerance)
            runs, omitted, wrong = _runs(reference, prediction, allowances)
        except MachineError:
            raise
        except SourceError as error:
            faults.append(str(error))
            continue
        left_out += omitted
        faults += wrong
        if runs:
            pairs.append(ClipPair(reference, prediction, runs, allowances.tolerance))
    if not faults and not pairs:
        faults.append(f"no clip of the reference has a prediction; clips are named like {next(iter(references), '')}")
    if faults:
        raise PredictionError(listed(faults))
    return Pairs(tuple(sorted(pairs, key=lambda pair: pair.name)), tuple(left_out))


MISSING = "; add it, or pass --allow-missing to leave it out"
EXTRA = "; remove it, or pass --allow-extra to ignore it"


def _runs(
    reference: ReferenceClip, prediction: PredictedClip, allowances: Allowances
) -> tuple[tuple[tuple[int, ...], ...], list[str], list[str]]:
    """Return the frames to measure, what is left out, and what is wrong."""
    wanted = reference.indices
    found = prediction.indices(wanted)
    left_out: list[str] = []
    faults: list[str] = []
    missing = [index for index in wanted if index not in found]
    extra = sorted(found.difference(wanted))
    whole = f"{prediction.place}: has {counted(len(found), 'frame')}, but {reference.name} has {len(wanted)}"
    if missing:
        text = f"{whole}; missing: {_numbers(missing)}"
        (left_out if allowances.missing else faults).append(text + ("" if allowances.missing else MISSING))
    if extra:
        text = f"{whole}; unexpected: {_numbers(extra)}"
        (left_out if allowances.extra else faults).append(text + ("" if allowances.extra else EXTRA))
    return tuple(_without(reference.runs, set(missing))), left_out, faults


def _without(runs: Sequence[Sequence[int]], missing: set[int]) -> Iterator[tuple[int, ...]]:
    """Yield the runs, divided where a frame is missing."""
    for run in runs:
        part: list[int] = []
        for index in run:
            if index not in missing:
                part.append(index)
            elif part:
                yield tuple(part)
                part = []
        if part:
            yield tuple(part)


def _numbers(indices: Sequence[int]) -> str:
    """Return the numbers of frames: `00003, 00007 to 00009`."""
    spans: list[tuple[int, int]] = []
    for index in indices:
        if spans and index == spans[-1][1] + 1:
            spans[-1] = spans[-1][0], index
        else:
            spans.append((index, index))
    shown = [f"{a:05d}" if a == b else f"{a:05d} to {b:05d}" for a, b in spans[:4]]
    return ", ".join(shown) + (" and more" if len(spans) > 4 else "")
