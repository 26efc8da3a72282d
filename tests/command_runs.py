"""The command line, run in process: output, errors and exit status."""

import inspect

from click.testing import CliRunner, Result

from dvm_hf.cli import main

SEPARATE_STREAMS = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}  # click 8.1


def run(*arguments: str, typed: str | None = None, encoding: str = "utf-8") -> Result:
    """Run `dvm`. encoding: of standard output, which is strict, and of standard error, which escapes characters."""
    return CliRunner(charset=encoding, **SEPARATE_STREAMS).invoke(main, arguments, input=typed)


def assert_plain_refusal(arguments: list[str], name: str) -> None:
    """A command ends with exit code 2 and an error that contains a name, without a traceback or output."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert "Error" in result.stderr
    assert name in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
