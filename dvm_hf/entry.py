"""Entry point of `dvm`. Importing the command line takes a while; Ctrl-C during the import prints no traceback."""

import gc
import sys
from typing import Any

from dvm_hf.environment import EnvironmentFault, end_command, is_array_task, require_usable, stop_command


def main(**extra: Any) -> Any:
    """Run the command line and pass `extra` to click."""
    try:
        if is_array_task():
            from dvm_hf.commands.array_task import run_if_plain

            if run_if_plain(sys.argv[1:], **extra):
                return None
        require_usable()
        from dvm_hf.cli import main as commands
    except EnvironmentFault as error:
        end_command(error)
        raise
    except KeyboardInterrupt:
        stop_command()
        raise
    gc.freeze()  # or the interpreter would search the imported modules for garbage at its end
    return commands(**extra)
