"""The task of every engine."""

from pathlib import Path

from stored_plans import stored_plan

from dvm_hf.prepared.shard_task import Job, Task
from dvm_hf.prepared.shards import Progress, Recorded


def test_a_finished_shard_is_built_again_only_if_its_state_is_recorded(prepared: Path, few_sources: Path) -> None:
    job, path = Job("train", 0), prepared / "data/train-00000-of-00003.parquet"
    shard, before = stored_plan(prepared).shard(0), path.stat().st_ino
    reports: list[Progress] = []
    outcome = Task(shard, prepared, few_sources).outcome(reports.append)
    assert (outcome.job, outcome.is_new, reports) == (job, False, [Progress(clips=2)])
    assert path.stat().st_ino == before
    recorded = Recorded(outcome.sidecar.sha256)
    again = Task(shard, prepared, few_sources, recorded=recorded).outcome(reports.append)
    assert (again.is_new, again.sidecar) == (True, outcome.sidecar)
    assert path.stat().st_ino != before
    assert sum(progress.clips for progress in reports[1:]) == 2
