"""A task that reports which packages its worker has imported. A module of its own, because workers import it."""

import json
import os
import sys
from collections.abc import Callable

from dvm_hf.prepared.shard_task import Outcome, Task
from dvm_hf.prepared.shards import Progress


class ReportingTask(Task):
    """Writes the imported packages to `out`/imported/PID.json after a shard."""

    def outcome(self, on_progress: Callable[[Progress], None]) -> Outcome:
        done = super().outcome(on_progress)
        imported = sorted({name.partition(".")[0] for name, module in sys.modules.items() if module is not None})
        (self.out / "imported").mkdir(exist_ok=True)
        (self.out / "imported" / f"{os.getpid()}.json").write_text(json.dumps(imported))
        return done
