"""The position of a process in a stream, and its state dict."""

from dataclasses import dataclass
from typing import Any

from dvm_hf.dataset.config import LATER_FIELDS, DVMConfig
from dvm_hf.errors import ConfigError
from dvm_hf.training.sample_assignment import StartOffset

VERSION = 1
POSITION_KEYS = ("first_epoch", "origin", "worker", "num_workers", "epoch", "position")


@dataclass
class Run:
    """The progress of one process in one epoch run.

    first_epoch: of the epoch run. origin: start offset from which samples are assigned to workers. epoch, position:
    the current epoch, and the number of samples done in this process's share of it, skipped ones included. number: of
    the epoch run (`EpochRuns`).
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
        """Whether no sample of the epoch run is done, neither here nor before a resume."""
        return self.origin == (self.first_epoch, 0) and (self.epoch, self.position) == (self.first_epoch, 0)


def state_of(run: Run, identity: dict[str, Any]) -> dict[str, Any]:
    """Return the state dict of a run and of the stream's config, made of integers, strings and lists."""
    origin, position, worker, workers = run.origin, run.position, run.worker, run.workers
    if workers <= 1:  # a single process: save the rank's position, from which any number of workers can resume
        before = origin.samples if run.epoch == origin.epoch else 0
        origin, position, worker, workers = StartOffset(run.epoch, before + position), 0, 0, 1
    values = (run.first_epoch, list(origin), worker, workers, run.epoch, position)
    return {"version": VERSION} | dict(zip(POSITION_KEYS, values, strict=True)) | {"config": dict(identity)}


def run_of(state: dict[str, Any], identity: dict[str, Any], *, worker: int, workers: int) -> Run:
    """Return the run with which this process resumes from a state.

    Raises ConfigError, naming the field, if the state is of another config or of another worker.
    """
    _require_state(state)
    later = {name: getattr(DVMConfig, name) for name in identity.keys() & set(LATER_FIELDS)}
    former = later | state["config"]  # earlier releases save fewer fields
    for name in [*identity, *(former.keys() - identity.keys())]:
        saved, own = former.get(name), identity.get(name)
        if saved != own:
            raise ConfigError(
                f"{name}={own!r}: the state was saved with {name}={saved!r}, and a stream resumes only with the same "
                "config; use that value, or restart without the state"
            )
    first_epoch, origin, saved_worker, saved_workers, epoch, position = (state[key] for key in POSITION_KEYS)
    if saved_workers == 1:
        return Run(first_epoch, StartOffset(*origin), worker, workers, epoch)
    if (saved_worker, saved_workers) != (worker, workers):
        raise ConfigError(
            f"num_workers={workers}: the state was saved by worker {saved_worker} of {saved_workers}; resume with the "
            "same number of workers, each with its own state, as StatefulDataLoader does"
        )
    return Run(first_epoch, StartOffset(*origin), worker, workers, epoch, position)


def _require_state(state: Any) -> None:
    version = state.get("version") if isinstance(state, dict) else None
    if version != VERSION:
        shown = f"version={version!r}" if isinstance(state, dict) else f"state={state!r}"
        raise ConfigError(
            f"{shown}: not a ClipStream state of this release, which writes version {VERSION}; restart without the "
            "state, or resume with the release that saved it"
        )
    numbers = [state.get(key) for key in POSITION_KEYS]
    origin = numbers.pop(POSITION_KEYS.index("origin"))
    numbers += origin if isinstance(origin, list | tuple) and len(origin) == 2 else [None]
    are_valid = all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers)
    if not are_valid or not isinstance(state.get("config"), dict):
        raise ConfigError(
            "state: is damaged: a value that ClipStream.state_dict writes is missing or not valid; restart without it"
        )
