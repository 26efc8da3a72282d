"""Which predicted matte belongs to which foreground of a clip with several.

"order": the first one to the rearmost foreground, and so on. "best": the assignment with the least sum of absolute
errors over all frames of the clip, so that a method that confuses two foregrounds within a clip is not excused.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import cv2
import xxhash

from dvm_hf.dataset.instances import instance_name
from dvm_hf.errors import PredictionError
from dvm_hf.evaluation.instance_clips import ReferenceInstance
from dvm_hf.evaluation.measurement import ResultCache, true_and_predicted
from dvm_hf.evaluation.pairing import ClipPair
from dvm_hf.worker_pool import Death, pooled_results
from dvm_hf.worker_processes import end_with_parent

BEST, ORDER = "best", "order"
MATCHES = (BEST, ORDER)
Costs = list[list[float]]  # by foreground, then by prediction: sum of absolute errors, levels


def assignments(
    pairs: Sequence[ClipPair], *, match: str, processes: int = 1, on_clip: Callable[[], None] = lambda: None
) -> dict[str, tuple[int, ...]]:
    """Return, for each clip with predictions of its foregrounds, the number of the prediction of each foreground.

    match: of `MATCHES`. on_clip: called when a clip is done. Raises SourceError or PredictionError if a frame cannot be
    read.
    """
    pairs = [pair for pair in pairs if pair.instances]
    if match == ORDER:
        return {pair.name: tuple(range(len(pair.instances))) for pair in pairs}
    cache, found, keys = ResultCache(), {}, {}

    def unknown() -> Iterator[ClipPair]:
        for pair in pairs:
            keys[pair.name] = _key(pair)
            known = cache.stored(keys[pair.name])
            if known is None:
                yield pair
            else:
                found[pair.name] = known
                on_clip()

    for pair, costs in _all_costs(unknown(), processes):
        found[pair.name] = costs
        cache.store(keys[pair.name], costs)
        on_clip()
    return {pair.name: best_assignment(found[pair.name]) for pair in pairs}


def best_assignment(costs: Sequence[Sequence[float]]) -> tuple[int, ...]:
    """Return the column of each row of a square table, each used once, with the least sum; in order, if equal.

    For each set of columns, keeps the least sum of as many rows: 2 ** n sets, of at most 4 foregrounds in clips of this
    package, and of more in those of others.
    """
    found: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}  # by the bits of the columns that are used
    for row in costs:
        longer: dict[int, tuple[float, tuple[int, ...]]] = {}
        for used, (total, columns) in found.items():
            for column in (column for column in range(len(row)) if not used >> column & 1):
                key, one = used | 1 << column, (total + row[column], (*columns, column))
                longer[key] = min(longer.get(key, one), one)
        found = longer
    ((_, assignment),) = found.values()
    return assignment


def instance_pairs(pair: ClipPair, assignment: Sequence[int]) -> tuple[ClipPair, ...]:
    """Return each foreground of a clip with its prediction."""
    return tuple(
        ClipPair(ReferenceInstance(pair.reference, number), pair.instances[chosen], pair.runs, pair.tolerance)
        for number, chosen in enumerate(assignment)
    )


def _all_costs(pairs: Iterator[ClipPair], processes: int) -> Iterator[tuple[ClipPair, Costs]]:
    if processes == 1:
        for pair in pairs:
            yield pair, _costs(pair)
        return
    results = pooled_results(_costs, pairs, processes=processes, initializer=_start, is_lean=False)
    with closing(results):
        for pair, costs in results:
            if isinstance(costs, Death):
                raise PredictionError(
                    f"{pair.name}: the worker process ended unexpectedly at this clip; if memory ran out, use fewer "
                    "processes"
                )
            yield pair, costs


def _start() -> None:
    end_with_parent()
    cv2.setNumThreads(1)


def _costs(pair: ClipPair) -> Costs:
    count = len(pair.instances)
    costs = [[0.0] * count for _ in range(count)]
    names = list(map(instance_name, range(count)))
    for run in pair.runs:
        for layers, mattes in true_and_predicted(pair, pair.instances, run, names):
            for row, name in zip(costs, names, strict=True):
                for number, matte in enumerate(mattes):
                    row[number] += cv2.norm(matte, layers[name], cv2.NORM_L1)
    return costs


def _key(pair: ClipPair) -> str:
    content = {
        "matching": 1,  # raise it when the costs change
        "predicted": [one.digest() for one in pair.instances],
        "reference": pair.reference.digest(list(map(instance_name, range(len(pair.instances))))),
        "runs": pair.runs,
        "tolerance": vars(pair.tolerance),
    }
    return xxhash.xxh3_128_hexdigest(json.dumps(content, sort_keys=True).encode())
