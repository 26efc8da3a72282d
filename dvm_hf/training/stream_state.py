"""Where a process is on its way through a stream, and the plain dict that says so."""

from dataclasses import dataclass
from typing import Any

from dvm_hf.errors import ConfigError
from dvm_hf.training.sample_order import StartOffset

VERSION = 1
PLACE = ("first_epoch", "origin", "worker", "num_workers", "epoch", "position")


@dataclass
class Run:
    """One process's way through one pass.

    first_epoch: that the pass began with. origin: where the dealing among workers began. epoch, position: so many
    samples of this process's share of the epoch are done, those left out included. number: of the pass (`EpochRuns`).
    """

    first_epoch: int
    origin: StartOffset
    worker: int
    workers: int  # 0: no worker process
    epoch: int
    position: int = 0
    number: int = 0
    has_ended: bool = False

    @property
    def is_at_its_beginning(self) -> bool:
        """Whether nothing of the pass is done, here or before it was resumed."""
        return self.origin == (self.first_epoch, 0) and (self.epoch, self.position) == (self.first_epoch, 0)


def state_of(run: Run, identity: dict[str, Any]) -> dict[str, Any]:
    """The run and the stream's config, in numbers, strings and lists of them."""
    origin, position, worker, workers = run.origin, run.position, run.worker, run.workers
    if workers <= 1:  # nothing is dealt: where the rank is, from which any number of workers can go on
        before = origin.samples if run.epoch == origin.epoch else 0
        origin, position, worker, workers = StartOffset(run.epoch, before + position), 0, 0, 1
    place = (run.first_epoch, list(origin), worker, workers, run.epoch, position)
    return {"version": VERSION} | dict(zip(PLACE, place, strict=True)) | {"config": dict(identity)}


def run_of(state: dict[str, Any], identity: dict[str, Any], *, worker: int, workers: int) -> Run:
    """The run of this process that goes on where a state was taken.

    Raises ConfigError, naming the field, where the stream's config is another, or the share was another worker's.
    """
    _require_state(state)
    for name in [*identity, *(state["config"].keys() - identity.keys())]:
        saved, own = state["config"].get(name), identity.get(name)
        if saved != own:
            raise ConfigError(
                f"{name}={own!r}: the state was saved with {name}={saved!r}; a stream goes on only with the config "
                "that saved it; use that value, or start anew without the state"
            )
    first_epoch, origin, saved_worker, saved_workers, epoch, position = (state[name] for name in PLACE)
    if saved_workers == 1:
        return Run(first_epoch, StartOffset(*origin), worker, workers, epoch)
    if (saved_worker, saved_workers) != (worker, workers):
        raise ConfigError(
            f"num_workers={workers}: the state was saved by worker {saved_worker} of {saved_workers}; go on with as "
            "many workers, each with its own state (StatefulDataLoader sees to that)"
        )
    return Run(first_epoch, StartOffset(*origin), worker, workers, epoch, position)


def _require_state(state: Any) -> None:
    version = state.get("version") if isinstance(state, dict) else None
    if version != VERSION:
        shown = f"version={version!r}" if isinstance(state, dict) else f"state={state!r}"
        raise ConfigError(
            f"{shown}: not the state of a ClipStream of this release, which writes version {VERSION}; "
            "start anew, or go on with the release that saved it"
        )
    numbers = [state.get(name) for name in PLACE]
    origin = numbers.pop(PLACE.index("origin"))
    numbers += origin if isinstance(origin, list | tuple) and len(origin) == 2 else [None]
    is_whole = all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers)
    if not is_whole or not isinstance(state.get("config"), dict):
        raise ConfigError("state: is damaged, as it lacks some of what ClipStream.state_dict writes; start anew")
