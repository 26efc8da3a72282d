"""The command line, run in process: output, errors and exit status."""

import inspect

from click.testing import CliRunner, Result

from dvm_hf.cli import main

SEPARATE_STREAMS = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}  # click 8.1


def run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner(**SEPARATE_STREAMS).invoke(main, arguments, input=typed)
