"""The engines by name."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Protocol

from dvm_hf.errors import ConfigError
from dvm_hf.prepared.engines.local_engine import local_outcomes
from dvm_hf.prepared.engines.ray_engine import TASK_MEMORY, RayCluster, ray_outcomes, require_ray
from dvm_hf.prepared.shard_task import Outcome, Task
from dvm_hf.prepared.shards import Progress


class Engine(Protocol):
    """Yields each shard when it is finished, and reports the progress of all of them.

    Raises the first expected error of a task, PreparedError if workers end repeatedly at a shard, and MachineError if
    no worker can be started. Finished shards are kept.
    """

    def __call__(self, tasks: Iterable[Task], *, on_progress: Callable[[Progress], None]) -> Iterator[Outcome]: ...


ENGINES = ("local", "ray")


def engine_named(name: str, *, num_proc: int, ray_address: str | None = None, ray_memory: int | None = None) -> Engine:
    """Return an engine.

    num_proc: processes on this machine. ray_address, ray_memory: see `RayCluster`.

    Raises ConfigError if an option does not fit the engine or Ray is not installed, and MachineError if no cluster
    answers at its address.
    """
    if name == "local":
        given = {"ray_address": ray_address, "ray_memory": ray_memory}
        unused = [option for option, value in given.items() if value is not None]
        if unused:
            raise ConfigError(f"{' and '.join(unused)}: only used with engine='ray'; pass --engine ray")
        return local(num_proc)
    cluster = RayCluster(ray_address, num_proc, ray_memory or TASK_MEMORY)
    require_ray(cluster)
    return partial(ray_outcomes, cluster=cluster)


def local(num_proc: int = 1) -> Engine:
    """Return the engine of `num_proc` processes on this machine; 1: this process."""
    return partial(local_outcomes, num_proc=num_proc)
