"""Pair predictions with their reference, and list everything that does not fit, before the long work."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dvm_hf.dataset.columns import INSTANCES
from dvm_hf.errors import MachineError, PredictionError, SourceError
from dvm_hf.evaluation.predicted_clips import STRICT, PredictedClip, Tolerance
from dvm_hf.evaluation.predictions import listed
from dvm_hf.evaluation.references import ReferenceClip
from dvm_hf.wording import counted


@dataclass(frozen=True)
class Allowances:
    """What may differ between predictions and reference.

    missing, extra: whether clips and frames of one that the other lacks are skipped.
    """

    missing: bool = False
    extra: bool = False
    tolerance: Tolerance = STRICT


@dataclass(frozen=True)
class ClipPair:
    """A clip with its prediction.

    runs: indices of the frames to measure, in parts of consecutive frames. instances: predictions of its single
    foregrounds, as many as it has, or () if they are not measured.
    """

    reference: ReferenceClip
    predicted: PredictedClip
    runs: tuple[tuple[int, ...], ...]
    tolerance: Tolerance
    instances: tuple[PredictedClip, ...] = ()

    @property
    def name(self) -> str:
        return self.reference.name


class Pairs(NamedTuple):
    """Clips to measure, by name, and what is skipped, as allowed."""

    clips: tuple[ClipPair, ...]
    skipped: tuple[str, ...]

    @property
    def measured(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """The frames to measure of each clip."""
        return {pair.name: pair.runs for pair in self.clips}


class Findings:
    """Texts about predictions that do not fit: skipped, as allowed, or faults."""

    def __init__(self) -> None:
        self.skipped: list[str] = []
        self.faults: list[str] = []

    def add(self, text: str, remedy: str, *, is_allowed: bool) -> None:
        """Add a text; it is a fault, with its remedy, unless it is allowed."""
        if is_allowed:
            self.skipped.append(text)
        else:
            self.faults.append(f"{text}; {remedy}")


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
    found, pairs = Findings(), []
    expects_instances = any(prediction.instances for prediction in predicted.values())
    for name in sorted(predicted.keys() - references.keys()):
        found.add(f"{predicted[name].place}: the reference has no clip {name}", EXTRA, is_allowed=allowances.extra)
    for name in progress:
        reference, prediction = references[name], predicted.get(name)
        if prediction is None:
            found.add(f"{name}: has no prediction", MISSING, is_allowed=allowances.missing)
            continue
        size = reference.size
        try:
            found.faults += prediction.faults(size, allowances.tolerance)
            runs = _common_runs(reference, prediction, allowances, found)
            instances = _instances(reference, prediction, allowances, found, is_expected=expects_instances)
        except MachineError:
            raise
        except SourceError as error:
            found.faults.append(str(error))
            continue
        if runs:
            pairs.append(ClipPair(reference, prediction, runs, allowances.tolerance, instances))
    if not found.faults and not pairs:
        example = next(iter(references), "")
        found.faults.append(f"no clip of the reference has a prediction; clips are named like {example}")
    if found.faults:
        raise PredictionError(listed(found.faults))
    return Pairs(tuple(sorted(pairs, key=lambda pair: pair.name)), tuple(found.skipped))


MISSING = "add it, or pass --allow-missing to skip it"
EXTRA = "remove it, or pass --allow-extra to ignore it"
NO_INSTANCES = "build it with this column, or pass --allow-extra to ignore the predicted ones"
REPEATED = "keep one row for each frame, or pass --allow-extra to use the first one"


def _instances(
    reference: ReferenceClip,
    prediction: PredictedClip,
    allowances: Allowances,
    findings: Findings,
    *,
    is_expected: bool,
) -> tuple[PredictedClip, ...]:
    """Return the predictions of single foregrounds to measure, and add wrong numbers of them to the findings."""
    found = prediction.instances
    if not found and not is_expected:
        return ()
    needed = reference.foreground_count
    if len(found) > 1 and INSTANCES not in reference.columns and needed in (1, len(found)):  # 1: or unknown
        text = f"{reference.name}: the reference has no column instances, so only the union is measured"
        findings.add(text, NO_INSTANCES, is_allowed=allowances.extra)
    elif found and len(found) != needed:
        findings.faults.append(
            f"{prediction.place}: has {counted(len(found), 'instance')}, but {reference.name} has "
            f"{counted(needed, 'foreground')}; predict one matte for each"
        )
    elif found and needed > 1:
        return found
    elif is_expected and needed > 1:
        text = f"{prediction.place}: has no instances, but predictions of other clips have"
        findings.add(text, MISSING, is_allowed=allowances.missing)
    return ()


def _common_runs(
    reference: ReferenceClip, prediction: PredictedClip, allowances: Allowances, findings: Findings
) -> tuple[tuple[int, ...], ...]:
    """Return the frames to measure: those that all stored parts of the prediction have."""
    runs = reference.runs
    for part in prediction.stored:
        found = {index for run in _runs(reference, part, allowances, findings) for index in run}
        runs = tuple(_without(runs, set(reference.indices) - found))
    return runs


def _runs(
    reference: ReferenceClip, prediction: PredictedClip, allowances: Allowances, findings: Findings
) -> tuple[tuple[int, ...], ...]:
    """Return the frames to measure, and add missing and unexpected ones to the findings."""
    wanted = reference.indices
    found = prediction.indices(wanted)
    missing = [index for index in wanted if index not in found]
    extra = sorted(found.difference(wanted))
    whole = f"{prediction.place}: has {counted(len(found), 'frame')}, but {reference.name} has {len(wanted)}"
    if missing:
        findings.add(f"{whole}; missing: {_numbers(missing)}", MISSING, is_allowed=allowances.missing)
    if extra:
        findings.add(f"{whole}; unexpected: {_numbers(extra)}", EXTRA, is_allowed=allowances.extra)
    repeated = prediction.repeated()
    if repeated:
        text = f"{prediction.place}: several rows of {reference.name} have the same frames: {_numbers(repeated)}"
        findings.add(text, REPEATED, is_allowed=allowances.extra)
    return tuple(_without(reference.runs, set(missing)))


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
