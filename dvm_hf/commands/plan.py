"""`dvm plan`: write the list of the clips that a config gives, or compare one with the sources."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import datasets

from dvm_hf.commands.config_options import (
    NamedPath,
    PreparedLocation,
    SourceFolder,
    config,
    json_option,
    options_of,
    shown_defaults,
    split_option,
)
from dvm_hf.commands.help_sections import SectionedCommand, SectionOption
from dvm_hf.commands.prepare import require_named
from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.config import LATER_FIELDS, DVMConfig, own_fields
from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.prepared.atomic_io import atomic_write
from dvm_hf.prepared.folder import PreparedFolder, json_bytes
from dvm_hf.prepared.plans.shard_plan import planned_config, planned_fields
from dvm_hf.prepared.prepare import read_plans
from dvm_hf.reproduce.frozen_clips import differences, frozen_clips
from dvm_hf.reproduce.prepared_folder import recorded_digests
from dvm_hf.sources.frozen_lists import SUFFIX, is_frozen_list
from dvm_hf.sources.pair_lists import frozen_list
from dvm_hf.sources.tree import AUTO
from dvm_hf.wording import counted

FILE = NamedPath(dir_okay=False, path_type=Path)


@click.command("plan", cls=SectionedCommand)
@click.argument("data_dir", type=SourceFolder(exists=True, path_type=Path))
@click.option("--export", type=FILE, cls=SectionOption, section="Output", help="JSON file to write.")
@click.option(
    "--compare",
    type=NamedPath(exists=True, dir_okay=False, path_type=Path),
    help="Exported file to compare with these sources. Its config is used, so pass no config fields.",
)
@click.option(
    "--digests",
    "prepared",
    type=PreparedLocation(exists=True, file_okay=False, path_type=Path),
    cls=SectionOption,
    section="Output",
    help="Prepared folder whose content digests are written to the file, too.",
)
@split_option("Config of the clips.", default="test")
@json_option
@options_of(shown_defaults(without=("encoding", "on_error")))
def plan_command(
    data_dir: Path,
    export: Path | None,
    compare: Path | None,
    prepared: Path | None,
    split: str,
    as_json: bool,
    **fields: Any,
) -> None:
    """Export a config's clips as JSON, or compare a file with them.

    The file lists the pairs, seeds, sizes, crops and placements of every frame, and the SHA-256 of every source, so
    that others can render the same clips without this package. It is also a pair list: pass it as --pairs. The exit
    code is 1 if the sources or the clips differ from the file.

    Example: dvm plan DVM --export clips.json --pairs test_fg_bg_names.txt --clip-length all
    """
    datasets.disable_progress_bars() if as_json else datasets.enable_progress_bars()
    if (export is None) == (compare is None):
        raise ConfigError(
            "export and compare: pass one of them: --export FILE to write a list, --compare FILE to check one"
        )
    root = Path(os.path.abspath(data_dir))
    if compare is not None:
        _compare(root, compare, fields, as_json=as_json)
        return
    assert export is not None
    if not is_frozen_list(export):
        raise ConfigError(f"{export}: has another suffix than {SUFFIX}, by which pair lists are told apart; add it")
    chosen = config(split, str(root), fields)
    require_named(root, [chosen])
    digests = None if prepared is None else _recorded(prepared, chosen)
    content = _listed(chosen, digests)
    if prepared is not None and content["digest"] is None:
        raise ConfigError(
            f"digests={prepared}: lacks clips of this config; pass the folder that was prepared with the same options"
        )
    atomic_write(Path(os.path.realpath(export)), json_bytes(content))
    made = {
        "file": str(export),
        "clips": len(content["clips"]),
        "frames": sum(one["frames"] for one in content["clips"]),
    }
    shown = f"{export}: {counted(made['clips'], 'clip')}, {counted(made['frames'], 'frame')}"
    click.echo(json.dumps(made) if as_json else shown)


def _recorded(prepared: Path, chosen: DVMConfig) -> Mapping[str, str]:
    """Return the digests that a build recorded; raises ConfigError if its config differs other than in the encoding."""
    digests = recorded_digests(prepared, chosen.name).clips[chosen.name]
    later = {name: getattr(DVMConfig, name) for name in LATER_FIELDS}  # which plans omit at these values
    built = later | planned_fields(planned_config(read_plans(PreparedFolder(prepared))[chosen.name]))
    for name, value in (later | planned_fields(chosen)).items():
        if name not in ("encoding", "preset") and built.get(name) != value:
            raise ConfigError(
                f"digests={prepared}: was prepared with {name}={built.get(name)!r}, but the list has {value!r}; pass "
                "the same options"
            )
    return digests


def _compare(root: Path, path: Path, fields: dict[str, Any], *, as_json: bool) -> None:
    for name, value in fields.items():
        if value is not None and name != "layout":
            raise ConfigError(f"{name}={value!r}: the list has its own config; omit this option with --compare")
    listed = frozen_list(path)
    chosen = _listed_config(root, path, listed, layout=fields["layout"] or AUTO)
    found = _listed(chosen, None)
    faults = list(differences(listed, found))
    answer = {"file": str(path), "clips": len(found["clips"]), "differences": faults}
    verdict = counted(len(faults), "difference") if faults else f"{counted(len(found['clips']), 'clip')}, all as listed"
    click.echo(json.dumps(answer) if as_json else "\n".join([*faults, verdict]))
    if faults:
        raise SystemExit(1)


def _listed_config(root: Path, path: Path, listed: dict[str, Any], *, layout: str) -> DVMConfig:
    """Return the config of a list, with its clips; raises ConfigError if this release lacks one of its fields."""
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in listed["config"].items()}
    unknown = sorted(fields.keys() - set(own_fields()))
    if unknown:
        raise ConfigError(
            f"{path}: has the config fields {', '.join(unknown)}, which this release lacks; use a newer one"
        )
    given = {"data_dir": str(root), "pairs": str(path.absolute()), "layout": layout, "version": DVM.VERSION}
    chosen = DVMConfig(name=listed["split"], **{**fields, **given})
    require_named(root, [chosen])
    return chosen


def _listed(chosen: DVMConfig, digests: Any) -> dict[str, Any]:
    try:
        return frozen_clips(chosen, digests)
    except SourceError as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(1) from error
