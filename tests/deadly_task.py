"""Tasks that end their worker, or wait until it ends. A module of its own, because workers import it."""

import os
import signal
import time
from collections.abc import Callable

from dvm_hf.prepared.atomic_io import temporaries
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.shard_task import Job, Outcome, Task
from dvm_hf.prepared.shards import Progress

# Ray's workers are children of their node's raylet, and continue if only that is killed.
VICTIMS = {"worker": [os.getpid], "node": [os.getppid, os.getpid]}


class DeadlyTask(Task):
    """Kills a process midway, once for each file in `out`/bullets that is named after its shard: train-0-worker-1."""

    def outcome(self, on_progress: Callable[[Progress], None]) -> Outcome:
        bullets = sorted((self.out / "bullets").glob(f"{self.job.split}-{self.job.shard}-*"))

        def deadly(progress: Progress) -> None:
            assert any(temporaries(folder) for folder in PreparedFolder(self.out).folders)
            bullets[0].unlink()
            for victim in VICTIMS[bullets[0].name.split("-")[2]]:
                os.kill(victim(), signal.SIGKILL)

        return super().outcome(deadly if bullets else on_progress)


class EndlessTask(Task):
    """Runs until its worker is killed."""

    def outcome(self, on_progress: Callable[[Progress], None]) -> Outcome:
        time.sleep(600)
        raise AssertionError("nothing has killed the worker")


def bullet(job: Job, victim: str, number: int) -> str:
    """Return the name of a bullet."""
    return f"{job.split}-{job.shard}-{victim}-{number}"
