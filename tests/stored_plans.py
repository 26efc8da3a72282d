"""Read plans of prepared folders, or write them there."""

from pathlib import Path

from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.plans.shard_plan import ShardPlan, whole_plan
from dvm_hf.prepared.plans.stored_plan import StoredPlan, open_plan


def stored_plan(out: Path, split: str = "train") -> StoredPlan:
    return open_plan(PreparedFolder(out), split)


def plan_in(out: Path, split: str = "train") -> ShardPlan:
    """Return a plan with all clips."""
    return whole_plan(stored_plan(out, split))


def written(plan: ShardPlan, out: Path) -> StoredPlan:
    """Write a plan to a folder that may have another one."""
    folder = PreparedFolder(out)
    folder.plan(plan.split).parent.mkdir(parents=True, exist_ok=True)
    folder.plan(plan.split).unlink(missing_ok=True)
    plan.write(folder)
    return open_plan(folder, plan.split)
