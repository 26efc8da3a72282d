"""`dvm prepare` and `dvm verify`: build Parquet shards that load without this package, and check them."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import datasets

from dvm_hf.addresses import escaped, is_address
from dvm_hf.commands.array_task import refuse_data, run_task
from dvm_hf.commands.config_options import (
    PreparedLocation,
    SourceFolder,
    config,
    config_options,
    given_fields,
    integer_option,
    json_option,
    split_option,
)
from dvm_hf.commands.help_sections import SectionedCommand, SectionOption
from dvm_hf.dataset.config import LATER_FIELDS, DVMConfig, pairs_path, require_valid, source_tree
from dvm_hf.errors import ConfigError, MachineError, PreparedError, SourceError, StoreError
from dvm_hf.prepared.array_task import ArrayTask, planned_header, require_same_fields
from dvm_hf.prepared.engines.engine_table import ENGINES, engine_named
from dvm_hf.prepared.plans.shard_plan import as_planned
from dvm_hf.prepared.plans.shard_size import WantedShards
from dvm_hf.prepared.plans.stored_plan import StoredPlan
from dvm_hf.prepared.prepare import PreparedShards, planned, prepare
from dvm_hf.prepared.prepare import finish as finished
from dvm_hf.prepared.repair import fixed_faults, repaired
from dvm_hf.prepared.storage.object_path import location
from dvm_hf.prepared.verify import Verification, verify
from dvm_hf.sources.records import SPLITS
from dvm_hf.sources.sources_file import is_sources_file, read_sources_file
from dvm_hf.sources.tree import AUTO, is_source_tree, splits_of
from dvm_hf.wording import counted, ranges, size_in_bytes

DATA_DIR_HELP = (
    "Source folder or sources file for --pixels and --repair.  "
    "[default: the one that OUT was built from on this machine]"
)


@click.command(name="prepare", cls=SectionedCommand)
@click.argument("data_dir", type=SourceFolder(path_type=Path))
@click.argument("out", type=PreparedLocation(path_type=Path))
@split_option("Config to build.  [default: each config that DATA_DIR has sources for]")
@integer_option("--num-proc", "Number of processes that build shards.", default=1)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default=ENGINES[0],
    show_default=True,
    help="What builds the shards: processes of this machine, or a Ray cluster whose nodes share OUT and DATA_DIR, or "
    "reach their addresses.",
)
@click.option(
    "--ray-address",
    metavar="ADDRESS",
    help="HOST:PORT of a Ray cluster, or auto on one of its nodes.  [default: start Ray here, with --num-proc CPUs]",
)
@click.option("--ray-memory", metavar="SIZE", help="Memory that a task asks Ray for.  [default: 1GB]")
@integer_option(
    "--num-shards",
    "Number of shards per split.  [default: as --max-shard-size requires]",
    section="Output",
    show_default=False,
)
@click.option(
    "--max-shard-size",
    cls=SectionOption,
    section="Output",
    metavar="SIZE",
    help="Approximate maximum size of a shard, such as 500MB or 1GiB.  [default: 500MB]",
)
@click.option("--shards", "span", metavar="A-B", help="Build only shards A to B, numbered from 0.")
@click.option("--plan-only", is_flag=True, help="Write the plan and build nothing: before a job array.")
@integer_option(
    "--shard-index", "Build only this shard of the plan in OUT: a task of a job array.", least=0, show_default=False
)
@click.option("--finish", is_flag=True, help="Write manifest and card if no shard is missing: after a job array.")
@json_option
@config_options
def prepare_command(
    data_dir: Path,
    out: Path,
    split: str | None,
    num_proc: int,
    engine: str,
    ray_address: str | None,
    ray_memory: str | None,
    num_shards: int | None,
    max_shard_size: str | None,
    span: str | None,
    plan_only: bool,
    shard_index: int | None,
    finish: bool,
    as_json: bool,
    **fields: Any,
) -> None:
    """Build Parquet shards in OUT from the sources in DATA_DIR.

    load_dataset("OUT") loads the shards without this package and without the sources. Run the same command again to
    resume an interrupted build; finished shards are never lost. Several processes or machines can build in the same OUT
    at the same time.

    Example: dvm prepare DVM prepared --num-proc 8 --clip-length 8
    """
    _require_one(plan_only=plan_only or None, shards=span, shard_index=shard_index, finish=finish or None)
    if num_shards is not None and max_shard_size is not None:
        raise ConfigError("num_shards and max_shard_size: each determines the other; pass only one of them")
    datasets.disable_progress_bars() if as_json else datasets.enable_progress_bars()
    root, target = Path(os.path.abspath(data_dir)), location(out)
    if shard_index is not None:
        task = ArrayTask(root, target, shard_index, split, fields["on_error"] or "raise")
        header, given = planned_header(task), given_fields(fields)
        later = {name: getattr(DVMConfig, name) for name in LATER_FIELDS}  # which plans omit at these values
        values = {name: later[name] for name in given.keys() & later.keys()} | as_planned(given)
        values |= {} if num_shards is None else {"num_shards": num_shards}
        require_same_fields(task, {**header, "config": later | header["config"]}, values)
        run_task(task, as_json=as_json)
        return
    if finish:
        made = finished(target)
        click.echo(json.dumps(_as_json(made)) if as_json else _in_words(made))
        raise SystemExit(0 if made.complete else 1)
    indices = _indices(span)
    memory = None if ray_memory is None else size_in_bytes(ray_memory, option="ray_memory")
    chosen = engine_named(engine, num_proc=num_proc, ray_address=ray_address, ray_memory=memory)
    splits = chosen_splits(root, split, layout=fields["layout"] or AUTO, has_pairs=fields["pairs"] is not None)
    wanted = WantedShards(num_shards, None if max_shard_size is None else size_in_bytes(max_shard_size))
    configs = [config(name, str(root), fields) for name in splits]
    require_named(root, configs)
    try:
        plans = planned(configs, target, data_dir=root, wanted=wanted, threads=num_proc)
        if plan_only:
            click.echo(json.dumps(_plans_as_json(target, plans)) if as_json else _plans_in_words(plans))
            return
        made = prepare(plans, target, data_dir=root, indices=indices, engine=chosen, on_error=configs[0].on_error)
    except MachineError:
        raise
    except SourceError as error:
        refuse_data(error)
    click.echo(json.dumps(_as_json(made)) if as_json else _in_words(made))


@click.command(name="verify")
@click.argument("out", type=PreparedLocation(exists=True, file_okay=False, path_type=Path))
@click.option("--read-data", is_flag=True, help="Also decode every image and compare every row with the plan.")
@click.option(
    "--pixels",
    "render",
    is_flag=True,
    help="Like --read-data. Also render every clip again, as in a build, and compare every image: lossless ones by "
    "pixel, the others by PSNR.",
)
@click.option(
    "--repair",
    is_flag=True,
    help="Rebuild damaged files. Quarantine complete shards of other plans and foreign Parquet files that are named "
    "like shards; delete leftovers. Valid files stay unchanged.",
)
@click.option("--data-dir", type=SourceFolder(exists=True, path_type=Path), help=DATA_DIR_HELP)
@integer_option("--num-proc", "Number of processes that rebuild shards with --repair.", default=1)
@json_option
def verify_command(
    out: Path, read_data: bool, render: bool, repair: bool, data_dir: Path | None, num_proc: int, as_json: bool
) -> None:
    """Check prepared shards in OUT against their checksums and plan.

    Detects changed bytes, and truncated, missing, swapped, outdated and foreign files. The exit code is 1 if there is a
    fault that --repair did not fix.

    Example: dvm verify prepared --read-data
    """
    datasets.disable_progress_bars() if as_json else datasets.enable_progress_bars()
    target = location(out)
    root = None if data_dir is None else Path(os.path.abspath(data_dir))
    try:
        found = left = verify(target, read_data=read_data, render=render, data_dir=root)
        if repair and found.faults:
            left = repaired(target, found, read_data=read_data, render=render, data_dir=root, num_proc=num_proc)
    except (PreparedError, SourceError, StoreError) as error:
        if as_json:
            click.echo(json.dumps({"out": str(target), "ok": False, "error": str(error)}))
        raise
    gone = fixed_faults(found.faults, left.faults)
    if as_json:
        answer = {"out": str(target), "ok": not left.faults, "shards": left.shards, "read_data": read_data or render}
        answer |= {"faults": [vars(fault) for fault in left.faults], "repaired": [vars(fault) for fault in gone]}
        answer["left_out"] = _skipped_entries(left.skipped)
        click.echo(json.dumps(answer))
    else:
        click.echo("\n".join([*(f"repaired: {fault}" for fault in gone), *map(str, left.faults), _verdict(left)]))
    if left.faults:
        raise SystemExit(1)


def _verdict(found: Verification) -> str:
    if not found.faults:
        skipped = f"; {counted(len(found.skipped), 'source')} or clips skipped, listed in the manifest"
        return f"{counted(found.shards, 'shard')}, all valid{skipped if found.skipped else ''}"
    shards, verb = counted(found.shards, "shard"), "is" if len(found.to_rebuild) == 1 else "are"
    return (
        f"{counted(len(found.faults), 'fault')}; {len(found.to_rebuild)} of {shards} {verb} damaged. "
        "Pass --repair to rebuild."
    )


def chosen_splits(root: Path, split: str | None, *, layout: str, has_pairs: bool) -> Sequence[str]:
    """Return the splits to use: `split`, or every split that a folder or a sources file has sources for.

    A folder without splits is used once, as `dvm check` counts it: both splits would have the same sources.
    """
    if split is not None:
        return (split,)
    found = splits_of(root, layout)
    if has_pairs and len(found) > 1:
        raise ConfigError("pairs: a pair list belongs to one split; pass --config train or --config test")
    if len(found) == 1:
        missing = next(name for name in SPLITS if name not in found)
        click.echo(f"{root}: the split {missing!r} lacks foregrounds or backgrounds; using {found[0]!r} only", err=True)
    return found or SPLITS[:1]


def require_named(root: Path, configs: Sequence[DVMConfig]) -> None:
    """Raise SourceError if DATA_DIR is not a source tree or a pair list is missing: wrong use, not bad data."""
    for one in configs:
        require_valid(one)
        if one.pairs is not None:
            pairs_path(one)
    if is_sources_file(root):
        read_sources_file(root)
    elif not is_source_tree(root, configs[0].layout):
        source_tree(configs[0])


def _require_one(**given: Any) -> None:
    """Raise ConfigError if more than one of these options is given."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ConfigError(f"{' and '.join(names)}: each selects what to do; pass only one of them")


def _indices(span: str | None) -> Sequence[int] | None:
    if span is None:
        return None
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", span)
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise ConfigError(
            f"shards={span!r}: not a range of shards; pass a number or a range such as 40-79, counted from 0"
        )
    return range(int(match[1]), int(match[2] or match[1]) + 1)


def _as_json(made: PreparedShards) -> dict[str, Any]:
    return {
        "out": str(made.out),
        "complete": made.complete,
        "shards": dict(made.shards),
        "missing": {split: len(missing) for split, missing in made.missing.items()},
        "built": list(made.built),
        "rows": made.rows,
        "frames": made.frames,
        "bytes": made.file_size,
        "left_out": _skipped_entries(made.skipped),
    }


def _plans_as_json(out: Path, plans: Mapping[str, StoredPlan]) -> dict[str, Any]:
    return {
        "out": str(out),
        "shards": {split: plan.num_shards for split, plan in plans.items()},
        "clips": {split: plan.counts["clips"] for split, plan in plans.items()},
    }


def _plans_in_words(plans: Mapping[str, StoredPlan]) -> str:
    lines = [
        f"{plan.folder.plan(split)}: {counted(plan.counts['clips'], 'clip')} in {counted(plan.num_shards, 'shard')}; "
        f"build them with --config {split} --shard-index 0 to {plan.num_shards - 1}, then run --finish"
        for split, plan in plans.items()
    ]
    return "\n".join(lines)


def _skipped_entries(entries: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "reason": reason} for name, reason in entries]


def _how_to_load(made: PreparedShards) -> str:
    """Return the call that loads the shards: `datasets` reads no card at the address of an object store."""
    if not is_address(str(made.out)):
        return f'load_dataset("{made.out}")'
    folder = escaped(str(made.out))
    files = ", ".join(f'"{split}": "{folder}/data/{split}-*.parquet"' for split in made.shards)
    return f'load_dataset("parquet", data_files={{{files}}})'


def _in_words(made: PreparedShards) -> str:
    total, missing = sum(made.shards.values()), sum(map(len, made.missing.values()))
    lines = [
        f"{made.out}: {total - missing} of {counted(total, 'shard')}, {len(made.built)} built now; "
        f"{counted(made.rows, 'row')}, {counted(made.frames, 'frame')}, {made.file_size / 1e6:,.1f} MB"
    ]
    for name, reason in made.skipped[:10]:
        lines.append(f"  skipped: {name}: {reason}")
    if len(made.skipped) > 10:
        lines.append(f"  and {len(made.skipped) - 10} more; the manifest lists all")
    if made.complete:
        lines.append(f"To load it: {_how_to_load(made)}. Dataset card: {made.out / 'README.md'}")
    else:
        shown = ", ".join(f"{len(one)} of {split} ({ranges(one)})" for split, one in made.missing.items() if one)
        lines.append(f"Missing: {shown}. The run that builds the last shard, or --finish, writes manifest and card.")
    return "\n".join(lines)
