"""Where a process is on its way through a stream, and the plain dict that says so."""

from dataclasses import dataclass
from typing import Any

from dvm_hf.errors import ConfigError
from dvm_hf.training.sample_order import Origin

VERSION = 1


@dataclass
class Run:
    """One process's way through one pass.

    first_epoch: that the pass began with. origin: where the dealing among workers began. epoch, position: so many
    samples of this process's share of the epoch are done, those left out included.
    """

    first_epoch: int
    origin: Origin
    worker: int
    workers: int  # 0: no worker process
    epoch: int
    position: int = 0
    has_ended: bool = False


def state_of(run: Run, identity: dict[str, Any]) -> dict[str, Any]:
    """The run and the stream's config, in numbers, strings and lists of them."""
    origin, position, worker, workers = run.origin, run.position, run.worker, run.workers
    if workers <= 1:  # nothing is dealt: where the rank is, from which any number of workers can go on
        before = origin.samples if run.epoch == origin.epoch else 0
        origin, position, worker, workers = Origin(run.epoch, before + position), 0, 0, 1
    return {
        "version": VERSION,
        "first_epoch": run.first_epoch,
        "origin": list(origin),
        "worker": worker,
        "num_workers": workers,
        "epoch": run.epoch,
        "position": position,
        "config": dict(identity),
    }


def run_of(state: dict[str, Any], identity: dict[str, Any]) -> Run:
    """The run of a state; raises ConfigError, naming the field, where the stream's config is another."""
    if state.get("version") != VERSION:
        raise ConfigError(
            f"version={state.get('version')!r}: not the state of a ClipStream of this release, which writes {VERSION}; "
            "start anew, or go on with the release that saved it"
        )
    for name in [*identity, *(state["config"].keys() - identity.keys())]:
        saved, own = state["config"].get(name), identity.get(name)
        if saved != own:
            raise ConfigError(
                f"{name}={own!r}: the state was saved with {name}={saved!r}; a stream goes on only with the config "
                "that saved it; use that value, or start anew without the state"
            )
    return Run(
        first_epoch=state["first_epoch"],
        origin=Origin(*state["origin"]),
        worker=state["worker"],
        workers=state["num_workers"],
        epoch=state["epoch"],
        position=state["position"],
    )


def resumed(saved: Run, worker: int, workers: int) -> Run:
    """The run of this process that goes on where a saved one was; raises ConfigError where its share is another."""
    if saved.workers == 1:
        return Run(saved.first_epoch, saved.origin, worker, workers, saved.epoch)
    if (saved.worker, saved.workers) != (worker, workers):
        raise ConfigError(
            f"num_workers={workers}: the state was saved by worker {saved.worker} of {saved.workers}; go on with as "
            "many workers, each with its own state (StatefulDataLoader sees to that)"
        )
    return Run(saved.first_epoch, saved.origin, worker, workers, saved.epoch, saved.position)
