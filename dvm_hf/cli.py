"""The command line: `dvm`, `python -m dvm_hf`, `python dvm.py`.

Exit codes: 0 success, 1 the data has problems, 2 wrong use or a fault of the machine, 3 a bug, 130 interrupted by
Ctrl-C.
"""

import dataclasses
import json
import shlex
from pathlib import Path

import click
import datasets

import dvm_hf
from dvm_hf.commands.bench import bench_command
from dvm_hf.commands.check import check_command
from dvm_hf.commands.config_options import json_option
from dvm_hf.commands.demo import Demo, demonstrate
from dvm_hf.commands.digest import digest_command
from dvm_hf.commands.evaluate import evaluate_command
from dvm_hf.commands.group import Commands
from dvm_hf.commands.init import init_command
from dvm_hf.commands.plan import plan_command
from dvm_hf.commands.prepare import prepare_command, verify_command
from dvm_hf.commands.preview import preview
from dvm_hf.commands.push import push_command
from dvm_hf.wording import counted


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dvm_hf.__version__, package_name="dvm_hf")
def main() -> None:
    """Composite video matting clips from a DVM source folder.

    Check the sources, preview a few clips, then build the dataset. Run dvm COMMAND --help for the options of a command.

    \b
    Examples: dvm check DVM --pairs test_fg_bg_names.txt
              dvm preview DVM -o preview.html
              dvm prepare DVM prepared --clip-length 8
    """


# commands from their own modules
_COMMANDS = (
    bench_command,
    check_command,
    digest_command,
    evaluate_command,
    init_command,
    plan_command,
    prepare_command,
    verify_command,
    push_command,
)
for _command in (*_COMMANDS, preview):
    main.add_command(_command)


@main.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path), default="dvm_demo")
@json_option
def demo(folder: Path, as_json: bool) -> None:
    """Try the pipeline on small synthetic sources.

    Draws a DVM folder and a sources file of other kinds of sources, builds a dataset and writes a contact sheet, all in
    DIR (default: dvm_demo). A second run reuses the sources and the dataset.

    Example: dvm demo try_it
    """
    datasets.disable_progress_bars() if as_json else datasets.enable_progress_bars()
    made = demonstrate(folder, say=lambda text: click.echo(text, err=True))
    if as_json:
        click.echo(
            json.dumps({key: str(v) if isinstance(v, Path) else v for key, v in dataclasses.asdict(made).items()})
        )
    else:
        click.echo(_in_words(made))


def _in_words(made: Demo) -> str:
    streamed = counted(made.streamed_rows + made.mixed_rows, "streamed window")
    return f"""
Done. The sources are synthetic: they show the pipeline and are not meant for training.
  sources folder  {made.sources}  (the DVM layout)
  sources file    {made.sources_file}  (cut-outs, picture folders, videos with alpha, still backgrounds)
  built dataset   {made.cache}  ({counted(made.test_rows, "window")} of the config "test")
  contact sheet   {made.contact_sheet}  ({streamed} at its end)

To look at clips of the sources file in a browser:
  dvm preview {shlex.quote(str(made.sources_file))}

To load your own data, a folder or a sources file:
  import dvm_hf; from datasets import load_dataset
  rows = load_dataset("dvm.py", "train", data_dir="DVM", split="train", streaming=True)
"""
