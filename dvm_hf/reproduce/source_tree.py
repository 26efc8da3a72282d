"""The content digests of a source tree: renders every clip, and keeps no picture."""

from collections.abc import Iterator, Sequence
from contextlib import closing

from datasets.utils import tqdm

from dvm_hf.dataset.config import DVMConfig, plans
from dvm_hf.errors import MachineError
from dvm_hf.reproduce.clip_rendering import DigestTask, Rendered, numbered, rendered, start_worker
from dvm_hf.reproduce.digests import Digests
from dvm_hf.worker_pool import Death, pooled_results


def rendered_digests(configs: Sequence[DVMConfig], *, processes: int = 1) -> Digests:
    """Return the digests of the clips of configs, one per split, rendered by several processes.

    Raises ConfigError or SourceError as a build of the configs does; if several clips have an error, that of the first
    one. Raises MachineError if no process can be started.
    """
    planned = {config.name: plans(config) for config in configs}
    clips = [
        DigestTask(config.name, clip, config.on_error == "skip")
        for config in configs
        for clip in planned[config.name].clips
    ]
    done: dict[int, Rendered] = {}
    with tqdm(total=len(clips), desc="Rendering", unit=" clips", delay=2) as bar:
        for number, one in _all_rendered(clips, processes):
            done[number] = one
            bar.update()
    found: dict[str, dict[str, str]] = {split: {} for split in planned}
    skipped = [(problem.path, problem.text) for one in planned.values() for problem in one.skipped]
    for number, clip in enumerate(clips):
        digest, reason, error = done[number]
        if error is not None:
            raise error
        if digest:
            found[clip.split][clip.plan.clip_id] = digest
        if reason:
            skipped.append((clip.plan.clip_id, reason))
    return Digests(found, tuple(skipped))


def _all_rendered(clips: Sequence[DigestTask], processes: int) -> Iterator[tuple[int, Rendered]]:
    """Yield the number of each clip and its digest, in any order. No clip is begun after one with an error."""
    has_error = False
    waiting = iter(range(len(clips)))
    numbers = (number for number in waiting if not has_error)
    if processes == 1 or len(clips) < 2:
        results: Iterator[tuple[int, Rendered]] = ((number, rendered(clips[number])) for number in numbers)
    else:
        results = _in_processes(clips, numbers, min(processes, len(clips)))
    for number, one in results:
        has_error = has_error or one.error is not None
        yield number, one


def _in_processes(
    clips: Sequence[DigestTask], numbers: Iterator[int], processes: int
) -> Iterator[tuple[int, Rendered]]:
    calls = ((number, clips[number]) for number in numbers)
    results = pooled_results(numbered, calls, processes=processes, initializer=start_worker)
    with closing(results):
        for (number, clip), one in results:
            if isinstance(one, Death):
                raise MachineError(
                    f"{clip.plan.clip_id}: the worker process ended unexpectedly at this clip; if memory ran out, use "
                    "fewer processes"
                )
            yield number, one
