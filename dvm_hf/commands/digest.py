"""`dvm digest`: content digests of a source tree or a prepared folder."""

import json
from pathlib import Path
from typing import Any

import click
import datasets

from dvm_hf.commands.config_options import (
    SourceOrPrepared,
    config,
    given_fields,
    integer_option,
    json_option,
    options_of,
    shown_defaults,
    split_option,
)
from dvm_hf.commands.help_sections import SectionedCommand
from dvm_hf.commands.prepare import chosen_splits, require_named
from dvm_hf.errors import ConfigError, MachineError, SourceError
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.storage.object_path import location
from dvm_hf.prepared.storage.storage import storage_of
from dvm_hf.reproduce.digests import Digests
from dvm_hf.reproduce.prepared_folder import recorded_digests, stored_digests
from dvm_hf.reproduce.source_tree import rendered_digests
from dvm_hf.sources.tree import AUTO, is_source_tree
from dvm_hf.wording import counted

SHOWN = 10  # skipped clips


@click.command("digest", cls=SectionedCommand)
@click.argument("source", type=SourceOrPrepared(exists=True, path_type=Path))
@click.option(
    "--read-data",
    is_flag=True,
    help="Compute the digests from the images of a lossless prepared folder, and compare them with the recorded ones.",
)
@split_option("Split to hash.  [default: each that SOURCE has]")
@integer_option("--num-proc", "Number of processes that render clips of a source folder.", default=1)
@json_option
@options_of(shown_defaults(without=("encoding",)))
def digest_command(
    source: Path, read_data: bool, split: str | None, num_proc: int, as_json: bool, **fields: Any
) -> None:
    """Print a hash of the pixels of each clip, split and dataset.

    SOURCE is a source folder or sources file, whose clips are rendered with the config fields that you pass as options,
    or a folder built by dvm prepare, also in an object store, whose digests the build recorded. Equal pixels have equal
    digests, however the clips are encoded and stored. docs/reproduce.md defines them.

    Example: dvm digest DVM --config test --pairs test_fg_bg_names.txt --clip-length all
    """
    datasets.disable_progress_bars() if as_json else datasets.enable_progress_bars()
    root = location(source)
    if _is_prepared(root):
        for name, value in given_fields(fields).items():
            raise ConfigError(
                f"{name}={value!r}: applies only to a source folder, but {source} is a prepared folder; omit this "
                "option"
            )
        found = (stored_digests if read_data else recorded_digests)(root, split)
    else:
        if read_data:
            raise ConfigError("read_data: applies only to a prepared folder; omit it, because clips are rendered")
        found = _rendered(root, split, fields, processes=num_proc)
    click.echo(json.dumps(found.as_json()) if as_json else _in_words(found))
    for name, reason in found.skipped[:SHOWN]:
        click.echo(f"skipped: {name}: {reason}", err=True)
    if len(found.skipped) > SHOWN:
        click.echo(f"{counted(len(found.skipped) - SHOWN, 'more clip')} skipped", err=True)


def _is_prepared(root: Path) -> bool:
    if not storage_of(root).is_local:
        return True  # or it would be a local path, of remote sources
    return root.is_dir() and bool(PreparedFolder(root).splits()) and not is_source_tree(root)


def _rendered(root: Path, split: str | None, fields: dict[str, Any], *, processes: int) -> Digests:
    splits = chosen_splits(root, split, layout=fields["layout"] or AUTO, has_pairs=fields["pairs"] is not None)
    configs = [config(name, str(root), fields) for name in splits]
    require_named(root, configs)
    try:
        return rendered_digests(configs, processes=processes)
    except MachineError:
        raise
    except SourceError as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(1) from error


def _in_words(found: Digests) -> str:
    lines = [f"{digest}  {name}" for name, digest in found.named.items()]
    for split, digest in found.splits.items():
        lines.append(f"{digest}  split {split}, {counted(len(found.clips[split]), 'clip')}")
    return "\n".join([*lines, f"{found.dataset}  dataset"])
