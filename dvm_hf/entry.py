"""The entry point `dvm`: imports the command line, which takes a while; Ctrl-C meanwhile gives no traceback."""

from typing import Any

from dvm_hf.environment import EnvironmentFault, end_command, require_usable, stop_command


def main(**extra: Any) -> Any:
    """Run the command line; `extra` goes to click."""
    try:
        require_usable()
        from dvm_hf.cli import main as commands
    except EnvironmentFault as error:
        end_command(error)
        raise
    except KeyboardInterrupt:
        stop_command()
        raise
    return commands(**extra)
