"""The command line: `dvm`, `python -m dvm_hf`, `python dvm.py`.

Exit codes: 0 success, 1 the data has problems, 2 wrong use or a fault of the machine, 3 a bug, 130 interrupted by
Ctrl-C.
"""

import dataclasses
import io
import json
import os
import shlex
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import datasets

import dvm_hf
from dvm_hf.commands.bench import bench_command
from dvm_hf.commands.check import check_command
from dvm_hf.commands.config_options import json_option
from dvm_hf.commands.demo import Demo, demonstrate
from dvm_hf.commands.digest import digest_command
from dvm_hf.commands.evaluate import evaluate_command
from dvm_hf.commands.init import init_command
from dvm_hf.commands.plan import plan_command
from dvm_hf.commands.prepare import prepare_command, verify_command
from dvm_hf.commands.preview import preview
from dvm_hf.commands.push import push_command
from dvm_hf.environment import INTERRUPTED
from dvm_hf.errors import ConfigError, DamagedError, HubError, MetricsError, PredictionError, PreparedError, SourceError
from dvm_hf.wording import counted

BUG, READER_GONE = 3, 141  # the second is the code with which a shell reports SIGPIPE


class _Refusal(click.ClickException):
    exit_code = 2


class _BadData(click.ClickException):
    exit_code = 1


class _Commands(click.Group):
    """A group of commands that prints the package's own errors without a traceback."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run a command as click does, with different exit codes for bad data, bugs and Ctrl-C."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)  # type: ignore[call-overload]
        _escape_unprintable()
        try:
            code = super().main(*args, standalone_mode=False, **extra)  # type: ignore[call-overload]
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            click.echo("Stopped.", err=True)
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            with suppress(OSError), open(os.devnull, "wb") as nowhere:  # so nothing is flushed into the pipe at exit
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
            sys.exit(READER_GONE)
        except Exception:  # a bug, which must not look like bad data
            traceback.print_exc()
            click.echo("Error: this is a bug in dvm_hf; please report it with the traceback above.", err=True)
            sys.exit(BUG)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (DamagedError, PredictionError) as error:
            raise _BadData(str(error)) from error
        except (ConfigError, HubError, MetricsError, PreparedError, SourceError) as error:
            raise _Refusal(str(error)) from error
        except BrokenPipeError:  # the reader has closed the pipe, as in `dvm check DVM | head`
            raise
        except OSError as error:
            raise _Refusal(f"{error.filename or 'input/output'}: {error.strerror or error}") from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
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


def _escape_unprintable() -> None:
    """Write characters that the encoding of a stream lacks as backslash escapes; file names may hold any character."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


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
