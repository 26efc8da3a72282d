"""The group of commands: which error gives which exit code and which text."""

import io
import os
import sys
import traceback
from contextlib import suppress
from typing import Any

import click

from dvm_hf.environment import INTERRUPTED
from dvm_hf.errors import (
    ConfigError,
    DamagedError,
    HubError,
    MetricsError,
    PredictionError,
    PreparedError,
    SourceError,
    StoreError,
)

BUG, READER_GONE = 3, 141  # the second is the code with which a shell reports SIGPIPE


class _Refusal(click.ClickException):
    exit_code = 2


class _BadData(click.ClickException):
    exit_code = 1


class Commands(click.Group):
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
        except (ConfigError, HubError, MetricsError, PreparedError, SourceError, StoreError) as error:
            raise _Refusal(str(error)) from error
        except BrokenPipeError:  # the reader has closed the pipe, as in `dvm check DVM | head`
            raise
        except OSError as error:
            raise _Refusal(f"{error.filename or 'input/output'}: {error.strerror or error}") from error


def _escape_unprintable() -> None:
    """Write characters that the encoding of a stream lacks as backslash escapes; file names may hold any character."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
