"""What a worker of Ray runs always ends with a result. Does not need Ray."""

from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from dvm_hf.prepared.engines.ray_task import _attempt
from dvm_hf.prepared.shard_task import Crash, Outcome, Task
from dvm_hf.prepared.shards import Progress


class FaultyTask(Task):
    """Raises the error in the place of its shard."""

    def outcome(self, on_progress: Callable[[Progress], None]) -> Outcome:
        raise self.shard  # type: ignore[misc]


@pytest.mark.parametrize(
    "error", [ConnectionResetError("read"), SystemExit("from a library"), ZeroDivisionError("bug")]
)
def test_an_unexpected_error_is_the_result(error: Any, tmp_path: Path) -> None:
    found: SimpleQueue[Any] = SimpleQueue()
    _attempt(FaultyTask(error, tmp_path, tmp_path), found)
    crash = found.get(timeout=1)
    assert isinstance(crash, Crash)
    assert str(error) in crash.text
